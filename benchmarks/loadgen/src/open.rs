//! Open loop: calls are sent when the schedule says so, whatever became of those before.

use std::rc::Rc;

use tokio::task::spawn_local;

use crate::link::Link;
use crate::pacer::Pacer;
use crate::schedule::Due;
use crate::session::Session;

/// Sends all calls of the schedule; gives what went wrong, if it did. Calls may still be out then.
pub async fn drive(
    session: &Rc<Session>,
    links: &[Rc<Link>],
    schedule: impl Iterator<Item = Due>,
    max_in_flight: u64,
) -> Option<String> {
    let mut pacer = match Pacer::new() {
        Ok(pacer) => pacer,
        Err(error) => return Some(format!("no timer: {error}")),
    };
    for (number, due) in schedule.enumerate() {
        let begun = match pacer.until(&session.clock, due.at).await {
            Ok(now) => now,
            Err(error) => return Some(format!("the timer failed: {error}")),
        };
        fire(session, pick(links, number), due, begun, max_in_flight);
    }
    None
}

fn fire(session: &Rc<Session>, link: &Rc<Link>, due: Due, begun: u64, max_in_flight: u64) {
    let mut tally = session.tally.borrow_mut();
    tally.late(begun - due.at, due.counted);
    let request = session.next_request();
    if tally.in_flight() >= max_in_flight {
        tally.not_sent(due.counted);
        return;
    }
    tally.begun(due.counted);
    let (session, link) = (session.clone(), link.clone());
    spawn_local(async move { session.call(&link, request, due, begun).await });
}

/// In turn, past those that are down.
fn pick(links: &[Rc<Link>], number: usize) -> &Rc<Link> {
    let turn = number % links.len();
    let mut in_turn = links[turn..].iter().chain(&links[..turn]);
    in_turn.find(|link| link.down().is_none()).unwrap_or(&links[turn])
}
