use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::HandshakeKind;
use tempfile::TempDir;

use super::*;

mod files;
mod first_byte;
mod mutual;
mod server_name;

/// What the test wants of a certificate, besides its names.
type Change = fn(&mut CertificateParams);

/// A certificate or key as a PEM block, in one long line.
fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{encoded}\n-----END {label}-----\n")
}

fn certificate_pem(certificate: &rcgen::Certificate) -> String {
    pem("CERTIFICATE", certificate.der())
}

fn key_pem(key: &KeyPair) -> String {
    pem("PRIVATE KEY", key.serialized_der())
}

/// A folder of generated certificates, keys and authorities.
struct Folder(TempDir);

/// A certificate that can sign others.
type Issuer = CertifiedIssuer<'static, KeyPair>;

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// An authority, in `<name>.crt`.
    fn authority(&self, name: &str, change: Change) -> Issuer {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let issuer = Issuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        self.write(&format!("{name}.crt"), certificate_pem(issuer.as_ref()));
        issuer
    }

    /// A leaf for `names` in `<file>.crt` and `<file>.key`, with the certificates `above` it behind.
    fn leaf(&self, file: &str, names: &[&str], issuer: &Issuer, above: &[&Issuer], change: Change) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        change(&mut params);
        let mut pem = certificate_pem(&params.signed_by(&key, issuer).unwrap());
        pem.extend(above.iter().map(|&i| certificate_pem(i.as_ref())));
        self.write(&format!("{file}.crt"), pem);
        self.write(&format!("{file}.key"), key_pem(&key));
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn server(&self, leaf: &str, authority: &str) -> ServerTlsOptions {
        let Files { cert_file, key_file, trusted_ca_file } = Files::in_folder(self.0.path(), leaf, authority);
        ServerTlsOptions { cert_file, key_file, trusted_ca_file }
    }

    fn client(&self, leaf: &str, authority: &str, server_name: &str) -> ClientTlsOptions {
        let Files { cert_file, key_file, trusted_ca_file } = Files::in_folder(self.0.path(), leaf, authority);
        ClientTlsOptions { cert_file, key_file, trusted_ca_file, server_name: server_name.to_owned() }
    }
}

/// Paths in a folder by the names of leaf and authority; an empty name is one that is not set.
struct Files {
    cert_file: String,
    key_file: String,
    trusted_ca_file: String,
}

impl Files {
    fn in_folder(folder: &Path, leaf: &str, authority: &str) -> Self {
        let path = |name: &str, extension: &str| {
            if name.is_empty() {
                return String::new();
            }
            folder.join(format!("{name}.{extension}")).to_str().unwrap().to_owned()
        };
        Self {
            cert_file: path(leaf, "crt"),
            key_file: path(leaf, "key"),
            trusted_ca_file: path(authority, "crt"),
        }
    }
}

/// The recorded certificates.
fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tls")
}

/// What became of a connection: what each side says.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    server: String,
    client: String,
}

impl Outcome {
    fn is_good(&self) -> bool {
        (self.server.as_str(), self.client.as_str()) == ("ok", "ok")
    }
}

/// Connects the two in memory and carries a byte each way, with each version of TLS; both must end alike on the
/// side that decides.
async fn connect(server: &ServerTlsOptions, client: &ClientTlsOptions) -> Outcome {
    static TLS12: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
    let old = {
        let server = ServerTls::new(server).unwrap();
        let client = ClientTls::with_versions(client, &TLS12).unwrap();
        converse(&server, &client).await
    };
    let server = ServerTls::new(server).unwrap();
    let client = ClientTls::new(client).unwrap();
    let new = converse(&server, &client).await;
    assert_eq!(old.is_good(), new.is_good(), "TLS 1.2: {old:?}, TLS 1.3: {new:?}");
    new
}

async fn converse(server: &ServerTls, client: &ClientTls) -> Outcome {
    let (near, far) = tokio::io::duplex(4096);
    let server = async {
        let mut stream = server.accept(Stream::boxed(far)).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte + 1).await?;
        stream.shutdown().await
    };
    let client = async {
        let mut stream = client.connect(Stream::boxed(near)).await?;
        stream.write_u8(41).await?;
        assert_eq!(stream.read_u8().await?, 42);
        assert_eq!(stream.read(&mut [0]).await?, 0, "the server's end is a proper one");
        Ok(())
    };
    let (server, client) = tokio::join!(server, client);
    let text = |result: io::Result<()>| result.map_or_else(|e| e.to_string(), |()| "ok".to_owned());
    Outcome { server: text(server), client: text(client) }
}

