//! When calls of an open loop are due: a pure sequence, bit for bit that of PROTOCOL.md and of the generator in Python.

use crate::clock::from_seconds;
use crate::plan::Arrivals;

/// `SplitMix64`: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// One call of the schedule.
#[derive(Debug, PartialEq)]
pub struct Due {
    /// Nanoseconds of the clock.
    pub at: u64,
    /// Not in the warm-up. Decided by the seconds, which both generators have to the last bit.
    pub counted: bool,
}

/// Seconds from the start at which calls are due, in ascending order and without end.
pub struct Schedule {
    arrivals: Arrivals,
    rate: f64,
    state: u64,
    number: u64,
    due: f64,
}

impl Schedule {
    /// `rate` calls a second on average; the seed matters to Poisson arrivals only.
    pub fn new(arrivals: Arrivals, rate: f64, seed: u64) -> Self {
        Self { arrivals, rate, state: seed, number: 0, due: 0.0 }
    }

    /// The calls of a plan: those before `warmup_s`, and then those before `until_s`, `count` at most.
    pub fn planned(self, warmup_s: f64, until_s: f64, count: u64) -> impl Iterator<Item = Due> {
        let mut left = count;
        self.map_while(move |due| {
            let counted = due >= warmup_s;
            let within = due < until_s && (left > 0 || !counted);
            left -= u64::from(counted && within);
            within.then(|| Due { at: from_seconds(due), counted })
        })
    }

    fn constant(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "2^53 calls would take centuries")]
        let due = self.number as f64 / self.rate;
        self.number += 1;
        due
    }

    fn poisson(&mut self) -> f64 {
        self.state = self.state.wrapping_add(GOLDEN);
        self.due += -(1.0 - uniform(self.state)).ln() / self.rate;
        self.due
    }
}

impl Iterator for Schedule {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        Some(match self.arrivals {
            Arrivals::Constant => self.constant(),
            Arrivals::Poisson => self.poisson(),
        })
    }
}

/// In [0, 1), 53 bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
fn uniform(state: u64) -> f64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gaps(rate: f64, seed: u64, count: usize) -> Vec<f64> {
        let due: Vec<f64> = Schedule::new(Arrivals::Poisson, rate, seed).take(count).collect();
        due.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "small")]
    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn the_arrivals_are_those_of_the_protocol() {
        let due = Schedule::new(Arrivals::Poisson, 1_000.0, 7).take(5);
        let microseconds: Vec<String> = due.map(|seconds| format!("{:.3}", seconds * 1e6)).collect();
        assert_eq!(microseconds.join(", "), "494.017, 510.948, 2821.169, 3695.671, 4297.958");
        assert!(include_str!("../PROTOCOL.md").contains(&microseconds.join(", ")));
    }

    #[test]
    fn poisson_gaps_have_the_mean_the_deviation_and_the_tail_of_the_exponential() {
        let gaps = gaps(1_000.0, 42, 200_001);
        let average = mean(&gaps);
        let deviation = mean(&gaps.iter().map(|gap| (gap - average).powi(2)).collect::<Vec<_>>()).sqrt();
        let beyond_two = mean(&gaps.iter().map(|gap| f64::from(u8::from(*gap > 0.002))).collect::<Vec<_>>());
        // Four standard errors of 200,000 draws; the seed is fixed, so that this holds or does not, always.
        assert!((average * 1_000.0 - 1.0).abs() < 0.009, "{average}");
        assert!((deviation * 1_000.0 - 1.0).abs() < 0.013, "{deviation}");
        assert!((beyond_two - (-2.0_f64).exp()).abs() < 0.0031, "{beyond_two}");
    }

    #[test]
    fn neighbouring_poisson_gaps_tell_nothing_of_each_other() {
        let gaps = gaps(1.0, 3, 100_001);
        let products: Vec<f64> = gaps.windows(2).map(|pair| (pair[0] - 1.0) * (pair[1] - 1.0)).collect();
        assert!(mean(&products).abs() < 0.013, "{}", mean(&products));
    }

    #[test]
    fn constant_arrivals_do_not_drift() {
        let due = Schedule::new(Arrivals::Constant, 3.0, 0).nth(3_000_000);
        assert_eq!(due, Some(1_000_000.0));
    }

    #[test]
    fn a_plan_ends_by_time_or_by_its_counted_calls() {
        let planned = |until_s, count| {
            let due = Schedule::new(Arrivals::Constant, 1e8, 0).planned(2e-8, until_s, count);
            due.map(|due| (due.at, due.counted)).collect::<Vec<_>>()
        };
        let expected = [(0, false), (10, false), (20, true), (30, true), (40, true)];
        assert_eq!(planned(4.5e-8, u64::MAX), expected);
        assert_eq!(planned(f64::INFINITY, 2), expected[..4]);
    }

    proptest! {
        #[test]
        fn the_same_seed_gives_the_same_arrivals_and_another_one_others(seed: u64, rate in 0.1..1e6) {
            let first = |seed| Schedule::new(Arrivals::Poisson, rate, seed).take(50).collect::<Vec<_>>();
            prop_assert_eq!(first(seed), first(seed));
            prop_assert_ne!(first(seed), first(seed.wrapping_add(1)));
        }

        #[test]
        fn arrivals_never_go_back(seed: u64, rate in 0.1..1e6) {
            prop_assert!(gaps(rate, seed, 500).iter().all(|gap| *gap >= 0.0));
        }
    }
}
