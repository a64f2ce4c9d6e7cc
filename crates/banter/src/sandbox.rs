//! Takes away most rights to files from the server, where the system has Landlock (Linux 5.13 and
//! later). It may still read the model, write its own folders, and read the few files of the system
//! that every program needs. It starts no other program, and reaches no process outside.
//!
//! On every system, a server that crashes leaves no core dump: that would be a copy of the
//! conversations and keys in memory.
//!
//! Only threads that are started later are bound by it, so it comes before all of them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rlimit::Resource;
use tracing::{info, warn};

use crate::config::{Config, ModelChoice, StoreChoice, TlsChoice};

/// The newest rights that we know. Older systems know some of them, and use those.
const RIGHTS: ABI = ABI::V6;

/// Files of the system: names of hosts, certificates of authorities, time zones, the libraries that
/// find hosts, and what is known about this machine.
const OF_SYSTEM: [&str; 21] = [
    "/dev/null",
    "/dev/urandom",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/ssl",
    "/lib",
    "/lib64",
    "/proc",
    "/run/systemd/resolve",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/usr/lib",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
];

/// The files and folders that the server needs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

/// Gives up all other rights for this thread and those that it starts. Where the system cannot do
/// that, the log says so, and the server goes on.
pub fn enter(config: &Config) {
    if let Err(error) = leave_no_core_dump() {
        warn!(%error, "a crash may leave a core dump with conversations: the system has refused to switch that off");
    }
    let needs = Needs::of(config);
    match restrict(&needs) {
        Ok(RulesetStatus::FullyEnforced) => info!("sandbox: only the model and the own folders"),
        Ok(RulesetStatus::PartiallyEnforced) => {
            info!(
                "sandbox: only the model and the own folders; this system knows some of the rights only"
            )
        }
        Ok(RulesetStatus::NotEnforced) => {
            info!("no sandbox: this system has no Landlock")
        }
        Err(error) => warn!(%error, "no sandbox: the system has refused it"),
    }
}

/// Lets a crash write no core dump, neither to a file nor to a program that collects them.
fn leave_no_core_dump() -> io::Result<()> {
    // Linux pipes a dump to a collecting program even at 0 bytes. 1 byte is its sign to do neither.
    const NOT_EVEN_TO_A_PROGRAM: u64 = 1;
    let most = Resource::CORE.get_hard()?;
    Resource::CORE.set(NOT_EVEN_TO_A_PROGRAM.min(most), most)
}

fn restrict(needs: &Needs) -> Result<RulesetStatus, landlock::RulesetError> {
    let all = AccessFs::from_all(RIGHTS);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // Nothing in our folders is a program or a device.
    let write = all
        & !(AccessFs::Execute
            | AccessFs::MakeChar
            | AccessFs::MakeBlock
            | AccessFs::MakeFifo
            | AccessFs::IoctlDev);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(RIGHTS))?
        .create()?;
    for path in OF_SYSTEM.iter().map(Path::new).chain(needs.read.iter().map(PathBuf::as_path)) {
        rules = allow(rules, path, read)?;
    }
    for path in &needs.write {
        rules = allow(rules, path, write)?;
    }
    // A message about what it cannot say is written to the terminal.
    rules = allow(rules, Path::new("/dev/null"), AccessFs::WriteFile.into())?;
    Ok(rules.restrict_self()?.ruleset)
}

/// Allows something below a path. A path that is not there needs no right.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, landlock::RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let of_files = AccessFs::from_file(RIGHTS);
    let rights = if path.is_dir() { rights } else { rights & of_files };
    rules.add_rule(PathBeneath::new(opened, rights))
}

impl Needs {
    /// Makes the folders that the server would make later: a right is for something that exists.
    fn of(config: &Config) -> Needs {
        let mut needs = Needs::default();
        for choice in config.model.iter().chain(&config.draft_model) {
            if let ModelChoice::Path(path) = choice {
                needs.read.extend(files_of_model(path));
            }
        }
        if let TlsChoice::Files { certificate, key } = &config.tls {
            needs.read.extend([certificate, key].into_iter().flat_map(|file| folders_of(file)));
        }
        if let (None, Ok(folder)) = (&config.remote, &config.models_dir) {
            needs.write.extend(made(folder, true));
        }
        match &config.store {
            StoreChoice::Usual(folder) => needs.write.extend(made(folder, true)),
            // A named folder whose parent is missing is a mistake, which the store tells.
            StoreChoice::Named(folder) => needs.write.extend(made(folder, false)),
            StoreChoice::Memory | StoreChoice::NoHome => {}
        }
        if let Some(disk) = &config.engine.kv_disk {
            needs.write.extend(made(&disk.folder, true));
        }
        needs
    }
}

/// Makes a folder unless it is there. If that fails, the part that uses the folder reports it.
fn made(folder: &Path, with_parents: bool) -> Option<PathBuf> {
    let _ = DirBuilder::new().recursive(with_parents).mode(0o700).create(folder);
    folder.canonicalize().ok()
}

