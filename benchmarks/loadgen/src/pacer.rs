//! Waits for the moment a call is due, to some tens of microseconds.
//!
//! Tokio's timer counts milliseconds. The kernel's timerfd wakes within about 50 microseconds; what is left is spent asking
//! the clock, with the sockets served between two looks.

use std::io::Error;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;

use crate::clock::Clock;

/// The kernel's wake-up is not trusted to be nearer than this.
const NEAR_NS: u64 = 60_000;
/// After so many calls without a wait the sockets are served, or a schedule that is behind would never read an answer.
const BURST: u32 = 32;

/// A timer of its own.
pub struct Pacer {
    timer: AsyncFd<OwnedFd>,
    burst: u32,
}

impl Pacer {
    /// Needs a runtime with I/O. An error is the kernel's: too many open files.
    pub fn new() -> Result<Self, Error> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; what that asks for, an OwnedFd gives: it keeps its descriptor"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer, burst: 0 })
    }

    /// Returns the time, which is `due` or later.
    pub async fn until(&mut self, clock: &Clock, due: u64) -> Result<u64, Error> {
        loop {
            let now = clock.now();
            if now >= due && self.burst < BURST {
                self.burst += 1;
                return Ok(now);
            }
            self.burst = 0;
            match due.saturating_sub(now) {
                left @ NEAR_NS.. => self.sleep(left - NEAR_NS).await?,
                _ => yield_now().await,
            }
        }
    }

    async fn sleep(&self, nanoseconds: u64) -> Result<(), Error> {
        // A time of 0 would disarm the timer.
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once(nanoseconds.max(1)))?;
        let mut ready = self.timer.readable().await?;
        let expirations = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut [0; 8])?));
        // Woken for nothing: `until` looks at the clock anyway.
        expirations.map_or(Ok(()), |read| read.map(drop))
    }
}

fn once(nanoseconds: u64) -> Itimerspec {
    const SECOND: u64 = 1_000_000_000;
    let part = |number: u64| i64::try_from(number).expect("below 2^63");
    Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec { tv_sec: part(nanoseconds / SECOND), tv_nsec: part(nanoseconds % SECOND) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime").block_on(future)
    }

    #[test]
    fn nothing_comes_before_it_is_due() {
        block_on(async {
            let clock = Clock::start();
            let mut pacer = Pacer::new().unwrap();
            for due in [0, 1, 100_000, 3_000_000, 3_010_000, 20_000_000] {
                let now = pacer.until(&clock, due).await.unwrap();
                assert!(now >= due && clock.now() >= now);
            }
        });
    }

    #[test]
    fn a_schedule_that_is_behind_lets_others_run() {
        block_on(async {
            let clock = Clock::start();
            let mut pacer = Pacer::new().unwrap();
            let others = tokio::spawn(async {});
            for _ in 0..=BURST {
                pacer.until(&clock, 0).await.unwrap();
            }
            assert!(others.is_finished());
        });
    }
}
