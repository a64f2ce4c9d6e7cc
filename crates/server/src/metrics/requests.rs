//! Requests and sockets.

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How many there were, and how many sockets there are.
pub(crate) struct RequestMetrics {
    answered: Family<OfRoute, Counter>,
    sockets: Family<OfLanguage, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLanguage {
    language: &'static str,
}

/// What is spoken on a socket, or on what takes the place of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketLanguage {
    Plain,
    V1,
    /// `banter.v1` without a WebSocket.
    V1Stream,
    Responses,
}

impl SocketLanguage {
    const ALL: [SocketLanguage; 4] = [
        SocketLanguage::Plain,
        SocketLanguage::V1,
        SocketLanguage::V1Stream,
        SocketLanguage::Responses,
    ];

    fn label(self) -> OfLanguage {
        let language = match self {
            SocketLanguage::Plain => "plain",
            SocketLanguage::V1 => "banter.v1",
            SocketLanguage::V1Stream => "banter.v1 stream",
            SocketLanguage::Responses => "responses",
        };
        OfLanguage { language }
    }
}

/// Counts a socket as open, as long as it lives.
pub(crate) struct OpenSocket(Gauge);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl RequestMetrics {
    pub(super) fn in_registry(registry: &mut Registry) -> RequestMetrics {
        let (answered, sockets) = (Family::default(), Family::default());
        registry.register(
            "banter_http_requests",
            "Requests that were answered, by route and status",
            Family::clone(&answered),
        );
        registry.register(
            "banter_sockets",
            "Sockets that are open, by what is spoken on them",
            Family::clone(&sockets),
        );
        for language in SocketLanguage::ALL {
            drop(sockets.get_or_create(&language.label()));
        }
        RequestMetrics { answered, sockets }
    }

    /// Counts a request.
    pub(crate) fn count(&self, route: &'static str, status: StatusCode) {
        self.answered.get_or_create(&OfRoute { route, status: status.as_u16() }).inc();
    }

    /// Counts a socket until the returned value is dropped.
    pub(crate) fn open_socket(&self, language: SocketLanguage) -> OpenSocket {
        let gauge = self.sockets.get_or_create_owned(&language.label());
        gauge.inc();
        OpenSocket(gauge)
    }
}
