//! A certificate, and clients that trust it.

use super::patiently;
use banter_server::Tls;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An encrypted connection of a client.
pub type Encrypted = TlsStream<TcpStream>;

/// A certificate for the loopback, as files hold it, and for clients that trust it.
pub struct Certificate {
    pub pem: String,
    pub key: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    pub fn new() -> Certificate {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let der = made.cert.der().clone();
        Certificate { pem: made.cert.pem(), key: made.signing_key.serialize_pem(), der }
    }

    /// What a server encrypts with.
    pub fn tls(&self) -> Tls {
        Tls::new(self.pem.as_bytes(), self.key.as_bytes()).expect("they go together")
    }

    /// A connection of a client that trusts this certificate and no other. It asks for the server
    /// by its address, so it names none in its greeting.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<Encrypted> {
        self.connect_from(Ipv4Addr::LOCALHOST, address, "127.0.0.1").await
    }

    /// The same from an address of the client, for a server of this name.
    pub async fn connect_from(
        &self,
        client: Ipv4Addr,
        address: SocketAddr,
        name: &'static str,
    ) -> io::Result<Encrypted> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the usual versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpSocket::new_v4()?;
        socket.bind((client, 0).into())?;
        let stream = patiently(socket.connect(address)).await?;
        let name = ServerName::try_from(name).expect("a name");
        patiently(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }
}
