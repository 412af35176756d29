//! A client that verifies its server: names, dates, chains.

use super::*;
use rcgen::{
    ExtendedKeyUsagePurpose, GeneralSubtree, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};

/// What a client that trusts `ca` and expects `server_name` says of the server's leaf `leaf`.
async fn verdict(folder: &Folder, leaf: &str, server_name: &str) -> String {
    connect(&folder.server(leaf, ""), &folder.client("", "ca", server_name)).await.client
}

fn refusal(text: &str) -> String {
    format!("tls: failed to verify certificate: x509: {text}")
}

#[tokio::test]
async fn names_and_addresses_must_match() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("leaf", &["frps.example.com", "*.wild.example.com", "127.0.0.1", "::1"], &ca, &[], |_| {});
    for name in ["frps.example.com", "FRPS.example.com", "a.wild.example.com", "127.0.0.1", "::1"] {
        assert_eq!(verdict(&folder, "leaf", name).await, "ok", "{name}");
    }
    let names = "certificate is valid for frps.example.com, *.wild.example.com, not";
    for name in ["other.example.com", "wild.example.com", "a.b.wild.example.com", "leaf"] {
        assert_eq!(verdict(&folder, "leaf", name).await, refusal(&format!("{names} {name}")));
    }
    assert_eq!(
        verdict(&folder, "leaf", "127.0.0.2").await,
        refusal("certificate is valid for 127.0.0.1, ::1, not 127.0.0.2")
    );
}

#[tokio::test]
async fn a_common_name_is_no_name() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("leaf", &[], &ca, &[], |_| {});
    assert_eq!(
        verdict(&folder, "leaf", "leaf").await,
        refusal("certificate relies on legacy Common Name field, use SANs instead")
    );
    assert_eq!(
        verdict(&folder, "leaf", "other").await,
        refusal("certificate is not valid for any names, but wanted to match other")
    );
    assert_eq!(
        verdict(&folder, "leaf", "127.0.0.1").await,
        refusal("cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs")
    );
}

#[tokio::test]
async fn an_address_among_the_names_is_no_address() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("leaf", &["localhost"], &ca, &[], |params| {
        params.subject_alt_names.push(SanType::DnsName("127.0.0.1".try_into().unwrap()));
    });
    assert_eq!(
        verdict(&folder, "leaf", "127.0.0.1").await,
        refusal("cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs")
    );
}

#[tokio::test]
async fn a_server_name_that_is_no_name_is_still_checked() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("leaf", &["localhost"], &ca, &[], |_| {});
    for name in ["", "not a name", "fe80::1%eth0"] {
        let verdict = verdict(&folder, "leaf", name).await;
        assert_eq!(verdict, refusal(&format!("certificate is valid for localhost, not {name}")));
    }
}

#[tokio::test]
async fn other_authorities_are_unknown() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    let other = folder.authority("other", |_| {});
    folder.leaf("leaf", &["localhost"], &other, &[&other], |_| {});
    assert_eq!(verdict(&folder, "leaf", "localhost").await, UNKNOWN);

    // The same name, another key.
    let impostor = Folder::new().authority("ca", |_| {});
    folder.leaf("leaf", &["localhost"], &impostor, &[], |_| {});
    assert_eq!(
        verdict(&folder, "leaf", "localhost").await,
        format!(
            "{UNKNOWN} (possibly because of \"x509: invalid signature\" while trying to verify candidate \
             authority certificate \"ca\")"
        )
    );
    drop(ca);
}

#[tokio::test]
async fn dates_count_for_leaves_and_authorities() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("expired", &["localhost"], &ca, &[], |params| params.not_after = date_time_ymd(2020, 1, 2));
    folder.leaf("future", &["localhost"], &ca, &[], |params| params.not_before = date_time_ymd(2900, 1, 2));
    let expired = verdict(&folder, "expired", "localhost").await;
    assert!(expired.starts_with(&refusal("certificate has expired or is not yet valid: current time 2")));
    assert!(expired.ends_with("Z is after 2020-01-02T00:00:00Z"), "{expired}");
    let future = verdict(&folder, "future", "localhost").await;
    assert!(future.ends_with("Z is before 2900-01-02T00:00:00Z"), "{future}");

    let ca = folder.authority("ca", |params| params.not_after = date_time_ymd(2020, 1, 2));
    folder.leaf("leaf", &["localhost"], &ca, &[], |_| {});
    let verdict = verdict(&folder, "leaf", "localhost").await;
    assert!(verdict.starts_with(&refusal("certificate has expired or is not yet valid: ")), "{verdict}");
}

