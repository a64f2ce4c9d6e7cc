//! Who may use the server.
//!
//! `Access::admit` asks three questions about every request, in this order:
//! 1. Is the host that it names one of ours? Otherwise a website could point its own name at this
//!    machine.
//! 2. Is the page that it comes from one of ours, or an allowed one?
//! 3. Does it need a key, and does it have one?
//!
//! Reading order: `level` and `request` (what is asked for, and by whom), `authority`, `origin`,
//! `host` and `network` (names and addresses), `token`, `keys`, `made`, `cookie`, `sessions` and
//! `kept` (what lets somebody in), `shown` (keys that come after the handshake), `tries` (wrong
//! keys), `principal` (whose conversations they are), `denial` (why a request is refused).

mod authority;
mod cookie;
mod denial;
mod device_link;
mod host;
mod kept;
mod keys;
mod level;
mod made;
mod network;
mod origin;
mod principal;
mod request;
mod sessions;
mod shown;
#[cfg(test)]
mod tests;
mod token;
mod tries;

pub(crate) use cookie::SessionCookie;
pub(crate) use denial::Denial;
pub use host::PublicUrl;
pub use keys::{KeyHash, make_key};
pub(crate) use level::AccessLevel;
pub use level::Scope;
pub use made::SCOPES;
pub(crate) use made::{Made, MadeKeys, keep_looking};
pub(crate) use network::{TrustedProxies, network_of};
pub use origin::Origin;
pub(crate) use principal::Identity;
pub use principal::Principal;
pub(crate) use request::{PageOrigin, RequestView, Sender};
pub use sessions::Sessions;
pub(crate) use sessions::{CODE_LIFETIME, SessionLimits};
pub(crate) use token::random_token;
pub(crate) use tries::RateKey;

use authority::Authority;
use axum::http::{Uri, header};
use banter_seam::ShareId;
use banter_store::SecretHash;
use host::{NamedHost, Scheme, is_same_page};
use ipnet::IpNet;
use keys::Presented;
use sessions::Grant;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tries::Tries;

/// The access rules of a server, with the ports that it listens on.
pub(crate) struct Access {
    ports: Vec<u16>,
    public_urls: Vec<PublicUrl>,
    allow_origins: Vec<Origin>,
    keys: Vec<KeyHash>,
    admin_keys: Vec<KeyHash>,
    /// Those that were made by command.
    made: Arc<MadeKeys>,
    allow_file_pages: bool,
    insecure: bool,
    scheme: Scheme,
    proxies: TrustedProxies,
    sessions: Arc<Sessions>,
    tries: Tries,
}

/// What an operator has said about who may come in.
pub(crate) struct AccessRules {
    /// The ports that the server listens on.
    pub(crate) ports: Vec<u16>,
    pub(crate) public_urls: Vec<PublicUrl>,
    pub(crate) allow_origins: Vec<Origin>,
    pub(crate) keys: Vec<KeyHash>,
    pub(crate) admin_keys: Vec<KeyHash>,
    pub(crate) allow_file_pages: bool,
    pub(crate) insecure: bool,
    /// Whether connections are encrypted.
    pub(crate) is_https: bool,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) max_wrong_keys_per_minute: u32,
}

impl Access {
    pub(crate) fn new(rules: AccessRules, sessions: Arc<Sessions>) -> Access {
        Access {
            ports: rules.ports,
            public_urls: rules.public_urls,
            allow_origins: rules.allow_origins,
            keys: rules.keys,
            admin_keys: rules.admin_keys,
            made: Arc::default(),
            allow_file_pages: rules.allow_file_pages,
            insecure: rules.insecure,
            scheme: if rules.is_https { Scheme::Https } else { Scheme::Http },
            proxies: TrustedProxies::new(&rules.trusted_proxies),
            sessions,
            tries: Tries::new(rules.max_wrong_keys_per_minute),
        }
    }

    /// Decides about one request.
    pub(crate) fn admit(
        &self,
        view: &RequestView<'_>,
        level: AccessLevel,
    ) -> Result<PageOrigin, Denial> {
        let host = match self.host(view) {
            Err(_) if level == AccessLevel::Probe => NamedHost::Unknown,
            host => host?,
        };
        let page = self.origin(view, host, level)?;
        if level.is_for_everybody() {
            return Ok(page);
        }
        if view.is_embedded_elsewhere() {
            return Err(Denial::ForeignOrigin);
        }
        if level == AccessLevel::Admin && page != PageOrigin::Own {
            return Err(Denial::AdminOnly);
        }
        let presented = self.presented(view, level)?;
        let is_open_to_all = self.insecure && level != AccessLevel::Admin;
        let is_open = (is_open_to_all || is_on_this_machine(view, host)) && !self.needs_key(&page);
        if !is_open {
            self.check_credentials(view, level, presented)?;
        }
        Ok(page)
    }

