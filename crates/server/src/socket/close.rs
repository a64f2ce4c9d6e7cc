//! Why a socket is closed, and the close code that says so.

use super::messages::Violation;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Why a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// The other side closed it. Only the answer to its close frame is sent.
    ByPeer,
    /// The connection is dead, so no close frame can be sent.
    Gone,
    /// 1001: the server, or the session of the socket, ends.
    GoingAway,
    /// 1002: the frames break the WebSocket standard.
    Protocol,
    /// 1003: a binary message, which no language has yet.
    Unsupported,
    /// 1007: text that is not UTF-8.
    InvalidText,
    /// 1008: the client has passed a limit.
    Policy(&'static str),
    /// 1009: a message is longer than the limit.
    TooBig,
    /// 1013: the server is full.
    TryAgainLater,
    /// 1013: the client has read so slowly that it has missed something, and has to load again what
    /// it shows.
    TooFarBehind,
}

impl Close {
    /// The reason that an error of a read gives.
    pub(super) fn after(error: &Error) -> Close {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Close::TooBig,
            Error::Utf8(_) => Close::InvalidText,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Close::Gone,
            Error::Protocol(_) => Close::Protocol,
            Error::Io(error) => {
                match error.get_ref().and_then(|inner| inner.downcast_ref::<Violation>()) {
                    Some(Violation::NotUtf8) => Close::InvalidText,
                    Some(Violation::TooLong) => Close::TooBig,
                    Some(Violation::NoMemory) => Close::TryAgainLater,
                    Some(Violation::Fragments) => Close::Policy("too many fragments"),
                    Some(Violation::ControlFrames) => Close::Policy("too many control frames"),
                    None => Close::Gone,
                }
            }
            _ => Close::Gone,
        }
    }

    /// The close frame, if one can be sent.
    pub(super) fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = self.words()?;
        Some(CloseFrame { code: code.into(), reason: reason.into() })
    }

    /// The close code and the reason, if the other side can be told.
    pub(crate) fn words(self) -> Option<(u16, &'static str)> {
        let (code, reason) = match self {
            Close::ByPeer | Close::Gone => return None,
            Close::GoingAway => (CloseCode::Away, "the server ends"),
            Close::Protocol => (CloseCode::Protocol, "protocol error"),
            Close::Unsupported => (CloseCode::Unsupported, "binary frames are not understood"),
            Close::InvalidText => (CloseCode::Invalid, "text is not UTF-8"),
            Close::Policy(reason) => (CloseCode::Policy, reason),
            Close::TooBig => (CloseCode::Size, "the message is too long"),
            Close::TryAgainLater => (CloseCode::Again, "the server is full"),
            Close::TooFarBehind => (CloseCode::Again, "too far behind; connect again"),
        };
        Some((code.into(), reason))
    }
}
