//! What came of a call is told by its right name, with what the server said.

use std::time::Duration;

use h2::Reason;
use serde_json::json;

use crate::generator::{closed, open, plan, run};
use crate::server::{Act, Server};

#[test]
fn each_misdeed_has_its_name() {
    for (act, outcome, message) in [
        (Act::Status("5", "no such model%3A caf%C3%A9"), "NOT_FOUND", "no such model: café"),
        (Act::Status("99", "?"), "UNKNOWN", "?"),
        (Act::Status("0", ""), "INTERNAL", "no message"),
        (Act::NoStatus, "UNKNOWN", "without grpc-status"),
        (Act::Body(b"\0\0\0\0\x02\x08\x06"), "WRONG_ANSWER", "field 1: value 0 is 6, expected 7"),
        (Act::Body(b"\0\0\0\0\0"), "WRONG_ANSWER", "field 1: holds 0 values, expected 1"),
        (Act::Body(b"\0\0\0\0\x01\x08"), "WRONG_ANSWER", "no protobuf message"),
        (Act::Body(b"\x01\0\0\0\x02\x08\x07"), "INTERNAL", "compressed"),
        (Act::Body(b"\0\0\0\0\x03\x08\x07"), "INTERNAL", "3 bytes were announced and 2 came"),
        (Act::Body(b"\0\0\0\0\x02\x08\x07\0\0\0\0\0"), "INTERNAL", "not one message"),
        (Act::Http(404), "UNIMPLEMENTED", "404"),
        (Act::Http(503), "UNAVAILABLE", "text/html"),
        (Act::Http(200), "UNKNOWN", "text/html"),
        (Act::Reset(Reason::REFUSED_STREAM), "UNAVAILABLE", "refused"),
        (Act::Reset(Reason::ENHANCE_YOUR_CALM), "RESOURCE_EXHAUSTED", "excessive load"),
        (Act::Reset(Reason::INTERNAL_ERROR), "INTERNAL", "stream error received"),
    ] {
        let server = Server::start(move |_| act);
        let ran = run(plan(&server.target, json!({"count": 5})));
        let problem = ran.result["first_problem"]["message"].as_str().unwrap_or_default();
        assert_eq!((ran.code, ran.outcome(outcome), ran.outcomes()), (0, 5, 5), "{outcome}: {}", ran.result);
        assert!(problem.contains(message), "{outcome}: {problem}");
    }
}

#[test]
fn an_answer_in_many_frames_is_one_answer() {
    let server = Server::start(|_| Act::Pieces);
    assert_eq!(run(plan(&server.target, json!({}))).outcome("OK"), 100);
}

#[test]
fn a_call_past_its_deadline_is_given_up_and_the_server_is_told() {
    for load in [closed(2, 4), open(500.0, "constant")] {
        let server = Server::start(|number| if number % 2 == 0 { Act::Hang } else { Act::Answer });
        let altered = json!({"load": load, "count": 50, "deadline_ms": 3_000, "metadata": [["x-tenant", "a"]]});
        let ran = run(plan(&server.target, altered));
        assert_eq!((ran.code, ran.outcomes()), (0, 50), "{}", ran.result);
        assert!(ran.outcome("DEADLINE_EXCEEDED") >= 25, "{}", ran.result);
        assert!(ran.values("failed_ns").iter().all(|value| *value >= 3_000_000_000));
        let seen = server.state.seen.lock().unwrap();
        assert!(seen.iter().all(|call| call.headers["grpc-timeout"] == "3000000u" && call.headers["x-tenant"] == "a"));
        assert!(seen.iter().any(|call| call.reset == Some(Reason::CANCEL)));
    }
}

#[test]
fn an_answer_after_the_deadline_is_too_late_however_near() {
    let server = Server::start(|_| Act::AnswerAfter(Duration::from_millis(20)));
    let ran = run(plan(&server.target, json!({"deadline_ms": 10, "count": 20})));
    assert_eq!((ran.code, ran.outcome("DEADLINE_EXCEEDED"), ran.problem()), (1, 20, "nothing answered"));
}

#[test]
fn calls_beyond_max_in_flight_are_not_sent_and_are_counted() {
    let server = Server::start(|_| Act::Hang);
    let mut load = open(1_000.0, "constant");
    load["max_in_flight"] = json!(10);
    let ran = run(plan(&server.target, json!({"load": load, "count": 200, "grace_s": 0.1})));
    assert_eq!((ran.number("scheduled"), ran.number("sent"), ran.number("refused_in_flight")), (200, 10, 190));
    assert_eq!((ran.outcome("NOT_SENT"), ran.outcome("UNANSWERED"), ran.outcomes()), (190, 10, 200));
}
