//! A world in half seconds: processes that connect, go mute, are killed and are cut off from the database, a partner that
//! comes, goes and changes its key, and tables that hold what the processes wrote. What was really heard is counted beside.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::super::logbook::{Connection, Subscription};
use super::super::*;
use super::process::Process;
use crate::model::id::PartnerId;

/// Ticks of half a second.
pub(super) const RENEWAL: i64 = 4;

pub(super) fn moment(tick: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_700_000_000_000 + tick * 500).unwrap()
}

/// A partner's term, and what of it was really heard.
#[derive(Debug)]
pub(super) struct TermOfWorld {
    pub(super) partner: PartnerId,
    pub(super) key: u8,
    pub(super) term: Term,
    pub(super) began: i64,
    pub(super) ended: Option<i64>,
    /// By tick: the runs that heard it then.
    pub(super) heard: BTreeMap<i64, HashSet<Uuid>>,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) now: i64,
    pub(super) processes: [Option<Process>; 3],
    pub(super) terms: Vec<TermOfWorld>,
    connections: HashMap<Uuid, (Uuid, Connection, i64)>,
    subscriptions: HashMap<(Uuid, PartnerId, Arc<str>, DateTime<Utc>), Subscription>,
    /// By partner: from and to.
    pub(super) gaps: Vec<(PartnerId, DateTime<Utc>, Option<DateTime<Utc>>)>,
    /// By run: the ticks in which it could not reach the database.
    pub(super) unreachable: HashMap<Uuid, HashSet<i64>>,
}

impl World {
    fn present(&self) -> Option<(PartnerId, u8)> {
        self.terms.iter().find(|term| term.ended.is_none()).map(|term| (term.partner, term.key))
    }

    pub(super) fn register(&mut self, key: u8) {
        if self.present().is_none() {
            self.begin_term(PartnerId::new(), key, false);
        }
    }

    pub(super) fn change_key(&mut self, key: u8) {
        if let Some((partner, before)) = self.present()
            && before != key
        {
            self.delete();
            self.begin_term(partner, key, true);
        }
    }

    pub(super) fn delete(&mut self) {
        let now = self.now;
        for term in self.terms.iter_mut().filter(|term| term.ended.is_none()) {
            (term.ended, term.term.ended) = (Some(now), Some(moment(now)));
        }
    }

    fn begin_term(&mut self, partner: PartnerId, key: u8, follows: bool) {
        let (now, began) = (moment(self.now), self.now);
        let term = Term { began: now, ended: None, follows, decided: now };
        self.terms.push(TermOfWorld { partner, key, term, began, ended: None, heard: BTreeMap::new() });
    }

    pub(super) fn start(&mut self, which: usize) {
        self.processes[which].get_or_insert_with(|| Process::new(self.now));
    }

    pub(super) fn kill(&mut self, which: usize) {
        self.processes[which] = None;
    }

    /// Stops a process in order: everything that it heard is written, if the database is there.
    pub(super) fn stop(&mut self, which: usize) {
        let now = self.now;
        if let Some(process) = &mut self.processes[which] {
            process.lose(now, true);
            self.write(which);
        }
        self.kill(which);
    }

    pub(super) fn connect(&mut self, which: usize) {
        let now = self.now;
        if let Some(process) = self.processes[which].as_mut().filter(|process| process.socket.is_none()) {
            process.connect(now);
        }
    }

    pub(super) fn drop_socket(&mut self, which: usize) {
        let now = self.now;
        if let Some(process) = &mut self.processes[which] {
            process.lose(now, false);
        }
    }

    pub(super) fn mute(&mut self, which: usize) {
        if let Some(socket) = self.processes[which].as_mut().and_then(|process| process.socket.as_mut()) {
            socket.mute = true;
        }
    }

    pub(super) fn cut_off(&mut self, which: usize, cut_off: bool) {
        let now = self.now;
        if let Some(process) = self.processes[which].as_mut().filter(|process| process.cut_off != cut_off) {
            (process.cut_off, process.reachable_since) = (cut_off, now);
        }
    }

    /// A message is published on the partner's channel: a sign of life to those that hear it.
    pub(super) fn publish(&mut self) {
        let (now, present) = (self.now, self.present());
        for process in self.processes.iter_mut().flatten() {
            if let Some(socket) = process.socket.as_mut().filter(|socket| !socket.mute)
                && socket.confirmed.is_some()
                && socket.confirmed == present.map(|(_, key)| key)
            {
                socket.heard_at = now;
            }
        }
    }

