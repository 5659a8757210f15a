//! Which channels are wanted and how far each has come on the current connection.
//!
//! Guarantees: each step costs at most the logarithm of the number of channels, a changed wanted set costs its length;
//! no more than [`Timing::burst`] subscriptions are unanswered at one time, so that a deadline measures the server and
//! not our own queue.
//! Does not guarantee: that every wanted channel gets confirmed. One that the server ignores is only tried again from time
//! to time. It never costs a connection that serves others: only one on which nothing at all was confirmed is given up.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::pusher::{Channel, Channels, Timing};

/// How far a wanted channel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Waiting for its turn; sent so often before.
    Queued { sent: u32 },
    /// Sent so often; the answer is due.
    Awaiting { sent: u32, due: Instant, rank: Rank },
    /// Heard.
    Confirmed,
    /// Given up until then.
    Refused { until: Instant },
}

/// Which of the wanted a channel is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    First,
    Then,
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
    wanted: Arc<Channels>,
    /// One entry for each wanted channel while live, none otherwise.
    steps: HashMap<Channel, Step>,
    /// Channels to send, by rank. May name one that has moved on; its step tells.
    queue: [VecDeque<Channel>; 2],
    /// Deadlines of the unanswered, oldest first, because all wait equally long. May hold answered ones.
    answers: VecDeque<(Instant, Channel)>,
    /// When refused channels are due again; the same holds.
    retries: VecDeque<(Instant, Channel)>,
    /// How many are unanswered, by rank.
    awaiting: [usize; 2],
    confirmed: usize,
    /// Channels that were taken back before they were answered: so many answers may still come, until then. The server
    /// answers in turn, so they come before that to the next subscription.
    taken_back: HashMap<Channel, (u32, Instant)>,
    /// Channels that were not confirmed when they were last tried: they come last.
    doubtful: HashSet<Channel>,
}

impl Ledger {
    pub(super) fn new(timing: Timing) -> Self {
        Self {
            timing,
            live: false,
            wanted: Arc::default(),
            steps: HashMap::new(),
            queue: Default::default(),
            answers: VecDeque::new(),
            retries: VecDeque::new(),
            awaiting: [0, 0],
            confirmed: 0,
            taken_back: HashMap::new(),
            doubtful: HashSet::new(),
        }
    }

    /// Whether these have other channels that come first.
    pub(super) fn is_of_others(&self, wanted: &Channels) -> bool {
        self.wanted.first != wanted.first
    }

    /// Replaces the wanted set. Answers the channels to unsubscribe from, and whether each was heard.
    pub(super) fn want(&mut self, wanted: Arc<Channels>) -> Vec<(Channel, bool)> {
        let before = std::mem::replace(&mut self.wanted, wanted);
        self.doubtful.retain(|channel| self.wanted.contains(channel));
        if !self.live {
            return Vec::new();
        }
        let wanted = Arc::clone(&self.wanted);
        for channel in wanted.iter() {
            if !before.contains(channel) {
                self.enqueue(channel.clone());
            } else if wanted.first.contains(channel) && !before.first.contains(channel) {
                self.queue[Rank::First as usize].push_back(channel.clone());
            }
        }
        let gone = before.iter().filter(|channel| !wanted.contains(channel));
        let left = gone.filter_map(|channel| match self.forget(channel)? {
            Step::Confirmed => Some((channel.clone(), true)),
            Step::Awaiting { sent, due, .. } => {
                self.taken_back.insert(channel.clone(), (sent, due));
                Some((channel.clone(), false))
            }
            Step::Queued { .. } | Step::Refused { .. } => None,
        });
        left.collect()
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
        (self.awaiting, self.confirmed) = ([0, 0], 0);
        self.queue = Default::default();
        self.answers.clear();
        self.retries.clear();
        self.taken_back.clear();
        self.steps.drain().filter(|(_, step)| *step == Step::Confirmed).map(|(channel, _)| channel).collect()
    }

    /// The wanted channel of that name, if the connection is live.
    pub(super) fn channel(&self, name: &str) -> Option<Channel> {
        self.steps.get_key_value(name).map(|(channel, _)| channel.clone())
    }

