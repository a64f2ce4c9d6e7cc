//! The rights that people have, and those that routes ask for.

/// The rights of a person or a program. The higher scope includes the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Have conversations as a visitor of another site's page, over the WebSocket alone.
    Visit,
    /// Have conversations, and use the interfaces for programs.
    Talk,
    /// Change the server for everybody.
    Administer,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessLevel {
    /// Everybody, by any host: health checks know an address of the server, not its name.
    Probe,
    /// Everybody, by a known host: the files of the page, signing in and out.
    Public,
    /// This machine, and clients with a key: everything that tells or does something.
    User,
    /// As [`AccessLevel::User`], for the WebSocket. The key may also stand in the query, and pages
    /// opened from disk may be admitted.
    Socket,
    /// This machine, and clients with an admin key, from our own page or a program: what changes
    /// the server for everybody.
    Admin,
}

impl AccessLevel {
    pub(super) fn needed(self) -> Scope {
        match self {
            AccessLevel::Admin => Scope::Administer,
            AccessLevel::Socket => Scope::Visit,
            AccessLevel::Probe | AccessLevel::Public | AccessLevel::User => Scope::Talk,
        }
    }

    pub(super) fn is_for_everybody(self) -> bool {
        matches!(self, AccessLevel::Probe | AccessLevel::Public)
    }
}
