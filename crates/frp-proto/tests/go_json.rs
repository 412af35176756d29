//! Bodies that the original's own message types were fed with: we take what it took, refuse what it refused,
//! and write the same bytes back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use frp_proto::msg::{Message, MessageKind};
use serde_json::Value;

fn body(case: &Value) -> Vec<u8> {
    if let Some(text) = case["body"].as_str() {
        return text.as_bytes().to_vec();
    }
    if let Some(hex) = case["hex"].as_str() {
        return support::from_hex(hex);
    }
    // Texts, each number repeating the text before it.
    let mut body = String::new();
    for part in case["nest"].as_array().unwrap() {
        match part.as_u64() {
            Some(times) => {
                let last = body.split_off(body.len() - last_len(case, part));
                body.push_str(&last.repeat(usize::try_from(times).unwrap()));
            }
            None => body.push_str(part.as_str().unwrap()),
        }
    }
    body.into_bytes()
}

/// Length of the text in front of the number `part`.
fn last_len(case: &Value, part: &Value) -> usize {
    let parts = case["nest"].as_array().unwrap();
    let at = parts.iter().position(|other| std::ptr::eq(other, part)).unwrap();
    parts[at - 1].as_str().unwrap().len()
}

#[test]
fn bodies_are_read_and_written_as_go_does() {
    let cases = support::json("json-go.json");
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 300);
    let mut wrong = Vec::new();
    for case in cases {
        let kind = MessageKind::from_v1_byte(case["type"].as_str().unwrap().as_bytes()[0]).unwrap();
        let ours = Message::from_json(kind, &body(case)).map(|message| {
            let mut out = Vec::new();
            message.write_json(&mut out);
            String::from_utf8(out).unwrap()
        });
        if ours.as_deref().ok() != case["result"].as_str() {
            wrong.push(format!("{case}\n   ours: {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}