#[tokio::test]
async fn intermediates_come_with_the_leaf() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "intermediate");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let middle = Issuer::signed_by(params, KeyPair::generate().unwrap(), &ca).unwrap();

    folder.leaf("leaf", &["localhost"], &middle, &[&middle], |_| {});
    assert_eq!(verdict(&folder, "leaf", "localhost").await, "ok");
    folder.leaf("leaf", &["localhost"], &middle, &[&ca, &middle], |_| {});
    assert_eq!(verdict(&folder, "leaf", "localhost").await, "ok", "in any order");
    folder.leaf("leaf", &["localhost"], &middle, &[], |_| {});
    assert_eq!(verdict(&folder, "leaf", "localhost").await, UNKNOWN);

    // An intermediate alone can be the trusted one.
    folder.write("ca.crt", certificate_pem(middle.as_ref()));
    assert_eq!(verdict(&folder, "leaf", "localhost").await, "ok");
}

#[tokio::test]
async fn an_intermediate_must_be_an_authority() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "middle");
        params.is_ca = is_ca;
        let middle = Issuer::signed_by(params, KeyPair::generate().unwrap(), &ca).unwrap();
        folder.leaf("leaf", &["localhost"], &middle, &[&middle], |_| {});
        assert_eq!(
            verdict(&folder, "leaf", "localhost").await,
            format!(
                "{UNKNOWN} (possibly because of \"x509: invalid signature: parent certificate cannot sign this \
                 kind of certificate\" while trying to verify candidate authority certificate \"middle\")"
            )
        );
    }
}

#[tokio::test]
async fn a_path_length_is_kept() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    folder.leaf("leaf", &["localhost"], &ca, &[], |_| {});
    assert_eq!(verdict(&folder, "leaf", "localhost").await, "ok");

    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "middle");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let middle = Issuer::signed_by(params, KeyPair::generate().unwrap(), &ca).unwrap();
    folder.leaf("leaf", &["localhost"], &middle, &[&middle], |_| {});
    let verdict = verdict(&folder, "leaf", "localhost").await;
    assert_eq!(verdict, refusal("too many intermediates for path length constraint"));
}

#[tokio::test]
async fn usages_are_kept() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    let mut verdicts = Vec::new();
    let changes: [Change; 4] = [
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any],
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        // What a leaf's key may sign is not asked for.
        |params| params.key_usages = vec![KeyUsagePurpose::CrlSign],
    ];
    for change in changes {
        folder.leaf("leaf", &["localhost"], &ca, &[], change);
        verdicts.push(verdict(&folder, "leaf", "localhost").await);
    }
    assert_eq!(verdicts, ["ok", "ok", &refusal("certificate specifies an incompatible key usage"), "ok"]);

    let ca = folder.authority("ca", |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    folder.leaf("leaf", &["localhost"], &ca, &[], |_| {});
    assert_ne!(verdict(&folder, "leaf", "localhost").await, "ok", "an authority that may not sign");
}

#[tokio::test]
async fn name_constraints_are_kept() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".to_owned())],
            excluded_subtrees: vec![],
        });
    });
    folder.leaf("leaf", &["frps.example.com"], &ca, &[], |_| {});
    assert_eq!(verdict(&folder, "leaf", "frps.example.com").await, "ok");
    assert_ne!(verdict(&folder, "leaf", "other.example.com").await, "ok");
    folder.leaf("leaf", &["frps.example.org"], &ca, &[], |_| {});
    assert_ne!(verdict(&folder, "leaf", "frps.example.org").await, "ok");
}

#[tokio::test]
async fn one_certificate_can_be_authority_and_leaf() {
    for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::NoCa] {
        let folder = Folder::new();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.is_ca = is_ca;
        folder.write("ca.crt", certificate_pem(&params.self_signed(&key).unwrap()));
        folder.write("ca.key", key_pem(&key));
        for name in ["localhost", "127.0.0.1"] {
            assert_eq!(verdict(&folder, "ca", name).await, "ok");
        }
        let other = verdict(&folder, "ca", "other").await;
        assert_eq!(
            other,
            refusal("certificate is valid for localhost, not other"),
            "names count all the same"
        );
    }
}

#[tokio::test]
async fn a_v1_certificate_serves_clients_that_trust_all() {
    let Files { cert_file, key_file, .. } = Files::in_folder(&recorded(), "v1-leaf", "");
    let server = ServerTlsOptions { cert_file, key_file, trusted_ca_file: String::new() };
    let client = ClientTlsOptions { server_name: "localhost".to_owned(), ..ClientTlsOptions::default() };
    assert!(connect(&server, &client).await.is_good());

    let trusted_ca_file = recorded().join("ca.crt").to_str().unwrap().to_owned();
    let outcome = connect(&server, &ClientTlsOptions { trusted_ca_file, ..client }).await;
    assert_eq!(
        outcome.client,
        refusal("certificate relies on legacy Common Name field, use SANs instead"),
        "the chain is good, but it has no names"
    );
}
