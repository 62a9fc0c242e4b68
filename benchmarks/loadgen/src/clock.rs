//! Time as the measurements count it: nanoseconds from the start of the warm-up.

use std::time::{Duration, Instant};

/// Monotonic.
#[derive(Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Now is 0.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        nanoseconds(self.origin.elapsed())
    }

    /// The moment of a time that `now` gave.
    pub fn instant(&self, at: u64) -> Instant {
        self.origin + Duration::from_nanos(at)
    }
}

/// Of a duration; 584 years at most.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Of seconds as a plan gives them; 584 years at most.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and no time is negative")]
pub fn from_seconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

/// For the reader's eyes.
#[expect(clippy::cast_precision_loss, reason = "53 bits of nanoseconds are 104 days")]
pub fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
