//! A hub on this machine that serves one file under the names of all official models.
//!
//! ```sh
//! cargo run -p banter-remote --features fakes --example fake-hub -- model.gguf
//! HF_ENDPOINT=http://127.0.0.1:PORT banter pull qwen2.5:0.5b
//! ```
//!
//! With a second argument it sends so many bytes per second and connection, as far networks do.

use std::time::Duration;

use banter_remote::fakes::{FakeHub, Target, Trick};
use banter_remote::hub::KNOWN;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("usage: fake-hub FILE [BYTES_PER_SECOND]");
    let bytes = std::fs::read(&path).expect("the file can be read");
    let speed: Option<usize> = arguments.next().map(|speed| speed.parse().expect("a number"));
    let hub = FakeHub::start();
    for known in KNOWN {
        let repository = format!("{}/{}", known.repository.0, known.repository.1);
        let stem = known.repository.1.to_lowercase();
        let stem = stem.trim_end_matches("-gguf");
        hub.add(&repository, &format!("{stem}-{}.gguf", known.quantisation), bytes.clone());
        hub.license(&repository, known.licence);
    }
    if let Some(speed) = speed {
        let (parts, pause) = (10, Duration::from_millis(100));
        hub.always(Target::Bytes, Trick::Slow(pause, (speed / parts).max(1)));
    }
    println!("{}", hub.url());
    loop {
        std::thread::park();
    }
}
