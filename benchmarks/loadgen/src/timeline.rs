//! What happened in each second of the counted part.

use crate::histogram::Histogram;
use serde::Serialize;

const SECOND_NS: u64 = 1_000_000_000;

/// One second, from `at_s` on; percentiles of the OK calls answered in it.
#[derive(Serialize, Clone, Default, Debug, PartialEq)]
pub struct Second {
    at_s: u64,
    sent: u64,
    done: u64,
    ok: u64,
    p50_ns: Option<u64>,
    p99_ns: Option<u64>,
}

/// Seconds so far; only the last one's latencies are kept, since answers come in the order of the clock.
pub struct Timeline {
    from: u64,
    seconds: Vec<Second>,
    latest: usize,
    latencies: Histogram,
}

impl Timeline {
    /// The first second begins at `from` nanoseconds of the clock.
    pub fn new(from: u64) -> Self {
        Self { from, seconds: vec![], latest: 0, latencies: Histogram::new() }
    }

    /// A call was sent.
    pub fn sent(&mut self, at: u64) {
        let index = self.index(at);
        self.second(index).sent += 1;
    }

    /// A call has ended; with its latency if it is OK.
    pub fn done(&mut self, at: u64, latency: Option<u64>) {
        let index = self.index(at);
        if index > self.latest {
            self.close();
            self.latest = index;
        }
        let second = self.second(index);
        second.done += 1;
        if let Some(latency) = latency {
            second.ok += 1;
            self.latencies.record(latency);
        }
    }

    /// All seconds up to the last in which something happened.
    pub fn finish(mut self) -> Vec<Second> {
        self.close();
        self.seconds
    }

    fn close(&mut self) {
        let (median, high) = (self.latencies.quantile(0.5), self.latencies.quantile(0.99));
        if median.is_some() {
            let latest = self.latest;
            let second = self.second(latest);
            (second.p50_ns, second.p99_ns) = (median, high);
            self.latencies.clear();
        }
    }

    fn index(&self, at: u64) -> usize {
        usize::try_from(at.saturating_sub(self.from) / SECOND_NS).expect("seconds of a run")
    }

    fn second(&mut self, index: usize) -> &mut Second {
        while self.seconds.len() <= index {
            self.seconds.push(Second { at_s: self.seconds.len() as u64, ..Second::default() });
        }
        &mut self.seconds[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_lies_in_its_second_and_idle_seconds_are_there() {
        let mut timeline = Timeline::new(SECOND_NS);
        timeline.sent(SECOND_NS);
        timeline.sent(2 * SECOND_NS - 1);
        timeline.done(2 * SECOND_NS - 1, Some(7));
        timeline.done(4 * SECOND_NS, Some(9));
        timeline.done(4 * SECOND_NS, None);
        let second = |at_s, sent, done, ok, ns| Second { at_s, sent, done, ok, p50_ns: ns, p99_ns: ns };
        let expected = [second(0, 2, 1, 1, Some(7)), second(1, 0, 0, 0, None), second(2, 0, 0, 0, None)];
        assert_eq!(timeline.finish(), [&expected[..], &[second(3, 0, 2, 1, Some(9))]].concat());
    }
}
