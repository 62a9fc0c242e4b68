//! The generator tells the truth about delays and stalls that the server knows of.
//!
//! A busy machine can make calls slower than the server's script and never faster, so that bounds from below are exact (to the
//! width of a bucket) and those from above are wide.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::generator::{Ran, closed, open, plan, run};
use crate::server::{Act, Server};

const DELAY: Duration = Duration::from_millis(40);
const STALL: Duration = Duration::from_millis(500);
const RATE: u32 = 200;

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("short")
}

/// How long the server held each call, in ascending order.
fn held(server: &Server) -> Vec<u64> {
    let seen = server.state.seen.lock().unwrap();
    let mut held: Vec<u64> =
        seen.iter().map(|call| nanoseconds(call.answered.expect("answered") - call.received)).collect();
    held.sort_unstable();
    held
}

/// From the first call after the hundredth on, everything waits until half a second has passed.
fn stalling() -> Server {
    let end: OnceLock<Instant> = OnceLock::new();
    Server::start(move |number| {
        if number < 100 {
            return Act::Answer;
        }
        let end = *end.get_or_init(|| Instant::now() + STALL);
        Act::AnswerAfter(end.saturating_duration_since(Instant::now()))
    })
}

fn at_least(ran: &Ran, histogram: &str, bound: Duration) -> u32 {
    let count = ran.values(histogram).iter().filter(|value| **value >= nanoseconds(bound)).count();
    u32::try_from(count).unwrap()
}

#[test]
fn no_call_is_faster_than_the_server_was_and_the_median_is_near() {
    for load in [closed(2, 4), open(200.0, "constant"), open(200.0, "poisson")] {
        let server = Server::start(|_| Act::AnswerAfter(DELAY));
        let ran = run(plan(&server.target, json!({"load": load})));
        let (held, service) = (held(&server), ran.values("service_ns"));
        assert_eq!((ran.code, service.len(), held.len()), (0, 100, 100));
        // Each call took the client longer than the server, so that this holds rank by rank.
        assert!(held.iter().zip(&service).all(|(held, told)| held <= told), "{held:?} {service:?}");
        assert!(service[50] < held[50] + 250_000_000, "{} {}", held[50], service[50]);
        assert!(ran.values("latency_ns").iter().zip(&service).all(|(latency, service)| latency >= service));
    }
}

#[test]
fn every_call_that_was_due_in_a_stall_counts_from_when_it_was_due() {
    let server = stalling();
    let load = open(RATE.into(), "constant");
    let ran = run(plan(&server.target, json!({"load": load, "count": 300})));
    assert_eq!((ran.code, ran.outcome("OK")), (0, 300));
    // A call due s after the stall began is answered when it ends: it waits 500 ms - s, and RATE * s of them are due before it.
    for bound in [50, 100, 250, 400, 475].map(Duration::from_millis) {
        let due = RATE * u32::try_from(STALL.saturating_sub(bound).as_millis()).unwrap() / 1_000;
        let slow = at_least(&ran, "latency_ns", bound);
        assert!(slow + 1 >= due, "{slow} calls took {bound:?}, of {due} that were due so early in the stall");
    }
}

#[test]
fn a_stall_does_not_slow_the_open_loop_and_stops_the_closed_one() {
    let server = stalling();
    let ran = run(plan(&server.target, json!({"load": closed(1, 2), "count": 300})));
    assert_eq!(ran.outcome("OK"), 300);
    let during = |server: &Server| {
        let seen = server.state.seen.lock().unwrap();
        let began = seen[100].received;
        // A margin, so that calls which the end of the stall set free are not counted.
        seen.iter().filter(|call| call.received >= began && call.received < began + STALL * 9 / 10).count()
    };
    assert!(during(&server) <= 2, "{}", during(&server));

    let server = stalling();
    run(plan(&server.target, json!({"load": open(RATE.into(), "constant"), "count": 300})));
    assert!(during(&server) > 20, "{}", during(&server));
}

#[test]
fn totals_histograms_and_timeline_agree() {
    for load in [closed(3, 5), open(2_000.0, "poisson")] {
        let server = Server::start(|number| if number % 10 == 3 { Act::Status("8", "full") } else { Act::Answer });
        let ran = run(plan(&server.target, json!({"load": load, "count": 2_000})));
        assert_eq!((ran.code, ran.number("scheduled"), ran.number("sent"), ran.outcomes()), (0, 2_000, 2_000, 2_000));
        assert_eq!((ran.outcome("OK"), ran.outcome("RESOURCE_EXHAUSTED")), (1_800, 200));
        assert_eq!(
            (ran.values("latency_ns").len(), ran.values("service_ns").len(), ran.values("failed_ns").len()),
            (1_800, 1_800, 200)
        );
        assert_eq!((ran.total("sent"), ran.total("done"), ran.total("ok")), (2_000, 2_000, 1_800));
        assert_eq!(ran.result["first_problem"], json!({"outcome": "RESOURCE_EXHAUSTED", "message": "full"}));
        assert_eq!(ran.result["generator"], concat!("native ", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn the_warm_up_is_load_that_is_not_counted() {
    for load in [closed(1, 2), open(100.0, "constant")] {
        let server = Server::start(|_| Act::AnswerAfter(Duration::from_millis(5)));
        let ran = run(plan(&server.target, json!({"load": load, "warmup_s": 0.6, "count": 40})));
        assert_eq!((ran.code, ran.number("scheduled"), ran.outcome("OK")), (0, 40, 40));
        assert!(server.state.seen.lock().unwrap().len() > 40);
        assert!(ran.progress[0]["at_s"].as_f64().unwrap() < 0.0, "{:?}", ran.progress[0]);
    }
}

#[test]
fn a_plan_by_time_sends_what_the_schedule_holds() {
    let server = Server::start(|_| Act::Answer);
    let plan = plan(&server.target, json!({"load": open(500.0, "constant"), "count": null, "duration_s": 0.8}));
    let ran = run(plan);
    assert_eq!((ran.code, ran.number("scheduled"), ran.number("sent"), ran.outcome("OK")), (0, 400, 400, 400));
}

#[test]
fn requests_take_turns() {
    let server = Server::start(|_| Act::Answer);
    let bodies = ["AA==", "AQ==", "Ag=="].map(|body| json!({"body": body, "checks": []}));
    run(plan(&server.target, json!({"requests": bodies, "load": closed(1, 1), "count": 7})));
    let seen = server.state.seen.lock().unwrap();
    let bodies: Vec<&[u8]> = seen.iter().map(|call| &call.body[..]).collect();
    assert_eq!(bodies, [0, 1, 2, 0, 1, 2, 0].map(|last| [0, 0, 0, 0, 1, last]));
}

#[test]
fn a_server_that_allows_few_streams_makes_calls_wait_and_not_fail() {
    let server = Server::with(|_| Act::AnswerAfter(Duration::from_millis(2)), 2, None);
    for load in [closed(1, 20), open(1_000.0, "constant")] {
        let ran = run(plan(&server.target, json!({"load": load})));
        assert_eq!((ran.code, ran.outcome("OK")), (0, 100), "{}", ran.result);
    }
}
