//! Links that sign in one more device.

use super::authority::Authority;
use super::host::NamedHost;
use super::level::{AccessLevel, Scope};
use super::request::{PageOrigin, RequestView};
use super::sessions::Grant;
use super::{Access, authority};

impl Access {
    /// Makes a code with which one more device is signed in like the client that sends this request
    /// from a page of ours.
    pub(crate) fn make_code(&self, view: &RequestView<'_>) -> String {
        let principal = self.identify(view, AccessLevel::User, &PageOrigin::Own).principal;
        let scope = match self.admit(view, AccessLevel::Admin) {
            Ok(_) => Scope::Administer,
            Err(_) => Scope::Talk,
        };
        self.sessions.make_code_for(Grant { scope, principal })
    }

    /// The address at which other devices find the page that sends this request, with a slash at
    /// its end; `None` if the page knows only a name of this machine.
    pub(crate) fn address_elsewhere(&self, view: &RequestView<'_>) -> Option<String> {
        match self.host(view).ok()? {
            NamedHost::Public(index) => Some(self.public_urls[index].to_string()),
            NamedHost::OwnAddress => {
                let Authority { host, port } = authority(view).ok()?;
                let port = port.map_or_else(String::new, |port| format!(":{port}"));
                Some(format!("{}{host}{port}/", self.scheme.prefix()))
            }
            NamedHost::Local | NamedHost::Unknown => None,
        }
    }
}
