//! What was measured so far. Calls of the warm-up show in the progress and nowhere else.

use crate::histogram::Histogram;
use crate::outcome::{Outcome, Verdict};
use crate::timeline::Timeline;

/// One call, while it is out. Times are nanoseconds of the clock.
#[derive(Clone, Copy)]
pub struct Call {
    /// When it should have been sent; latency counts from here.
    pub due: u64,
    /// When it really was.
    pub sent: u64,
    /// Not in the warm-up.
    pub counted: bool,
}

/// All calls, warm-up included.
#[derive(Default, Clone, Copy)]
pub struct Totals {
    pub begun: u64,
    pub sent: u64,
    pub done: u64,
    pub ok: u64,
    pub answered: u64,
}

/// Counters and histograms of one run.
pub struct Tally {
    /// Where the warm-up ends.
    pub counted_from: u64,
    /// Warm-up included.
    pub totals: Totals,
    /// Counted calls that were due, whatever came of them.
    pub scheduled: u64,
    /// Counted calls that were really sent.
    pub sent: u64,
    /// Of counted calls, by the outcome's index.
    pub outcomes: [u64; Outcome::COUNT],
    /// Of the counted calls.
    pub first_problem: Option<(Outcome, String)>,
    /// OK calls, from when they were due.
    pub latency: Histogram,
    /// OK calls, from when they were sent.
    pub service: Histogram,
    /// Calls that ended otherwise, from when they were due.
    pub failed: Histogram,
    /// Of counted calls.
    pub timeline: Timeline,
    /// Largest delay between due and sent of a counted call.
    pub max_late: u64,
    /// When anything last came from the server, warm-up included.
    pub last_answer: u64,
    first_send: Option<u64>,
    last_end: u64,
    late_since: u64,
}

impl Tally {
    /// Of a run whose warm-up ends at `counted_from` nanoseconds of the clock.
    pub fn new(counted_from: u64) -> Self {
        Self {
            counted_from,
            totals: Totals::default(),
            scheduled: 0,
            sent: 0,
            outcomes: [0; Outcome::COUNT],
            first_problem: None,
            latency: Histogram::new(),
            service: Histogram::new(),
            failed: Histogram::new(),
            timeline: Timeline::new(counted_from),
            max_late: 0,
            last_answer: 0,
            first_send: None,
            last_end: 0,
            late_since: 0,
        }
    }

    /// A call is due, and will be sent as soon as there is a connection.
    pub fn begun(&mut self, counted: bool) {
        self.totals.begun += 1;
        self.scheduled += u64::from(counted);
    }

    /// It was.
    pub fn sent(&mut self, call: Call) {
        self.totals.sent += 1;
        if call.counted {
            self.sent += 1;
            self.first_send.get_or_insert(call.sent);
            self.timeline.sent(call.sent);
        }
    }

    /// It has ended.
    pub fn ended(&mut self, call: Call, at: u64, verdict: Verdict) {
        let ok = verdict.outcome == Outcome::OK;
        self.totals.done += 1;
        self.totals.ok += u64::from(ok);
        if verdict.answered {
            self.totals.answered += 1;
            self.last_answer = at;
        }
        if call.counted {
            self.counted(call, at, verdict);
        }
    }

    fn counted(&mut self, call: Call, at: u64, verdict: Verdict) {
        let latency = at.saturating_sub(call.due);
        self.outcomes[verdict.outcome.index()] += 1;
        self.last_end = at;
        if verdict.outcome == Outcome::OK {
            self.latency.record(latency);
            self.service.record(at.saturating_sub(call.sent));
            self.timeline.done(at, Some(latency));
        } else {
            self.failed.record(latency);
            self.timeline.done(at, None);
            self.first_problem.get_or_insert((verdict.outcome, verdict.message));
        }
    }

    /// A call was due while too many were out.
    pub fn not_sent(&mut self, counted: bool) {
        if counted {
            self.scheduled += 1;
            self.outcomes[Outcome::NOT_SENT.index()] += 1;
            let refused = || (Outcome::NOT_SENT, "max_in_flight calls were out".to_owned());
            self.first_problem.get_or_insert_with(refused);
        }
    }

    /// The generator came to a call of the schedule so long after it was due.
    pub fn late(&mut self, late: u64, counted: bool) {
        self.late_since = self.late_since.max(late);
        if counted {
            self.max_late = self.max_late.max(late);
        }
    }

    /// The worst lateness since this was last asked for.
    pub fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late_since)
    }

    /// Calls that are out, warm-up included.
    pub fn in_flight(&self) -> u64 {
        self.totals.begun - self.totals.done
    }

    /// Nanoseconds from the first counted send to the last counted end.
    pub fn span(&self) -> u64 {
        self.first_send.map_or(0, |first| self.last_end.saturating_sub(first))
    }

    /// The run is over: what is still out was never answered.
    pub fn close(&mut self) {
        let unanswered = self.scheduled - self.outcomes.iter().sum::<u64>();
        self.outcomes[Outcome::UNANSWERED.index()] += unanswered;
        if unanswered > 0 {
            let message = || (Outcome::UNANSWERED, "no answer before the end".to_owned());
            self.first_problem.get_or_insert_with(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(due: u64, sent: u64) -> Call {
        Call { due, sent, counted: due >= 100 }
    }

    fn only(histogram: &Histogram) -> Vec<(u64, u64)> {
        histogram.buckets().collect()
    }

    #[test]
    fn latency_counts_from_when_a_call_was_due_and_service_from_when_it_was_sent() {
        let mut tally = Tally::new(100);
        tally.begun(true);
        tally.sent(call(100, 300));
        tally.ended(call(100, 300), 1_000, Verdict::OK);
        assert_eq!((only(&tally.latency), only(&tally.service)), (vec![(900, 1)], vec![(700, 1)]));
        assert_eq!((tally.span(), tally.scheduled, tally.sent), (700, 1, 1));
    }

    #[test]
    fn the_warm_up_shows_in_the_totals_only() {
        let mut tally = Tally::new(100);
        tally.begun(false);
        tally.sent(call(99, 99));
        tally.ended(call(99, 99), 1_000, Verdict::answered(Outcome::UNKNOWN, "x"));
        tally.late(50, false);
        tally.not_sent(false);
        assert_eq!((tally.totals.sent, tally.totals.done, tally.totals.ok, tally.take_late()), (1, 1, 0, 50));
        assert_eq!((tally.scheduled, tally.sent, tally.max_late, tally.outcomes), (0, 0, 0, [0; Outcome::COUNT]));
        assert!(tally.first_problem.is_none() && tally.failed.buckets().next().is_none());
    }

    #[test]
    fn outcomes_add_up_to_what_was_scheduled() {
        let mut tally = Tally::new(100);
        for due in 100..103 {
            tally.begun(true);
            tally.sent(call(due, due));
        }
        tally.ended(call(100, 100), 105, Verdict::OK);
        tally.ended(call(101, 101), 109, Verdict::unanswered(Outcome::CONNECTION_LOST, "reset"));
        tally.not_sent(true);
        tally.close();
        let of = |outcome: Outcome| tally.outcomes[outcome.index()];
        let names = [Outcome::OK, Outcome::CONNECTION_LOST, Outcome::NOT_SENT, Outcome::UNANSWERED];
        assert_eq!((names.map(of), tally.scheduled, tally.in_flight()), ([1; 4], 4, 1));
        assert_eq!(tally.first_problem, Some((Outcome::CONNECTION_LOST, "reset".into())));
    }
}
