//! Every limit of the server, and what happens at it.

use crate::access::{KeyHash, Origin, PublicUrl};
use banter_protocol::plain::{Message, Role};
use ipnet::IpNet;
use std::time::Duration;

/// The command that starts a real model, wherever the program lies.
pub(crate) const REAL_MODEL_COMMAND: &str = "banter serve --model qwen2.5:7b";

/// How a server behaves. [`ServerConfig::default`] is safe on any machine.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Addresses by which the server is reached from elsewhere, proxies included. Requests that
    /// name another host than these or this machine are refused with 421.
    pub public_urls: Vec<PublicUrl>,
    /// Pages of these origins may talk to the server; others are refused with 403.
    pub allow_origins: Vec<Origin>,
    /// One of these is asked for from everyone who is not plainly on this machine. Without any, such
    /// requests are refused with 401.
    pub keys: Vec<KeyHash>,
    /// The same, and who has one of these may change the server for everybody: pull models and
    /// switch between them. Others who need a key may not; this machine may without one.
    pub admin_keys: Vec<KeyHash>,
    /// Pages opened from disk (origin `null`) may speak the plain language.
    pub allow_file_pages: bool,
    /// No key is asked for, whoever comes. The host must still be a known one.
    pub insecure: bool,

    /// Proxies whose `X-Forwarded-For` is believed, and which are not held to the share of one
    /// address; this machine always is one.
    pub trusted_proxies: Vec<IpNet>,

    /// Connections at the same time. At the limit a newcomer takes the place of the connection that
    /// has waited longest for a request. If none waits, a WebSocket is accepted and closed with
    /// 1013, other requests but probes are answered with 503; beyond that by
    /// [`ServerConfig::max_refusals`] connections are dropped unanswered.
    pub max_connections: usize,
    /// Connections from one address (IPv6: one network of 64 bits), or for one client of a trusted
    /// proxy those that have become WebSockets. At the limit as above, among its own.
    pub max_connections_per_address: usize,
    /// Connections that are told at the same time that the server is full.
    pub max_refusals: usize,
    /// A request's head must be complete within this time, counted from the connection or, on a
    /// kept one, from its first byte; otherwise the connection is closed.
    pub header_timeout: Duration,
    /// A kept connection on which no further request comes is closed after this time. Clients and
    /// proxies that keep connections for less, 60 seconds usually, never meet a closed one.
    pub idle_timeout: Duration,
    /// A request's body must be complete within this time; otherwise 408.
    pub body_timeout: Duration,
    /// Header lines of a request; more are refused with 431.
    pub max_headers: usize,
    /// Bytes of a request's head; more are refused with 431.
    pub max_head_bytes: usize,
    /// Bytes of one message or body. A longer message closes the socket with 1009, a longer
    /// body is refused with 413.
    pub max_message_bytes: usize,
    /// Bytes of the body of an order, such as a sign-in or the name of a model; a longer one is
    /// refused with 413.
    pub max_order_bytes: usize,
    /// Bytes of all bodies together that are being received over HTTP; a body that finds no room
    /// is refused with 503.
    pub max_total_body_bytes: usize,
    /// Bytes of all messages together that are being received, and of all that wait their turn. The
    /// last quarter is for those who hold little of it. A message that finds no memory is refused as
    /// `busy`.
    pub max_total_message_bytes: usize,
    /// A message must be complete within this time after its first byte; otherwise 1008.
    pub message_timeout: Duration,
    /// Control frames per second from one client; more close the socket with 1008.
    pub max_control_frames_per_second: u32,
    /// Messages of one socket that may wait while an answer runs; more are refused as `busy`.
    pub max_waiting_messages: usize,
    /// Refusals of one socket that may wait their turn; more close it with 1008.
    pub max_waiting_refusals: usize,
    /// Bytes waiting to be sent to one socket. At the limit the answer waits in the backend, whose
    /// memory for it is bounded by the answer's length.
    pub max_outbound_bytes: usize,
    /// A silent client is pinged after this time and given up after twice of it.
    pub ping_interval: Duration,
    /// A client that takes nothing for this long while something waits for it is given up.
    pub write_timeout: Duration,
    /// A client has this long to take a close, and as long again to answer it; then it is cut.
    pub close_timeout: Duration,
    /// An answer must begin within this time; otherwise `timeout`.
    pub queue_timeout: Duration,
    /// An answer that has begun must move within this time; otherwise `timeout`.
    pub step_timeout: Duration,
    /// Answers at the same time for all pages opened from disk together; more wait.
    pub max_file_page_answers: usize,
    /// Bodies being read and tokenised at the same time over HTTP; more wait, and are refused with
    /// 503 after [`ServerConfig::body_timeout`].
    pub max_tokenizing: usize,
    /// Looks at the list of models at the same time; more wait, and are refused with 503 after
    /// [`ServerConfig::body_timeout`].
    pub max_model_lists: usize,
    /// Wrong keys per minute from one address; after that its keys are refused with 429 until
    /// tries have come back, one by one. A network of 48 bits of IPv6 has eight times as many, all
    /// clients of one trusted proxy together have fifty times.
    pub max_wrong_keys_per_minute: u32,
    /// Sessions of browsers at the same time; at the limit the oldest of the key with most ends.
    pub max_sessions: usize,
    /// Sessions of one key; at the limit its oldest ends.
    pub max_sessions_per_key: usize,
    /// Time that sockets have to say goodbye at the end; then they are cut.
    pub shutdown_grace: Duration,

    /// The system message of conversations that bring none of their own.
    pub system_prompt: Option<String>,
    /// The command that starts a real model, shown by the page next to the demo model on this
    /// machine; elsewhere it is shown without the program's folder.
    pub real_model_command: String,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            public_urls: Vec::new(),
            allow_origins: Vec::new(),
            keys: Vec::new(),
            admin_keys: Vec::new(),
            allow_file_pages: false,
            insecure: false,
            trusted_proxies: Vec::new(),
            // Below the 1,024 descriptors that a process may usually have.
            max_connections: 896,
            max_connections_per_address: 224,
            max_refusals: 32,
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(15),
            max_headers: 64,
            max_head_bytes: 16 * 1024,
            max_message_bytes: 1024 * 1024,
            max_order_bytes: 4 * 1024,
            max_total_body_bytes: 64 * 1024 * 1024,
            max_total_message_bytes: 64 * 1024 * 1024,
            message_timeout: Duration::from_secs(60),
            max_control_frames_per_second: 50,
            max_waiting_messages: 4,
            max_waiting_refusals: 4_096,
            max_outbound_bytes: 256 * 1024,
            ping_interval: Duration::from_secs(20),
            write_timeout: Duration::from_secs(40),
            close_timeout: Duration::from_secs(1),
            queue_timeout: Duration::from_secs(120),
            step_timeout: Duration::from_secs(60),
            max_file_page_answers: 2,
            max_tokenizing: 16,
            max_model_lists: 4,
            max_wrong_keys_per_minute: 20,
            max_sessions: 4_096,
            max_sessions_per_key: 64,
            shutdown_grace: Duration::from_secs(5),
            system_prompt: None,
            real_model_command: REAL_MODEL_COMMAND.into(),
        }
    }
}

impl ServerConfig {
    /// The conversation that a model is given: with the operator's system message, unless it brings one
    /// of its own.
    pub(crate) fn conversation(&self, mut messages: Vec<Message>) -> Vec<Message> {
        let brings_one = messages.first().is_some_and(|message| message.role == Role::System);
        if let Some(content) = self.system_prompt.clone().filter(|_| !brings_one) {
            messages.insert(0, Message { role: Role::System, content });
        }
        messages
    }
}
