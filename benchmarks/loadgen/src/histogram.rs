//! HDR histograms with three significant digits: fixed buckets, so that recording is one shift and one addition.

/// Longer than an hour counts as an hour: nothing that is measured here waits for so long.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// Values of so many bits have a bucket each; above, so many leading bits name the bucket.
const EXACT_BITS: u32 = 11;
const EXACT: usize = 1 << EXACT_BITS;
const HALF: usize = EXACT / 2;

/// Counts of nanoseconds; a bucket is named by the highest value in it, which is at most a thousandth above any other.
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
}

impl Histogram {
    /// An empty one, 270 KB.
    pub fn new() -> Self {
        Self { counts: vec![0; bucket(LONGEST_NS) + 1].into(), total: 0 }
    }

    /// Counts one value in nanoseconds.
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value.min(LONGEST_NS))] += 1;
        self.total += 1;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The bucket of the value that `part` of 1 do not exceed; none when it is empty.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let rank = rank(part, self.total)?;
        let mut below = 0;
        self.buckets()
            .find(|(_, count)| {
                below += count;
                below >= rank
            })
            .map(|(value, _)| value)
    }

    /// Buckets that hold something, in ascending order: highest value, count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(index, count)| (highest(index), *count))
    }
}

/// Which of `total` values in ascending order, from 1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts stay far below 2^53, and a quantile lies between 0 and 1"
)]
fn rank(part: f64, total: u64) -> Option<u64> {
    (total > 0).then(|| ((part * total as f64).ceil() as u64).clamp(1, total))
}

fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(EXACT_BITS) as usize;
    // Every further power of two adds the upper half of the exact range, at double the width.
    shift * HALF + usize::try_from(value >> shift).expect("11 bits")
}

fn highest(bucket: usize) -> u64 {
    let shift = (bucket / HALF).saturating_sub(1);
    let leading = (bucket - shift * HALF) as u64;
    ((leading + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As PROTOCOL.md puts it.
    fn of_the_protocol(value: u64) -> u64 {
        let shift = (u64::BITS - value.leading_zeros()).saturating_sub(11);
        (((value >> shift) + 1) << shift) - 1
    }

    proptest! {
        #[test]
        fn a_value_lies_in_the_bucket_that_the_protocol_names(value in 0..=LONGEST_NS) {
            prop_assert_eq!(highest(bucket(value)), of_the_protocol(value));
        }

        #[test]
        fn a_bucket_is_at_most_a_thousandth_wide(value in 0..=LONGEST_NS) {
            let named = highest(bucket(value));
            prop_assert!(named >= value && (named - value) * 1_000 <= value);
        }

        #[test]
        fn a_quantile_is_the_bucket_of_the_value_of_that_rank(mut values in prop::collection::vec(0..10_000_000_u64, 1..200), percent in 0..=100_usize) {
            let mut histogram = Histogram::new();
            for value in &values { histogram.record(*value); }
            values.sort_unstable();
            let rank = (percent * values.len()).div_ceil(100).max(1);
            #[expect(clippy::cast_precision_loss, reason = "at most 100")]
            let found = histogram.quantile(percent as f64 / 100.0);
            // 0.07 * 100 is 7.000000000000001 in binary: one rank further is right as well.
            let right = [rank, (rank + 1).min(values.len())].map(|rank| Some(of_the_protocol(values[rank - 1])));
            prop_assert!(right.contains(&found), "{:?} is none of {:?}", found, right);
        }

        #[test]
        fn nothing_that_was_recorded_is_lost(values in prop::collection::vec(any::<u64>(), 0..200)) {
            let mut histogram = Histogram::new();
            for value in &values { histogram.record(*value); }
            prop_assert_eq!(histogram.buckets().map(|(_, count)| count).sum::<u64>(), values.len() as u64);
        }
    }

    #[test]
    fn more_than_an_hour_counts_as_an_hour() {
        let mut histogram = Histogram::new();
        histogram.record(u64::MAX);
        assert_eq!(histogram.quantile(1.0), Some(of_the_protocol(LONGEST_NS)));
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        histogram.record(5);
        histogram.clear();
        assert_eq!((histogram.quantile(0.5), histogram.buckets().count()), (None, 0));
    }
}
