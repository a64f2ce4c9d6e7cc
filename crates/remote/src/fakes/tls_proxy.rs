//! A proxy that encrypts, in front of a server that does not.

use std::net::SocketAddr;

use axum::serve::Listener;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::tls::Tls;

/// A running proxy. It ends when it is dropped.
pub struct TlsProxy {
    address: SocketAddr,
    certificate: String,
    /// Its threads pass the bytes on.
    _runtime: Runtime,
}

impl TlsProxy {
    /// Starts a proxy in front of `server`, with a certificate for 127.0.0.1.
    pub fn start(server: SocketAddr) -> TlsProxy {
        let runtime = Runtime::new().expect("threads");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (tls, certificate) = Tls::for_loopback();
        let mut listener = tls.on(listener);
        runtime.spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await;
                tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(server).await {
                        // Either side may leave.
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        TlsProxy { address, certificate, _runtime: runtime }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate as PEM, for clients that are to trust it.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }
}
