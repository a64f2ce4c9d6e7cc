//! Who may come in.
//!
//! Three questions, in this order, for every request: is the host one of ours (otherwise a website
//! could point its own name at this machine), is the page it comes from one of ours, and does the
//! request need a key and have one. `Access::admit` answers them all.

mod host;
mod keys;
mod origin;
mod owner;
mod sessions;
#[cfg(test)]
mod tests;
mod tries;

pub use host::PublicUrl;
pub use keys::{KeyHash, make_key};
pub use origin::Origin;
pub use owner::Owner;
pub(crate) use sessions::COOKIE;
use sessions::Pass;
pub use sessions::{Right, Sessions};
pub(crate) use tries::Caller;

use crate::config::ServerConfig;
use axum::http::{HeaderMap, Uri, header};
use host::{Authority, NamedHost};
use std::net::IpAddr;
use std::sync::Arc;
use tries::Tries;

/// The access rules of a server, with the ports it listens on.
pub(crate) struct Access {
    ports: Vec<u16>,
    public_urls: Vec<PublicUrl>,
    allow_origins: Vec<Origin>,
    keys: Vec<KeyHash>,
    admin_keys: Vec<KeyHash>,
    allow_file_pages: bool,
    insecure: bool,
    sessions: Arc<Sessions>,
    tries: Tries,
}

/// What a route asks of those who use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The page and what it is made of, liveness, and the exchange of a code for a cookie.
    Open,
    /// Everything that tells or does something.
    Keyed,
    /// The socket: keyed, takes the key from the query too, and is where pages opened from disk
    /// may be admitted.
    Socket,
    /// What changes the server for everybody: open to this machine and to those with an admin key,
    /// from our own page or a program.
    Admin,
}

impl Door {
    fn needed(self) -> Right {
        if self == Door::Admin { Right::Administer } else { Right::Talk }
    }
}

/// A request as far as the rules look at it.
pub(crate) struct Visit<'a> {
    pub(crate) peer: IpAddr,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// Someone who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Guest {
    /// A page of ours, or a program.
    Ordinary,
    /// A page of an origin named by `--allow-origin`; its browser must be told so.
    AllowedOrigin(String),
    /// A page opened from disk.
    FilePage,
}

/// Why someone may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: no host, two, or one that cannot be read.
    BadHost,
    /// 421: a host that is not ours.
    UnknownHost,
    /// 403: a page that is not ours.
    ForeignOrigin,
    /// 403: a page opened from disk, which has not been allowed.
    FilePage,
    /// 401: a key is needed.
    KeyNeeded,
    /// 403: this is for administrators, or not for pages of other origins.
    AdminOnly,
    /// 429: too many wrong keys from this address.
    TooManyTries,
}

impl Access {
    pub(crate) fn new(config: &ServerConfig, ports: Vec<u16>, sessions: Arc<Sessions>) -> Access {
        Access {
            ports,
            public_urls: config.public_urls.clone(),
            allow_origins: config.allow_origins.clone(),
            keys: config.keys.clone(),
            admin_keys: config.admin_keys.clone(),
            allow_file_pages: config.allow_file_pages,
            insecure: config.insecure,
            sessions,
            tries: Tries::new(config.max_wrong_keys_per_minute),
        }
    }

    /// Decides one request.
    pub(crate) fn admit(&self, visit: &Visit<'_>, door: Door) -> Result<Guest, Refusal> {
        let host = self.host(visit)?;
        let guest = self.origin(visit, &host, door)?;
        let is_here = host.is_local() && visit.peer.is_loopback() && !came_through_a_proxy(visit);
        if door == Door::Admin && guest != Guest::Ordinary {
            return Err(Refusal::AdminOnly);
        }
        if door == Door::Open || is_here || (self.insecure && door != Door::Admin) {
            return Ok(guest);
        }
        self.check_credentials(visit, door)?;
        Ok(guest)
    }

    /// Whose conversations those of an admitted visitor are: of the key they show, or of the session
    /// they have.
    pub(crate) fn owner(&self, visit: &Visit<'_>, door: Door) -> Owner {
        let is_ours = |key: &&String| {
            keys::is_one_of(&self.keys, key) || keys::is_one_of(&self.admin_keys, key)
        };
        if let Some(key) = keys::presented(visit, door).iter().find(is_ours) {
            return Owner::of_key(key);
        }
        let cookies = keys::session_cookie(visit.headers);
        let passes = cookies.filter_map(|token| self.sessions.pass_of(token));
        passes.max_by_key(|pass| pass.right).map_or(Owner::KEYLESS, |pass| pass.owner)
    }