/// The files of a model: the file itself with those that belong to it, or a folder and what the
/// links in it lead to.
fn files_of_model(path: &Path) -> Vec<PathBuf> {
    let Ok(real) = path.canonicalize() else { return Vec::new() };
    let (folder, start) = if real.is_dir() {
        (path, "")
    } else {
        // model-00001-of-00003.gguf
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let numbered = name.rsplit_once("-of-").and_then(|(rest, _)| rest.rsplit_once('-'));
        let Some((start, _)) = numbered else { return vec![real] };
        (path.parent().unwrap_or(Path::new(".")), start)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let belongs = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(start);
    let parts = entries.filter(belongs).filter_map(|entry| entry.path().canonicalize().ok());
    [real.clone()].into_iter().chain(parts.filter(|part| !part.starts_with(&real))).collect()
}

/// The folder of a file, and that of the file that it leads to. A certificate is replaced by
/// another file of the same name, or by another link.
fn folders_of(file: &Path) -> Vec<PathBuf> {
    let real = file.canonicalize().ok();
    let files = [Some(file.to_owned()), real].into_iter().flatten();
    files.filter_map(|file| file.parent()?.canonicalize().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    use std::process::Command;

    #[test]
    fn a_model_is_all_its_files_and_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        let write = |name: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(&path, "").expect("a file");
            path
        };
        let (one, two) = (write("m-00001-of-00002.gguf"), write("m-00002-of-00002.gguf"));
        let (alone, blob) = (write("alone.gguf"), write("blobs/1"));
        let snapshot = root.join("snapshot");
        fs::create_dir(&snapshot).expect("a folder");
        symlink("../blobs/1", snapshot.join("model.safetensors")).expect("a link");
        let files = |path: &Path| {
            let mut files = files_of_model(path);
            files.sort();
            files.dedup();
            files
        };
        assert_eq!(files(&one), [one.clone(), two]);
        assert_eq!(files(&alone), [alone]);
        assert_eq!(files(&snapshot), [blob, snapshot]);
        assert_eq!(files(&root.join("missing.gguf")), Vec::<PathBuf>::new());
    }

    /// Runs `attempts` on a thread that has only the rights for these needs; other threads keep
    /// theirs. `None` where the system cannot take all other rights away.
    fn with_rights<T: Send>(needs: &Needs, attempts: impl FnOnce() -> T + Send) -> Option<T> {
        let restricted = || match restrict(needs).expect("rights that exist") {
            RulesetStatus::FullyEnforced => Some(attempts()),
            other => {
                println!("not tested: of the rights to take away this system knows: {other:?}");
                None
            }
        };
        std::thread::scope(|scope| scope.spawn(restricted).join().expect("no panic"))
    }

    fn is_denied<T>(outcome: io::Result<T>) -> bool {
        outcome.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }

    #[test]
    fn k10_files_outside_cannot_be_read_made_or_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        let [data, beside] = ["data", "beside"].map(|name| root.join(name));
        let (model, other) = (root.join("model.gguf"), beside.join("file"));
        for folder in [&data, &beside] {
            fs::create_dir(folder).expect("a folder");
        }
        for file in [&model, &other, &data.join("kept")] {
            fs::write(file, "content").expect("a file");
        }
        symlink(&other, data.join("leads-outside")).expect("a link");
        let needs = Needs { read: vec![model.clone()], write: vec![data.clone()] };
        let attempts = || {
            for path in [&other, &data.join("leads-outside"), Path::new("/etc/passwd")] {
                assert!(is_denied(fs::read(path)), "{}", path.display());
            }
            for path in [&beside, &root, Path::new("/root"), Path::new("/etc")] {
                assert!(is_denied(fs::read_dir(path)), "{}", path.display());
            }
            for path in [&other, &model, &data.join("leads-outside"), &beside.join("new")] {
                assert!(is_denied(fs::write(path, "changed")), "{}", path.display());
            }
            assert!(is_denied(fs::remove_file(&other)));
            assert!(is_denied(fs::remove_file(&model)));
            assert!(is_denied(fs::create_dir(beside.join("folder"))));
            // Another name for a file must not give another right to it.
            assert!(fs::hard_link(&other, data.join("name")).is_err());
            assert!(fs::rename(&model, data.join("moved")).is_err());
            assert!(fs::rename(data.join("kept"), beside.join("moved")).is_err());
            assert!(is_denied(symlink("model.gguf", root.join("link"))));

            assert_eq!(fs::read(&model).expect("it may be read"), b"content");
            fs::write(data.join("new"), "content").expect("it may be written");
            fs::remove_file(data.join("new")).expect("it may be removed");
            fs::read("/proc/meminfo").expect("it may be read");
        };
        with_rights(&needs, attempts);
        assert_eq!(fs::read(&other).expect("others can read it"), b"content");
    }

    #[test]
    fn k10_no_program_is_started_and_no_process_outside_is_reached() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().canonicalize().expect("a path");
        let own = data.join("program");
        fs::copy("/bin/true", &own).expect("a program of its own");
        let name = format!("banter-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let _listener = UnixListener::bind_addr(&address).expect("a name of this test");
        UnixStream::connect_addr(&address).expect("it is reached from here");
        let needs = Needs { read: Vec::new(), write: vec![data] };
        let attempts = || {
            for program in [Path::new("/bin/true"), Path::new("/usr/bin/env"), &own] {
                assert!(is_denied(Command::new(program).status()), "{}", program.display());
            }
            let parent = rustix::process::getppid().expect("somebody has started the tests");
            assert_eq!(rustix::process::test_kill_process(parent), Err(rustix::io::Errno::PERM));
            assert!(is_denied(UnixStream::connect_addr(&address)));
        };
        with_rights(&needs, attempts);
        assert!(Command::new("/bin/true").status().expect("others can start it").success());
    }

    #[test]
    fn a15_no_core_dump_is_allowed_whatever_was_allowed_before() {
        leave_no_core_dump().expect("a limit may always be lowered");
        assert!(Resource::CORE.get_soft().expect("a limit") <= 1);
    }
}
