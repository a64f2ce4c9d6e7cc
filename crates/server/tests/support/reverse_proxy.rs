//! nginx and Caddy in front of a server, as the files of `examples/proxy` set them up. Only names,
//! addresses, ports and folders are put in.

use super::certificate::{Certificate, Encrypted};
use super::raw::Response;
use super::{Client, TestServer, patiently};
use banter_server::{KeyHash, PublicUrl, ServerConfig};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/proxy");
/// The key of every server behind a proxy.
pub const KEY: &str = "a-key-for-this-test";
/// A client on another machine, as far as a proxy can tell.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Another one.
pub const OTHER_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// The name by which the proxies are asked for.
const NAME: &str = "localhost";
/// Somebody else may take a free port before the proxy does.
const TRIES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Nginx,
    Caddy,
}

/// One of the files in `examples/proxy`.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub program: Program,
    file: &'static str,
    /// The name in the file.
    name: &'static str,
    /// The path of banter in the file; empty for the root.
    pub base: &'static str,
}

const fn site(
    program: Program,
    file: &'static str,
    name: &'static str,
    base: &'static str,
) -> Site {
    Site { program, file, name, base }
}

/// All of them.
pub const SITES: [Site; 4] = [
    site(Program::Nginx, "nginx.conf", "chat.example.com", ""),
    site(Program::Nginx, "nginx-path.conf", "www.example.com", "/chat"),
    site(Program::Caddy, "Caddyfile", "chat.example.com", ""),
    site(Program::Caddy, "Caddyfile-path", "www.example.com", "/chat"),
];

/// A server with a proxy in front of it. Both end when it is dropped.
pub struct Proxied {
    pub server: TestServer,
    pub site: Site,
    /// Where the proxy listens for https.
    pub port: u16,
    /// Where it listens for http.
    pub http_port: u16,
    certificate: Certificate,
    folder: TempDir,
    process: Process,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Proxied {
    pub async fn start(site: Site) -> Proxied {
        Proxied::start_with(site, ServerConfig::default(), &[]).await
    }

    /// The same with further settings of the server and changes to the proxy's file, each from one
    /// text to another.
    pub async fn start_with(site: Site, config: ServerConfig, changes: &[(&str, &str)]) -> Proxied {
        let mut log = String::new();
        for _ in 0..TRIES {
            match Proxied::try_to_start(site, config.clone(), changes).await {
                Ok(proxied) => return proxied,
                Err(why) => log = why,
            }
        }
        panic!("{}: it does not start:\n{log}", site.file);
    }

    /// Errors: the proxy has ended; what it has said.
    async fn try_to_start(
        site: Site,
        config: ServerConfig,
        changes: &[(&str, &str)],
    ) -> Result<Proxied, String> {
        let [port, http_port] = free_ports();
        let url = format!("https://{NAME}:{port}{}/", site.base);
        let server = TestServer::start(ServerConfig {
            public_urls: vec![PublicUrl::parse(&url).expect("an address")],
            keys: vec![KeyHash::of(KEY)],
            ..config
        })
        .await;
        let certificate = Certificate::new();
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "certificate.pem", &certificate.pem);
        write(folder.path(), "key.pem", &certificate.key);
        let setup = Setup { site, folder: folder.path(), port, http_port, server: server.address };
        let log = folder.path().join("log");
        let process = Process(setup.start(changes, &log));
        let mut proxied = Proxied { server, site, port, http_port, certificate, folder, process };
        while !proxied.listens().await {
            if proxied.process.0.try_wait().expect("a child of ours").is_some() {
                proxied.server.end().await;
                return Err(fs::read_to_string(log).expect("a log"));
            }
            tokio::task::yield_now().await;
        }
        Ok(proxied)
    }

    /// Whether this very proxy listens on both ports. Another one that has taken a port does not
    /// know the certificate.
    async fn listens(&self) -> bool {
        let [https, http] =
            [self.port, self.http_port].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        TcpStream::connect(http).await.is_ok()
            && self.certificate.connect_from(CLIENT, https, NAME).await.is_ok()
    }

