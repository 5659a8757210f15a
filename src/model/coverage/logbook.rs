//! What one process hears, as it is to be written down: its connections, its subscriptions, and until when they are proven.
//!
//! Guarantees: nothing noted is forgotten before it is written, also while the database is away; whatever is written may be
//! written again. A process that dies leaves in the tables what was proven when it last wrote.
//! Does not guarantee: to keep more than [`MOST`] subscriptions that are over. Past that the oldest connection goes, and
//! what it heard counts as unheard.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::UNREAD;
use crate::model::id::PartnerId;

/// The most subscriptions that are kept for a database that is away: some 20 MB.
pub(super) const MOST: usize = 100_000;

/// A connection as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub id: Uuid,
    pub slot: i32,
    pub opened_at: DateTime<Utc>,
    /// Until when everything on it was heard and is safe.
    pub proven_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub reason: Option<String>,
}

/// A subscription as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub connection: Uuid,
    pub partner: PartnerId,
    pub channel: Arc<str>,
    pub confirmed_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub reason: Option<String>,
}

/// What is to be written.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    pub connections: Vec<Connection>,
    /// Those that changed since they were last written.
    pub subscriptions: Vec<Subscription>,
    revision: u64,
}

/// How a subscription or a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub at: DateTime<Utc>,
    pub reason: String,
}

/// A subscription and the revision of its last change.
type Noted = (Subscription, u64);

#[derive(Debug)]
struct Page {
    connection: Connection,
    /// The channels that are confirmed now, each with its subscriptions: one for each partner.
    confirmed: HashMap<Arc<str>, Vec<Noted>>,
    /// What is over and not written yet.
    over: Vec<Noted>,
    /// It was written before.
    known: bool,
}

/// What one process hears.
#[derive(Debug, Default)]
pub struct Logbook {
    /// Oldest first; the last may be open.
    pages: Vec<Page>,
    revision: u64,
    written: u64,
}

impl Page {
    /// Nothing that is noted of it can change any more.
    fn is_settled(&self) -> bool {
        self.connection.ended_at.is_some_and(|ended| ended <= self.connection.proven_at)
    }

    fn subscriptions(&self) -> impl Iterator<Item = &Noted> {
        self.confirmed.values().flatten().chain(&self.over)
    }

    fn begin(&mut self, channel: &Arc<str>, partner: PartnerId, (at, revision): (DateTime<Utc>, u64)) {
        let heard = self.confirmed.entry(Arc::clone(channel)).or_default();
        if heard.iter().all(|(one, _)| one.partner != partner) {
            let (connection, channel) = (self.connection.id, Arc::clone(channel));
            let (confirmed_at, ended_at, reason) = (at, None, None);
            heard.push((
                Subscription { connection, partner, channel, confirmed_at, ended_at, reason },
                revision,
            ));
        }
    }
}

fn over((one, _): Noted, end: &End, revision: u64) -> Noted {
    let (ended_at, reason) = (Some(end.at.max(one.confirmed_at)), Some(end.reason.clone()));
    (Subscription { ended_at, reason, ..one }, revision)
}

impl Logbook {
    /// A connection is there. Whatever was open before is over.
    pub fn opened(&mut self, (id, slot): (Uuid, i32), at: DateTime<Utc>) {
        self.closed(&End { at, reason: "another connection took its place".to_owned() });
        let connection = Connection { id, slot, opened_at: at, proven_at: at, ended_at: None, reason: None };
        self.pages.push(Page { connection, confirmed: HashMap::new(), over: Vec::new(), known: false });
        let mut kept: usize = self.pages.iter().map(|page| page.over.len()).sum();
        while kept > MOST && self.pages.len() > 1 {
            kept -= self.pages.remove(0).over.len();
        }
    }

    /// A channel is heard from now on, for these partners.
    pub fn confirmed(
        &mut self,
        channel: &Arc<str>,
        partners: impl IntoIterator<Item = PartnerId>,
        at: DateTime<Utc>,
    ) {
        let Some((page, revision)) = self.open_page() else { return };
        page.confirmed.entry(Arc::clone(channel)).or_default();
        for partner in partners {
            page.begin(channel, partner, (at, revision));
        }
    }