    fn host(&self, visit: &Visit<'_>) -> Result<NamedHost, Refusal> {
        let mut hosts = visit.headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::BadHost);
        };
        let host = host.to_str().ok().and_then(Authority::parse).ok_or(Refusal::BadHost)?;
        if let Some(target) = visit.uri.authority()
            && Authority::parse(target.as_str()).as_ref() != Some(&host)
        {
            return Err(Refusal::BadHost);
        }
        NamedHost::find(&host, &self.ports, &self.public_urls).ok_or(Refusal::UnknownHost)
    }

    fn origin(&self, visit: &Visit<'_>, host: &NamedHost, door: Door) -> Result<Guest, Refusal> {
        let mut origins = visit.headers.get_all(header::ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => return Ok(Guest::Ordinary),
            (Some(origin), None) => origin.to_str().map_err(|_| Refusal::ForeignOrigin)?,
            (Some(_), Some(_)) => return Err(Refusal::ForeignOrigin),
        };
        if origin == "null" {
            let admitted = self.allow_file_pages && door == Door::Socket;
            return if admitted { Ok(Guest::FilePage) } else { Err(Refusal::FilePage) };
        }
        let is_own = self.public_urls.iter().any(|url| url.origin().is(origin))
            || (host.is_local() && self.local_origins().any(|own| own == origin));
        if is_own {
            return Ok(Guest::Ordinary);
        }
        match self.allow_origins.iter().find(|allowed| allowed.is(origin)) {
            Some(_) => Ok(Guest::AllowedOrigin(origin.to_owned())),
            None => Err(Refusal::ForeignOrigin),
        }
    }

    fn local_origins(&self) -> impl Iterator<Item = String> + '_ {
        let names = ["localhost", "127.0.0.1", "[::1]"];
        self.ports.iter().flat_map(move |port| {
            names.map(|name| match port {
                80 => format!("http://{name}"),
                _ => format!("http://{name}:{port}"),
            })
        })
    }

    fn check_credentials(&self, visit: &Visit<'_>, door: Door) -> Result<(), Refusal> {
        let cookies = keys::session_cookie(visit.headers);
        let passes = cookies.filter_map(|token| self.sessions.pass_of(token));
        let of_session = passes.map(|pass| pass.right).max();
        if of_session >= Some(door.needed()) {
            return Ok(());
        }
        let presented = keys::presented(visit, door);
        let right = match (presented.is_empty(), of_session) {
            (true, Some(right)) => right,
            // Where no key is asked for there is none to be given.
            (true, None) if self.insecure => return Err(Refusal::AdminOnly),
            (true, None) => return Err(Refusal::KeyNeeded),
            (false, _) => self.try_keys(Caller::of(visit.peer, visit.headers), &presented)?,
        };
        if right >= door.needed() { Ok(()) } else { Err(Refusal::AdminOnly) }
    }

    /// Exchanges a one-time code or a key for a session; the token goes into the cookie.
    pub(crate) fn open_session(
        &self,
        caller: Caller,
        secret: Secret<'_>,
    ) -> Result<String, Refusal> {
        let pass = match secret {
            Secret::Key(key) => {
                Pass { right: self.try_keys(caller, &[key.to_owned()])?, owner: Owner::of_key(key) }
            }
            Secret::Code(code) => {
                if self.tries.is_exhausted(caller) {
                    return Err(Refusal::TooManyTries);
                }
                self.sessions.redeem(code).ok_or_else(|| {
                    self.tries.count_wrong(caller);
                    Refusal::KeyNeeded
                })?
            }
        };
        Ok(self.sessions.open(pass))
    }

    /// The highest right that one of these keys gives.
    fn try_keys(&self, caller: Caller, presented: &[String]) -> Result<Right, Refusal> {
        if self.tries.is_exhausted(caller) {
            return Err(Refusal::TooManyTries);
        }
        let is_one_of = |keys: &[KeyHash]| presented.iter().any(|key| keys::is_one_of(keys, key));
        if is_one_of(&self.admin_keys) {
            return Ok(Right::Administer);
        }
        if is_one_of(&self.keys) {
            return Ok(Right::Talk);
        }
        self.tries.count_wrong(caller);
        Err(Refusal::KeyNeeded)
    }

    /// Base paths under which the server answers besides the root: `/chat`, without the last slash.
    pub(crate) fn base_paths(&self) -> impl Iterator<Item = &str> {
        self.public_urls.iter().map(PublicUrl::base_path).filter(|path| !path.is_empty())
    }

    /// Whether a cookie for this request can be kept to encrypted connections.
    pub(crate) fn is_https(&self, visit: &Visit<'_>) -> bool {
        self.host(visit).is_ok_and(|host| host.is_https())
    }
}

/// What is exchanged for a session.
pub(crate) enum Secret<'a> {
    /// A one-time code.
    Code(&'a str),
    /// The key.
    Key(&'a str),
}

/// A proxy or tunnel on this machine connects from loopback too, but it says whom it serves.
fn came_through_a_proxy(visit: &Visit<'_>) -> bool {
    visit.headers.keys().any(|name| {
        let name = name.as_str();
        name == "forwarded"
            || name == "via"
            || name == "x-real-ip"
            || name.starts_with("x-forwarded-")
    })
}
