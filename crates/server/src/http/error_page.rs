//! The page that a person in a browser gets for an error: what is wrong, and what to do about it.
//!
//! It says only what is true for every banter server. Nothing in it depends on the hosts, pages or
//! keys that this server accepts.

use super::error::ErrorCode;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

/// Who reads the response to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Program,
    /// A person who has opened an address in a browser.
    Person {
        /// The address is for programs. Only a refusal is shown as a page; other errors stay JSON.
        of_api: bool,
        language: Language,
    },
}

impl Reader {
    /// Finds out who reads. Browsers ask for `text/html` only when a person opens an address.
    pub(super) fn of(method: &Method, path: &str, headers: &HeaderMap) -> Reader {
        let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let is_opened = matches!(*method, Method::GET | Method::HEAD)
            && accepts.is_some_and(|accepts| accepts.contains("text/html"))
            && !headers.contains_key(header::UPGRADE);
        if !is_opened {
            return Reader::Program;
        }
        let of_api = ["/api/", "/v1/"].iter().any(|of| path.starts_with(of))
            || ["/ws", "/tokenize", "/health", "/ready"].contains(&path);
        let languages = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Reader::Person { of_api, language: preferred(languages.unwrap_or("")) }
    }
}

/// The language of ours that a header such as `zh-CN,zh;q=0.9,en;q=0.8` prefers.
fn preferred(languages: &str) -> Language {
    let mut best = (0.0, Language::English);
    for part in languages.split(',') {
        let mut pieces = part.split(';');
        let tag = pieces.next().unwrap_or("").trim().to_ascii_lowercase();
        let language = match tag.split('-').next() {
            Some("zh") => Language::Chinese,
            Some("en") => Language::English,
            _ => continue,
        };
        let weight = pieces.find_map(|piece| piece.trim().strip_prefix("q=")?.parse().ok());
        let weight: f32 = weight.unwrap_or(1.0);
        if weight > best.0 {
            best = (weight, language);
        }
    }
    best.1
}

