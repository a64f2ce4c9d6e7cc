//! Why a socket is closed, and the close code that says so.

use super::messages::Violation;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Why a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// The other side closed it; the answer to its close is all that is left to send.
    ByPeer,
    /// The connection is dead: there is nobody to tell.
    Gone,
    /// 1001: the server ends.
    GoingAway,
    /// 1002: not a WebSocket.
    Protocol,
    /// 1003: a binary frame; those are reserved.
    Unsupported,
    /// 1007: text that is not UTF-8.
    InvalidText,
    /// 1008: a limit on what one client may do.
    Policy(&'static str),
    /// 1009: a message longer than the limit.
    TooBig,
    /// 1013: the server is full.
    TryAgainLater,
}

impl Close {
    /// What to answer to an error while reading.
    pub(super) fn after(error: &Error) -> Close {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Close::TooBig,
            Error::Utf8(_) => Close::InvalidText,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Close::Gone,
            Error::Protocol(_) => Close::Protocol,
            Error::Io(error) => {
                match error.get_ref().and_then(|inner| inner.downcast_ref::<Violation>()) {
                    Some(Violation::NoMemory) => Close::TryAgainLater,
                    Some(Violation::Fragments) => Close::Policy("too many fragments"),
                    Some(Violation::ControlFrames) => Close::Policy("too many control frames"),
                    None => Close::Gone,
                }
            }
            _ => Close::Gone,
        }
    }

    /// The frame to send, if there is anybody to send it to.
    pub(super) fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Close::ByPeer | Close::Gone => return None,
            Close::GoingAway => (CloseCode::Away, "the server ends"),
            Close::Protocol => (CloseCode::Protocol, "protocol error"),
            Close::Unsupported => (CloseCode::Unsupported, "binary frames are not understood"),
            Close::InvalidText => (CloseCode::Invalid, "text is not UTF-8"),
            Close::Policy(reason) => (CloseCode::Policy, reason),
            Close::TooBig => (CloseCode::Size, "the message is too long"),
            Close::TryAgainLater => (CloseCode::Again, "the server is full"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }
}