    /// Who has signed in, as a page may know it: the same for everybody without key and session.
    pub(crate) fn signed_in_as(&self, view: &RequestView<'_>, level: AccessLevel) -> Principal {
        self.signed_in(view, level).unwrap_or(Principal::OPERATOR)
    }

    /// The principal of a request's key, or else of its session.
    fn signed_in(&self, view: &RequestView<'_>, level: AccessLevel) -> Option<Principal> {
        let of_session = || self.session(view).map(|session| session.grant.principal);
        self.of_key(view, level).or_else(of_session)
    }

    fn of_key(&self, view: &RequestView<'_>, level: AccessLevel) -> Option<Principal> {
        let key = self.presented(view, level).ok().flatten()?;
        if keys::is_one_of(&self.keys, &key) || keys::is_one_of(&self.admin_keys, &key) {
            return Some(Principal::of_key(&key));
        }
        let made = self.made_key_of(&key, &self.sender(view))?;
        Some(made.principal(KeyHash::of(&key)))
    }

    /// A key that was made by command, if it lets in whoever sends it.
    fn made_key_of(&self, key: &str, sender: &Sender) -> Option<Arc<Made>> {
        self.made.find(KeyHash::of(key)).filter(|made| made.is_for(sender))
    }

    /// Who sends a request.
    pub(crate) fn sender(&self, view: &RequestView<'_>) -> Sender {
        let Some(origin) = view.origin() else { return Sender::Program };
        match self.host(view).and_then(|host| self.is_own_page(view, host, origin)) {
            Ok(true) => Sender::OwnPage,
            Ok(false) | Err(_) => Sender::Page(origin.into()),
        }
    }

    /// The keys that were made by command.
    pub(crate) fn made(&self) -> &Arc<MadeKeys> {
        &self.made
    }

    /// The key of a request, if it is one that was made by command and lets in.
    pub(crate) fn made_key(
        &self,
        view: &RequestView<'_>,
        level: AccessLevel,
    ) -> Option<(ShareId, Arc<Made>)> {
        let key = self.presented(view, level).ok().flatten()?;
        let made = self.made_key_of(&key, &self.sender(view))?;
        Some((ShareId(KeyHash::of(&key).number()), made))
    }

    /// The key for visitors in the query of an address.
    pub(crate) fn key_of_visitors(&self, uri: &Uri) -> Option<Arc<Made>> {
        let key = keys::in_query(uri).next()?;
        self.made.for_visitors(SecretHash(KeyHash::of(&key).bytes()))
    }

    /// Ends what was opened with keys that let in no more.
    pub(crate) fn end_sessions_of(&self, keys: &[KeyHash]) {
        keys.iter().for_each(|key| self.sessions.end_all_of(Principal::of_key_hash(*key)));
    }

    /// Who an admitted client is: the principal of its key, of its session, the operator on this
    /// machine, or a stranger.
    pub(crate) fn identify(
        &self,
        view: &RequestView<'_>,
        level: AccessLevel,
        page: &PageOrigin,
    ) -> Identity {
        if let Some(principal) = self.of_key(view, level) {
            return Identity::known(principal);
        }
        let network = network_of(self.rate_key(view).address());
        if *page != PageOrigin::Own {
            return Identity::foreign_page(page, network);
        }
        if let Some(principal) = self.signed_in(view, level) {
            return Identity::known(principal);
        }
        if self.is_local(view, page) {
            return Identity::known(Principal::OPERATOR);
        }
        Identity::stranger(view.headers, network, &self.cookie(view))
    }

    /// Whether a request surely comes from this machine. Only such requests are told where the
    /// files of the server are.
    pub(crate) fn is_local(&self, view: &RequestView<'_>, page: &PageOrigin) -> bool {
        let is_here = |host| is_on_this_machine(view, host);
        *page == PageOrigin::Own && self.host(view).is_ok_and(is_here)
    }

    /// Whether a request came through a proxy although no `--public-url` names the address that the
    /// proxy serves: a header says so, or the browser says that the page is ours and the `Origin`
    /// says that it is not.
    pub(crate) fn came_through_an_unnamed_proxy(&self, view: &RequestView<'_>) -> bool {
        let is_foreign =
            |host| self.origin(view, host, AccessLevel::Public) == Err(Denial::ForeignOrigin);
        let takes_it_for_ours = || view.fetch_site() == Some("same-origin");
        let is_local = || self.host(view).is_ok_and(|host| host == NamedHost::Local);
        self.public_urls.is_empty()
            && is_local()
            && (view.came_through_a_proxy() || takes_it_for_ours() && is_foreign(NamedHost::Local))
    }

