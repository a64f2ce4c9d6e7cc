//! Every limit of the server, and what happens at it.

use crate::accept::Tls;
use crate::access::{AccessRules, KeyHash, Origin, PublicUrl};
use crate::well_known::WellKnown;
use banter_seam::{Message, Role};
use ipnet::IpNet;
use std::time::Duration;

/// The command that starts a real model, without the folder of the program.
pub(crate) const REAL_MODEL_COMMAND: &str = "banter serve --model qwen2.5:7b";

/// The settings of a server. [`ServerConfig::default`] is safe on any machine.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Addresses at which the server is reached from other machines, also through proxies. A
    /// request that names a host that is neither one of these nor this machine is refused with 421.
    pub public_urls: Vec<PublicUrl>,
    /// Where other devices find the server, if they can reach it: for links that are made on a page
    /// which was opened as `localhost`.
    pub address_elsewhere: Option<String>,
    /// Origins whose pages may use the server. Pages of other origins are refused with 403.
    pub allow_origins: Vec<Origin>,
    /// A request that does not surely come from this machine needs one of these keys. Without a
    /// right key it is refused with 401.
    pub keys: Vec<KeyHash>,
    /// Keys that also allow to change the server for everybody: to pull models and to switch
    /// between them. From this machine no key is needed for that.
    pub admin_keys: Vec<KeyHash>,
    /// A request of an interface for programs that names another installed model loads that model.
    /// Otherwise it is refused with 404.
    pub switch_on_request: bool,
    /// Pages opened from disk (origin `null`) may use the plain language.
    pub allow_file_pages: bool,
    /// Nobody needs a key. The host of a request must still be a known one.
    pub insecure: bool,

    /// The certificate for https. With it, a request that comes without https is told to use it.
    /// Without it, no connection is encrypted.
    pub tls: Option<Tls>,
    /// Proxies whose `X-Forwarded-For` is believed, and which may hold more connections than one
    /// address. This machine always is one of them.
    pub trusted_proxies: Vec<IpNet>,

    /// Open connections. At the limit a newcomer takes the permit of the connection that has waited
    /// longest for a request. If none waits, a WebSocket is accepted and closed with 1013, and
    /// other requests except health checks are answered with 503. Beyond
    /// [`ServerConfig::max_refusals`] of those, connections are dropped unanswered. This machine
    /// may hold seven eighths.
    pub max_connections: usize,
    /// Open connections from one address (of IPv6 from one network of 64 bits), or open WebSockets
    /// of one client of a trusted proxy. At the limit the same happens among the connections of
    /// that address.
    pub max_connections_per_address: usize,
    /// Connections beyond the limit that are open at the same time only to be told that the server
    /// is full.
    pub max_refusals: usize,
    /// A request's head must be complete within this time; otherwise the connection is closed. The
    /// time begins with the connection or, on a kept connection, with the first byte of the head.
    pub header_timeout: Duration,
    /// A connection that is kept open is closed after this time without a further request. Clients
    /// and proxies usually keep connections for up to 60 seconds, so they never use a closed one.
    pub idle_timeout: Duration,
    /// A request's body must be complete within this time; otherwise it is refused with 408.
    pub body_timeout: Duration,
    /// Header lines of a request. A request with more is refused with 431.
    pub max_headers: usize,
    /// Bytes of a request's head. A longer one is refused with 431.
    pub max_head_bytes: usize,
    /// Bytes of one message or body. A longer message closes the socket with 1009, a longer
    /// body is refused with 413.
    pub max_message_bytes: usize,
    /// Fragments that a message may always have. For each further one it needs 1 KiB.
    pub free_fragments: usize,
    /// Bytes of a short body, such as a sign-in or the name of a model. A longer one is refused
    /// with 413.
    pub max_order_bytes: usize,
    /// Bytes of a file with conversations. A longer one is refused with 413.
    pub max_import_bytes: usize,
    /// Bytes of all HTTP bodies together while they are received, or wait to be turned into tokens.
    /// The last quarter is for clients that hold little. A body beyond them is refused with 503.
    pub max_total_body_bytes: usize,
    /// Bytes of all WebSocket messages together while they are received, and again of all that wait
    /// for their answer. The last quarter is for clients that hold little. A message beyond them is
    /// refused as `busy`.
    pub max_total_message_bytes: usize,
    /// A message must be complete within this time after its first byte; otherwise the socket is
    /// closed with 1008.
    pub message_timeout: Duration,
    /// Control frames per second from one client; more close the socket with 1008.
    pub max_control_frames_per_second: u32,
    /// Messages of one socket that may wait while an answer is written. More are refused as `busy`.
    pub max_waiting_messages: usize,
    /// Refused messages of one socket that wait until they may be told. More close the socket with
    /// 1008.
    pub max_waiting_refusals: usize,
    /// Bytes that wait to be sent on one socket. At the limit the socket reads no further in the
    /// answer, which goes on. Together with its other buffers, a socket whose client takes nothing
    /// holds less than twice as much.
    pub max_outbound_bytes: usize,
    /// A silent client is pinged after this time. After twice this time its socket is closed.
    pub ping_interval: Duration,
    /// A client that takes nothing for this long, while something waits to be sent to it, is
    /// disconnected.
    pub write_timeout: Duration,
    /// A client has this long to take a close frame, and this long again to answer it. Then the
    /// connection is cut.
    pub close_timeout: Duration,
    /// An answer must begin within this time; otherwise it ends with `timeout`.
    pub queue_timeout: Duration,
    /// An answer that has begun must make progress within this time; otherwise it ends with
    /// `timeout`.
    pub step_timeout: Duration,
    /// What becomes of a stored answer that nobody follows any more.
    pub on_disconnect: OnDisconnect,
    /// The model writes titles for conversations when nobody has waited for an answer for this
    /// long.
    pub title_idle: Duration,
    /// Bytes of an answer, with those of the thoughts before it. At the limit it ends, with
    /// `length` as the reason.
    pub max_answer_bytes: usize,
    /// Answers that are written at the same time for all pages opened from disk together. More
    /// wait.
    pub max_file_page_answers: usize,
    /// Requests to `/tokenize`, and to the routes that say how a message fits in the context, that
    /// are served at the same time, once their bodies are there. One client may have a quarter of
    /// them. More wait, and are refused with 503 after [`ServerConfig::body_timeout`].
    pub max_tokenizing: usize,
    /// Lists of the models that are made at the same time. More wait, and are refused with 503
    /// after [`ServerConfig::body_timeout`].
    pub max_model_lists: usize,
    /// Wrong keys per minute from one address. Further keys from there are refused with 429 until
    /// tries have come back, one by one. A network of 48 bits of IPv6 has eight times as many
    /// tries, and all clients of one trusted proxy together have fifty times as many.
    pub max_wrong_keys_per_minute: u32,
    /// Sessions of browsers. At the limit the key with the most sessions loses its oldest.
    pub max_sessions: usize,
    /// Sessions of one key. At the limit it loses its oldest.
    pub max_sessions_per_key: usize,
    /// How long sockets have at the end of the server to say goodbye. Then they are cut.
    pub shutdown_grace: Duration,

    /// Files at the root, such as proofs that a domain is the operator's.
    pub well_known: Vec<WellKnown>,
    /// The system message of conversations that have none of their own.
    pub system_prompt: Option<String>,
    /// The command that starts a real model. The page shows it beside the demo model, and on other
    /// machines without the folder of the program.
    pub real_model_command: String,
}

