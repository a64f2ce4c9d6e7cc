//! https: the certificate that the options name, or one that is made here.
//!
//! - `self_signed`: a certificate that this program makes, and where it is kept.
//!
//! Files that the options name are looked at every few seconds, so a renewed certificate is used
//! without a restart.

mod self_signed;

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use banter_server::Tls;
use tracing::{info, warn};

use crate::config::TlsChoice;
use crate::text_file;
pub use self_signed::Names;

/// Where a certificate that is made here is kept, in the folder of the server's data.
const FOLDER: &str = "tls";
/// How often the files of a certificate are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The longest file of a certificate or a key. Real ones have some thousand bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// The certificate that is made here, in the folder of the server's data.
pub fn kept_certificate(data: &Path) -> PathBuf {
    data.join(FOLDER).join(self_signed::CERTIFICATE_FILE)
}

/// A certificate that is in use.
pub struct Encryption {
    /// What encrypts.
    pub tls: Tls,
    /// The SHA-256 of a certificate that this program has made, for people to compare.
    fingerprint: Option<String>,
    /// The files that may change.
    files: Option<Files>,
}

/// The files of a certificate and its key.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// The stamps of both files from before they were last read.
    known: [Stamp; 2],
}

/// What tells that a file has changed: its place on the disk, its length and its time. Two files
/// that were made together may have the same length and time.
type Stamp = Option<(u64, u64, u64, SystemTime)>;

impl Encryption {
    /// Reads the certificate that was chosen, or makes one for these names, which is kept in the
    /// folder `data` if there is one.
    ///
    /// Errors: the files cannot be read or do not go together, or the made one cannot be kept.
    pub fn of(
        choice: &TlsChoice,
        names: impl FnOnce() -> Names,
        data: Option<&Path>,
    ) -> anyhow::Result<Option<Encryption>> {
        match choice {
            TlsChoice::Off => Ok(None),
            TlsChoice::Files { certificate, key } => {
                let mut files =
                    Files { certificate: certificate.clone(), key: key.clone(), known: [None; 2] };
                let (certificate, key) = files.read()?;
                if text_file::is_readable_by_everybody(&files.key) {
                    let path = files.key.display();
                    warn!(
                        "{path}: everybody on this machine can read this private key; \
                         `chmod 600 {path}` keeps it to yourself"
                    );
                }
                let tls = Tls::new(&certificate, &key).map_err(|error| anyhow!("{files}: {error}"));
                Ok(Some(Encryption { tls: tls?, fingerprint: None, files: Some(files) }))
            }
            TlsChoice::SelfSigned => {
                let folder = data.map(|data| data.join(FOLDER));
                let now = SystemTime::now();
                let made = self_signed::find_or_make(&names(), folder.as_deref(), now)?;
                let tls = Tls::new(made.certificate.as_bytes(), made.key.as_bytes())
                    .context("use the certificate that was made")?;
                Ok(Some(Encryption { tls, fingerprint: Some(made.fingerprint), files: None }))
            }
        }
    }

    /// What the start says about a certificate that was made here.
    pub fn greeting(&self) -> Option<String> {
        let fingerprint = self.fingerprint.as_ref()?;
        Some(format!(
            "cert   SHA-256 {fingerprint}   (made here; browsers ask once whether to trust it)"
        ))
    }

    /// Takes over certificates that are renewed, for as long as the server runs.
    pub async fn watch(self) {
        let Encryption { tls, files: Some(mut files), .. } = self else { return };
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            if files.stamps() == files.known {
                continue;
            }
            let replaced =
                files.read().and_then(|(certificate, key)| Ok(tls.replace(&certificate, &key)?));
            match replaced {
                Ok(()) => info!("{files}: the renewed certificate is used from now on"),
                // While it is being written, this is followed by another change.
                Err(error) => warn!("{files}: {error:#}; the old certificate stays in use"),
            }
        }
    }
}

impl Files {
    fn read(&mut self) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
        // Before the files are read: a change after that is noticed at the next look.
        self.known = self.stamps();
        let read = |option: &str, what: &str, path: &Path| {
            let bytes = text_file::read_bytes(path, what, MAX_FILE_BYTES);
            bytes.map_err(|error| anyhow!("{option} {error}"))
        };
        let certificate = read("--tls-cert", "a certificate", &self.certificate)?;
        Ok((certificate, read("--tls-key", "a private key", &self.key)?))
    }

    fn stamps(&self) -> [Stamp; 2] {
        [stamp(fs::metadata(&self.certificate)), stamp(fs::metadata(&self.key))]
    }
}

impl std::fmt::Display for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Files { certificate, key, .. } = self;
        match certificate == key {
            true => write!(formatter, "--tls-cert {}", certificate.display()),
            false => write!(
                formatter,
                "--tls-cert {} and --tls-key {}",
                certificate.display(),
                key.display()
            ),
        }
    }
}

fn stamp(metadata: io::Result<Metadata>) -> Stamp {
    let metadata = metadata.ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.modified().ok()?))
}
