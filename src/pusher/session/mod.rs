//! The protocol as a state machine: inputs with the time they happened, outputs to carry out. No socket, no task, no
//! clock and no dice of its own, so every rule can be tested by a table.
//!
//! Guarantees: it never asks for a second connection while it has one; it never waits for ever, each state has a
//! deadline; a server that hangs up at once is not hammered.
//! Does not guarantee: anything unless [`Session::handle`] is called with [`Input::Tick`] when
//! [`Session::deadline`] has come.
//!
//! Source of the rules: Pusher's "Pusher Channels Protocol" (connection, ping and pong, error codes). Where that is
//! silent about an unattended client: 40xx is probed slowly, a second 42xx backs off, a confirmation has a deadline.

mod backoff;
mod ledger;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use self::backoff::Backoff;
pub use self::backoff::Jitter;
use self::ledger::Ledger;
use super::reason::Verdict;
use super::{Channels, Notice, Reason, State, Timing};

/// One moment on both clocks: one to measure with, one to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Never goes backwards.
    pub mono: Instant,
    /// What the wall clock says.
    pub wall: DateTime<Utc>,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// The connection asked for by [`Output::Connect`] is an open WebSocket.
    Opened,
    /// It could not be opened.
    NotConnected,
    /// A text message arrived.
    Text(&'a str),
    /// Something unreadable arrived. A WebSocket ping or pong is nothing: whatever stands between here and the server may
    /// answer for it.
    Traffic,
    /// The server closed the connection with this code; 1005 if it gave none.
    Closed(u16),
    /// The connection ended without a close frame.
    Dropped,
    /// The channels to be subscribed to, all of them.
    Wanted(Arc<Channels>),
    /// Time has passed.
    Tick,
    /// Ask the server whether everything that it has sent until now was read: in doubt until it answers.
    Ask,
    /// Stop for good. The connection is already closed or will be dropped.
    Stop,
}

/// What to do about it, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a WebSocket. There is none at this time.
    Connect {
        /// With TLS, even if the configured URL says otherwise.
        secure: bool,
        /// Why the connection before was lost; none at the first attempt.
        after: Option<Reason>,
    },
    /// Send this as a text message on the open WebSocket.
    Send(String),
    /// Close the WebSocket, or drop the attempt to open one; report nothing more about it.
    Close,
    /// Tell the consumer.
    Notice(Notice),
    /// Count a received frame under this label, which is out of a small fixed set.
    Counted(&'static str),
}

enum Phase {
    /// No connection; the next attempt is due then.
    Waiting { until: Instant },
    /// A connection is being opened.
    Opening { deadline: Instant },
    /// It is open, the server has not greeted yet.
    Greeting { deadline: Instant },
    /// The server has greeted.
    Live(Live),
    /// For good.
    Stopped,
}

struct Live {
    since: Instant,
    /// After this much silence we ping.
    activity: Duration,
    heard: Now,
    /// Until when everything that the server sent was read.
    proven: Now,
    /// When this session was last told anything.
    turn: Instant,
    /// This side stood still. What is read now may have waited for long, and say nothing of what was sent meanwhile.
    doubt: Option<Doubt>,
    pinged: Option<Instant>,
    /// Pings that were not answered yet.
    unanswered: u32,
    /// A `pusher:error` that was the last thing received: if the connection drops now, this is why.
    error: Option<(u16, Instant)>,
}

/// Until the ping that was sent at the end of a standstill, or before the farewell, is answered, nobody knows whether anything was lost: the server
/// may have hung up in the middle of it.
struct Doubt {
    asked: Now,
    /// So many answers, and the last of them is that to this ping.
    answers: u32,
}

/// The state of one subscription to one Pusher app.
pub struct Session {
    timing: Timing,
    secure: bool,
    phase: Phase,
    backoff: Backoff,
    ledger: Ledger,
    state: Option<State>,
    last_loss: Option<Reason>,
    out: Vec<Output>,
}

impl Session {
    /// A session that asks for its first connection at the first input. `secure`: the configured URL is `wss`.
    pub fn new(timing: Timing, secure: bool, jitter: Jitter, now: Now) -> Self {
        Self {
            timing,
            secure,
            phase: Phase::Waiting { until: now.mono },
            backoff: Backoff::new(jitter),
            ledger: Ledger::new(timing),
            state: None,
            last_loss: None,
            out: Vec::new(),
        }
    }

    /// Takes in what happened and answers what to do. Inputs that make no sense in the present state are ignored.
    ///
    /// Is to be called at least twice in each [`Timing::standstill`], so that it can tell a standstill from silence.
    pub fn handle(&mut self, input: Input<'_>, now: Now) -> Vec<Output> {
        self.attend(now);
        match input {
            Input::Opened => self.opened(now),
            Input::NotConnected => self.ended(Reason::NotConnected, now),
            Input::Text(text) => self.text(text, now),
            Input::Traffic => self.heard(now),
            Input::Closed(code) => self.ended(Reason::Code(code), now),
            Input::Dropped => self.ended(Reason::Dropped, now),
            Input::Wanted(wanted) => self.want(wanted, now),
            Input::Ask => self.ask(now),
            Input::Tick => {}
            Input::Stop => self.stop(now),
        }
        self.expire(now);
        self.subscribe_next(now);
        std::mem::take(&mut self.out)
    }

