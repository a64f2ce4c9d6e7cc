//! A server in a control group with little memory, under load.
//!
//! It needs root, and the controller of memory of control groups of version 1 or 2:
//! ```sh
//! cargo test --profile long-test -p banter --test binary -- --ignored r10_ --nocapture
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::support::*;

/// A control group below that of this process, or beside it, removed when dropped.
struct Group {
    folder: PathBuf,
    names: &'static Names,
}

/// Names of files, which the two versions have chosen differently.
struct Names {
    limit: &'static str,
    most: &'static str,
    events: &'static str,
}

const VERSION_1: Names = Names {
    limit: "memory.limit_in_bytes",
    most: "memory.max_usage_in_bytes",
    events: "memory.oom_control",
};
const VERSION_2: Names =
    Names { limit: "memory.max", most: "memory.peak", events: "memory.events" };

impl Group {
    /// Errors: the system has no such groups, or this user may not make one.
    fn make() -> io::Result<Group> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let groups: Vec<Vec<&str>> =
            own.lines().map(|line| line.splitn(3, ':').collect()).collect();
        let path = |controller: &str| {
            let group =
                groups.iter().find(|group| group[1].split(',').any(|name| name == controller));
            group.map(|group| group[2].trim_start_matches('/'))
        };
        let (parent, names) = match path("memory") {
            // Below our own group, so that its limits hold, too.
            Some(own) => (Path::new("/sys/fs/cgroup/memory").join(own), &VERSION_1),
            None => {
                // A group of version 2 that has processes can have no groups with limits below it.
                let own = Path::new("/sys/fs/cgroup").join(path("").unwrap_or_default());
                (
                    own.parent().filter(|_| path("") != Some("")).unwrap_or(&own).to_owned(),
                    &VERSION_2,
                )
            }
        };
        let folder = parent.join(format!("banter-test-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let group = Group { folder, names };
        // Without the controller the file is not there.
        fs::metadata(group.folder.join(names.limit))?;
        Ok(group)
    }

    fn set_limit(&self, bytes: u64) {
        fs::write(self.folder.join(self.names.limit), bytes.to_string()).expect("a limit");
    }

    fn most_bytes(&self) -> Option<u64> {
        fs::read_to_string(self.folder.join(self.names.most)).ok()?.trim().parse().ok()
    }

    /// How many processes of the group the system has ended for want of memory.
    fn killed(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join(self.names.events)).expect("a file");
        let line = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.trim().parse().ok()).expect("a count of kills")
    }

    /// A server that is in the group from its first moment.
    fn serve(&self) -> Command {
        let mut command = without_settings(Command::new("sh"));
        let script = "echo $$ > \"$1\" && shift && exec \"$0\" \"$@\"";
        command.args(["-c", script, env!("CARGO_BIN_EXE_banter")]);
        command.arg(self.folder.join("cgroup.procs"));
        command.args(["serve", "--port", "0", "--kv-memory", "16MiB", "--no-store"]);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has ended leaves its group a little later.
        wait_until(|| fs::remove_dir(&self.folder).is_ok());
    }
}

/// The memory that a start with too little of it names in its error.
fn needed_bytes(group: &Group) -> u64 {
    group.set_limit(48 << 20);
    let failed = Server::try_spawn(group.serve()).err().expect("it has too little memory");
    assert_eq!(failed.status.code(), Some(1), "{}", failed.said);
    let found = failed.said.split_once(", found ").and_then(|(_, rest)| rest.split_once(" MiB"));
    let mebibytes = found.and_then(|(number, _)| number.parse::<u64>().ok());
    let mebibytes = mebibytes.unwrap_or_else(|| panic!("no numbers in {}", failed.said));
    // It was rounded.
    (mebibytes + 1) << 20
}

/// A body of nearly the most bytes that are allowed, of which the last one does not come.
fn half_a_body(port: u16) -> TcpStream {
    const BYTES: usize = 1 << 20;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {BYTES}\r\n\r\n"
    );
    // A server that refuses it closes the connection early.
    let _ =
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b' '; BYTES - 1]));
    stream
}

/// Many requests at once, with long prompts and with the longest bodies. Returns how many had each
/// status.
fn load(port: u16) -> BTreeMap<u16, usize> {
    const CLIENTS: usize = 96;
    let body = |client: usize| {
        let text =
            if client.is_multiple_of(2) { "word ".repeat(1_500) } else { "a b ".repeat(250_000) };
        let message = json!({ "role": "user", "content": format!("{client} {text}") });
        json!({ "messages": [message], "max_tokens": 100 }).to_string()
    };
    let ask = |client| {
        std::thread::spawn(move || {
            let answer = request(port, "POST", "/v1/chat/completions", "", &body(client));
            answer.expect("the server listens").0
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(ask).collect();
    let mut statuses = BTreeMap::new();
    for client in clients {
        *statuses.entry(client.join().expect("an answer")).or_default() += 1;
    }
    statuses
}

#[test]
#[ignore = "needs root and control groups; a part of `make test-long`"]
fn r10_a_server_with_little_memory_refuses_what_has_no_room_and_lives_on() {
    const ROOM: u64 = 64 << 20;
    let group = match Group::make() {
        Ok(group) => group,
        Err(error) => {
            println!("not tested: no control group with a limit of memory: {error}");
            return;
        }
    };
    let limit = needed_bytes(&group) + ROOM;
    group.set_limit(limit);
    let server = Server::spawn(group.serve());
    let alive = Alive::of(&server);
    let halves: Vec<TcpStream> = (0..96).map(|_| half_a_body(server.port)).collect();
    let statuses = load(server.port);
    println!("limit {limit}, most in use {:?}, {statuses:?}", group.most_bytes());
    assert_eq!(group.killed(), 0, "{statuses:?}");
    assert!(statuses[&200] > 0 && statuses.keys().all(|s| [200, 400, 429, 503].contains(s)));
    // The requests whose second half never came end now.
    for mut half in halves {
        drop(half.shutdown(std::net::Shutdown::Write));
        drop(half.read_to_end(&mut Vec::new()));
    }
    alive.assert_still(&server);
    assert_eq!(group.killed(), 0);
}