    fn host(&self, view: &RequestView<'_>) -> Result<NamedHost, Denial> {
        let host = authority(view)?;
        let found = NamedHost::find(&host, view.local, self.scheme, &self.ports, &self.public_urls);
        match found {
            NamedHost::Unknown => Err(Denial::UnknownHost),
            host => Ok(host),
        }
    }

    fn origin(
        &self,
        view: &RequestView<'_>,
        host: NamedHost,
        level: AccessLevel,
    ) -> Result<PageOrigin, Denial> {
        let mut origins = view.headers.get_all(header::ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => return Ok(PageOrigin::Own),
            (Some(origin), None) => origin.to_str().map_err(|_| Denial::ForeignOrigin)?,
            (Some(_), Some(_)) => return Err(Denial::ForeignOrigin),
        };
        if origin == "null" {
            let admitted = self.allow_file_pages && level == AccessLevel::Socket;
            return if admitted { Ok(PageOrigin::File) } else { Err(Denial::FilePage) };
        }
        if self.is_own_page(view, host, origin)? {
            return Ok(PageOrigin::Own);
        }
        match self.allows_by_option(origin) || self.made.names_origin(origin) {
            true => Ok(PageOrigin::Allowed(origin.to_owned())),
            false => Err(Denial::ForeignOrigin),
        }
    }

    /// Whether an origin is that of our own pages.
    fn is_own_page(
        &self,
        view: &RequestView<'_>,
        host: NamedHost,
        origin: &str,
    ) -> Result<bool, Denial> {
        let is_of_machine = matches!(host, NamedHost::Local | NamedHost::OwnAddress);
        Ok(self.public_urls.iter().any(|url| url.origin().is(origin))
            || is_of_machine && is_same_page(self.scheme, &authority(view)?, origin))
    }

    fn allows_by_option(&self, origin: &str) -> bool {
        self.allow_origins.iter().any(|allowed| allowed.is(origin))
    }

    /// Whether a page is admitted only because a key names its origin: then it needs such a key,
    /// also in a browser on this machine.
    fn needs_key(&self, page: &PageOrigin) -> bool {
        matches!(page, PageOrigin::Allowed(origin) if !self.allows_by_option(origin))
    }

    /// Whether there are no keys at all.
    fn has_no_keys(&self) -> bool {
        self.keys.is_empty() && self.admin_keys.is_empty() && self.made.is_empty()
    }

    /// The key that a request has. Without configured keys several keys are no error, because
    /// client libraries always send one.
    fn presented(
        &self,
        view: &RequestView<'_>,
        level: AccessLevel,
    ) -> Result<Option<String>, Denial> {
        match keys::presented(view, level) {
            Presented::Nothing => Ok(None),
            Presented::Key(key) => Ok(Some(key)),
            Presented::Several if self.has_no_keys() => Ok(None),
            Presented::Several => Err(Denial::SeveralKeys),
        }
    }

    fn check_credentials(
        &self,
        view: &RequestView<'_>,
        level: AccessLevel,
        presented: Option<String>,
    ) -> Result<(), Denial> {
        let of_session = self.session(view).map(|session| session.grant.scope);
        if of_session >= Some(level.needed()) {
            return Ok(());
        }
        let scope = match (presented, of_session) {
            (Some(key), _) => self.try_key(self.rate_key(view), &key, &self.sender(view))?,
            (None, Some(scope)) => scope,
            // With `--insecure` there may be no key that could be given.
            (None, None) if self.insecure => return Err(Denial::AdminOnly),
            (None, None) => return Err(Denial::KeyNeeded),
        };
        match scope {
            _ if scope >= level.needed() => Ok(()),
            Scope::Visit => Err(Denial::VisitorsKey),
            Scope::Talk | Scope::Administer => Err(Denial::AdminOnly),
        }
    }

    /// The client whose tries are counted when this request has a wrong key.
    pub(crate) fn rate_key(&self, view: &RequestView<'_>) -> RateKey {
        RateKey::of(view.peer, view.headers, &self.proxies)
    }