/// What becomes of a stored answer that nobody follows any more, because its sockets were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It goes on to its end.
    Finish,
    /// It goes on for this long.
    Grace(Duration),
    /// It stops at once.
    Stop,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            public_urls: Vec::new(),
            address_elsewhere: None,
            allow_origins: Vec::new(),
            keys: Vec::new(),
            admin_keys: Vec::new(),
            switch_on_request: false,
            allow_file_pages: false,
            insecure: false,
            tls: None,
            trusted_proxies: Vec::new(),
            // Below the 1,024 file descriptors that a process may usually have.
            max_connections: 896,
            max_connections_per_address: 224,
            max_refusals: 32,
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(90),
            body_timeout: Duration::from_secs(15),
            max_headers: 64,
            max_head_bytes: 16 * 1024,
            max_message_bytes: 1024 * 1024,
            free_fragments: 64,
            max_order_bytes: 4 * 1024,
            max_import_bytes: 64 * 1024 * 1024,
            max_total_body_bytes: 128 * 1024 * 1024,
            max_total_message_bytes: 64 * 1024 * 1024,
            message_timeout: Duration::from_secs(60),
            max_control_frames_per_second: 50,
            max_waiting_messages: 4,
            max_waiting_refusals: 4_096,
            max_outbound_bytes: 128 * 1024,
            ping_interval: Duration::from_secs(20),
            write_timeout: Duration::from_secs(40),
            close_timeout: Duration::from_secs(1),
            queue_timeout: Duration::from_secs(120),
            step_timeout: Duration::from_secs(60),
            on_disconnect: OnDisconnect::Grace(Duration::from_secs(60)),
            title_idle: Duration::from_secs(3),
            max_answer_bytes: 16 * 1024 * 1024,
            max_file_page_answers: 2,
            max_tokenizing: 16,
            max_model_lists: 4,
            max_wrong_keys_per_minute: 20,
            max_sessions: 4_096,
            max_sessions_per_key: 64,
            shutdown_grace: Duration::from_secs(5),
            well_known: Vec::new(),
            system_prompt: None,
            real_model_command: REAL_MODEL_COMMAND.into(),
        }
    }
}

impl ServerConfig {
    /// Who may come in to a server that listens on these ports.
    pub(crate) fn access_rules(&self, ports: Vec<u16>) -> AccessRules {
        AccessRules {
            ports,
            public_urls: self.public_urls.clone(),
            allow_origins: self.allow_origins.clone(),
            keys: self.keys.clone(),
            admin_keys: self.admin_keys.clone(),
            allow_file_pages: self.allow_file_pages,
            insecure: self.insecure,
            is_https: self.tls.is_some(),
            trusted_proxies: self.trusted_proxies.clone(),
            max_wrong_keys_per_minute: self.max_wrong_keys_per_minute,
        }
    }

    /// The conversation as a model gets it: with the operator's system message, unless it has one
    /// of its own.
    pub(crate) fn conversation(&self, mut messages: Vec<Message>) -> Vec<Message> {
        let brings_one = messages.first().is_some_and(|message| message.role == Role::System);
        if let Some(content) = self.system_prompt.clone().filter(|_| !brings_one) {
            messages.insert(0, Message::system(content));
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_connections_outlive_those_of_proxies() {
        let default = ServerConfig::default();
        assert_eq!(default.idle_timeout, Duration::from_secs(90));
    }

    #[test]
    fn w15_a_client_that_is_gone_is_noticed_within_forty_seconds() {
        const NOTICED: Duration = Duration::from_secs(40);
        let default = ServerConfig::default();
        // A ping is sent after one interval, and waits for its answer for another one.
        assert!(2 * default.ping_interval <= NOTICED);
        assert!(default.write_timeout <= NOTICED);
    }

    #[test]
    fn w11_w12_a_head_has_five_seconds() {
        assert!(ServerConfig::default().header_timeout <= Duration::from_secs(5));
    }
}
