//! https: connections that are encrypted, and what those are told that are not.

use axum::body::Body;
use axum::http::uri::PathAndQuery;
use hyper::header::{CONTENT_TYPE, HOST, LOCATION, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// The first byte of every TLS connection. No HTTP request begins with it.
const HANDSHAKE: u8 = 0x16;

/// A connection that may be encrypted.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The certificate of a server. It can be replaced while the server runs: connections that are open
/// keep the old one. Clones are the same.
#[derive(Clone)]
pub struct Tls {
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Its file cannot be read.
    #[error("expected certificates in PEM form (-----BEGIN CERTIFICATE-----), found {found}")]
    Certificate {
        /// What was found in the file.
        found: String,
    },
    /// The file of its key cannot be read.
    #[error("expected a private key in PEM form (-----BEGIN PRIVATE KEY-----), found {found}")]
    Key {
        /// What was found in the file.
        found: String,
    },
    /// They do not go together, or this server cannot use them.
    #[error("expected a certificate and its own key, found: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// A server with this certificate, followed by those of its issuers, and its key, in PEM form.
    ///
    /// Errors: they cannot be read, or do not go together.
    pub fn new(certificates: &[u8], key: &[u8]) -> Result<Tls, CertificateError> {
        let config = Arc::new(Mutex::new(Arc::new(config_of(certificates, key)?)));
        Ok(Tls { config })
    }

    /// Uses another certificate from now on.
    ///
    /// Errors: as those of [`Tls::new`]; then the old certificate stays.
    pub fn replace(&self, certificates: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        let config = Arc::new(config_of(certificates, key)?);
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Begins a connection, encrypted if the client begins so.
    pub(super) async fn begin(&self, stream: TcpStream) -> io::Result<Stream> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 || first[0] != HANDSHAKE {
            return Ok(Either::Left(stream));
        }
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Either::Right(Box::new(TlsAcceptor::from(config).accept(stream).await?)))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tls")
    }
}

fn config_of(certificates: &[u8], key: &[u8]) -> Result<ServerConfig, CertificateError> {
    let unreadable =
        |found: &dyn std::fmt::Display| CertificateError::Certificate { found: found.to_string() };
    let chain = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(&error))?;
    if chain.is_empty() {
        return Err(unreadable(&"none"));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| CertificateError::Key { found: error.to_string() })?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The response to a request that came without https. It names the same address with https; for a
/// page it is a redirect.
pub(super) fn use_https(request: &Request<Body>) -> Response<Body> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let url = host.map(|host| format!("https://{host}{path}"));
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_socket = request.headers().contains_key(UPGRADE);
    let mut response = Response::builder().header(CONTENT_TYPE, "text/plain; charset=utf-8");
    response = match &url {
        Some(url) if only_reads && !is_socket => {
            response.status(StatusCode::TEMPORARY_REDIRECT).header(LOCATION, url)
        }
        _ => response.status(StatusCode::BAD_REQUEST),
    };
    let address = url.unwrap_or_else(|| "an address that begins with https://".to_owned());
    let socket = if is_socket { " (and wss:// instead of ws://)" } else { "" };
    let text = format!("This server speaks https: use {address}{socket}\n");
    response.body(Body::from(text)).unwrap_or_else(|_| {
        // The host or the path does not fit into a header.
        let mut response = Response::new(Body::from("This server speaks https.\n"));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    })
}