    /// The address at which people open it, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}{}", self.origin(), self.site.base)
    }

    pub fn origin(&self) -> String {
        format!("https://{NAME}:{}", self.port)
    }

    /// Reads a file that the proxy has written.
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    pub async fn connect(&self, client: Ipv4Addr) -> Encrypted {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let connected = self.certificate.connect_from(client, address, NAME).await;
        connected.unwrap_or_else(|error| panic!("{error}: {}", self.file("log")))
    }

    /// Sends a request to a path below the base, and leaves the response to be read.
    pub async fn begin(&self, ask: Ask<'_>) -> Encrypted {
        let path = format!("{}{}", self.site.base, ask.path);
        self.begin_at(Ask { path: &path, ..ask }).await
    }

    /// The same with the whole path.
    async fn begin_at(&self, ask: Ask<'_>) -> Encrypted {
        let Ask { client, method, path, lines, body } = ask;
        let mut stream = self.connect(client).await;
        let host = match lines.contains("Host:") {
            true => String::new(),
            false => format!("Host: {NAME}:{}\r\n", self.port),
        };
        let length = match body.len() {
            0 => String::new(),
            bytes => format!("Content-Type: application/json\r\nContent-Length: {bytes}\r\n"),
        };
        let head =
            format!("{method} {path} HTTP/1.1\r\n{host}{lines}{length}Connection: close\r\n\r\n");
        patiently(stream.write_all(head.as_bytes())).await.expect("an open connection");
        // A proxy may refuse a long body before it has come.
        let _ = patiently(stream.write_all(body.as_bytes())).await;
        stream
    }

    /// The whole response to such a request.
    pub async fn exchange(&self, ask: Ask<'_>) -> Response {
        rest_of(self.begin(ask).await).await
    }

    /// `GET` of a path that need not be below the base.
    pub async fn get_anywhere(&self, path: &str) -> Response {
        rest_of(self.begin_at(Ask::get(path, &with_key(KEY))).await).await
    }

    /// `GET`, with further header lines, each with its line end.
    pub async fn get(&self, path: &str, lines: &str) -> Response {
        self.exchange(Ask::get(path, lines)).await
    }

    /// A request of a program with the key. Its response begins, and the rest is left to be read.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Encrypted {
        self.begin(Ask::post(path, &with_key(KEY), &body.to_string())).await
    }

    /// A WebSocket of a client that shows the key in its handshake.
    pub async fn client(
        &self,
        headers: &[(&'static str, &str)],
    ) -> Result<Client<Encrypted>, Error> {
        let bearer = format!("Bearer {KEY}");
        let with_key = [&[("authorization", bearer.as_str())], headers].concat();
        self.socket("/ws", &with_key).await
    }

    /// A WebSocket with these headers.
    pub async fn socket(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client<Encrypted>, Error> {
        let url = format!("{}{path}", self.url()).replace("https:", "wss:");
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header value"));
        }
        let stream = self.connect(CLIENT).await;
        let (stream, _) = patiently(client_async(request, stream)).await?;
        Ok(Client { stream })
    }
}

/// A request.
pub struct Ask<'a> {
    /// The address that it comes from.
    pub client: Ipv4Addr,
    pub method: &'a str,
    pub path: &'a str,
    /// Further header lines, each with its line end.
    pub lines: &'a str,
    /// JSON; empty for none.
    pub body: &'a str,
}

impl<'a> Ask<'a> {
    pub fn get(path: &'a str, lines: &'a str) -> Ask<'a> {
        Ask { client: CLIENT, method: "GET", path, lines, body: "" }
    }

    pub fn post(path: &'a str, lines: &'a str, body: &'a str) -> Ask<'a> {
        Ask { client: CLIENT, method: "POST", path, lines, body }
    }
}

async fn rest_of(mut stream: Encrypted) -> Response {
    let mut response = Vec::new();
    // Not every proxy says goodbye.
    let _ = patiently(stream.read_to_end(&mut response)).await;
    Response::parse(&response)
}

