//! Annotations follow the rules of Kubernetes for names (`k8s.io/apimachinery/pkg/util/validation`).

use std::collections::BTreeMap;

use super::{CheckError, Findings};

/// Bytes of all names and texts of one proxy together.
const SIZE_LIMIT: usize = 256 * 1024;
/// Bytes of the part of a name behind the `/`.
const NAME_LIMIT: usize = 63;
/// Bytes of the part of a name before the `/`.
const PREFIX_LIMIT: usize = 253;

const NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const QUALIFIED_RULE: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must \
    start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
    validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. \
    'example.com/MyName')";
const PREFIX_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Checks the names, in lower case, and the size of a proxy's annotations.
pub(crate) fn annotations(annotations: &BTreeMap<String, String>) -> Result<(), CheckError> {
    let mut findings = Findings::default();
    for key in annotations.keys() {
        for reason in name_faults(&key.to_lowercase()) {
            findings.require(false, format!("annotation key {key} is invalid: {reason}"));
        }
    }
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    findings
        .require(size <= SIZE_LIMIT, format!("annotations size {size} is larger than limit {SIZE_LIMIT}"));
    findings.finish()
}

fn name_faults(key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let parts: Vec<&str> = key.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                if prefix.len() > PREFIX_LIMIT {
                    faults.push(format!("prefix part must be no more than {PREFIX_LIMIT} characters"));
                }
                if !prefix.split('.').all(is_label) {
                    faults.push(format!("prefix part {PREFIX_RULE}"));
                }
            }
            name
        }
        _ => return vec![QUALIFIED_RULE.to_owned()],
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_LIMIT {
        faults.push(format!("name part must be no more than {NAME_LIMIT} characters"));
    }
    if !is_name(name) {
        faults.push(format!("name part {NAME_RULE}"));
    }
    faults
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.bytes().all(inner)
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && name.as_bytes().last().is_some_and(u8::is_ascii_alphanumeric)
}

/// Small letters, digits and `-`, with a letter or digit at both ends.
fn is_label(label: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    label.bytes().all(|byte| edge(&byte) || byte == b'-')
        && label.as_bytes().first().is_some_and(edge)
        && label.as_bytes().last().is_some_and(edge)
}
