//! One run from its plan to its report: connect, drive the load, wait for what is out.

use std::cell::Cell;
use std::io::Error;
use std::rc::Rc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::clock::{from_seconds, seconds};
use crate::closed;
use crate::dial::Dialer;
use crate::link::Link;
use crate::open;
use crate::plan::{Load, Plan};
use crate::report::{Line, Progress, Report};
use crate::schedule::{Due, Schedule};
use crate::session::Session;

const PROGRESS: Duration = Duration::from_millis(500);
/// How often it is looked whether calls are still out; their times do not depend on it.
const LOOK: Duration = Duration::from_millis(2);

/// A plan that can be run.
pub struct Run {
    plan: Plan,
    dialer: Rc<Dialer>,
    session: Session,
}

/// The connections, and the tasks that keep them; a task that ends has given its connection up and says why.
struct Links {
    links: Vec<Rc<Link>>,
    keepers: JoinSet<String>,
}

impl Run {
    /// Errors name the field of the plan.
    pub fn new(plan: Plan) -> Result<Self, String> {
        let dialer = Rc::new(Dialer::new(&plan.target, plan.tls.as_ref())?);
        let session = Session::new(&plan)?;
        Ok(Self { plan, dialer, session })
    }

    /// Runs to the end, or to what prevents it. Prints progress. An error is the kernel's.
    pub async fn report(self) -> Result<Report, Error> {
        let interrupted = interrupted()?;
        let connected = connect(&self.dialer, self.plan.load.connections()).await;
        let session = Rc::new(self.session.started());
        let cpu = Rc::new(Cell::new(cpu_s()));
        let problem = match connected {
            Err(why) => Some(format!("cannot connect to {why}")),
            Ok(links) => {
                spawn_local(note_cpu(session.clone(), cpu.clone()));
                supervise(&self.plan, &session, links, interrupted).await
            }
        };
        let cpu = cpu_s() - cpu.get();
        let tally = session.tally.replace(crate::tally::Tally::new(0));
        Ok(Report::new(tally, problem, held(&self.plan), cpu))
    }
}

async fn connect(dialer: &Rc<Dialer>, connections: usize) -> Result<Links, String> {
    let mut all = Links { links: vec![], keepers: JoinSet::new() };
    for _ in 0..connections {
        let connection = dialer.dial().await?;
        let link = Rc::new(Link::new(connection.sender));
        all.keepers.spawn_local(link.clone().keep(dialer.clone(), connection.driver));
        all.links.push(link);
    }
    Ok(all)
}

/// What kept the plan from its end, if anything.
async fn supervise(
    plan: &Plan,
    session: &Rc<Session>,
    mut links: Links,
    interrupted: impl Future<Output = ()>,
) -> Option<String> {
    let ended = tokio::select! {
        problem = load(plan, session, &links.links) => problem,
        Some(lost) = links.keepers.join_next() => Some(lost.unwrap_or_else(|error| error.to_string())),
        () = interrupted => Some("interrupted".into()),
        error = progress(session) => Some(format!("nobody reads standard output: {error}")),
    };
    let down = || links.links.iter().find_map(|link| link.down());
    let lost = || down().map(|why| format!("the connection was lost and not restored before the end: {why}"));
    let silent = || (session.tally.borrow().totals.answered == 0).then(|| "nothing answered".to_owned());
    ended.or_else(lost).or_else(silent)
}

async fn load(plan: &Plan, session: &Rc<Session>, links: &[Rc<Link>]) -> Option<String> {
    let grace = from_seconds(plan.grace_s);
    let driven = match plan.load {
        Load::Closed { in_flight, .. } => {
            let end = match plan.count {
                Some(count) => closed::End::After { count, patience: grace },
                None => closed::End::At(from_seconds(until_s(plan))),
            };
            closed::drive(session, links, in_flight, end).await
        }
        Load::Open { max_in_flight, .. } => {
            let schedule = schedule(plan).into_iter().flatten();
            open::drive(session, links, schedule, max_in_flight).await
        }
    };
    match driven {
        None => drain(session, grace).await,
        problem => problem,
    }
}

/// Waits for calls that are out, `grace` nanoseconds at most.
async fn drain(session: &Session, grace: u64) -> Option<String> {
    let from = session.clock.now();
    while session.tally.borrow().in_flight() > 0 {
        if session.clock.now() - from > grace {
            let tally = session.tally.borrow();
            let out = tally.in_flight();
            let silent = || format!("no answer for {} s at the end, with {out} calls out", seconds(grace));
            return (tally.last_answer < from).then(silent);
        }
        sleep(LOOK).await;
    }
    None
}

fn until_s(plan: &Plan) -> f64 {
    plan.duration_s.map_or(f64::INFINITY, |duration| plan.warmup_s + duration)
}

/// The calls of an open loop.
fn schedule(plan: &Plan) -> Option<impl Iterator<Item = Due> + use<>> {
    let Load::Open { arrivals, rate, seed, .. } = plan.load else {
        return None;
    };
    let schedule = Schedule::new(arrivals, rate, seed);
    Some(schedule.planned(plan.warmup_s, until_s(plan), plan.count.unwrap_or(u64::MAX)))
}

/// How many counted calls the schedule holds, sent or not.
fn held(plan: &Plan) -> Option<u64> {
    schedule(plan).map(|calls| calls.filter(|due| due.counted).count() as u64)
}

/// Ends with SIGINT or SIGTERM. Listens from now on, not only once it is polled.
fn interrupted() -> Result<impl Future<Output = ()>, Error> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    })
}

/// Prints progress until that fails.
async fn progress(session: &Session) -> Error {
    let mut ticks = interval(PROGRESS);
    ticks.tick().await; // the first one is at once
    loop {
        ticks.tick().await;
        if let Err(error) = Line::Progress(Progress::of(session)).print() {
            return error;
        }
    }
}

/// Processor time spent before the counted part is not the counted part's.
async fn note_cpu(session: Rc<Session>, cpu: Rc<Cell<f64>>) {
    let counted_from = session.tally.borrow().counted_from;
    sleep_until(Instant::from_std(session.clock.instant(counted_from))).await;
    cpu.set(cpu_s());
}

/// Of this process so far.
#[expect(clippy::cast_precision_loss, reason = "seconds")]
fn cpu_s() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}
