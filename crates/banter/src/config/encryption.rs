//! The options of https.

use std::path::PathBuf;

use super::values::{path, switch};
use crate::options::{Given, OptionError, Options};

/// Where the certificate of https comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsChoice {
    /// There is none: connections are not encrypted.
    Off,
    /// From files in PEM form, which may be the same.
    Files {
        /// The certificate, followed by those of its issuers.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// It is made here.
    SelfSigned,
}

/// Reads the options of https.
///
/// Errors: they do not go together.
pub(super) fn tls(options: &Options) -> Result<TlsChoice, OptionError> {
    let place = |name| options.get(name).map(Given::place).unwrap_or_default();
    let (certificate, key) = (path(options, "tls-cert")?, path(options, "tls-key")?);
    let is_made = switch(options, "tls-self-signed")?;
    let is_lan = switch(options, "lan")?;
    match (certificate, key) {
        (Some(_), _) | (_, Some(_)) if is_made => {
            let place = place("tls-self-signed");
            Err(OptionError(format!(
                "{place}: expected neither --tls-cert nor --tls-key together with it, found one; leave one of the two out"
            )))
        }
        (None, Some(_)) => {
            let place = place("tls-key");
            Err(OptionError(format!("{place}: expected --tls-cert together with it, found none")))
        }
        (Some(certificate), key) => {
            let key = key.unwrap_or_else(|| certificate.clone());
            Ok(TlsChoice::Files { certificate, key })
        }
        (None, None) if is_made || is_lan => Ok(TlsChoice::SelfSigned),
        (None, None) => Ok(TlsChoice::Off),
    }
}
