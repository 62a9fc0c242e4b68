//! What all calls of a run share, and the life of one call from when it is due to its place in the tally.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::call::{Head, answer, send};
use crate::checks::Request;
use crate::clock::{Clock, from_seconds, nanoseconds};
use crate::link::Link;
use crate::outcome::{Outcome, Verdict};
use crate::plan::Plan;
use crate::schedule::Due;
use crate::tally::{Call, Tally};

/// One run's requests and measurements, shared by its tasks on one thread.
pub struct Session {
    /// Starts with the warm-up.
    pub clock: Clock,
    /// Borrowed for an instant only, never while waiting.
    pub tally: RefCell<Tally>,
    head: Head,
    requests: Vec<Request>,
    next: Cell<usize>,
    deadline: Option<Duration>,
}

impl Session {
    /// Errors name the field of the plan. The clock starts now.
    pub fn new(plan: &Plan) -> Result<Self, String> {
        let deadline = plan.deadline_ms.map(|ms| Duration::from_nanos(from_seconds(ms / 1e3)));
        let requests = plan.requests.iter().enumerate();
        let requests = requests.map(|(number, planned)| Request::new(&format!("requests[{number}]"), planned));
        Ok(Self {
            clock: Clock::start(),
            tally: RefCell::new(Tally::new(from_seconds(plan.warmup_s))),
            head: Head::new(plan, deadline)?,
            requests: requests.collect::<Result<_, _>>()?,
            next: Cell::new(0),
            deadline,
        })
    }

    /// Starts the clock again: connections have been made since, and calls are due from now on.
    pub fn started(self) -> Self {
        Self { clock: Clock::start(), ..self }
    }

    /// The place of the next call's request: they take turns.
    pub fn next_request(&self) -> usize {
        let number = self.next.get();
        self.next.set((number + 1) % self.requests.len());
        number
    }

    /// Makes one call that is begun at `begun`, and counts what came of it.
    pub async fn call(&self, link: &Link, number: usize, due: Due, begun: u64) {
        let call = Cell::new(Call { due: due.at, sent: begun, counted: due.counted });
        let attempt = self.attempt(link, &self.requests[number], &call);
        let verdict = match self.deadline {
            None => attempt.await,
            Some(deadline) => {
                let until = Instant::from_std(self.clock.instant(begun) + deadline);
                timeout_at(until, attempt).await.unwrap_or_else(|_| given_up())
            }
        };
        let at = self.clock.now();
        let verdict = if self.too_late(begun, at) { given_up() } else { verdict };
        self.tally.borrow_mut().ended(call.get(), at, verdict);
    }

    async fn attempt(&self, link: &Link, request: &Request, call: &Cell<Call>) -> Verdict {
        loop {
            let mut ticket = match link.ticket_now() {
                Some(ticket) => ticket,
                None => match link.ticket().await {
                    Err(why) => return Verdict::unanswered(Outcome::CONNECTION_LOST, &*why),
                    Ok(ticket) => {
                        call.set(Call { sent: self.clock.now(), ..call.get() });
                        ticket
                    }
                },
            };
            let Ok(response) = send(&mut ticket.sender, &self.head, request) else {
                link.retire(&ticket);
                continue;
            };
            self.tally.borrow_mut().sent(call.get());
            let verdict = answer(response, request).await;
            if verdict.answered {
                link.answered();
            }
            return verdict;
        }
    }

    /// The timer looks every millisecond; an answer that came in between is too late all the same.
    fn too_late(&self, begun: u64, at: u64) -> bool {
        self.deadline.is_some_and(|deadline| at.saturating_sub(begun) > nanoseconds(deadline))
    }
}

fn given_up() -> Verdict {
    Verdict::unanswered(Outcome::DEADLINE_EXCEEDED, "given up when the deadline had passed")
}
