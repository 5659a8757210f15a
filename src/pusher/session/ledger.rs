//! Which channels are wanted and how far each has come on the current connection.
//!
//! Guarantees: each step costs at most the logarithm of the number of channels, a changed wanted set costs its length;
//! no more than [`Timing::burst`] subscriptions are unanswered at one time, so that a deadline measures the server and
//! not our own queue.
//! Does not guarantee: that every wanted channel gets confirmed. One that the server ignores costs at most one
//! connection that serves others; after that it is only tried again from time to time.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::pusher::{Channel, Timing};

/// How far a wanted channel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Waiting for its turn; sent so often before.
    Queued { sent: u32 },
    /// Sent so often; the answer is due.
    Awaiting { sent: u32, due: Instant },
    /// Heard.
    Confirmed,
    /// Given up until then.
    Refused { until: Instant },
}

/// What a passed deadline asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Send the subscription again.
    Resend(Channel),
    /// The channel is given up for a while.
    Refused(Channel),
    /// The connection is not worth keeping.
    Recycle,
}

pub(super) struct Ledger {
    timing: Timing,
    live: bool,
    wanted: Arc<BTreeSet<Channel>>,
    /// One entry for each wanted channel while live, none otherwise.
    steps: HashMap<Channel, Step>,
    /// Channels to send. May name one that has moved on; its step tells.
    queue: VecDeque<Channel>,
    /// Deadlines of the unanswered, oldest first, because all wait equally long. May hold answered ones.
    answers: VecDeque<(Instant, Channel)>,
    /// When refused channels are due again; the same holds.
    retries: VecDeque<(Instant, Channel)>,
    awaiting: usize,
    confirmed: usize,
    /// Channels that were unanswered when a connection was given up.
    doubtful: HashSet<Channel>,
}

impl Ledger {
    pub(super) fn new(timing: Timing) -> Self {
        Self {
            timing,
            live: false,
            wanted: Arc::default(),
            steps: HashMap::new(),
            queue: VecDeque::new(),
            answers: VecDeque::new(),
            retries: VecDeque::new(),
            awaiting: 0,
            confirmed: 0,
            doubtful: HashSet::new(),
        }
    }

    /// Replaces the wanted set. Answers the channels to unsubscribe from.
    pub(super) fn want(&mut self, wanted: Arc<BTreeSet<Channel>>) -> Vec<Channel> {
        let before = std::mem::replace(&mut self.wanted, wanted);
        self.doubtful.retain(|channel| self.wanted.contains(channel));
        if !self.live {
            return Vec::new();
        }
        let added: Vec<_> = self.wanted.difference(&before).cloned().collect();
        let mut leaving: Vec<_> = before.difference(&self.wanted).cloned().collect();
        for channel in added {
            self.enqueue(channel);
        }
        leaving
            .retain(|channel| matches!(self.forget(channel), Some(Step::Awaiting { .. } | Step::Confirmed)));
        leaving
    }

    /// The connection is established: everything is to be subscribed anew, the doubtful last.
    pub(super) fn begin(&mut self) {
        self.live = true;
        let wanted = Arc::clone(&self.wanted);
        let (doubtful, trusted): (Vec<_>, Vec<_>) =
            wanted.iter().cloned().partition(|c| self.doubtful.contains(c));
        for channel in trusted.into_iter().chain(doubtful) {
            self.enqueue(channel);
        }
    }

    /// The connection is gone. Answers the channels that were heard.
    pub(super) fn end(&mut self) -> Vec<Channel> {
        self.live = false;
        (self.awaiting, self.confirmed) = (0, 0);
        self.queue.clear();
        self.answers.clear();
        self.retries.clear();
        self.steps.drain().filter(|(_, step)| *step == Step::Confirmed).map(|(channel, _)| channel).collect()
    }

    /// The wanted channel of that name, if the connection is live.
    pub(super) fn channel(&self, name: &str) -> Option<Channel> {
        self.steps.get_key_value(name).map(|(channel, _)| channel.clone())
    }

    /// The next channel to subscribe to, if another unanswered subscription may be afforded.
    pub(super) fn next_to_send(&mut self, now: Instant) -> Option<Channel> {
        while self.awaiting < self.timing.burst {
            let channel = self.queue.pop_front()?;
            if let Some(Step::Queued { sent }) = self.steps.get(&channel).copied() {
                self.awaiting += 1;
                self.await_answer(&channel, sent + 1, now);
                return Some(channel);
            }
        }
        None
    }