    /// Half a second passes.
    pub(super) fn pass(&mut self) {
        let (now, present) = (self.now, self.present());
        for process in self.processes.iter_mut().flatten() {
            process.learn(present, now);
            process.hear(now);
            if process.cut_off {
                self.unreachable.entry(process.id).or_default().insert(now);
            }
        }
        self.count();
        for which in 0..3 {
            if self.now % RENEWAL == i64::try_from(which).unwrap() {
                self.write(which);
                self.look(which);
            }
        }
        self.now += 1;
    }

    fn count(&mut self) {
        let now = self.now;
        for term in self.terms.iter_mut().filter(|term| term.ended.is_none()) {
            for process in self.processes.iter().flatten() {
                let socket = process.socket.as_ref().filter(|socket| !socket.mute);
                if socket.is_some_and(|socket| socket.confirmed == Some(term.key)) {
                    term.heard.entry(now).or_default().insert(process.id);
                }
            }
        }
    }

    fn write(&mut self, which: usize) {
        let now = self.now;
        let Some(process) = self.processes[which].as_mut().filter(|process| !process.cut_off) else { return };
        let alive = process.socket.as_ref().map(|socket| moment(socket.heard_at));
        process.book.proven(moment(now), alive);
        process.renewed_at = now;
        let entries = process.book.entries();
        let mut inserted = Vec::new();
        for connection in &entries.connections {
            let row = (process.id, connection.clone(), now);
            if self.connections.insert(connection.id, row).is_none() {
                inserted.push(connection.id);
            }
        }
        for one in &entries.subscriptions {
            let key = (one.connection, one.partner, Arc::clone(&one.channel), one.confirmed_at);
            self.subscriptions.insert(key, one.clone());
        }
        process.book.written(&entries, &inserted);
    }

    /// Looks for gaps, as each process does.
    pub(super) fn look(&mut self, which: usize) {
        let now = self.now;
        let Some(process) = self.processes[which].as_ref().filter(|process| !process.cut_off) else { return };
        let me = process.id;
        let steady = moment(now) - moment(process.reachable_since) >= TimeDelta::from_std(STEADY).unwrap();
        let living: HashSet<Uuid> =
            self.processes.iter().flatten().filter(|one| !one.cut_off).map(|one| one.id).collect();
        let spans: Vec<(PartnerId, Arc<str>, Span)> = self
            .subscriptions
            .values()
            .map(|one| {
                let (owner, connection, renewed) = &self.connections[&one.connection];
                let ago = moment(now) - moment(*renewed);
                let may_grow = *owner == me || is_alive(ago, living.contains(owner), steady);
                let ended = one.ended_at.into_iter().chain(connection.ended_at).min();
                let span = Span { from: one.confirmed_at, proven: connection.proven_at, ended, may_grow };
                (one.partner, Arc::clone(&one.channel), span)
            })
            .collect();
        for at in 0..self.terms.len() {
            self.judge_term(at, &spans);
        }
    }

    fn judge_term(&mut self, at: usize, spans: &[(PartnerId, Arc<str>, Span)]) {
        let now = moment(self.now);
        let TermOfWorld { partner, key, term, .. } = &mut self.terms[at];
        let (partner, key) = (*partner, key.to_string());
        let of_term = spans.iter().filter(|(whose, channel, span)| {
            *whose == partner && **channel == *key && span.ended.is_none_or(|ended| ended >= term.began)
        });
        let of_term: Vec<Span> =
            of_term.map(|(_, _, span)| Span { from: span.from.max(term.began), ..*span }).collect();
        let judgement = judge(term, &of_term, now);
        term.decided = judgement.decided;
        let open = self.gaps.iter().position(|(whose, _, to)| *whose == partner && to.is_none());
        let changes = changes(&judgement, open.map(|at| self.gaps[at].1));
        if let (Some(at), Some((from, to))) = (open, changes.close) {
            self.gaps[at] = (partner, from, Some(to));
        }
        if let (Some(at), Some(from)) = (open, changes.widen) {
            self.gaps[at].1 = from;
        }
        self.gaps.extend(changes.add.iter().map(|hole| (partner, hole.from, hole.to)));
    }
}
