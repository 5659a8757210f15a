//! What to do while a connection is open: frames, signs of life, subscriptions.

use std::time::Instant;

use super::ledger::Overdue;
use super::{Doubt, Live, Now, Output, Phase, Session};
use crate::pusher::frame::{self, Frame};
use crate::pusher::{Notice, Reason, State, Timing};

/// How the real service words a subscription that is already there; it comes without a code and without a channel.
const EXISTING: &str = "Existing subscription to channel ";

impl Live {
    /// When the silence asks for a ping, or the missing answer for a new connection.
    pub(super) fn alive_until(&self, timing: &Timing) -> Instant {
        let silent = match self.pinged {
            Some(at) => at + timing.pong,
            None => self.heard.mono + self.activity,
        };
        self.doubt.as_ref().map_or(silent, |doubt| silent.min(doubt.asked.mono + timing.pong))
    }

    fn ping(&mut self, now: Now) -> Output {
        self.unanswered += 1;
        self.pinged = Some(now.mono);
        Output::Send(frame::PING.to_owned())
    }

    /// A ping was answered, the oldest of those that were not.
    fn ponged(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
        let Some(doubt) = &mut self.doubt else { return };
        doubt.answers = doubt.answers.saturating_sub(1);
        if doubt.answers == 0 {
            // The answer came after everything that was sent before it.
            self.proven = doubt.asked;
            self.doubt = None;
        }
    }

    /// A close code of the protocol speaks for itself; anything less gives way to an error that came just before.
    pub(super) fn explain(&self, reason: Reason, timing: &Timing, now: Now) -> Reason {
        match (reason, self.error) {
            (Reason::Code(4000..), _) => reason,
            (_, Some((code, at))) if now.mono.saturating_duration_since(at) <= timing.error_memory => {
                Reason::Code(code)
            }
            _ => reason,
        }
    }
}

impl Session {
    /// Notices a standstill of this side, and asks whether the connection is still there.
    pub(super) fn attend(&mut self, now: Now) {
        let Phase::Live(live) = &mut self.phase else { return };
        let still = now.mono.saturating_duration_since(live.turn);
        live.turn = now.mono;
        if still >= self.timing.standstill {
            self.ask(now);
        }
    }

    pub(super) fn ask(&mut self, now: Now) {
        if let Phase::Live(live) = &mut self.phase {
            let ping = live.ping(now);
            live.doubt = Some(Doubt { asked: now, answers: live.unanswered });
            self.out.push(ping);
        }
    }

    /// Anything received proves that the peer is alive, and, if it was not read late, that nothing before it was lost.
    pub(super) fn heard(&mut self, now: Now) {
        if let Phase::Live(live) = &mut self.phase {
            live.heard = now;
            live.pinged = None;
            if live.doubt.is_none() {
                live.proven = now;
            }
        }
    }

    pub(super) fn text(&mut self, text: &str, now: Now) {
        if !matches!(self.phase, Phase::Greeting { .. } | Phase::Live(_)) {
            return;
        }
        self.heard(now);
        if let Phase::Live(live) = &mut self.phase {
            live.error = None;
        }
        match Frame::parse(text) {
            Ok(frame) => self.frame(frame, now),
            Err(reason) => {
                let raw = text.as_bytes().to_vec();
                self.out.push(Output::Counted("unreadable"));
                self.out.push(Output::Notice(Notice::Unreadable { raw, reason, at: now.wall }));
            }
        }
    }

