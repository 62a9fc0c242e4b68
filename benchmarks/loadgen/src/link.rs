//! A connection to the target that is made again when it is lost.
//!
//! As in a gRPC channel, calls wait while it is first tried again, and fail fast once that has failed.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::{Notify, watch};

use crate::dial::{Connection, Dialer};

/// For so long without an answer a lost connection is tried again.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

enum State {
    Up { sender: SendRequest<Bytes>, number: u64 },
    Trying,
    Down(Rc<str>),
}

/// One of the connections of a run; calls take their senders from it.
pub struct Link {
    state: watch::Sender<State>,
    retired: Notify,
    answered: Cell<bool>,
}

/// What a call is sent with, and which of the link's connections it belongs to.
pub struct Ticket {
    /// Of one call.
    pub sender: SendRequest<Bytes>,
    number: u64,
}

impl Link {
    /// Over a connection that has just been made, which `keep` must then drive.
    pub fn new(sender: SendRequest<Bytes>) -> Self {
        let state = watch::Sender::new(State::Up { sender, number: 0 });
        Self { state, retired: Notify::new(), answered: Cell::new(false) }
    }

    /// A sender as soon as there is a connection, or why there is none.
    pub async fn ticket(&self) -> Result<Ticket, Rc<str>> {
        let mut watched = self.state.subscribe();
        let state = watched.wait_for(|state| !matches!(state, State::Trying)).await;
        match &*state.expect("this link holds the sender") {
            State::Up { sender, number } => Ok(Ticket { sender: sender.clone(), number: *number }),
            State::Down(why) => Err(why.clone()),
            State::Trying => unreachable!("waited for another state"),
        }
    }

    /// The same without waiting; none unless the connection is up.
    pub fn ticket_now(&self) -> Option<Ticket> {
        match &*self.state.borrow() {
            State::Up { sender, number } => Some(Ticket { sender: sender.clone(), number: *number }),
            State::Trying | State::Down(_) => None,
        }
    }

    /// Waits for a connection, however long it takes.
    pub async fn up(&self) {
        if matches!(&*self.state.borrow(), State::Up { .. }) {
            return; // nearly always, and much cheaper than to watch
        }
        let mut watched = self.state.subscribe();
        let up = watched.wait_for(|state| matches!(state, State::Up { .. })).await;
        up.expect("this link holds the sender");
    }

    /// Why the connection is down after it could not be made again.
    pub fn down(&self) -> Option<Rc<str>> {
        match &*self.state.borrow() {
            State::Down(why) => Some(why.clone()),
            State::Up { .. } | State::Trying => None,
        }
    }

    /// The ticket's connection takes no more calls: later ones get another, those that are out finish on it.
    pub fn retire(&self, ticket: &Ticket) {
        let current = matches!(&*self.state.borrow(), State::Up { number, .. } if *number == ticket.number);
        if current {
            self.state.send_replace(State::Trying);
            self.retired.notify_one();
        }
    }

    /// An answer came: whatever was wrong is over.
    pub fn answered(&self) {
        self.answered.set(true);
    }

    /// Drives the connection and makes it again when it is lost; ends when that does not succeed, with the reason.
    pub async fn keep(self: Rc<Self>, dialer: Rc<Dialer>, mut driver: Driver) -> String {
        let mut trouble = Trouble::new();
        for number in 1.. {
            let mut why = self.until_lost(driver).await;
            if self.answered.take() {
                trouble = Trouble::new();
            }
            let connection = loop {
                let Some(pause) = trouble.next_pause() else {
                    return format!("the connection was lost and could not be restored: {why}");
                };
                self.state.send_replace(if pause.is_zero() { State::Trying } else { State::Down(why.as_str().into()) });
                tokio::time::sleep(pause).await;
                match dialer.dial().await {
                    Ok(connection) => break connection,
                    Err(problem) => why = problem,
                }
            };
            let Connection { sender, driver: next } = connection;
            driver = next;
            self.state.send_replace(State::Up { sender, number });
        }
        unreachable!("there are more numbers than connections")
    }

    async fn until_lost(&self, mut driver: Driver) -> String {
        tokio::select! {
            ended = &mut driver => ended.err().map_or("closed by the server".into(), |error| error.to_string()),
            () = self.retired.notified() => {
                tokio::task::spawn_local(driver);
                "the server takes no more calls".into()
            }
        }
    }
}

/// Reads from and writes to the connection while it is polled; ends with it.
pub type Driver = Pin<Box<dyn Future<Output = Result<(), h2::Error>>>>;

/// How long it has been going badly: try at once, then ever more slowly, and not for ever.
struct Trouble {
    since: Option<Instant>,
    pause: Duration,
}

impl Trouble {
    fn new() -> Self {
        Self { since: None, pause: Duration::ZERO }
    }

    fn next_pause(&mut self) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let pause = self.pause;
        self.pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        (since.elapsed() < PATIENCE).then_some(pause)
    }
}