    /// Exchanges a one-time code or a key for a session, and returns the token for the cookie.
    pub(crate) fn open_session(
        &self,
        rate_key: RateKey,
        credential: Credential<'_>,
    ) -> Result<String, Denial> {
        let grant = match credential {
            Credential::Key(key) => {
                // A visitor has nothing that a session could be for.
                let scope = self.try_key(rate_key, key, &Sender::Program)?;
                if scope == Scope::Visit {
                    return Err(Denial::VisitorsKey);
                }
                Grant { scope, principal: Principal::of_key(key) }
            }
            Credential::Code(code) => {
                if self.tries.is_exhausted(rate_key) {
                    return Err(Denial::TooManyTries);
                }
                self.sessions.redeem(code).ok_or_else(|| {
                    self.tries.count_wrong(rate_key);
                    Denial::KeyNeeded
                })?
            }
        };
        let token = self.sessions.open(grant);
        // Asked after it is open: if the key is revoked meanwhile, either this sees it, or the
        // session is among those that are ended then.
        if !self.still_lets_in(grant.principal) {
            self.sessions.end(&token);
            return Err(Denial::KeyNeeded);
        }
        Ok(token)
    }

    /// Whether the key of a principal lets in, if it has one.
    fn still_lets_in(&self, principal: Principal) -> bool {
        let Some(key) = principal.key() else { return true };
        let mut configured = self.keys.iter().chain(&self.admin_keys);
        configured.any(|known| principal.is_of_key(*known)) || self.made.find(key).is_some()
    }

    /// Ends the sessions that a request brings, and the sockets that were opened with them. Returns
    /// the hashes of their tokens.
    pub(crate) fn close_sessions(&self, view: &RequestView<'_>) -> Vec<SecretHash> {
        let cookie = self.cookie(view);
        let end = |token: &str| {
            self.sessions.end(token);
            SecretHash(Sessions::hash(token))
        };
        cookie.tokens(view.headers).map(end).collect()
    }

    /// Cancelled when the key of this request lets in no more, or when its session ends before its
    /// time; `None` without either.
    pub(crate) fn revocation(
        &self,
        view: &RequestView<'_>,
        level: AccessLevel,
    ) -> Option<CancellationToken> {
        let of_key = self.made_key(view, level).map(|(_, made)| made.revoked.clone());
        of_key.or_else(|| self.end_of_session(view))
    }

    /// Cancelled when the session of this request ends before its time; `None` without a session.
    fn end_of_session(&self, view: &RequestView<'_>) -> Option<CancellationToken> {
        self.sessions.end_of(&self.session(view)?.token)
    }

    /// The cookie in which the browser that sends this request keeps a session.
    pub(crate) fn cookie(&self, view: &RequestView<'_>) -> SessionCookie {
        let port = authority(view).ok().and_then(|host| host.port);
        let Ok(NamedHost::Public(index)) = self.host(view) else {
            return SessionCookie::new(self.scheme == Scheme::Https, port, "");
        };
        let url = &self.public_urls[index];
        // Several base paths of one host share one cookie, because each of them leads here.
        let mut of_host = self.public_urls.iter().filter(|other| other.origin() == url.origin());
        let is_only_path = of_host.all(|other| other.base_path() == url.base_path());
        let base_path = if is_only_path { url.base_path() } else { "" };
        SessionCookie::new(url.origin().is_https(), port, base_path)
    }

    /// The session of a request. Of several sessions it is the one with the highest scope.
    fn session(&self, view: &RequestView<'_>) -> Option<Session> {
        let cookie = self.cookie(view);
        let session = |token: &str| {
            Some(Session { token: token.to_owned(), grant: self.sessions.grant_of(token)? })
        };
        let sessions = cookie.tokens(view.headers).filter_map(session);
        sessions.max_by_key(|session| session.grant.scope)
    }

    /// The base paths at which the server answers beside the root, as `/chat`.
    pub(crate) fn base_paths(&self) -> impl Iterator<Item = &str> {
        self.public_urls.iter().map(PublicUrl::base_path).filter(|path| !path.is_empty())
    }
}

/// What a browser exchanges for a session.
pub(crate) enum Credential<'a> {
    /// A one-time code.
    Code(&'a str),
    /// The key.
    Key(&'a str),
}

/// A session that a request brings in its cookie.
struct Session {
    token: String,
    grant: Grant,
}

/// The host that a request names in its `Host` header. A target with a host must name the same.
fn authority(view: &RequestView<'_>) -> Result<Authority, Denial> {
    let mut hosts = view.headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Denial::BadHost);
    };
    let host = host.to_str().ok().and_then(Authority::parse).ok_or(Denial::BadHost)?;
    match view.uri.authority() {
        Some(target) if Authority::parse(target.as_str()).as_ref() != Some(&host) => {
            Err(Denial::BadHost)
        }
        _ => Ok(host),
    }
}

/// Whether only this machine can have sent a request.
fn is_on_this_machine(view: &RequestView<'_>, host: NamedHost) -> bool {
    host == NamedHost::Local && view.peer.is_loopback() && !view.came_through_a_proxy()
}