/// The text about one kind of error.
struct Text {
    code: &'static str,
    title: [&'static str; 2],
    advice: [&'static str; 2],
}

/// The texts in English and Chinese, by the code of the error.
const TEXTS: &[Text] = &[
    Text {
        code: "unknown_host",
        title: ["This address is not served here", "此地址未开放"],
        advice: [
            "The server was reached, but it does not answer to this address. If you are at the \
             machine on which it runs, open http://localhost and its port. If you run the server \
             and want to use the address above, start it with --public-url and that address.",
            "服务器可以连通，但它不接受您使用的这个地址。如果您就在运行它的机器上，请打开 \
             http://localhost 加端口号。如果服务器由您运行，并希望通过上面的地址访问，\
             请用 --public-url 加上该地址重新启动。",
        ],
    },
    Text {
        code: "bad_host",
        title: ["The request has no readable host", "请求中没有主机名"],
        advice: [
            "The Host header is missing or cannot be read. If there is a proxy in front of the \
             server, it must pass this header on.",
            "Host 标头缺失或无法读取。如果中间有代理，请让它转发该标头。",
        ],
    },
    Text {
        code: "unauthorized",
        title: ["A key is needed", "需要密钥"],
        advice: [
            "Open the start page and enter the key, or open the link that was printed when the \
             server started. The person who runs the server has both.",
            "请打开首页并输入密钥，或打开服务器启动时打印的链接。两者都可向运行服务器的人索取。",
        ],
    },
    Text {
        code: "several_keys",
        title: ["More than one key was sent", "发送了多个密钥"],
        advice: ["Send one key with each request.", "每个请求只发送一个密钥。"],
    },
    Text {
        code: "too_many_tries",
        title: ["Too many wrong keys", "密钥错误次数过多"],
        advice: [
            "Wait a minute, then try again with the right key.",
            "请等待一分钟，再用正确的密钥重试。",
        ],
    },
    Text {
        code: "forbidden_origin",
        title: ["The page you came from may not use this server", "您来自的网页无权使用此服务器"],
        advice: [
            "Open the address directly, in a new tab. If you run the server, --allow-origin allows \
             a web site to use it, and --public-url names the address of a proxy in front of \
             it.",
            "请在新标签页中直接打开该地址。如果服务器由您运行，可用 --allow-origin 指定允许的网站，\
             用 --public-url 指定前置代理的地址。",
        ],
    },
    Text {
        code: "file_page",
        title: [
            "Pages opened from disk may not use this server",
            "从磁盘打开的网页无权使用此服务器",
        ],
        advice: [
            "If you run the server, start it with --allow-file-pages to allow them.",
            "如果服务器由您运行，可用 --allow-file-pages 允许。",
        ],
    },
    Text {
        code: "admin_only",
        title: ["Only administrators may do this", "此操作仅限管理员"],
        advice: [
            "Do it on the machine on which the server runs, or use an admin key.",
            "请在运行服务器的机器上操作，或使用管理员密钥。",
        ],
    },
    Text {
        code: "visitors_key",
        title: ["This key is for visitors", "此密钥仅供访客使用"],
        advice: [
            "It allows conversations on the pages of its site, and nothing else.",
            "它只允许在其网站的页面上对话。",
        ],
    },
    Text {
        code: "no_visitors_key",
        title: ["This chat has no valid key", "此聊天没有有效的密钥"],
        advice: [
            "The address needs a key for visitors, and this one is missing, wrong, ended or revoked. \
             If you run the server, banter key list shows the keys, and banter key add with \
             --scope embed makes a new one.",
            "该地址需要访客密钥，而此处的密钥缺失、错误、已过期或已被撤销。如果服务器由您运行，\
             banter key list 会列出密钥，banter key add 加 --scope embed 可以创建新的密钥。",
        ],
    },
    Text {
        code: "not_found",
        title: ["Nothing is at this address", "这里什么也没有"],
        advice: [
            "The start page is at the beginning of this address, without the path.",
            "首页位于该地址的根路径。",
        ],
    },
    Text {
        code: "full",
        title: ["The server is full", "服务器已满"],
        advice: ["Try again in a moment.", "请稍后再试。"],
    },
    Text {
        code: "address_full",
        title: ["Too many connections from your address", "来自您地址的连接过多"],
        advice: [
            "Close some tabs with pages of this server, or try again in a moment.",
            "请关闭一些打开的页面，或稍后再试。",
        ],
    },
];

/// The codes of requests that were not let in.
const REFUSALS: [&str; 9] = [
    "unknown_host",
    "bad_host",
    "unauthorized",
    "several_keys",
    "too_many_tries",
    "forbidden_origin",
    "file_page",
    "admin_only",
    "visitors_key",
];

/// The response in the form for its reader: for a person, an error becomes a small page.
pub(super) fn for_reader(response: Response<Body>, reader: Reader) -> Response<Body> {
    let Reader::Person { of_api, language } = reader else { return response };
    let Some(ErrorCode(code)) = response.extensions().get::<ErrorCode>().copied() else {
        return response;
    };
    if of_api && !REFUSALS.contains(&code) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    parts.headers.insert(header::CONTENT_TYPE, kind);
    let page = page(parts.status, code, language);
    Response::from_parts(parts, Body::from(page))
}

fn page(status: StatusCode, code: &str, language: Language) -> String {
    let (tag, which) = match language {
        Language::English => ("en", 0),
        Language::Chinese => ("zh-CN", 1),
    };
    let text = TEXTS.iter().find(|text| text.code == code);
    let reason = status.canonical_reason().unwrap_or("Error");
    let title = text.map_or(reason, |text| text.title[which]);
    let advice = text.map_or("", |text| text.advice[which]);
    format!(
        "<!doctype html><html lang=\"{tag}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title></head>\
         <body><h1>{title}</h1><p>{advice}</p><p><small>{status}</small></p></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Denial;
    use crate::http::error::ApiError;
    use axum::response::IntoResponse;

    #[test]
    fn the_language_is_the_one_that_is_preferred() {
        let cases = [
            ("", Language::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-US,en;q=0.9,zh;q=0.8", Language::English),
            ("fr, zh-Hant;q=0.5, en;q=0.4", Language::Chinese),
            ("en;q=0.1, ZH;q=0.2", Language::Chinese),
            ("zh;q=0, en", Language::English),
            ("fr,de", Language::English),
            ("zh;q=x", Language::Chinese),
            (";;,,q=1", Language::English),
        ];
        for (languages, expected) in cases {
            assert_eq!(preferred(languages), expected, "{languages}");
        }
    }

    #[test]
    fn every_refusal_has_a_text_of_its_own_in_both_languages() {
        let refusals = [
            Denial::BadHost,
            Denial::UnknownHost,
            Denial::ForeignOrigin,
            Denial::FilePage,
            Denial::SeveralKeys,
            Denial::KeyNeeded,
            Denial::AdminOnly,
            Denial::VisitorsKey,
            Denial::TooManyTries,
        ];
        assert_eq!(refusals.len(), REFUSALS.len());
        for denial in refusals {
            let response = ApiError::from(denial).into_response();
            let ErrorCode(code) = *response.extensions().get().expect("errors have a code");
            assert!(REFUSALS.contains(&code), "{code}");
            let text = TEXTS.iter().find(|text| text.code == code).expect(code);
            for words in [text.title, text.advice] {
                assert!(words[0].is_ascii() && !words[1].is_ascii(), "{code}");
            }
        }
    }
}
