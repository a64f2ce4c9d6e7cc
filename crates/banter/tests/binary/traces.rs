//! Traces of answers for a collector of OpenTelemetry. `make test` runs these tests with the feature
//! and without it.

use std::process::Command;

use crate::support::*;

/// A server whose environment names a collector at this address.
fn server(address: &str) -> Command {
    let mut command = banter(&["serve", "--port", "0", "--no-store", "--kv-memory", "64MiB"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", address);
    command
}

#[cfg(not(feature = "opentelemetry"))]
#[test]
fn a_build_that_records_no_traces_says_so() {
    let server = Server::spawn(server("http://127.0.0.1:1"));
    wait_until(|| server.said().contains("OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build"));
    drop(server);
    let mut command = self::server("http://127.0.0.1:1");
    command.env("OTEL_SDK_DISABLED", "true");
    let server = Server::spawn(command);
    assert!(!server.said().contains("OTEL_"), "{}", server.said());
}

#[cfg(feature = "opentelemetry")]
mod recorded {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use serde_json::Value;

    use super::*;

    const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    const WRITTEN: &str = "Which word is kumquat?";

    /// What a collector was sent.
    struct Sent {
        head: String,
        body: Vec<u8>,
    }

    /// A collector that takes everything.
    fn collector() -> (String, Receiver<Sent>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, sent) = channel();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = BufReader::new(connection.expect("a connection"));
                while let Some(one) = read(&mut connection) {
                    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                    connection.get_mut().write_all(answer.as_bytes()).expect("it listens");
                    if sender.send(one).is_err() {
                        return;
                    }
                }
            }
        });
        (address, sent)
    }

    fn read(connection: &mut impl BufRead) -> Option<Sent> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if connection.read_line(&mut head).expect("text") == 0 {
                return None;
            }
        }
        head.make_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).expect("a length");
        let length = length.lines().next().expect("a line").parse().expect("a number");
        let mut body = vec![0; length];
        connection.read_exact(&mut body).expect("the whole body");
        Some(Sent { head, body })
    }

    fn ask(server: &Server, headers: &str, content: &str) -> u16 {
        let messages = serde_json::json!([{ "role": "user", "content": content }]);
        let body = serde_json::json!({ "messages": messages, "max_tokens": 12 }).to_string();
        server.request_with("POST", "/v1/chat/completions", headers, &body).0
    }

    /// Ends a server, which sends what it has not sent yet.
    fn end(mut server: Server) {
        server.signal(libc::SIGTERM);
        assert!(server.wait().success());
    }

    fn attribute<'a>(of: &'a Value, name: &str) -> &'a Value {
        let attributes = of["attributes"].as_array().expect("attributes");
        let found = attributes.iter().find(|attribute| attribute["key"] == name);
        &found.unwrap_or_else(|| panic!("{name} is not in {of}"))["value"]
    }

    fn time(span: &Value, which: &str) -> u128 {
        span[which].as_str().expect("a time").parse().expect("nanoseconds")
    }

    #[test]
    fn an_answer_is_a_span_with_its_parts_in_the_trace_of_the_client() {
        let (address, sent) = collector();
        let mut command = server(&address);
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-collector");
        command.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
        let server = Server::spawn(command);
        assert_eq!(ask(&server, PARENT, WRITTEN), 200);
        assert_eq!(ask(&server, "", &"long ".repeat(20_000)), 400);
        end(server);

        let sent = sent.recv_timeout(WITHIN).expect("spans are sent at the end");
        assert!(sent.head.starts_with("post /v1/traces "), "{}", sent.head);
        assert!(sent.head.contains("authorization: bearer of-collector"), "{}", sent.head);
        let body = String::from_utf8(sent.body).expect("text");
        assert!(!body.contains("kumquat"), "{body}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let of_server = &body["resourceSpans"][0];
        let resource = &of_server["resource"];
        assert_eq!(attribute(resource, "service.name")["stringValue"], "banter");
        assert_eq!(attribute(resource, "deployment.environment.name")["stringValue"], "test");
        let spans = of_server["scopeSpans"][0]["spans"].as_array().expect("spans");
        let (whole, parts): (Vec<&Value>, Vec<&Value>) = spans
            .iter()
            .filter(|span| span["traceId"] == "0af7651916cd43dd8448eb211c80319c")
            .partition(|span| span["parentSpanId"] == "b7ad6b7169203331");
        let [whole] = whole[..] else { panic!("{spans:#?}") };
        let model = attribute(whole, "gen_ai.response.model")["stringValue"].as_str();
        assert_eq!(whole["name"], format!("chat {}", model.expect("a name")));
        assert_eq!(attribute(whole, "gen_ai.operation.name")["stringValue"], "chat");
        let tokens = |name| attribute(whole, name)["intValue"].as_str().map(str::to_owned);
        assert_ne!(tokens("gen_ai.usage.input_tokens").expect("a number"), "0");
        assert_ne!(tokens("gen_ai.usage.output_tokens").expect("a number"), "0");
        let mut until = time(whole, "startTimeUnixNano");
        let names: Vec<&Value> = parts.iter().map(|part| &part["name"]).collect();
        assert_eq!(names, ["queue", "prompt", "words"]);
        for part in parts {
            assert_eq!(part["parentSpanId"], whole["spanId"]);
            assert_eq!(time(part, "startTimeUnixNano"), until, "{part}");
            until = time(part, "endTimeUnixNano");
        }
        assert_eq!(until, time(whole, "endTimeUnixNano"));

        let failed: Vec<&Value> = spans.iter().filter(|span| span["status"]["code"] == 2).collect();
        let [failed] = failed[..] else { panic!("{spans:#?}") };
        assert_ne!(failed["traceId"], whole["traceId"], "it has a trace of its own");
        assert_eq!(attribute(failed, "error.type")["stringValue"], "too_long");
    }

    #[test]
    fn a_collector_that_is_away_costs_no_answer_and_is_told() {
        // Nothing listens at port 1.
        let server = Server::spawn(server("http://127.0.0.1:1"));
        assert_eq!(ask(&server, "", WRITTEN), 200);
        server.signal(libc::SIGTERM);
        wait_until(|| server.said().contains("traces could not be sent to the collector"));
    }

    #[test]
    fn the_usual_form_is_protobuf_and_another_protocol_is_refused() {
        let (address, sent) = collector();
        let server_of = Server::spawn(server(&address));
        assert_eq!(ask(&server_of, "", WRITTEN), 200);
        end(server_of);
        let sent = sent.recv_timeout(WITHIN).expect("spans are sent at the end");
        assert!(sent.head.contains("content-type: application/x-protobuf"), "{}", sent.head);
        assert!(sent.body.windows(5).any(|part| part == b"chat "), "{:?}", sent.body);

        let mut command = server(&address);
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let (status, errors) = run_to_end(&mut command);
        assert_ne!(status, 0);
        let expected =
            "OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf or http/json, found grpc";
        assert!(errors.contains(expected), "{errors}");
    }
}