    /// The server confirmed the channel. Answers it if that is news.
    pub(super) fn confirm(&mut self, name: &str) -> Option<Channel> {
        let channel = self.channel(name)?;
        match self.steps.insert(channel.clone(), Step::Confirmed)? {
            Step::Confirmed => return None,
            Step::Awaiting { .. } => self.awaiting -= 1,
            Step::Queued { .. } | Step::Refused { .. } => {}
        }
        self.confirmed += 1;
        self.doubtful.remove(&channel);
        Some(channel)
    }

    /// The server refused the channel. Answers it and whether it was heard until now, if that is news.
    pub(super) fn refuse(&mut self, name: &str, now: Instant) -> Option<(Channel, bool)> {
        let channel = self.channel(name)?;
        let until = now + self.timing.refused_retry;
        let heard = match self.steps.insert(channel.clone(), Step::Refused { until })? {
            Step::Refused { until } => {
                self.steps.insert(channel, Step::Refused { until });
                return None;
            }
            Step::Confirmed => {
                self.confirmed -= 1;
                true
            }
            Step::Awaiting { .. } => {
                self.awaiting -= 1;
                false
            }
            Step::Queued { .. } => false,
        };
        self.doubtful.insert(channel.clone());
        self.retries.push_back((until, channel.clone()));
        Some((channel, heard))
    }

    /// Deals with one passed deadline. To be called until there is none.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        self.requeue_refused(now);
        let (channel, sent) = loop {
            let (due, channel) = self.answers.pop_front_if(|(due, _)| *due <= now)?;
            match self.steps.get(&channel) {
                Some(Step::Awaiting { sent, due: current }) if *current == due => break (channel, *sent),
                _ => {}
            }
        };
        if sent <= self.timing.resends {
            self.await_answer(&channel, sent + 1, now);
            return Some(Overdue::Resend(channel));
        }
        if self.confirmed > 0 && self.doubtful.contains(&channel) {
            return self.refuse(channel.as_str(), now).map(|(channel, _)| Overdue::Refused(channel));
        }
        self.doubt_all_resent();
        Some(Overdue::Recycle)
    }

    /// When [`overdue`](Self::overdue) is to be called next.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        let steps = &self.steps;
        let answered = |(due, channel): &(Instant, Channel)| !matches!(steps.get(channel), Some(Step::Awaiting { due: current, .. }) if current == due);
        while self.answers.pop_front_if(|entry| answered(entry)).is_some() {}
        let answer = self.answers.front().map(|(due, _)| *due);
        answer.into_iter().chain(self.retries.front().map(|(due, _)| *due)).min()
    }

    fn enqueue(&mut self, channel: Channel) {
        self.steps.insert(channel.clone(), Step::Queued { sent: 0 });
        self.queue.push_back(channel);
    }

    fn await_answer(&mut self, channel: &Channel, sent: u32, now: Instant) {
        let due = now + self.timing.confirm;
        self.steps.insert(channel.clone(), Step::Awaiting { sent, due });
        self.answers.push_back((due, channel.clone()));
    }

    fn forget(&mut self, channel: &Channel) -> Option<Step> {
        let step = self.steps.remove(channel);
        match step {
            Some(Step::Awaiting { .. }) => self.awaiting -= 1,
            Some(Step::Confirmed) => self.confirmed -= 1,
            _ => {}
        }
        step
    }

    /// A refused channel gets one more try, not a whole round of resends.
    fn requeue_refused(&mut self, now: Instant) {
        while let Some((due, channel)) = self.retries.pop_front_if(|(due, _)| *due <= now) {
            if self.steps.get(&channel) == Some(&Step::Refused { until: due }) {
                self.steps.insert(channel.clone(), Step::Queued { sent: self.timing.resends });
                self.queue.push_back(channel);
            }
        }
    }

    fn doubt_all_resent(&mut self) {
        let resent =
            self.steps.iter().filter(|(_, step)| matches!(step, Step::Awaiting { sent, .. } if *sent > 1));
        self.doubtful.extend(resent.map(|(channel, _)| channel.clone()));
    }
}
