//! One run of a process: its connection, what it knows of the partner, and its book.

use std::sync::Arc;

use uuid::Uuid;

use super::super::UNREAD;
use super::super::logbook::{End, Logbook};
use super::world::moment;
use crate::model::id::PartnerId;

/// Ticks of half a second.
const PING: i64 = 20;
const PONG: i64 = 20;
const CONFIRM: i64 = 1;

#[derive(Debug, Clone)]
pub(super) struct Socket {
    pub(super) mute: bool,
    pub(super) heard_at: i64,
    /// The channel that is asked for, and when it will be confirmed.
    pub(super) asked: Option<(u8, i64)>,
    pub(super) confirmed: Option<u8>,
}

/// One run of a process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: Uuid,
    pub(super) book: Logbook,
    pub(super) socket: Option<Socket>,
    pub(super) cut_off: bool,
    pub(super) reachable_since: i64,
    pub(super) renewed_at: i64,
    /// The partner and its key, as this process knows them.
    pub(super) knows: Option<(PartnerId, u8)>,
}

pub(super) fn end(tick: i64, reason: &str) -> End {
    End { at: moment(tick), reason: reason.to_owned() }
}

impl Process {
    pub(super) fn new(now: i64) -> Self {
        Self {
            id: Uuid::now_v7(),
            book: Logbook::default(),
            socket: None,
            cut_off: false,
            reachable_since: now,
            renewed_at: now,
            knows: None,
        }
    }

    pub(super) fn owners(&self, channel: &str) -> Option<PartnerId> {
        self.knows.filter(|(_, key)| key.to_string() == channel).map(|(partner, _)| partner)
    }

    pub(super) fn connect(&mut self, now: i64) {
        self.book.opened((Uuid::now_v7(), 0), moment(now));
        let asked = self.knows.map(|(_, key)| (key, now + CONFIRM));
        self.socket = Some(Socket { mute: false, heard_at: now, asked, confirmed: None });
    }

    /// The connection is gone: it was heard until its last sign of life, and a server that said goodbye, until then.
    pub(super) fn lose(&mut self, now: i64, said_goodbye: bool) {
        let Some(socket) = self.socket.take() else { return };
        let until = if said_goodbye && !socket.mute { moment(now) } else { moment(socket.heard_at) - UNREAD };
        let lost = End { at: until, reason: "lost".to_owned() };
        if let Some(key) = socket.confirmed {
            self.book.lost(&key.to_string(), &lost);
        }
        self.book.closed(&lost);
    }

    /// Learns who the partner is by now.
    pub(super) fn learn(&mut self, partner: Option<(PartnerId, u8)>, now: i64) {
        if self.knows == partner {
            return;
        }
        self.knows = partner;
        let key = partner.map(|(_, key)| key);
        if let Some(socket) = &mut self.socket {
            if let Some(left) = socket.confirmed.filter(|confirmed| Some(*confirmed) != key) {
                socket.confirmed = None;
                self.book.lost(&left.to_string(), &end(now, "left"));
            }
            socket.asked = key.filter(|key| socket.confirmed != Some(*key)).map(|key| (key, now + CONFIRM));
        }
        let knows = self.knows;
        let owners =
            |channel: &str| knows.filter(|(_, key)| key.to_string() == channel).map(|(partner, _)| partner);
        self.book.owned(owners, moment(now));
    }

    /// What arrives in this tick.
    pub(super) fn hear(&mut self, now: i64) {
        let partner = self.socket.as_ref().and_then(|socket| socket.asked);
        let partner = partner.and_then(|(key, _)| self.owners(&key.to_string()));
        let Some(socket) = &mut self.socket else { return };
        if socket.mute {
            if now - socket.heard_at >= PING + PONG {
                self.lose(now, false);
            }
            return;
        }
        if let Some((key, _)) = socket.asked.filter(|(_, due)| *due <= now) {
            (socket.asked, socket.confirmed, socket.heard_at) = (None, Some(key), now);
            self.book.confirmed(&Arc::from(key.to_string()), partner, moment(now));
        } else if now - socket.heard_at >= PING {
            socket.heard_at = now;
        }
    }
}
