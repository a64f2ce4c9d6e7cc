//! The files of the page, which are built into the binary.

use super::encoding::Encoding;
use super::error::ApiError;
use super::headers::{empty, policy_for_inline};
use crate::well_known::WellKnown;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A file, as the build script embeds it.
struct File {
    name: &'static str,
    content: &'static [u8],
    /// `None` where compressing the file gains little.
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The script of the widget, which pages of other sites load.
const WIDGET: &str = "embed.js";

/// The example page. It is the only one whose script and style are inside the HTML.
const EXAMPLE: &str = "chat.html";

/// Whether a file of the page has this name.
pub(super) fn is_of_page(name: &str) -> bool {
    FILES.iter().any(|file| file.name == name_of(name))
}

/// The names of all files of the page.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.name)
}

/// The folders of the page's files.
pub(super) fn folders() -> impl Iterator<Item = &'static str> {
    FILES.iter().filter_map(|file| Some(file.name.split_once('/')?.0))
}

/// The files by name, with their fixed headers.
pub(super) struct Assets {
    files: HashMap<&'static str, Asset>,
    /// Those of the operator.
    well_known: HashMap<String, String>,
}

struct Asset {
    file: &'static File,
    /// Of the file itself. The entity tags of its compressed forms have a suffix, because their
    /// bytes differ.
    digest: String,
    headers: HeaderMap,
}

impl Assets {
    /// The files that are built in, and those of the operator.
    pub(super) fn embedded(well_known: &[WellKnown]) -> Assets {
        let files = FILES.iter().map(|file| (file.name, Asset::new(file))).collect();
        let named = |file: &WellKnown| (file.name().to_owned(), file.content().to_owned());
        Assets { files, well_known: well_known.iter().map(named).collect() }
    }

    /// Whether a path is that of a file.
    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(name_of(path)) || self.well_known_at(path).is_some()
    }

    fn well_known_at(&self, path: &str) -> Option<&String> {
        self.well_known.get(path.strip_prefix('/')?)
    }

    /// A file of the operator, as plain text.
    fn well_known(&self, path: &str) -> Response<Body> {
        let Some(content) = self.well_known_at(path) else {
            return ApiError::NotFound.into_response();
        };
        let mut response = content.clone().into_response();
        let caching = HeaderValue::from_static("no-cache");
        response.headers_mut().insert(header::CACHE_CONTROL, caching);
        response
    }

    /// Answers a request for a file.
    pub(super) fn answer(&self, uri: &Uri, request: &HeaderMap) -> Response<Body> {
        let Some(asset) = self.files.get(name_of(uri.path())) else {
            return self.well_known(uri.path());
        };
        let encoding = Encoding::choose(request, |form| asset.form(form).is_some());
        let etag = asset.etag(encoding);
        let mut response = if is_known(request, &etag) {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            asset.form(encoding).expect("only forms that exist are chosen").into_response()
        };
        let is_sent = response.status() == StatusCode::OK;
        let headers = response.headers_mut();
        headers.extend(asset.headers.clone());
        headers.insert(header::ETAG, HeaderValue::from_str(&etag).expect("hexadecimal"));
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Some(name) = encoding.name().filter(|_| is_sent) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        response
    }
}

fn name_of(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => "index.html",
        "admin" => "admin.html",
        name => name,
    }
}

/// Whether the client says that it has this form of the file already.
fn is_known(request: &HeaderMap, etag: &str) -> bool {
    let known = request.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    known.is_some_and(|known| {
        known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
    })
}

