//! Checks of a server at an address, as a browser would reach it: through everything in between.

use std::time::Duration;

use banter_remote::server::{ServerClient, ServerRequest, ServerResponse, SocketResponse};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::finding::{Finding, Said, said};
use crate::chat::{Link, OpenError, api};

/// How long the first piece of a stream may take. It is sent at once.
const FIRST_PIECE: Duration = Duration::from_secs(5);
/// A server sends something every 10 s.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Checks the server from outside to inside; what cannot be reached is not asked further. `origin`
/// is a page of another site that wants to use the server.
pub async fn check(client: &ServerClient, origin: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let answer = match ask(client, "health").await {
        Ok(answer) => answer,
        Err(reason) => return vec![unreachable(client, &reason)],
    };
    let (found, is_reached) = reached(client, &answer);
    findings.push(found);
    if !is_reached {
        return findings;
    }
    findings.push(engine(client).await);
    if let Some(problem) = key(client).await {
        findings.push(problem);
        return findings;
    }
    findings.push(socket(client).await);
    let own = client.address().url().origin().ascii_serialization();
    findings.push(page(client, &own, true).await);
    if let Some(origin) = origin {
        findings.push(page(client, origin, false).await);
    }
    findings.extend(stream(client).await);
    findings
}

async fn ask(client: &ServerClient, route: &str) -> Result<ServerResponse, String> {
    client.ask(ServerRequest { method: "GET", path: &[route], query: &[], body: None }).await
}

fn unreachable(client: &ServerClient, reason: &str) -> Finding {
    let address = client.address();
    let found = said(
        format!("{address} does not answer: {reason}"),
        format!("{address} 没有应答：{reason}"),
    );
    let lower = reason.to_lowercase();
    let todo = if lower.contains("certificate") {
        said(
            "this machine does not trust the certificate: name it with --trust FILE, or have it signed by an \
             authority",
            "本机不信任该证书：请用 --trust FILE 指定它，或使用权威机构签发的证书",
        )
    } else if lower.contains("refused") {
        said(
            "nobody listens there: start `banter serve` on that machine, with --host 0.0.0.0 or --lan if it is \
             another one, and check the port",
            "该地址没有程序监听：请在那台机器上运行 banter serve（另一台机器需要 --host 0.0.0.0 或 --lan），并核对端口",
        )
    } else {
        said(
            "check the name, the port and the firewall (`ping`, `curl -v`)",
            "请检查域名、端口和防火墙（ping、curl -v）",
        )
    };
    Finding::problem("address", found, todo)
}

/// What answers at the address, and whether it is a banter.
fn reached(client: &ServerClient, answer: &ServerResponse) -> (Finding, bool) {
    let address = client.address();
    let is_http = address.url().scheme() == "http";
    let problem = |found: Said, todo: Said| (Finding::problem("address", found, todo), false);
    match answer.status {
        200 if serde_json::from_slice::<serde_json::Value>(&answer.body)
            .is_ok_and(|body| body["status"] == "alive") =>
        {
            let through = match answer.server.starts_with("banter") {
                true => said(String::new(), String::new()),
                false => said(
                    format!(", through {}", shown(&answer.server)),
                    format!("，经过 {}", shown(&answer.server)),
                ),
            };
            let found = said(
                format!("a banter answers at {address}{}", through.en),
                format!("{address} 上有 banter 应答{}", through.zh),
            );
            (Finding::ok("address", found), true)
        }
        301 | 302 | 307 | 308 if is_http => problem(
            said(
                format!("{address} leads to another address (status {})", answer.status),
                format!("{address} 跳转到另一个地址（状态 {}）", answer.status),
            ),
            said(
                "use https:// there, and wss:// for WebSockets",
                "请改用 https://，WebSocket 用 wss://",
            ),
        ),
        421 => problem(
            said(
                format!("the server does not know the name {address}"),
                format!("服务器不认识 {address} 这个名称"),
            ),
            said(
                format!("start it with `--public-url {address}`"),
                format!("请用 --public-url {address} 启动"),
            ),
        ),
        502..=504 => problem(
            said(
                format!(
                    "a proxy answers at {address} (status {}), but nobody behind it",
                    answer.status
                ),
                format!("{address} 的代理有应答（状态 {}），但它后面没有服务器", answer.status),
            ),
            said(
                "start `banter serve`, and compare its port with the one in the configuration of the proxy",
                "请运行 banter serve，并核对代理配置中的端口",
            ),
        ),
        status => problem(
            said(
                format!(
                    "{address} answers with status {status}, and is no banter ({})",
                    shown(&answer.server)
                ),
                format!(
                    "{address} 的应答状态为 {status}，不是 banter（{}）",
                    shown(&answer.server)
                ),
            ),
            said("check the port and the path of the address", "请检查地址的端口和路径"),
        ),
    }
}

/// A name from a header, without what could confuse a terminal.
fn shown(server: &str) -> String {
    let name: String = server.chars().filter(|c| !c.is_control()).take(60).collect();
    if name.is_empty() { "a server without a name".to_owned() } else { name }
}

async fn engine(client: &ServerClient) -> Finding {
    match api::unready(client).await {
        Ok(None) => Finding::ok("engine", said("the model is loaded", "模型已加载")),
        Ok(Some(why)) if why.starts_with("loading") => Finding::warning(
            "engine",
            said(format!("the model is not ready: {why}"), format!("模型尚未就绪：{why}")),
            said("wait, and ask again", "请稍候再试"),
        ),
        Ok(Some(why)) => Finding::problem(
            "engine",
            said(format!("the model does not answer: {why}"), format!("模型没有应答：{why}")),
            said(
                "read the log of the server; with --engine, start that engine",
                "请查看服务器日志；如果使用 --engine，请启动那个引擎",
            ),
        ),
        Err(error) => Finding::problem(
            "engine",
            said(format!("/ready: {error:#}"), format!("/ready：{error:#}")),
            said("let the proxy pass every path to banter", "请让代理把所有路径转给 banter"),
        ),
    }
}