    /// When [`Input::Tick`] is due next; none once stopped.
    pub fn deadline(&mut self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting { until } => Some(*until),
            Phase::Opening { deadline } | Phase::Greeting { deadline } => Some(*deadline),
            Phase::Live(live) => {
                let alive = live.alive_until(&self.timing);
                Some(self.ledger.deadline().map_or(alive, |due| due.min(alive)))
            }
            Phase::Stopped => None,
        }
    }

    /// Until when everything that the server sent was read, while there is a connection.
    pub fn proven(&self) -> Option<Instant> {
        if let Phase::Live(live) = &self.phase { Some(live.proven.mono) } else { None }
    }

    /// Whether what is read now may be old.
    pub fn is_in_doubt(&self) -> bool {
        matches!(&self.phase, Phase::Live(live) if live.doubt.is_some())
    }

    fn opened(&mut self, now: Now) {
        if let Phase::Opening { .. } = self.phase {
            self.phase = Phase::Greeting { deadline: now.mono + self.timing.establish };
        }
    }

    fn want(&mut self, wanted: Arc<Channels>, now: Now) {
        let is_fatal = matches!(self.state, Some(State::Fatal { .. }));
        if is_fatal && self.ledger.is_of_others(&wanted) && matches!(self.phase, Phase::Waiting { .. }) {
            // Whoever changed a key did so because of the refusal, perhaps, and waits for what comes of it.
            self.phase = Phase::Waiting { until: now.mono };
        }
        for (channel, heard) in self.ledger.want(wanted) {
            self.out.push(Output::Send(super::frame::unsubscribe(&channel)));
            if heard {
                self.out.push(Output::Notice(Notice::Left { channel, at: now.wall }));
            }
        }
    }

    fn stop(&mut self, now: Now) {
        if let Phase::Stopped = self.phase {
            return;
        }
        if let Phase::Opening { .. } | Phase::Greeting { .. } | Phase::Live(_) = self.phase {
            self.out.push(Output::Close);
        }
        self.lose_channels(Reason::Stopped, now);
        self.phase = Phase::Stopped;
        self.set_state(State::Stopped);
    }

    /// Carries out whatever deadline has passed.
    fn expire(&mut self, now: Now) {
        match &self.phase {
            Phase::Waiting { until } if *until <= now.mono => self.connect(now),
            Phase::Opening { deadline } if *deadline <= now.mono => self.give_up(Reason::ConnectTimeout, now),
            Phase::Greeting { deadline } if *deadline <= now.mono => {
                self.give_up(Reason::NotEstablished, now);
            }
            Phase::Live(_) => self.expire_live(now),
            _ => {}
        }
    }

    fn connect(&mut self, now: Now) {
        self.phase = Phase::Opening { deadline: now.mono + self.timing.connect };
        if !matches!(self.state, Some(State::Fatal { .. })) {
            self.set_state(State::Connecting);
        }
        self.out.push(Output::Connect { secure: self.secure, after: self.last_loss });
    }

    /// Ends the connection from our side.
    fn give_up(&mut self, reason: Reason, now: Now) {
        self.out.push(Output::Close);
        self.lost(reason, now);
    }

    /// The connection ended from the other side.
    fn ended(&mut self, reason: Reason, now: Now) {
        match &self.phase {
            Phase::Opening { .. } | Phase::Greeting { .. } => self.lost(reason, now),
            Phase::Live(live) => self.lost(live.explain(reason, &self.timing, now), now),
            Phase::Waiting { .. } | Phase::Stopped => {}
        }
    }

    /// There is no connection any more: settles when to make the next.
    fn lost(&mut self, reason: Reason, now: Now) {
        self.lose_channels(reason, now);
        if let Phase::Live(live) = &self.phase
            && now.mono.saturating_duration_since(live.since) >= self.timing.stable
        {
            self.backoff.forget();
        }
        let verdict = reason.verdict(self.secure);
        let pause = match verdict {
            Verdict::Fatal(_) => self.timing.fatal_probe,
            Verdict::BackOff => self.backoff.pause(&self.timing),
            Verdict::AtOnce | Verdict::UseTls => self.backoff.prompt(&self.timing),
        };
        let until = now.wall + pause;
        self.secure |= verdict == Verdict::UseTls;
        self.last_loss = Some(reason);
        self.phase = Phase::Waiting { until: now.mono + pause };
        self.set_state(match verdict {
            Verdict::Fatal(code) => State::Fatal { code, reason, until },
            _ => State::BackingOff { until, reason },
        });
    }

    fn lose_channels(&mut self, reason: Reason, now: Now) {
        let since = if let Phase::Live(live) = &self.phase { live.proven.wall } else { now.wall };
        for channel in self.ledger.end() {
            self.out.push(Output::Notice(Notice::Lost { channel, since, at: now.wall, reason }));
        }
    }

    fn set_state(&mut self, state: State) {
        if self.state.replace(state) != Some(state) {
            self.out.push(Output::Notice(Notice::State(state)));
        }
    }
}
