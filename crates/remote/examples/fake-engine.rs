//! An engine on this machine that writes without a model, for trying `--engine` and for the page's
//! tests.
//!
//! ```sh
//! cargo run -p banter-remote --features fakes --example fake-engine -- vllm 8000
//! banter serve --engine http://127.0.0.1:8000
//! ```
//!
//! Without a port it takes a free one. Asked `slow 100` it writes 100 words, one every 20 ms. The
//! line `hung up 1` on its input is answered with the same line once a client has hung up in the
//! middle of an answer; when its input ends, it ends.

use std::net::TcpListener;

use banter_remote::engine::Kind;
use banter_remote::fakes::FakeEngine;

fn main() {
    const USAGE: &str = "usage: fake-engine KIND [PORT]";
    const CONTEXT_TOKENS: usize = 4_096;
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().and_then(|name| Kind::named(&name)).expect(USAGE);
    let port = arguments.next().map_or(0, |port| port.parse().expect(USAGE));
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let engine = FakeEngine::listen(listener, kind, CONTEXT_TOKENS);
    println!("{}", engine.url());
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let count = line.strip_prefix("hung up ").and_then(|count| count.parse().ok());
        engine.wait_for_hang_up(count.expect("hung up COUNT"));
        println!("{line}");
    }
}