    /// A channel is not heard any more.
    pub fn lost(&mut self, channel: &str, end: &End) {
        let Some((page, revision)) = self.open_page() else { return };
        let heard = page.confirmed.remove(channel).unwrap_or_default();
        page.over.extend(heard.into_iter().map(|noted| over(noted, end, revision)));
    }

    /// From now on each channel is heard for these partners, and for no others.
    pub fn owned<P: IntoIterator<Item = PartnerId>>(
        &mut self,
        owners: impl Fn(&str) -> P,
        at: DateTime<Utc>,
    ) {
        let Some((page, revision)) = self.open_page() else { return };
        let end = End { at, reason: "the channel is not the partner's any more".to_owned() };
        for channel in page.confirmed.keys().cloned().collect::<Vec<_>>() {
            let owners: Vec<PartnerId> = owners(&channel).into_iter().collect();
            if let Some(heard) = page.confirmed.get_mut(&channel) {
                let gone = heard.extract_if(.., |(one, _)| !owners.contains(&one.partner));
                page.over.extend(gone.map(|noted| over(noted, &end, revision)));
            }
            for partner in owners {
                page.begin(&channel, partner, (at, revision));
            }
        }
    }

    /// The connection is over, if one is open: it was heard until then, and no longer.
    pub fn closed(&mut self, end: &End) {
        let Some((page, revision)) = self.open_page() else { return };
        let heard = std::mem::take(&mut page.confirmed).into_values().flatten();
        page.over.extend(heard.map(|noted| over(noted, end, revision)));
        page.connection.ended_at = Some(end.at.max(page.connection.opened_at));
        page.connection.reason = Some(end.reason.clone());
    }

    /// Everything heard until `settled` is committed or on disk, and the open connection last showed at `alive` that it
    /// lives.
    pub fn proven(&mut self, settled: DateTime<Utc>, alive: Option<DateTime<Utc>>) {
        for page in &mut self.pages {
            let connection = &mut page.connection;
            let until = match (connection.ended_at, alive) {
                (Some(ended), _) => ended.min(settled),
                (None, Some(alive)) => alive.min(settled) - UNREAD,
                (None, None) => continue,
            };
            connection.proven_at = connection.proven_at.max(until);
        }
    }

    /// Whether everything that was heard on connections that are over is safe.
    pub fn is_settled(&self) -> bool {
        self.pages.iter().all(Page::is_settled)
    }

    /// What is to be written now.
    pub fn entries(&self) -> Entries {
        let changed = self.pages.iter().flat_map(Page::subscriptions);
        let changed = changed.filter(|(_, revision)| *revision > self.written);
        Entries {
            connections: self.pages.iter().map(|page| page.connection.clone()).collect(),
            subscriptions: changed.map(|(one, _)| one.clone()).collect(),
            revision: self.revision,
        }
    }

    /// These were written; `inserted` are the connections that the tables had not known before. If one of these had been
    /// written already, as before a restore, everything is to be written again.
    pub fn written(&mut self, entries: &Entries, inserted: &[Uuid]) {
        self.written = self.written.max(entries.revision);
        for page in &mut self.pages {
            let id = page.connection.id;
            if page.known && inserted.contains(&id) {
                self.written = 0;
            }
            page.known |= entries.connections.iter().any(|one| one.id == id);
            page.over.retain(|(_, changed)| *changed > entries.revision);
        }
        self.pages.retain(|page| {
            !page.is_settled() || !page.over.is_empty() || !entries.connections.contains(&page.connection)
        });
    }

    fn open_page(&mut self) -> Option<(&mut Page, u64)> {
        self.revision += 1;
        let page = self.pages.last_mut().filter(|page| page.connection.ended_at.is_none())?;
        Some((page, self.revision))
    }
}

/// What the database's clock says when this machine's, which is `ahead` of it, says `at`.
pub fn by_the_database(at: DateTime<Utc>, ahead: TimeDelta) -> DateTime<Utc> {
    at.checked_sub_signed(ahead).unwrap_or(at)
}
