//! The protocol's rules as tables. Time is a number handed in, the dice show what the test says.

mod alive;
mod channels;
mod connection;
mod standstill;
mod storm;

use std::collections::BTreeSet;

use super::*;
use crate::pusher::Channel;

/// Drives a session along a clock of its own.
struct Rig {
    session: Session,
    now: Now,
}

/// Dice that always show this many per cent of the span.
fn dice(percent: u32) -> Jitter {
    Box::new(move |span| span * percent / 100)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn channel(name: &str) -> Channel {
    name.parse().unwrap()
}

fn set<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Arc<Channels> {
    Arc::new(names.into_iter().map(|name| channel(name.as_ref())).collect())
}

fn greeting(seconds: u64) -> String {
    format!(
        r#"{{"event":"pusher:connection_established","data":"{{\"socket_id\":\"1.2\",\"activity_timeout\":{seconds}}}"}}"#
    )
}

fn confirmation(name: &str) -> String {
    format!(r#"{{"event":"pusher_internal:subscription_succeeded","data":"{{}}","channel":"{name}"}}"#)
}

fn error(code: &str) -> String {
    format!(
        r#"{{"event":"pusher:error","data":{{"code":{code},"message":"Existing subscription to channel A"}}}}"#
    )
}

fn message(name: &str) -> String {
    format!(r#"{{"event":"ORDER_CREATED","channel":"{name}","data":"d"}}"#)
}

impl Rig {
    fn new(secure: bool, percent: u32) -> Self {
        // The signs of life have a table of their own; here they must not come in between.
        let timing = Timing { activity: secs(120), pong: secs(30), ..Timing::default() };
        Self::timed(timing, secure, percent)
    }

    fn timed(timing: Timing, secure: bool, percent: u32) -> Self {
        let now = Now { mono: Instant::now(), wall: DateTime::UNIX_EPOCH };
        // Tables skip the time in which nothing happens; only one that says so stands still.
        let timing = Timing { standstill: Duration::MAX, ..timing };
        Self { session: Session::new(timing, secure, dice(percent), now), now }
    }

    /// A rig that is established, with these channels sent but not confirmed.
    fn live(names: &[&str]) -> Self {
        let mut rig = Self::new(true, 50);
        rig.tell(Input::Wanted(set(names)));
        rig.establish();
        rig
    }

    /// A rig that is established, with these channels confirmed.
    fn confirmed(names: &[&str]) -> Self {
        let mut rig = Self::live(names);
        for name in names {
            rig.text(&confirmation(name));
        }
        rig
    }

    fn tell(&mut self, input: Input<'_>) -> Vec<Output> {
        self.session.handle(input, self.now)
    }

    fn text(&mut self, text: &str) -> Vec<Output> {
        self.tell(Input::Text(text))
    }

    /// Opens and greets, whether the attempt was asked for already or not.
    fn establish(&mut self) -> Vec<Output> {
        self.tell(Input::Tick);
        self.tell(Input::Opened);
        self.text(&greeting(120))
    }

    fn pass(&mut self, time: Duration) -> Vec<Output> {
        self.now = Now { mono: self.now.mono + time, wall: self.now.wall + time };
        self.tell(Input::Tick)
    }

    /// Lets time pass up to the next deadline and answers how long that was and what came of it.
    fn until_due(&mut self) -> (Duration, Vec<Output>) {
        let due = self.session.deadline().expect("a deadline");
        let time = due.saturating_duration_since(self.now.mono);
        (time, self.pass(time))
    }

    /// How long it takes from now to the next attempt.
    fn pause(&mut self) -> Duration {
        let (time, outputs) = self.until_due();
        assert!(outputs.iter().any(|output| matches!(output, Output::Connect { .. })), "{outputs:?}");
        time
    }
}

fn sent(outputs: &[Output]) -> Vec<&str> {
    outputs
        .iter()
        .filter_map(|output| if let Output::Send(text) = output { Some(text.as_str()) } else { None })
        .collect()
}

fn notices(outputs: &[Output]) -> Vec<&Notice> {
    outputs
        .iter()
        .filter_map(|output| if let Output::Notice(notice) = output { Some(notice) } else { None })
        .collect()
}

fn closes(outputs: &[Output]) -> bool {
    outputs.contains(&Output::Close)
}
