//! A server that verifies its clients.

use super::*;
use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};

/// What a server that trusts the authority `ca` says of a client with the leaf `leaf`.
async fn verdict(folder: &Folder, leaf: &str) -> Outcome {
    connect(&folder.server("", "ca"), &folder.client(leaf, "", "localhost")).await
}

#[tokio::test]
async fn a_client_of_the_authority_is_let_in() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("leaf", &[], &ca, &[], |_| {});
    assert!(verdict(&folder, "leaf").await.is_good(), "a client's certificate needs no names");
}

#[tokio::test]
async fn both_sides_can_verify() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("server", &["frps.example.com"], &ca, &[], |_| {});
    folder.leaf("client", &[], &ca, &[], |_| {});
    let (server, client) = (folder.server("server", "ca"), folder.client("client", "ca", "frps.example.com"));
    assert!(connect(&server, &client).await.is_good());
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let folder = Folder::new();
    folder.authority("ca", |_| {});
    let outcome = verdict(&folder, "").await;
    assert_eq!(outcome.server, "tls: client didn't provide a certificate");
    assert_eq!(outcome.client, "remote error: tls: certificate required");
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused() {
    let folder = Folder::new();
    folder.authority("ca", |_| {});
    let other = folder.authority("other", |_| {});
    folder.leaf("leaf", &[], &other, &[&other], |_| {});
    let outcome = verdict(&folder, "leaf").await;
    assert_eq!(outcome.server, UNKNOWN);
    assert_eq!(outcome.client, "remote error: tls: unknown certificate authority");
}

#[tokio::test]
async fn dates_and_usages_count() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("leaf", &[], &ca, &[], |params| params.not_after = date_time_ymd(2020, 1, 2));
    let outcome = verdict(&folder, "leaf").await;
    assert!(outcome.server.contains("certificate has expired or is not yet valid"));
    assert_eq!(outcome.client, "remote error: tls: expired certificate");

    folder.leaf("leaf", &[], &ca, &[], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let outcome = verdict(&folder, "leaf").await;
    let refusal = "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage";
    assert_eq!(outcome.server, refusal);
}

#[tokio::test]
async fn another_key_than_the_certificates_is_noticed() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("victim", &[], &ca, &[], |_| {});
    folder.leaf("thief", &[], &ca, &[], |_| {});
    let client = ClientTlsOptions {
        cert_file: folder.path("victim.crt"),
        key_file: folder.path("thief.key"),
        ..ClientTlsOptions::default()
    };
    let error = ClientTls::new(&client).unwrap_err();
    assert_eq!(error.to_string(), "tls: private key does not match public key");
}

#[tokio::test]
async fn one_certificate_can_be_authority_and_leaf_for_both_sides() {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    folder.write("ca.crt", certificate_pem(&params.self_signed(&key).unwrap()));
    folder.write("ca.key", key_pem(&key));
    assert!(connect(&folder.server("ca", "ca"), &folder.client("ca", "ca", "localhost")).await.is_good());
}

/// What a server that trusts the recorded `authority` says of a client with the recorded `leaf`.
async fn recorded_verdict(leaf: &str, key: &str, authority: &str) -> String {
    let path = |name: &str| recorded().join(name).to_str().unwrap().to_owned();
    let server = ServerTlsOptions { trusted_ca_file: path(authority), ..ServerTlsOptions::default() };
    let client =
        ClientTlsOptions { cert_file: path(leaf), key_file: path(key), ..ClientTlsOptions::default() };
    connect(&server, &client).await.server
}

#[tokio::test]
async fn v1_certificates_are_accepted_where_go_accepts_them() {
    assert_eq!(recorded_verdict("v1-leaf.crt", "v1-leaf.key", "ca.crt").await, "ok");
    assert_eq!(recorded_verdict("v1-self.crt", "v1-self.key", "v1-self.crt").await, "ok");
    assert_eq!(recorded_verdict("v1-child.crt", "v1-child.key", "v1-self.crt").await, "ok");
    assert_eq!(recorded_verdict("v1-leaf.crt", "v1-leaf.key", "v1-self.crt").await, UNKNOWN);
    assert_eq!(recorded_verdict("v1-self.crt", "v1-self.key", "ca.crt").await, UNKNOWN);
}

#[tokio::test]
async fn sha1_is_refused() {
    assert_eq!(
        recorded_verdict("sha1-leaf.crt", "v1-leaf.key", "ca.crt").await,
        format!(
            "{UNKNOWN} (possibly because of \"x509: cannot verify signature: insecure algorithm ECDSA-SHA1\" \
             while trying to verify candidate authority certificate \"frp test authority\")"
        )
    );
}