    fn frame(&mut self, frame: Frame<'_>, now: Now) {
        let label = frame.label();
        if let Frame::Event { channel, event, data } = frame {
            // It may come late on a channel that is not wanted any more.
            let channel = self.ledger.channel(&channel);
            self.out.push(Output::Counted(channel.as_ref().map_or("not_subscribed", |_| label)));
            let event = event.into_owned();
            let notice = channel.map(|channel| Notice::Event { channel, event, data, at: now.wall });
            return self.out.extend(notice.map(Output::Notice));
        }
        self.out.push(Output::Counted(label));
        match frame {
            Frame::Established { activity_timeout } => self.established(activity_timeout, now),
            Frame::Ping => self.out.push(Output::Send(frame::PONG.to_owned())),
            Frame::Subscribed { channel } => self.confirmed(&channel, now),
            Frame::SubscriptionError { channel } => self.refused(&channel, now),
            Frame::Error { code, message } => self.error(code, &message, now),
            Frame::Pong => {
                if let Phase::Live(live) = &mut self.phase {
                    live.ponged();
                }
            }
            Frame::Protocol | Frame::Event { .. } => {}
        }
    }

    fn established(&mut self, server: Option<std::time::Duration>, now: Now) {
        let Phase::Greeting { .. } = self.phase else { return };
        let server = server.map_or(self.timing.activity, |wish| wish.max(self.timing.activity_floor));
        let activity = self.timing.activity.min(server);
        self.phase = Phase::Live(Live {
            since: now.mono,
            activity,
            heard: now,
            proven: now,
            turn: now.mono,
            doubt: None,
            pinged: None,
            unanswered: 0,
            error: None,
        });
        self.set_state(State::Connected { since: now.wall });
        self.ledger.begin();
    }

    fn confirmed(&mut self, name: &str, now: Now) {
        if let Some(channel) = self.ledger.confirm(name, now.mono) {
            self.out.push(Output::Notice(Notice::Confirmed { channel, at: now.wall }));
        }
    }

    fn refused(&mut self, name: &str, now: Now) {
        let Some((channel, heard)) = self.ledger.refuse(name, now.mono) else { return };
        let (since, at, reason) = (now.wall, now.wall, Reason::Refused);
        if heard {
            self.out.push(Output::Notice(Notice::Lost { channel: channel.clone(), since, at, reason }));
        }
        self.out.push(Output::Notice(Notice::Refused { channel, at }));
    }

    /// Before the greeting an error is the answer to our connection. After it the socket's end decides: some servers
    /// answer a bad subscription with a fatal code and carry on.
    fn error(&mut self, code: Option<u16>, message: &str, now: Now) {
        match (&mut self.phase, code) {
            (Phase::Greeting { .. }, Some(code)) => self.give_up(Reason::Code(code), now),
            (Phase::Live(live), Some(code)) => live.error = (code >= 4000).then_some((code, now.mono)),
            (_, None) => {
                if let Some(name) = message.strip_prefix(EXISTING) {
                    self.confirmed(name.trim(), now);
                }
            }
            _ => {}
        }
    }

    /// The deadlines of an established connection.
    pub(super) fn expire_live(&mut self, now: Now) {
        while let Some(overdue) = self.ledger.overdue(now.mono) {
            match overdue {
                Overdue::Resend(channel) => self.out.push(Output::Send(frame::subscribe(&channel))),
                Overdue::Refused(channel) => {
                    self.out.push(Output::Notice(Notice::Refused { channel, at: now.wall }));
                }
                Overdue::Recycle => return self.give_up(Reason::Unconfirmed, now),
            }
        }
        let Phase::Live(live) = &mut self.phase else { return };
        if live.alive_until(&self.timing) > now.mono {
            return;
        }
        let is_lost = |doubt: &Doubt| doubt.asked.mono + self.timing.pong <= now.mono;
        if live.pinged.is_some() || live.doubt.as_ref().is_some_and(is_lost) {
            return self.give_up(Reason::PongTimeout, now);
        }
        let ping = live.ping(now);
        self.out.push(ping);
    }

    pub(super) fn subscribe_next(&mut self, now: Now) {
        while let Some(channel) = self.ledger.next_to_send(now.mono) {
            self.out.push(Output::Send(frame::subscribe(&channel)));
        }
    }
}
