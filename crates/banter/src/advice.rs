//! Advice for errors that end the program. Most errors contain it; the others get one more line.

use std::io::{Error as IoError, ErrorKind};

use rustix::io::Errno;

/// The line that follows an error: what to do, if the error does not say it.
pub fn after(error: &anyhow::Error) -> Option<String> {
    let text = format!("{error:#}");
    (!says_what_to_do(&text)).then(|| {
        let cause = error.chain().find_map(|cause| cause.downcast_ref::<IoError>());
        cause.and_then(of_system).unwrap_or(USUAL).to_owned()
    })
}

const USUAL: &str = "`banter doctor` looks for the cause; if it finds none, please report this \
                     with the log (docs/SECURITY.md says where)";

/// Whether a text says what to do: what was expected, or something after a semicolon.
pub fn says_what_to_do(text: &str) -> bool {
    let after_semicolon = text.split_once("; ").is_some_and(|(_, advice)| !advice.is_empty());
    after_semicolon || text.contains("expected ")
}

/// The advice for an error of the system.
fn of_system(error: &IoError) -> Option<&'static str> {
    if let Some(Errno::MFILE | Errno::NFILE) = Errno::from_io_error(error) {
        return Some("too many files are open: raise the limit with `ulimit -n`");
    }
    Some(match error.kind() {
        ErrorKind::NotFound => "check the path: nothing is there",
        ErrorKind::PermissionDenied => {
            "let the user who runs banter read and write there; if a link leads to another folder, \
             name that folder, or start with --no-sandbox"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on that disk, and start again"
        }
        ErrorKind::ReadOnlyFilesystem => "name a folder on a disk that can be written",
        ErrorKind::AddrInUse => {
            "name another port with --port, or end the program that listens there"
        }
        ErrorKind::AddrNotAvailable => "name an address of this machine with --host",
        ErrorKind::OutOfMemory => "end other programs, or choose a smaller model or --kv-memory",
        // A thread that cannot be started.
        ErrorKind::WouldBlock => {
            "raise the limit of threads with `ulimit -u`, or end other programs"
        }
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::TimedOut => {
            "check the address, and whether a server runs there; `banter doctor --url` with that \
             address looks for the cause"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};
    use std::fs;
    use std::path::{Path, PathBuf};

    #[test]
    fn an_error_that_says_what_to_do_gets_no_second_advice() {
        assert_eq!(after(&anyhow!("--port: expected a number, found x")), None);
        assert_eq!(after(&anyhow!("it is not here yet; pull it")), None);
        let full = IoError::from_raw_os_error(libc::ENOSPC);
        let error = Err::<(), _>(full).context("copy to x").expect_err("it has failed");
        assert_eq!(after(&error).as_deref(), Some("make room on that disk, and start again"));
        assert_eq!(after(&anyhow!("the engine broke")).as_deref(), Some(USUAL));
        for ending in ["it broke;", "it broke; "] {
            assert!(after(&anyhow!(ending)).is_some(), "{ending:?} says nothing after it");
        }
    }

    #[test]
    fn errors_of_the_system_have_advice_of_their_own() {
        let codes = [
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOENT,
            libc::EACCES,
            libc::EPERM,
            libc::ENOSPC,
            libc::EDQUOT,
            libc::EROFS,
            libc::EADDRINUSE,
            libc::EADDRNOTAVAIL,
            libc::ENOMEM,
            libc::EAGAIN,
            libc::ECONNREFUSED,
            libc::ECONNRESET,
            libc::EHOSTUNREACH,
            libc::ENETUNREACH,
            libc::ETIMEDOUT,
        ];
        for code in codes {
            let error = IoError::from_raw_os_error(code);
            assert!(of_system(&error).is_some(), "{error}");
        }
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("one").path();
            match path.is_dir() {
                true => sources(&path, found),
                false => found.push(path),
            }
        }
    }

    /// The texts of errors in a file: the first text behind each of these beginnings.
    fn texts(source: &str) -> Vec<String> {
        const BEGINNINGS: [&str; 3] = ["anyhow!(", "bail!(", "OptionError(format!("];
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let after = BEGINNINGS.iter().flat_map(|beginning| code.split(beginning).skip(1));
        after.filter_map(first_text).collect()
    }

    /// A text that is the first argument.
    fn first_text(code: &str) -> Option<String> {
        let inside = code.trim_start().strip_prefix('"')?;
        let mut text = String::new();
        let mut characters = inside.chars();
        loop {
            match characters.next()? {
                '"' => return Some(text),
                '\\' => match characters.next()? {
                    '\n' => {
                        let rest = characters.as_str().trim_start();
                        characters = rest.chars();
                    }
                    escaped => text.push(escaped),
                },
                character => text.push(character),
            }
        }
    }

    /// Whether a text hands on another one, which was looked at where it is made.
    fn hands_on(text: &str) -> bool {
        let ends = ["reason}", "what}", "message}"].iter().any(|end| text.ends_with(end));
        ends || text.contains("error}") || text.contains("{expected}")
    }

    #[test]
    fn every_text_of_an_error_says_what_to_do_next() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        let is_checked =
            |path: &PathBuf| !path.components().any(|part| part.as_os_str() == "bench");
        let mut checked = 0;
        let mut silent = Vec::new();
        for path in files.iter().filter(|path| is_checked(path)) {
            for text in texts(&fs::read_to_string(path).expect("a source")) {
                checked += 1;
                if !says_what_to_do(&text) && !hands_on(&text) {
                    silent.push(format!("{}: {text}", path.display()));
                }
            }
        }
        assert!(checked > 60, "{checked}");
        assert!(
            silent.is_empty(),
            "{} texts do not say what to do:\n{}",
            silent.len(),
            silent.join("\n")
        );
    }
}