/// The header line of a key.
pub fn with_key(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

/// Reads until a text has come, and returns everything so far.
pub async fn read_until(stream: &mut Encrypted, end: &str) -> String {
    let mut read = Vec::new();
    let mut bytes = [0; 4_096];
    while !String::from_utf8_lossy(&read).contains(end) {
        let count = patiently(stream.read(&mut bytes)).await.expect("an open connection");
        assert!(count > 0, "no {end:?} in {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&bytes[..count]);
    }
    String::from_utf8(read).expect("text")
}

/// What is put into a proxy's file, and how the proxy is started with it.
struct Setup<'a> {
    site: Site,
    folder: &'a Path,
    port: u16,
    http_port: u16,
    server: SocketAddr,
}

impl Setup<'_> {
    fn start(&self, changes: &[(&str, &str)], log: &Path) -> Child {
        let mut text = read_example(self.site.file);
        for (from, to) in self.substitutions() {
            text = replaced(&text, &from, &to);
        }
        for (from, to) in changes {
            text = replaced(&text, from, to);
        }
        write(self.folder, "site", &text);
        let mut command = match self.site.program {
            Program::Nginx => self.nginx(),
            Program::Caddy => self.caddy(),
        };
        let log = File::create(log).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Where Debian has nginx. Not everybody has it in their path.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin"));
        command.spawn().unwrap_or_else(|error| not_started(&command, &error))
    }

    fn substitutions(&self) -> Vec<(String, String)> {
        let Setup { site, folder, port, http_port, server } = self;
        let here = format!("{}/", folder.display());
        let mut all = vec![
            ("127.0.0.1:7860".to_owned(), server.to_string()),
            ("/etc/ssl/banter/".to_owned(), here.clone()),
        ];
        all.extend(match site.program {
            Program::Nginx => vec![
                ("listen 80;".to_owned(), format!("listen 127.0.0.1:{http_port};")),
                ("listen 443 ".to_owned(), format!("listen 127.0.0.1:{port} ")),
                // Not every machine has IPv6.
                ("listen [::]:80;".to_owned(), format!("listen 127.0.0.9:{http_port};")),
                ("listen [::]:443 ".to_owned(), format!("listen 127.0.0.9:{port} ")),
                // The port that both have in the address is the usual one only in the file.
                ("https://$http_host".to_owned(), format!("https://{NAME}:{port}")),
                (format!("server_name {};", site.name), format!("server_name {NAME};")),
                ("/var/log/nginx/".to_owned(), here),
            ],
            Program::Caddy => vec![(format!("\n{} {{", site.name), format!("\n{NAME}:{port} {{"))],
        });
        all
    }

    /// The file is included in one like Debian's own.
    fn nginx(&self) -> Command {
        let folder = self.folder.display();
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = kinds.map(|kind| format!("{kind}_temp_path {folder}/{kind};")).concat();
        let main = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n\
             http {{ {temporary} gzip on; include {folder}/site; }}"
        );
        write(self.folder, "nginx.conf", &main);
        let mut command = Command::new("nginx");
        command.arg("-p").arg(self.folder).arg("-c").arg(self.folder.join("nginx.conf"));
        command
    }

    /// The file is imported after the options that keep Caddy in its folder and on the loopback.
    fn caddy(&self) -> Command {
        let (folder, http_port) = (self.folder.display(), self.http_port);
        let main = format!(
            "{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {http_port}\n\
             \tskip_install_trust\n\tstorage file_system {folder}\n}}\nimport {folder}/site\n"
        );
        write(self.folder, "Caddyfile", &main);
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]);
        command.arg(self.folder.join("Caddyfile")).env("HOME", self.folder);
        command.env("XDG_DATA_HOME", self.folder).env("XDG_CONFIG_HOME", self.folder);
        command
    }
}

fn not_started(command: &Command, error: &io::Error) -> ! {
    let program = command.get_program().to_string_lossy();
    panic!(
        "{program} cannot be started ({error}): the tests need it; `sudo make setup` installs it"
    )
}

fn read_example(file: &str) -> String {
    let path = Path::new(EXAMPLES).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(folder: &Path, file: &str, text: &str) {
    fs::write(folder.join(file), text).expect("a folder of ours");
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?} in {text}");
    text.replace(from, to)
}

/// Two ports that nobody uses.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