const UNKNOWN: &str = "tls: failed to verify certificate: x509: certificate signed by unknown authority";

#[tokio::test]
async fn a_generated_certificate_is_enough_for_a_client_that_trusts_all() {
    for server_name in ["frps.example.com", "127.0.0.1", "::1", "0.0.0.0", "", "not a name", "exämple.com"] {
        let client = ClientTlsOptions { server_name: server_name.to_owned(), ..ClientTlsOptions::default() };
        let outcome = connect(&ServerTlsOptions::default(), &client).await;
        assert!(outcome.is_good(), "{server_name}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_generated_certificate_is_bare() {
    use x509_parser::prelude::FromDer;
    let key = generated::certified_key(&provider()).unwrap();
    let (_, certificate) = x509_parser::prelude::X509Certificate::from_der(&key.cert[0]).unwrap();
    assert_eq!(certificate.subject().iter().count(), 0);
    assert_eq!(certificate.extensions().len(), 0);
    assert!(certificate.validity().is_valid());
    let validity = certificate.validity();
    let days = (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400;
    assert_eq!(days, 3650);
    let again = generated::certified_key(&provider()).unwrap();
    assert_ne!(key.cert, again.cert, "each start has its own");
}

#[tokio::test]
async fn a_generated_certificate_convinces_nobody_who_checks() {
    let folder = Folder::new();
    folder.authority("ca", |_| {});
    let outcome = connect(&ServerTlsOptions::default(), &folder.client("", "ca", "localhost")).await;
    assert_eq!(outcome.client, UNKNOWN);
}

/// Connects and carries a byte to the client, with which a ticket comes.
async fn handshake_kind(server: &ServerTls, client: &ClientTls) -> Option<HandshakeKind> {
    let (near, far) = tokio::io::duplex(4096);
    let server = async {
        let mut stream = server.acceptor.accept(far).await.unwrap();
        stream.write_u8(1).await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let client = async {
        let mut stream = client.connector.connect(client.server_name.clone(), near).await.unwrap();
        stream.read_u8().await.unwrap();
        stream
    };
    let (server, client) = tokio::join!(server, client);
    assert_eq!(server.get_ref().1.handshake_kind(), client.get_ref().1.handshake_kind());
    client.get_ref().1.handshake_kind()
}

#[tokio::test]
async fn sessions_are_resumed() {
    let folder = Folder::new();
    let ca = folder.authority("ca", |_| {});
    folder.leaf("leaf", &["localhost"], &ca, &[], |_| {});
    static TLS12: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
    let sides = [
        (ServerTlsOptions::default(), ClientTlsOptions::default()),
        (folder.server("leaf", "ca"), folder.client("leaf", "ca", "localhost")),
    ];
    for (server, client) in sides {
        for versions in [&VERSIONS[..], &TLS12] {
            let server = ServerTls::new(&server).unwrap();
            let client = ClientTls::with_versions(&client, versions).unwrap();
            assert_eq!(handshake_kind(&server, &client).await, Some(HandshakeKind::Full));
            for _ in 0..3 {
                assert_eq!(handshake_kind(&server, &client).await, Some(HandshakeKind::Resumed));
            }
        }
    }
}

#[tokio::test]
async fn sessions_of_another_server_are_not_resumed() {
    let client = ClientTls::new(&ClientTlsOptions::default()).unwrap();
    for _ in 0..2 {
        let restarted = ServerTls::new(&ServerTlsOptions::default()).unwrap();
        assert_eq!(handshake_kind(&restarted, &client).await, Some(HandshakeKind::Full));
    }
}

#[test]
fn the_cheapest_cipher_comes_first() {
    let order = |fast_aes| -> Vec<_> {
        let provider = provider_for(fast_aes);
        provider.cipher_suites.iter().take(3).map(rustls::SupportedCipherSuite::suite).collect()
    };
    use CipherSuite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256};
    assert_eq!(order(true)[..2], [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384]);
    assert_eq!(order(false)[..2], [TLS13_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256]);
}

#[tokio::test]
async fn rubbish_is_no_handshake() {
    let server = ServerTls::new(&ServerTlsOptions::default()).unwrap();
    let (mut near, far) = tokio::io::duplex(4096);
    near.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await.unwrap();
    let error = server.accept(Stream::boxed(far)).await.err().unwrap();
    assert_eq!(error.to_string(), "tls: first record does not look like a TLS handshake");

    let (near, far) = tokio::io::duplex(4096);
    drop(near);
    let error = server.accept(Stream::boxed(far)).await.err().unwrap();
    assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::UnexpectedEof, "EOF"));
}
