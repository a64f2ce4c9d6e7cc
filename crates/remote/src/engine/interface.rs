//! Where an engine's interface is, by the address that somebody has given.
//!
//! People give the server (`http://host:8000`), the interface (`…/v1`, `…/api/v3`), or a path that
//! they have used before (`…/v1/chat/completions`).

use url::Url;

use crate::address::Address;

/// The base of all URLs of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    root: Address,
    /// The path between the root and OpenAI's interface: almost always `v1`.
    version: Vec<String>,
}

/// The ends of addresses that are directly below an interface.
const ENDPOINTS: [&[&str]; 6] = [
    &["chat", "completions"],
    &["completions"],
    &["models"],
    &["responses"],
    &["embeddings"],
    &["tokenize"],
];
/// The ends of addresses that are below the server itself.
const PAGES: [&[&str]; 9] = [
    &["api", "chat"],
    &["api", "generate"],
    &["api", "tags"],
    &["health"],
    &["metrics"],
    &["docs"],
    &["props"],
    &["openapi.json"],
    &["index.html"],
];

impl Interface {
    /// Where it may be, the likeliest first.
    pub(super) fn candidates(address: &Address) -> Vec<Interface> {
        let mut root = address.clone();
        while root.url().path().ends_with("//") {
            root = root.without_last("");
        }
        let endpoint = ENDPOINTS.iter().find_map(|end| without_end(&root, end));
        let is_endpoint = endpoint.is_some();
        let page = || PAGES.iter().find_map(|end| without_end(&root, end));
        let root = endpoint.or_else(page).unwrap_or(root);
        if let Some(version) = segments(&root).last().filter(|last| is_version(last)).cloned() {
            return vec![Interface { root: root.without_last(&version), version: vec![version] }];
        }
        let bare = Interface { root: root.clone(), version: Vec::new() };
        match is_endpoint {
            true => vec![bare],
            false => vec![Interface { root, version: vec!["v1".to_owned()] }, bare],
        }
    }

    /// The server's address.
    pub(super) fn root(&self) -> &Address {
        &self.root
    }

    /// A URL of the server's own interface.
    pub(super) fn own(&self, path: &[&str]) -> Url {
        self.root.below(path.iter().copied())
    }

    /// A URL of OpenAI's interface.
    pub(super) fn open(&self, path: &[&str]) -> Url {
        self.root.below(self.version.iter().map(String::as_str).chain(path.iter().copied()))
    }
}

fn segments(address: &Address) -> Vec<String> {
    let segments = address.url().path_segments().into_iter().flatten();
    segments.filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

fn without_end(address: &Address, end: &[&str]) -> Option<Address> {
    let segments = segments(address);
    let kept = segments.len().checked_sub(end.len())?;
    if segments[kept..] != *end {
        return None;
    }
    Some(end.iter().rev().fold(address.clone(), |address, last| address.without_last(last)))
}

/// `v1`, `v3`, `v1beta`.
fn is_version(segment: &str) -> bool {
    let digits = segment.strip_prefix('v').unwrap_or_default();
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_is_found_in_what_people_paste() {
        let cases = [
            ("http://h:8000", "http://h:8000", &["/v1", ""][..]),
            ("http://h:8000/", "http://h:8000", &["/v1", ""]),
            ("http://h:8000/v1", "http://h:8000", &["/v1"]),
            ("http://h:8000/v1//", "http://h:8000", &["/v1"]),
            ("http://h:8000//v1/", "http://h:8000", &["/v1"]),
            ("http://h/v1/chat/completions", "http://h", &["/v1"]),
            ("http://h/v1/chat/completions/", "http://h", &["/v1"]),
            ("http://h/v1/models", "http://h", &["/v1"]),
            ("https://h/api/v3", "https://h/api", &["/v3"]),
            ("https://h/api/v3/chat/completions", "https://h/api", &["/v3"]),
            ("https://h/api/paas/v4/", "https://h/api/paas", &["/v4"]),
            ("https://h/v1beta/openai", "https://h/v1beta/openai", &["/v1", ""]),
            ("https://h/api/chat/completions", "https://h/api", &[""]),
            ("http://h:11434/api/chat", "http://h:11434", &["/v1", ""]),
            ("http://h:8000/docs", "http://h:8000", &["/v1", ""]),
            ("http://h/below", "http://h/below", &["/v1", ""]),
            ("http://h/vision", "http://h/vision", &["/v1", ""]),
        ];
        for (pasted, root, versions) in cases {
            let address = Address::parse_base(pasted).expect("an address");
            let candidates = Interface::candidates(&address);
            let chats: Vec<String> = candidates
                .iter()
                .map(|found| found.open(&["chat", "completions"]).to_string())
                .collect();
            let expected: Vec<String> = versions
                .iter()
                .map(|version| format!("{root}{version}/chat/completions"))
                .collect();
            assert_eq!(chats, expected, "{pasted}");
            for found in candidates {
                assert_eq!(
                    found.own(&["health"]).to_string(),
                    format!("{root}/health"),
                    "{pasted}"
                );
            }
        }
    }
}