    /// The next channel to subscribe to, if another unanswered subscription may be afforded. Those that are not first take
    /// half of the places at most.
    pub(super) fn next_to_send(&mut self, now: Instant) -> Option<Channel> {
        for (rank, most) in [(Rank::First, self.timing.burst), (Rank::Then, (self.timing.burst / 2).max(1))] {
            while self.awaiting.iter().sum::<usize>() < self.timing.burst
                && self.awaiting[rank as usize] < most
                && let Some(channel) = self.queue[rank as usize].pop_front()
            {
                if let Some(Step::Queued { sent }) = self.steps.get(&channel).copied() {
                    self.awaiting[rank as usize] += 1;
                    self.await_answer(&channel, (sent + 1, rank), now);
                    return Some(channel);
                }
            }
        }
        None
    }

    /// The server confirmed the channel. Answers it if that is news.
    pub(super) fn confirm(&mut self, name: &str, now: Instant) -> Option<Channel> {
        let channel = self.answered(name, now)?;
        match self.steps.insert(channel.clone(), Step::Confirmed)? {
            Step::Confirmed => return None,
            Step::Awaiting { rank, .. } => self.awaiting[rank as usize] -= 1,
            Step::Queued { .. } | Step::Refused { .. } => {}
        }
        self.confirmed += 1;
        self.doubtful.remove(&channel);
        Some(channel)
    }

    /// The server refused the channel. Answers it and whether it was heard until now, if that is news.
    pub(super) fn refuse(&mut self, name: &str, now: Instant) -> Option<(Channel, bool)> {
        let channel = self.answered(name, now)?;
        self.give_up(channel, now)
    }

    /// The wanted channel of that name, if an answer is to its last subscription and not to one that was taken back.
    fn answered(&mut self, name: &str, now: Instant) -> Option<Channel> {
        if let Some((left, until)) = self.taken_back.get_mut(name) {
            *left -= 1;
            let is_stale = now < *until;
            if *left == 0 || !is_stale {
                self.taken_back.remove(name);
            }
            if is_stale {
                return None;
            }
        }
        self.channel(name)
    }

    fn give_up(&mut self, channel: Channel, now: Instant) -> Option<(Channel, bool)> {
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
            Step::Awaiting { rank, .. } => {
                self.awaiting[rank as usize] -= 1;
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
        let (channel, sent, rank) = loop {
            let (due, channel) = self.answers.pop_front_if(|(due, _)| *due <= now)?;
            match self.steps.get(&channel) {
                Some(Step::Awaiting { sent, due: current, rank }) if *current == due => {
                    break (channel, *sent, *rank);
                }
                _ => {}
            }
        };
        if sent <= self.timing.resends {
            self.await_answer(&channel, (sent + 1, rank), now);
            return Some(Overdue::Resend(channel));
        }
        if self.confirmed > 0 || rank == Rank::Then {
            return self.give_up(channel, now).map(|(channel, _)| Overdue::Refused(channel));
        }
        // Nothing is heard on it, so nothing is lost with it.
        self.doubtful.insert(channel);
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

    fn rank(&self, channel: &Channel) -> Rank {
        if self.wanted.first.contains(channel) { Rank::First } else { Rank::Then }
    }

    fn enqueue(&mut self, channel: Channel) {
        self.steps.insert(channel.clone(), Step::Queued { sent: 0 });
        self.queue[self.rank(&channel) as usize].push_back(channel);
    }

    fn await_answer(&mut self, channel: &Channel, (sent, rank): (u32, Rank), now: Instant) {
        let due = now + self.timing.confirm;
        self.steps.insert(channel.clone(), Step::Awaiting { sent, due, rank });
        self.answers.push_back((due, channel.clone()));
    }

    fn forget(&mut self, channel: &Channel) -> Option<Step> {
        let step = self.steps.remove(channel);
        match step {
            Some(Step::Awaiting { rank, .. }) => self.awaiting[rank as usize] -= 1,
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
                self.queue[self.rank(&channel) as usize].push_back(channel);
            }
        }
    }
}
