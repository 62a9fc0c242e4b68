//! `credence-loadgen` makes load on one unary gRPC method from one core and tells what came of it.
//!
//! A plan comes in on standard input, lines of JSON go out on standard output: PROTOCOL.md is the seam. How it works: `run`
//! connects (`dial`, `link`), then `closed` or `open` begins calls; `session` carries each one over HTTP/2 (`call`) to a
//! verdict (`outcome`, `checks`) and into the `tally`; `report` writes that down. One thread does everything, one task drives
//! each connection, and one more waits for each call that is out.

mod call;
mod checks;
mod clock;
mod closed;
mod dial;
mod histogram;
mod link;
mod open;
mod outcome;
mod pacer;
mod plan;
mod protobuf;
mod report;
mod run;
mod schedule;
mod session;
mod tally;
mod timeline;

use std::io::{Read, stdin};
use std::process::ExitCode;

use tokio::task::LocalSet;

use crate::plan::Plan;
use crate::report::Line;
use crate::run::Run;

const INCOMPLETE: u8 = 1;
const UNREADABLE: u8 = 2;

fn main() -> ExitCode {
    let run = match read() {
        Ok(run) => run,
        Err(problem) => return fail(UNREADABLE, &problem),
    };
    match report(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => INCOMPLETE.into(),
        Err(error) => fail(INCOMPLETE, &error.to_string()),
    }
}

fn read() -> Result<Run, String> {
    if std::env::args_os().len() > 1 {
        return Err("takes no arguments, but a plan on standard input: benchmarks/loadgen/PROTOCOL.md".into());
    }
    let mut plan = String::new();
    stdin().read_to_string(&mut plan).map_err(|error| format!("standard input: {error}"))?;
    Run::new(Plan::read(&plan)?)
}

/// Whether the plan ran to its end.
fn report(run: Run) -> Result<bool, std::io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = LocalSet::new().block_on(&runtime, run.report())?;
    let complete = report.complete;
    Line::Result(Box::new(report)).print()?;
    Ok(complete)
}

fn fail(code: u8, problem: &str) -> ExitCode {
    eprintln!("credence-loadgen: {problem}");
    code.into()
}
