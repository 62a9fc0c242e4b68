//! The lines on standard output.

use std::collections::BTreeMap;
use std::io::{Error, Write, stdout};

use serde::Serialize;

use crate::clock::seconds;
use crate::histogram::Histogram;
use crate::outcome::{NAMES, Outcome};
use crate::session::Session;
use crate::tally::Tally;
use crate::timeline::Second;

/// One line; the fields are those of PROTOCOL.md.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// About twice a second.
    Progress(Progress),
    /// The last.
    Result(Box<Report>),
}

/// Where a run is.
#[derive(Serialize)]
pub struct Progress {
    at_s: f64,
    sent: u64,
    done: u64,
    ok: u64,
    in_flight: u64,
    late_ms: f64,
}

/// What a run measured.
#[derive(Serialize)]
pub struct Report {
    /// Whether the plan ran to its end.
    pub complete: bool,
    problem: String,
    seconds: f64,
    scheduled: u64,
    sent: u64,
    outcomes: BTreeMap<&'static str, u64>,
    first_problem: Option<FirstProblem>,
    latency_ns: Vec<(u64, u64)>,
    service_ns: Vec<(u64, u64)>,
    failed_ns: Vec<(u64, u64)>,
    max_late_ns: u64,
    refused_in_flight: u64,
    timeline: Vec<Second>,
    cpu_s: f64,
    generator: &'static str,
}

#[derive(Serialize)]
struct FirstProblem {
    outcome: &'static str,
    message: String,
}

impl Line {
    /// Fails when nobody reads any more.
    pub fn print(&self) -> Result<(), Error> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        let mut out = stdout().lock();
        out.write_all(&line)?;
        out.flush()
    }
}

impl Progress {
    /// Of now; starts the next interval of `late_ms`.
    pub fn of(session: &Session) -> Self {
        let mut tally = session.tally.borrow_mut();
        let late = tally.take_late();
        Self {
            at_s: seconds(session.clock.now()) - seconds(tally.counted_from),
            sent: tally.totals.sent,
            done: tally.totals.done,
            ok: tally.totals.ok,
            in_flight: tally.in_flight(),
            late_ms: seconds(late) * 1e3,
        }
    }
}

impl Report {
    /// Of a run that is over. `scheduled` is what its schedule held, if it had one.
    pub fn new(mut tally: Tally, problem: Option<String>, scheduled: Option<u64>, cpu_s: f64) -> Self {
        tally.close();
        Self {
            complete: problem.is_none(),
            problem: problem.unwrap_or_default(),
            seconds: seconds(tally.span()),
            scheduled: scheduled.unwrap_or(tally.scheduled),
            sent: tally.sent,
            outcomes: NAMES.into_iter().zip(tally.outcomes).filter(|(_, count)| *count > 0).collect(),
            first_problem: tally
                .first_problem
                .map(|(outcome, message)| FirstProblem { outcome: outcome.name(), message }),
            latency_ns: buckets(&tally.latency),
            service_ns: buckets(&tally.service),
            failed_ns: buckets(&tally.failed),
            max_late_ns: tally.max_late,
            refused_in_flight: tally.outcomes[Outcome::NOT_SENT.index()],
            timeline: tally.timeline.finish(),
            cpu_s,
            generator: concat!("native ", env!("CARGO_PKG_VERSION")),
        }
    }
}

fn buckets(histogram: &Histogram) -> Vec<(u64, u64)> {
    histogram.buckets().collect()
}
