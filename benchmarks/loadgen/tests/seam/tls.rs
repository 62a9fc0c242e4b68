//! TLS: roots and client certificates from files, and what happens when trust is missing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::generator::{Ran, plan, run};
use crate::server::{Act, Server};

/// An authority, and a certificate of it that serves as the server's and as the client's.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    key: KeyPair,
    files: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["scoring.test".into()]).unwrap().signed_by(&key, &issuer).unwrap();
        let files = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&files).unwrap();
        for (file, text) in [("ca.pem", issuer.pem()), ("it.pem", certificate.pem()), ("it.key", key.serialize_pem())] {
            std::fs::write(files.join(file), text).unwrap();
        }
        Self { issuer, certificate, key, files }
    }

    fn file(&self, name: &str) -> Value {
        json!(self.files.join(name))
    }

    fn server(&self, alpn: &[u8], demands_certificate: bool) -> Server {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = if demands_certificate { verifier } else { verifier.allow_unauthenticated() };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![self.certificate.der().clone()],
                PrivateKeyDer::Pkcs8(self.key.serialize_der().into()),
            )
            .unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        Server::with(|_| Act::Answer, 100, Some(TlsAcceptor::from(Arc::new(config))))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "json!(...) as an argument reads better")]
fn attempt(server: &Server, ca: Value, client: Option<&Authority>, name: &str) -> Ran {
    let of = |file| client.map(|client| client.file(file));
    let tls = json!({"ca": ca, "certificate": of("it.pem"), "key": of("it.key"), "server_name": name});
    run(plan(&server.target, json!({"tls": tls, "grace_s": 1})))
}

#[test]
fn calls_go_over_tls_with_a_client_certificate_where_it_is_demanded() {
    let authority = Authority::new("demanded");
    let server = authority.server(b"h2", true);
    let ran = attempt(&server, authority.file("ca.pem"), Some(&authority), "scoring.test");
    assert_eq!((ran.code, ran.outcome("OK")), (0, 100), "{}", ran.result);
    assert_eq!(attempt(&server, authority.file("ca.pem"), None, "scoring.test").code, 1);
}

#[test]
fn a_server_that_is_not_trusted_gets_no_call() {
    let (authority, other) = (Authority::new("trusted"), Authority::new("other"));
    let server = authority.server(b"h2", false);
    for (ca, name, expected) in [
        (other.file("ca.pem"), "scoring.test", "invalid peer certificate"),
        (json!(null), "scoring.test", "invalid peer certificate"),
        (authority.file("ca.pem"), "elsewhere.test", "invalid peer certificate"),
    ] {
        let ran = attempt(&server, ca, None, name);
        assert_eq!((ran.code, ran.number("sent")), (1, 0));
        assert!(ran.problem().starts_with("cannot connect") && ran.problem().contains(expected), "{}", ran.problem());
    }
    assert_eq!(attempt(&server, authority.file("ca.pem"), None, "scoring.test").outcome("OK"), 100);
}

#[test]
fn a_server_whose_tls_offers_no_http2_is_said_so() {
    let authority = Authority::new("alpn");
    let server = authority.server(b"http/1.1", false);
    let ran = attempt(&server, authority.file("ca.pem"), None, "scoring.test");
    assert!(ran.code == 1 && ran.problem().starts_with("cannot connect"), "{}", ran.problem());
}
