//! Makes a connection: TCP, TLS where asked for, HTTP/2.

use std::future::poll_fn;
use std::io::Error;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::link::Driver;
use crate::plan::Tls;

/// For all of TCP, TLS and the start of HTTP/2.
const LIMIT: Duration = Duration::from_secs(5);
/// The largest that HTTP/2 allows: flow control is for the server under test to use, not for its tester.
const WINDOW: u32 = (1 << 31) - 1;
const MAX_FRAME: u32 = 1 << 20;
/// Frames for calls that were given up are expected for a while; h2's own limits are made for servers that defend
/// themselves, and would end the connection of a load with short deadlines.
const REMEMBERED_RESETS: usize = 16_384;
const RESETS_REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// A connection that is ready for calls once `driver` is polled.
pub struct Connection {
    /// Sends calls.
    pub sender: SendRequest<Bytes>,
    /// Does the reading and writing.
    pub driver: Driver,
}

/// Knows the way to the target.
pub struct Dialer {
    target: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dialer {
    /// Reads the PEM files; an error names the field of the plan.
    pub fn new(target: &str, tls: Option<&Tls>) -> Result<Self, String> {
        let host = host(target).ok_or_else(|| format!("target: {target:?} is not host:port"))?;
        let tls = tls.map(|tls| Ok::<_, String>((connector(tls)?, server_name(tls, host)?))).transpose()?;
        Ok(Self { target: target.into(), tls })
    }

    /// One attempt; the error says what went wrong, for a human.
    pub async fn dial(&self) -> Result<Connection, String> {
        let attempt = timeout(LIMIT, self.attempt()).await;
        let connection = attempt.unwrap_or_else(|_| Err(Error::other(format!("no connection within {LIMIT:?}"))));
        connection.map_err(|error| format!("{}: {error}", self.target))
    }

    async fn attempt(&self) -> Result<Connection, Error> {
        let stream = TcpStream::connect(&self.target).await?;
        stream.set_nodelay(true)?;
        let Some((connector, name)) = &self.tls else {
            return start(stream).await;
        };
        let stream = connector.connect(name.clone(), stream).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Error::other("the server's TLS does not offer HTTP/2 (ALPN h2)"));
        }
        start(stream).await
    }
}

/// Waits for the server's settings: before them nobody knows how many calls it takes at once, nor that it speaks HTTP/2.
async fn start(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Result<Connection, Error> {
    let handshake = Builder::new()
        .initial_max_send_streams(0)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(MAX_FRAME)
        .enable_push(false)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .reset_stream_duration(RESETS_REMEMBERED_FOR)
        .max_local_error_reset_streams(None)
        .handshake::<_, Bytes>(stream)
        .await;
    let (sender, mut connection) = handshake.map_err(Error::other)?;
    let closed = || Error::other("closed by the server before it said anything");
    poll_fn(|context| match Pin::new(&mut connection).poll(context) {
        Poll::Ready(ended) => Poll::Ready(Err(ended.map_or_else(Error::other, |()| closed()))),
        Poll::Pending if sender.current_max_send_streams() == 0 => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
    })
    .await?;
    Ok(Connection { sender, driver: Box::pin(connection) })
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host(target: &str) -> Option<&str> {
    let (host, port) = target.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty() && port.parse::<u16>().is_ok()).then_some(host)
}

fn server_name(tls: &Tls, host: &str) -> Result<ServerName<'static>, String> {
    let name = tls.server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|error| format!("tls.server_name: {name:?}: {error}"))
}

fn connector(tls: &Tls) -> Result<TlsConnector, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_root_certificates(roots(tls.ca.as_deref())?);
    let mut config = match (&tls.certificate, &tls.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates("tls.certificate", certificate)?, private_key(key)?)
            .map_err(|error| format!("tls.certificate and tls.key: {error}"))?,
        _ => return Err("tls.certificate and tls.key belong together, and one is null".into()),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let trusted = match ca {
        Some(path) => certificates("tls.ca", path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    if roots.is_empty() {
        return Err(format!("tls.ca: {ca:?} holds no certificate that can be trusted"));
    }
    Ok(roots)
}

fn certificates(field: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| format!("{field}: {}: {error}", path.display()))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| format!("tls.key: {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_and_a_port() {
        assert_eq!(host("localhost:1"), Some("localhost"));
        assert_eq!(host("[::1]:8001"), Some("::1"));
        for bad in ["localhost", ":1", "localhost:", "localhost:http", "localhost:70000", ""] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_field() {
        let tls = Tls { ca: Some("/nowhere/ca.pem".into()), certificate: None, key: None, server_name: None };
        let problem = Dialer::new("localhost:1", Some(&tls)).err().expect("refused");
        assert!(problem.starts_with("tls.ca: /nowhere/ca.pem: "), "{problem}");
    }
}
