//! A certificate that nobody has signed but this program itself. It names every address of this
//! machine, and is kept, because browsers ask people about each new one.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

/// How long a certificate is good for. Browsers refuse those that are good for much longer.
const DAYS: i32 = 365;
/// One that ends sooner than this is made anew.
const LAST_DAYS: u64 = 30;
const SECONDS_A_DAY: u64 = 86_400;

pub const CERTIFICATE_FILE: &str = "certificate.pem";
const KEY_FILE: &str = "key.pem";

/// The names and addresses under which people reach this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(BTreeSet<String>);

/// A certificate with its key, in PEM form.
#[derive(Clone)]
pub struct Made {
    pub certificate: String,
    pub key: String,
    /// Its SHA-256, as browsers show it.
    pub fingerprint: String,
}

impl Names {
    /// This machine's own names and addresses, and further ones.
    pub fn of_this_machine(others: impl IntoIterator<Item = String>) -> Names {
        let mut names = BTreeSet::from(["localhost".to_owned()]);
        if let Ok(host) = rustix::system::uname().nodename().to_str() {
            // The second one is how machines of a home network find one another.
            names.extend([host.to_owned(), format!("{host}.local")]);
        }
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        names.extend(interfaces.iter().map(|interface| interface.ip().to_string()));
        names.extend(others);
        names.retain(|name| is_name(name));
        Names(names)
    }
}

/// Whether a certificate can name it.
fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    name.parse::<IpAddr>().is_ok() || !name.is_empty() && name.bytes().all(legal)
}

/// The certificate that is kept in a folder, if it names all of these and does not end soon; else a
/// new one, which is kept there. Without a folder it is made for this start.
///
/// Errors: it cannot be made or written.
pub fn find_or_make(names: &Names, folder: Option<&Path>, now: SystemTime) -> anyhow::Result<Made> {
    let kept = folder.and_then(kept_in);
    if let Some((made, contents)) = &kept
        && contents.names.0.is_superset(&names.0)
        && contents.ends > seconds_since_1970(now) + LAST_DAYS * SECONDS_A_DAY
    {
        return Ok(made.clone());
    }
    // Addresses of other networks stay: people come back to them.
    let before = kept.map(|(_, contents)| contents.names.0).unwrap_or_default();
    let all: Vec<String> = names.0.union(&before).cloned().collect();
    let made = make(all, now).context("make a certificate")?;
    if let Some(folder) = folder {
        keep(&made, folder).with_context(|| {
            format!("keep the certificate in {}; --data names another folder", folder.display())
        })?;
    }
    Ok(made)
}

/// What a certificate says.
struct Contents {
    names: Names,
    /// In seconds since 1970.
    ends: u64,
}

/// The certificate in a folder; `None` if there is none that can be used.
fn kept_in(folder: &Path) -> Option<(Made, Contents)> {
    let certificate = fs::read_to_string(folder.join(CERTIFICATE_FILE)).ok()?;
    let key = fs::read_to_string(folder.join(KEY_FILE)).ok()?;
    KeyPair::from_pem(&key).ok()?;
    let (_, pem) = parse_x509_pem(certificate.as_bytes()).ok()?;
    let parsed = pem.parse_x509().ok()?;
    let alternatives = parsed.subject_alternative_name().ok()??;
    let names = alternatives.value.general_names.iter().filter_map(name_of).collect();
    let ends = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    let fingerprint = fingerprint(&pem.contents);
    Some((Made { certificate, key, fingerprint }, Contents { names: Names(names), ends }))
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?).to_string()),
            _ => Some(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
        },
        _ => None,
    }
}

fn make(names: Vec<String>, now: SystemTime) -> anyhow::Result<Made> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "banter");
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    let today = TimeZone::UTC.to_datetime(Timestamp::try_from(now)?).date();
    let day = |days: i32| -> anyhow::Result<_> {
        let date = today.checked_add(days.days())?;
        Ok(rcgen::date_time_ymd(
            date.year().into(),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        ))
    };
    // Clocks of other machines may be a little behind.
    params.not_before = day(-1)?;
    params.not_after = day(DAYS)?;
    let certificate = params.self_signed(&key)?;
    Ok(Made {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        fingerprint: fingerprint(certificate.der()),
    })
}

fn keep(made: &Made, folder: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The key first: a certificate without its own key is not used.
    write_privately(&folder.join(KEY_FILE), &made.key)?;
    write_privately(&folder.join(CERTIFICATE_FILE), &made.certificate)
}

/// Writes a file that only its owner can read, in place of one that is there.
fn write_privately(path: &Path, text: &str) -> anyhow::Result<()> {
    let fresh = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path).map_err(|error| anyhow!("{}: {error}", path.display()))
}

fn fingerprint(der: &[u8]) -> String {
    let pairs: Vec<String> = Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

fn seconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(SECONDS_A_DAY);

    fn names(names: &[&str]) -> Names {
        Names(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn it_names_this_machine() {
        let Names(names) = Names::of_this_machine(["chat.example".to_owned(), "a b".to_owned()]);
        for name in ["localhost", "127.0.0.1", "chat.example"] {
            assert!(names.contains(name), "{names:?}");
        }
        assert!(!names.contains("a b"), "{names:?}");
    }

    #[test]
    fn it_is_kept_until_it_ends_or_lacks_a_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("tls");
        let now = SystemTime::now();
        let find = |names: &Names, at: SystemTime| {
            find_or_make(names, Some(&folder), at).expect("it is made").fingerprint
        };
        let home = names(&["localhost", "192.0.2.7", "2001:db8::7"]);
        let first = find(&home, now);
        assert_eq!(first.len(), 32 * 3 - 1);
        assert_eq!(find(&home, now + 300 * DAY), first);
        assert_eq!(find(&names(&["localhost"]), now), first);
        let mode = |file: &str| {
            fs::metadata(folder.join(file)).expect("it is there").permissions().mode() & 0o777
        };
        assert_eq!([mode(""), mode(KEY_FILE), mode(CERTIFICATE_FILE)], [0o700, 0o600, 0o600]);

        let second = find(&names(&["localhost", "198.51.100.7"]), now);
        assert_ne!(second, first);
        // What the first one named is still named.
        assert_eq!(find(&home, now), second);
        assert_ne!(find(&home, now + 336 * DAY), second);
    }

    #[test]
    fn what_cannot_be_used_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let home = names(&["localhost"]);
        let find = || find_or_make(&home, Some(folder), SystemTime::now()).expect("it is made");
        for file in [KEY_FILE, CERTIFICATE_FILE] {
            let before = find();
            let path = folder.join(file);
            let text = fs::read_to_string(&path).expect("it is there");
            fs::write(&path, &text[..text.len() / 2]).expect("it can be written");
            let after = find();
            assert_ne!(after.fingerprint, before.fingerprint, "{file}");
            assert_eq!(find().fingerprint, after.fingerprint, "{file}");
        }
    }

    #[test]
    fn without_a_folder_it_is_made_for_one_start() {
        let home = names(&["localhost"]);
        let make = || find_or_make(&home, None, SystemTime::now()).expect("it is made").fingerprint;
        assert_ne!(make(), make());
    }
}
