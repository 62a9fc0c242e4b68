//! Closed loop: every slot sends its next call when its last one has ended.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::clock::seconds;
use crate::link::Link;
use crate::schedule::Due;
use crate::session::Session;

/// How often the end is looked for; calls do not wait for it.
const LOOK: Duration = Duration::from_millis(5);

/// What ends a closed loop.
#[derive(Clone, Copy)]
pub enum End {
    /// No call is begun from then on.
    At(u64),
    /// So many counted calls, unless nothing is answered for `patience` nanoseconds.
    After {
        /// Counted calls.
        count: u64,
        /// Nanoseconds.
        patience: u64,
    },
}

/// Keeps `in_flight` calls out on each link until the end; gives what went wrong, if it did. Calls may still be out then.
pub async fn drive(session: &Rc<Session>, links: &[Rc<Link>], in_flight: usize, end: End) -> Option<String> {
    for link in links {
        for _ in 0..in_flight {
            spawn_local(slot(session.clone(), link.clone(), end));
        }
    }
    while !end.reached(session, session.clock.now()) {
        sleep(LOOK).await;
        if let End::After { patience, .. } = end {
            let silence = session.clock.now().saturating_sub(session.tally.borrow().last_answer);
            if silence > patience {
                return Some(format!("no answer for {} s", seconds(patience)));
            }
        }
    }
    None
}

async fn slot(session: Rc<Session>, link: Rc<Link>, end: End) {
    loop {
        link.up().await;
        let now = session.clock.now();
        if end.reached(&session, now) {
            return;
        }
        let counted = now >= session.tally.borrow().counted_from;
        session.tally.borrow_mut().begun(counted);
        session.call(&link, session.next_request(), Due { at: now, counted }, now).await;
    }
}

impl End {
    fn reached(self, session: &Session, now: u64) -> bool {
        match self {
            End::At(until) => now >= until,
            End::After { count, .. } => session.tally.borrow().scheduled >= count,
        }
    }
}
