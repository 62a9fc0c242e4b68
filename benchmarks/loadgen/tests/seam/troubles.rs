//! A server that is not there, dies, stalls or goes away, a plan that cannot be read, a user who has seen enough.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::Output;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::generator::{closed, open, output, plan, ran, run, spawn};
use crate::server::{Act, Server};

#[test]
fn a_server_that_is_not_there_is_named_with_what_was_measured() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = run(plan(&free.to_string(), json!({})));
    assert_eq!((ran.code, ran.result["complete"].as_bool(), ran.number("sent")), (1, Some(false), 0));
    assert!(ran.problem().starts_with(&format!("cannot connect to {free}: Connection refused")), "{}", ran.problem());
}

#[test]
fn a_server_that_speaks_no_http2_is_not_measured() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().for_each(|stream| drop(stream.map(|mut s| s.read(&mut [0; 64])))));
    let ran = run(plan(&target, json!({})));
    assert_eq!((ran.code, ran.number("sent")), (1, 0));
    assert!(ran.problem().starts_with("cannot connect"), "{}", ran.problem());
}

#[test]
fn calls_that_were_out_when_the_connection_broke_are_lost_and_the_rest_goes_on() {
    for load in [closed(2, 4), open(2_000.0, "constant")] {
        let server = Server::start(|number| if number == 50 { Act::Break } else { Act::Answer });
        let ran = run(plan(&server.target, json!({"load": load, "count": 500})));
        assert_eq!((ran.code, ran.outcomes()), (0, 500), "{}", ran.result);
        assert!(ran.outcome("CONNECTION_LOST") >= 1, "{}", ran.result);
        assert_eq!(ran.outcome("OK") + ran.outcome("CONNECTION_LOST"), 500);
        assert_eq!(server.state.connections.load(Ordering::Relaxed), 3);
    }
}

#[test]
fn no_call_is_lost_when_the_server_goes_away_in_order() {
    for load in [closed(2, 4), open(2_000.0, "constant")] {
        let server = Server::start(|number| if number % 100 == 50 { Act::GoAway } else { Act::Answer });
        let ran = run(plan(&server.target, json!({"load": load, "count": 500})));
        assert_eq!((ran.code, ran.outcome("OK")), (0, 500), "{}", ran.result);
        assert!(server.state.connections.load(Ordering::Relaxed) > 2);
    }
}

#[test]
fn a_server_that_dies_ends_the_run_with_what_was_measured() {
    for (altered, problem) in [
        (
            json!({"load": open(500.0, "poisson"), "count": null, "duration_s": 4}),
            "the connection was lost and not restored",
        ),
        (json!({"load": closed(1, 1), "count": null, "duration_s": 4}), "the connection was lost and not restored"),
        (json!({"load": closed(1, 1), "count": 10_000_000, "grace_s": 1}), "no answer for 1 s"),
        (json!({"load": closed(1, 1), "count": 10_000_000}), "the connection was lost and could not be restored"),
    ] {
        let mut server = Server::start(|_| Act::AnswerAfter(Duration::from_millis(1)));
        let generator = spawn(&plan(&server.target, altered).to_string());
        await_calls(&server, 20);
        server.kill();
        let ran = ran(&generator.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.result["complete"].as_bool()), (1, Some(false)));
        assert!(ran.problem().starts_with(problem), "{}", ran.problem());
        assert!(ran.outcome("OK") >= 1 && ran.outcome("CONNECTION_LOST") >= 1, "{}", ran.result);
    }
}

#[test]
fn a_server_that_stalls_for_good_ends_the_run_with_what_was_measured() {
    for altered in [
        json!({"load": closed(1, 3), "count": 100}),
        json!({"load": closed(1, 3), "count": null, "duration_s": 2}),
        json!({"load": open(200.0, "constant"), "count": 100}),
    ] {
        let server = Server::start(|number| if number < 20 { Act::Answer } else { Act::Hang });
        let mut plan = plan(&server.target, altered);
        plan["grace_s"] = json!(1);
        let ran = run(plan);
        assert_eq!((ran.code, ran.result["complete"].as_bool(), ran.outcome("OK")), (1, Some(false), 20));
        assert!(ran.problem().starts_with("no answer for 1 s"), "{}", ran.problem());
        assert_eq!(ran.outcome("UNANSWERED"), ran.number("sent") - 20);
    }
}

#[test]
fn a_signal_ends_the_run_with_what_was_measured() {
    for (signal, load) in [(Signal::INT, closed(2, 2)), (Signal::TERM, open(300.0, "poisson"))] {
        let server = Server::start(|_| Act::AnswerAfter(Duration::from_millis(1)));
        let generator = spawn(&plan(&server.target, json!({"load": load, "count": 1_000_000})).to_string());
        await_calls(&server, 50);
        kill_process(Pid::from_child(&generator), signal).unwrap();
        let ran = ran(&generator.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.problem()), (1, "interrupted"));
        assert!(ran.outcome("OK") > 0 && ran.outcomes() <= ran.number("scheduled"), "{}", ran.result);
    }
}

#[test]
fn progress_comes_while_the_load_lasts_and_its_end_ends_the_load() {
    let server = Server::start(|_| Act::AnswerAfter(Duration::from_millis(1)));
    let mut generator = spawn(&plan(&server.target, json!({"count": 1_000_000})).to_string());
    let mut lines = BufReader::new(generator.stdout.take().unwrap()).lines();
    let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(line["progress"]["sent"].as_u64() >= line["progress"]["done"].as_u64(), "{line}");
    drop(lines);
    assert_eq!(generator.wait().unwrap().code(), Some(1));
}

#[test]
fn a_plan_that_cannot_be_read_is_refused_by_its_field() {
    for (document, expected) in [
        (plan("localhost", json!({})), "target: \"localhost\" is not host:port"),
        (plan("localhost:1", json!({"requests": [{"body": "*", "checks": []}]})), "requests[0].body: not base64"),
        (plan("localhost:1", json!({"colour": "red"})), "unknown field `colour`"),
        (plan("localhost:1", json!({"metadata": [["te", "x"]]})), "metadata[0]: \"te\""),
        (plan("localhost:1", json!({"grace_s": "long"})), "grace_s: invalid type"),
        (json!("no plan"), "invalid type"),
    ] {
        let Output { status, stdout, stderr } = output(&document.to_string());
        let problem = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stdout.len()), (Some(2), 0), "{problem}");
        assert!(problem.starts_with("credence-loadgen: ") && problem.contains(expected), "{problem}");
    }
}

fn await_calls(server: &Server, count: usize) {
    while server.state.seen.lock().unwrap().len() < count {
        std::thread::sleep(Duration::from_millis(2));
    }
}
