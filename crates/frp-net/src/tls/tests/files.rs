//! Files that cannot be used, and forms of keys.

use super::*;

fn server_error(cert_file: &str, key_file: &str, trusted_ca_file: &str) -> String {
    let options = ServerTlsOptions {
        cert_file: cert_file.to_owned(),
        key_file: key_file.to_owned(),
        trusted_ca_file: trusted_ca_file.to_owned(),
    };
    ServerTls::new(&options).unwrap_err().to_string()
}

#[tokio::test]
async fn bad_files_read_like_upstream() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("leaf", &["localhost"], &ca, &[], |_| {});
    let (cert, key) = (folder.path("leaf.crt"), folder.path("leaf.key"));
    let missing = folder.path("missing");
    let empty = folder.write("empty", "no PEM here\n");
    let damaged = folder.write("damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let damaged_key =
        folder.write("damaged.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");

    let no_authorities = |path: &str| {
        format!("failed to parse CA certificate from file {path:?}: no valid PEM certificates found")
    };
    assert_eq!(server_error("", "", &empty), no_authorities(&empty));
    assert_eq!(server_error("", "", &damaged), no_authorities(&damaged));
    assert_eq!(server_error("", "", &key), no_authorities(&key));
    let not_there = format!("open {missing}: no such file or directory");
    assert_eq!(server_error("", "", &missing), not_there);
    assert_eq!(server_error(&missing, &key, ""), not_there);
    assert_eq!(server_error(&cert, &missing, ""), not_there);
    assert_eq!(server_error(&empty, &key, ""), "tls: failed to find any PEM data in certificate input");
    assert_eq!(server_error(&cert, &empty, ""), "tls: failed to find any PEM data in key input");
    assert_eq!(
        server_error(&key, &cert, ""),
        "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs \
         may have been switched"
    );
    assert_eq!(
        server_error(&cert, &cert, ""),
        "tls: found a certificate rather than a key in the PEM for the private key"
    );
    assert_eq!(server_error(&damaged, &key, ""), "x509: malformed certificate");
    assert_eq!(server_error(&cert, &damaged_key, ""), "tls: failed to parse private key");

    let client = folder.client("leaf", "missing", "localhost");
    let error = ClientTls::new(&client).unwrap_err().to_string();
    assert_eq!(error, format!("open {}: no such file or directory", folder.path("missing.crt")));
}

#[tokio::test]
async fn one_of_certificate_and_key_is_none() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("leaf", &["localhost"], &ca, &[], |_| {});
    let server = ServerTlsOptions { cert_file: folder.path("leaf.crt"), ..ServerTlsOptions::default() };
    assert_eq!(connect(&server, &folder.client("", "ca", "localhost")).await.client, UNKNOWN);
}

#[tokio::test]
async fn several_authorities_and_rubbish_in_one_file() {
    let folder = Folder::new();
    let (first, second) = (folder.authority("first", |_| {}), folder.authority("second", |_| {}));
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    folder.write(
        "ca.crt",
        format!(
            "# ours\n{damaged}{}and\n{}",
            certificate_pem(first.as_ref()),
            certificate_pem(second.as_ref())
        ),
    );
    for issuer in [&first, &second] {
        folder.leaf("leaf", &["localhost"], issuer, &[], |_| {});
        let outcome = connect(&folder.server("leaf", ""), &folder.client("", "ca", "localhost")).await;
        assert!(outcome.is_good(), "{outcome:?}");
    }
}

#[tokio::test]
async fn keys_of_every_kind_and_form() {
    // PKCS#1 and SEC1 are among the recorded ones; here PKCS#8, and a label that is wrong.
    let kinds = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ];
    for kind in kinds {
        let folder = Folder::new();
        let key = KeyPair::generate_for(kind).unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        folder.write("leaf.crt", certificate_pem(&params.self_signed(&key).unwrap()));
        folder.write("leaf.key", pem("RSA PRIVATE KEY", key.serialized_der()));
        let outcome =
            connect(&folder.server("leaf", "leaf"), &folder.client("leaf", "leaf", "localhost")).await;
        assert!(outcome.is_good(), "{kind:?}: {outcome:?}");
    }
}
