//! The instruction sets of processors.

use banter_engine::Isa;

use crate::support::*;

#[test]
fn k7_an_answer_is_the_same_with_every_instruction_set() {
    const QUESTION: &str =
        r#"{"message": "Count from 1 to 40.", "temperature": 0, "max_tokens": 60}"#;
    let answer = |isa: &str| {
        let server = Server::start(&["--no-store", "--isa", isa]);
        let mut socket = server.connect();
        send(&mut socket, QUESTION);
        read_answer(&mut socket).concat()
    };
    let expected = answer("scalar");
    assert!(expected.len() > 20, "{expected}");
    let available: Vec<&str> = Isa::available().into_iter().map(Isa::name).collect();
    for isa in Isa::NAMES {
        if available.contains(&isa) {
            assert_eq!(answer(isa), expected, "{isa}");
        } else {
            println!("this processor does not have {isa}");
            let arguments = ["serve", "--port", "0", "--no-store", "--isa", isa];
            let (status, message) = run_to_end(&mut banter(&arguments));
            assert_eq!(status, 2, "{message}");
            assert!(message.contains("--isa") && message.contains("scalar"), "{message}");
        }
    }
}