/// Whether a key is missing or wrong.
async fn key(client: &ServerClient) -> Option<Finding> {
    let path = &["api", "info"];
    let request = ServerRequest { method: "GET", path, query: &[], body: None };
    let status = client.ask(request).await.ok()?.status;
    if ![401, 403, 429].contains(&status) {
        return None;
    }
    let found = said(
        format!("the server wants a key, or another one (status {status})"),
        format!("服务器需要密钥，或密钥不正确（状态 {status}）"),
    );
    let todo = said(
        "set BANTER_KEY to a key of the server; its start has printed one if it was given none",
        "请把 BANTER_KEY 设为服务器的密钥；如果没有指定，启动时会打印一个",
    );
    Some(Finding::problem("key", found, todo))
}

async fn socket(client: &ServerClient) -> Finding {
    let scheme = if client.address().url().scheme() == "https" { "wss" } else { "ws" };
    let reason = match Link::connect(client).await {
        Ok((_, welcome)) => {
            let version = &welcome.version;
            let found = said(
                format!("/ws speaks banter.v1 over {scheme} (version {version})"),
                format!("/ws 通过 {scheme} 使用 banter.v1（版本 {version}）"),
            );
            return Finding::ok("websocket", found);
        }
        Err(
            OpenError::Key(reason) | OpenError::Unreachable(reason) | OpenError::Refused(reason),
        ) => reason,
    };
    let found = said(format!("/ws does not open: {reason}"), format!("/ws 无法建立连接：{reason}"));
    let todo = said(
        "let the proxy pass WebSockets (nginx: `proxy_http_version 1.1`, headers Upgrade and Connection; see \
         docs/SECURITY.md). Until then the page uses a stream, which is slower",
        "请让代理转发 WebSocket（nginx：proxy_http_version 1.1 以及 Upgrade、Connection 头；见 docs/SECURITY.md）。在此之前页面会改用较慢的事件流",
    );
    Finding::problem("websocket", found, todo)
}

/// Whether pages of this origin may use the server.
async fn page(client: &ServerClient, origin: &str, is_own: bool) -> Finding {
    let url = client.address().below(["ws"]);
    let headers = [
        ("origin", origin.to_owned()),
        ("sec-websocket-key", generate_key()),
        ("sec-websocket-protocol", "banter.v1".to_owned()),
    ];
    let status = match client.open_socket(&url, &headers).await {
        Ok(SocketResponse::Opened { .. }) => {
            let found =
                said(format!("pages of {origin} may use it"), format!("{origin} 的页面可以使用"));
            return Finding::ok("page", found);
        }
        Ok(SocketResponse::Refused(response)) => format!("status {}", response.status),
        Err(reason) => reason,
    };
    let found = said(
        format!("pages of {origin} are refused ({status})"),
        format!("{origin} 的页面被拒绝（{status}）"),
    );
    let todo = match is_own {
        true => said(
            format!(
                "start the server with `--public-url {}`, and let the proxy keep the Host header",
                client.address()
            ),
            format!("请用 --public-url {} 启动服务器，并让代理保留 Host 头", client.address()),
        ),
        false => said(
            format!(
                "start the server with `--allow-origin {origin}`, or make a key: `banter key add NAME --scope embed --origin {origin}`"
            ),
            format!(
                "请用 --allow-origin {origin} 启动服务器，或创建密钥：banter key add NAME --scope embed --origin {origin}"
            ),
        ),
    };
    Finding::problem("page", found, todo)
}

/// Whether what the server sends comes at once, and whether a silent connection stays open.
async fn stream(client: &ServerClient) -> Vec<Finding> {
    let path = &["api", "stream"];
    let has_begun = |read: &[u8]| read.windows(6).any(|six| six == b"\"strea");
    match client.read_stream(path, FIRST_PIECE, has_begun).await {
        Ok(true) => {}
        Ok(false) => {
            let found = said(
                "something in between holds back what the server sends",
                "中间有程序扣住了服务器发出的内容",
            );
            let todo = said(
                "switch its buffering off (nginx: `proxy_buffering off`)",
                "请关闭它的缓冲（nginx：proxy_buffering off）",
            );
            return vec![Finding::warning("buffering", found, todo)];
        }
        Err(reason) => {
            let found = said(
                format!("/api/stream cannot be read: {reason}"),
                format!("/api/stream 无法读取：{reason}"),
            );
            let todo =
                said("let the proxy pass every path to banter", "请让代理把所有路径转给 banter");
            return vec![Finding::warning("buffering", found, todo)];
        }
    }
    let mut findings = vec![Finding::ok(
        "buffering",
        said("words come as soon as they are sent", "内容一发出就能收到"),
    )];
    // Between this program and a server on the same machine is nobody who could cut.
    if !client.address().is_private() {
        let lives = |read: &[u8]| read.windows(3).any(|three| three == b"\n:\n");
        findings.push(match client.read_stream(path, SIGN_OF_LIFE, lives).await {
            Ok(true) => {
                Finding::ok("idle", said("a silent connection stays open", "空闲的连接保持打开"))
            }
            Ok(false) | Err(_) => Finding::warning(
                "idle",
                said("a silent connection is cut within 15 s", "空闲的连接在 15 秒内被切断"),
                said(
                    "raise the time limits of the proxy (nginx: `proxy_read_timeout 1h`)",
                    "请调高代理的超时（nginx：proxy_read_timeout 1h）",
                ),
            ),
        });
    }
    findings
}