impl Asset {
    fn new(file: &'static File) -> Asset {
        let File { name, content, .. } = *file;
        let digest = HEXLOWER.encode(&Sha256::digest(content)[..16]);
        let caching =
            if is_named_by_hash(name) { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        if name == WIDGET {
            let anywhere = HeaderValue::from_static("cross-origin");
            headers.insert("cross-origin-resource-policy", anywhere);
        }
        if name == EXAMPLE {
            let page = std::str::from_utf8(content).expect("the example is text");
            let policy = policy_for_inline(&hashes(page, "script"), &hashes(page, "style"));
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        Asset { file, digest, headers }
    }

    fn form(&self, encoding: Encoding) -> Option<&'static [u8]> {
        match encoding {
            Encoding::Brotli => self.file.brotli,
            Encoding::Gzip => self.file.gzip,
            Encoding::Identity => Some(self.file.content),
        }
    }

    fn etag(&self, encoding: Encoding) -> String {
        match encoding.name() {
            Some(name) => format!("\"{}-{name}\"", self.digest),
            None => format!("\"{}\"", self.digest),
        }
    }
}

/// Whether a file's name contains a hash of its content, as `assets/index-BX3kd0_a.js`.
fn is_named_by_hash(name: &str) -> bool {
    const HASH_CHARACTERS: usize = 8;
    let Some(stem) = name.strip_prefix("assets/").and_then(|name| name.split('.').next()) else {
        return false;
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let bytes = stem.as_bytes();
    bytes.len() > HASH_CHARACTERS
        && bytes[bytes.len() - HASH_CHARACTERS - 1] == b'-'
        && bytes[bytes.len() - HASH_CHARACTERS..].iter().copied().all(legal)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The `'sha256-…'` sources of all inline elements of one kind, for a content security policy.
fn hashes(page: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}"), format!("</{element}>"));
    let mut sources = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once(&open) {
        let Some((_, body)) = after.split_once('>') else { break };
        let Some((content, after)) = body.split_once(&close) else { break };
        let hash = BASE64.encode(&Sha256::digest(content.as_bytes()));
        sources.push(format!("'sha256-{hash}'"));
        rest = after;
    }
    if sources.is_empty() { "'none'".into() } else { sources.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_hash_are_kept_for_ever() {
        for name in ["assets/index-BX3kd0_a.js", "assets/KaTeX_Main-Regular-B22Nviop.woff2"] {
            assert!(is_named_by_hash(name), "{name}");
        }
        for name in ["index.html", "assets/logo.svg", "favicon-12345678.ico"] {
            assert!(!is_named_by_hash(name), "{name}");
        }
    }

    #[test]
    fn files_of_the_installed_page_are_asked_for_at_each_visit() {
        const fn empty(name: &'static str) -> File {
            File { name, content: b"", brotli: None, gzip: None }
        }
        static CASES: &[(File, &str)] = &[
            (empty("sw.js"), "text/javascript; charset=utf-8"),
            (empty("assets/theme.js"), "text/javascript; charset=utf-8"),
            (empty("assets/banter.webmanifest"), "application/manifest+json"),
            (empty("assets/icon-192.png"), "image/png"),
            (empty("assets/maskable-512.png"), "image/png"),
            (empty("assets/apple-touch-icon.png"), "image/png"),
        ];
        for (file, content_type) in CASES {
            let Asset { headers, .. } = Asset::new(file);
            assert_eq!(headers[header::CONTENT_TYPE], content_type, "{}", file.name);
            assert_eq!(headers[header::CACHE_CONTROL], "no-cache", "{}", file.name);
        }
    }

    #[test]
    fn the_kind_of_every_file_is_known() {
        for File { name, .. } in FILES {
            assert_ne!(content_type(name), "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn inline_elements_are_allowed_by_their_hash() {
        let page = "<style>a{}</style><script type=\"module\">f()</script><script>g()</script>";
        let expected = |content: &str| {
            format!("'sha256-{}'", BASE64.encode(&Sha256::digest(content.as_bytes())))
        };
        assert_eq!(hashes(page, "style"), expected("a{}"));
        assert_eq!(hashes(page, "script"), format!("{} {}", expected("f()"), expected("g()")));
        assert_eq!(hashes("<p>", "script"), "'none'");
    }
}
