//! Looking for spans in which nobody heard a partner. Every process does it, whatever its roles and also one that stands by;
//! one at a time writes.
//!
//! Guarantees: a gap is found by any process that lives, whoever takes whose slot and though nobody listens any more.
//! Does not guarantee: to find it at once. Of a process that died without a word it is known some seconds later.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::record::Book;
use crate::intake::directory::Watch;
use crate::intake::stream::{Others, StreamHealth};
use crate::model::coverage::{self, ENTRY, Hole, STEADY, Span, Term};
use crate::model::id::PartnerId;
use crate::store;
use crate::store::figures;
use crate::store::listener::survey::{self, Owner, SubscriptionRow, Survey};
use crate::store::within;

/// How often it is looked, at least: more seldom where looking takes long.
const PERIOD: Duration = Duration::from_secs(2);

/// Looking takes no more than this share of the time.
const SHARE: u32 = 20;

/// What one look may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The last look of a process that stops.
const LAST_LOOK: Duration = Duration::from_secs(3);

/// How far a term is judged is written down only when it is this much further, unless gaps changed: it is not worth a
/// write each time.
const FURTHER: chrono::TimeDelta = chrono::TimeDelta::seconds(30);

/// Looks for gaps.
pub(super) struct Overseer {
    pub(super) pool: PgPool,
    /// This run of the process.
    pub(super) listener: Uuid,
    pub(super) directory: Watch,
    pub(super) book: Book,
    pub(super) health: watch::Sender<StreamHealth>,
}

/// What one look found.
#[derive(Debug, Default)]
pub struct Found {
    /// What other processes hear.
    pub others: Others,
    /// Partners whose gaps were changed.
    pub changed: usize,
}

impl Overseer {
    /// Looks again and again until the last connection is closed.
    pub(super) async fn run(&self, closed: &CancellationToken) {
        let (mut since, mut directory) = (None, self.directory.clone());
        let mut entry = Instant::now();
        loop {
            let began = Instant::now();
            let steady = since.is_some_and(|since: Instant| since.elapsed() >= STEADY);
            if self.look(PATIENCE, steady).await {
                since.get_or_insert(began);
            } else {
                since = None;
            }
            let pause = PERIOD.max(began.elapsed() * SHARE);
            let entering = entry > Instant::now();
            tokio::select! {
                biased;
                () = closed.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.book.news() => {}
                () = tokio::time::sleep_until(entry), if entering => {}
                changed = directory.changed() => {
                    // Somebody who is not heard by then is in a gap.
                    entry = Instant::now() + ENTRY.to_std().unwrap_or_default() + Duration::from_millis(100);
                    if changed.is_err() {
                        closed.cancelled().await;
                    }
                }
            }
        }
    }

    /// One last look. Others are not taken for dead by it.
    pub(super) async fn look_once(&self) {
        self.look(LAST_LOOK, false).await;
    }

    async fn look(&self, patience: Duration, steady: bool) -> bool {
        let looking = async {
            let mut tx = self.pool.begin().await?;
            let now = figures::clock(&mut tx).await?;
            let found = find_gaps(&mut tx, (self.listener, steady), now).await?;
            tx.commit().await?;
            Ok(found)
        };
        match within(patience, looking).await {
            Ok(found) => {
                self.health.send_if_modified(|health| {
                    let differs = health.others != found.others || found.changed > 0;
                    health.gaps_changed += found.changed as u64;
                    health.others = found.others;
                    differs
                });
                true
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "gaps are not looked for right now"
                );
                false
            }
        }
    }
}

/// Judges what all processes heard, at the moment `now` of the database's clock, and writes the gaps. `me` is this run of
/// the process; `steady`: the database has been there for long enough that whoever is silent is dead.
///
/// # Errors
/// The database is not available.
pub async fn find_gaps(
    conn: &mut PgConnection,
    (me, steady): (Uuid, bool),
    now: DateTime<Utc>,
) -> store::Result<Found> {
    let writes = survey::take_turn(conn).await?;
    let survey = survey::read(conn).await?;
    let lives = |owner: &Owner, steady| {
        owner.listener == me || coverage::is_alive(now - owner.renewed_at, owner.has_session, steady)
    };
    let others = others(&survey, |owner| owner.listener != me && lives(owner, true));
    if !writes {
        return Ok(Found { others, changed: 0 });
    }
    let changed = write_gaps(conn, &survey, |owner| lives(owner, steady), now).await?;
    survey::prune(conn, now).await?;
    Ok(Found { others, changed })
}

fn others(survey: &Survey, lives: impl Fn(&Owner) -> bool) -> Others {
    let heard = survey.subscriptions.iter().filter(|(one, owner)| one.ended_at.is_none() && lives(owner));
    Others {
        channels: Arc::new(heard.map(|(one, _)| one.channel.clone()).collect::<HashSet<_>>()),
        listen: survey.owners.iter().any(lives),
    }
}

type Subscriptions<'a> = HashMap<(PartnerId, &'a str), Vec<(&'a SubscriptionRow, Span)>>;

/// By partner and channel.
fn spans(survey: &Survey, lives: impl Fn(&Owner) -> bool) -> Subscriptions<'_> {
    let mut spans: Subscriptions<'_> = HashMap::new();
    for (row, owner) in &survey.subscriptions {
        let (from, proven, ended) = (row.confirmed_at, row.proven_at, row.ended_at);
        let span = Span { from, proven, ended, may_grow: lives(owner) };
        spans.entry((row.partner, &row.channel)).or_default().push((row, span));
    }
    spans
}

/// Answers the number of partners whose gaps changed.
async fn write_gaps(
    conn: &mut PgConnection,
    survey: &Survey,
    lives: impl Fn(&Owner) -> bool,
    now: DateTime<Utc>,
) -> store::Result<usize> {
    let mut spans = spans(survey, lives);
    let (mut changed, mut ids, mut decided) = (0, Vec::new(), Vec::new());
    for terms in survey.terms.chunk_by(|one, next| one.partner == next.partner) {
        let mut open = survey.open.get(&terms[0].partner).copied();
        for row in terms {
            let heard = spans.remove(&(row.partner, row.channel.as_str())).unwrap_or_default();
            let heard = within_term(heard, &row.term);
            let judgement = coverage::judge(&row.term, &heard.1, now);
            let due = coverage::changes(&judgement, open);
            let any = due != coverage::Changes::default();
            if any {
                let reasons: Vec<_> = due.add.iter().map(|hole| reason(&row.term, hole, &heard.0)).collect();
                survey::change_gaps(conn, row.partner, (&due, &reasons)).await?;
                changed += 1;
                open = due.open_after(open);
            }
            let over = row.term.ended.is_some_and(|ended| ended <= judgement.decided);
            if any || over || judgement.decided - row.term.decided >= FURTHER {
                ids.push(row.id);
                decided.push(judgement.decided);
            }
        }
    }
    survey::decided(conn, (&ids, &decided)).await?;
    Ok(changed)
}

/// The rows and spans of a term: what was heard of the same channel before it does not count.
fn within_term<'a>(
    heard: Vec<(&'a SubscriptionRow, Span)>,
    term: &Term,
) -> (Vec<&'a SubscriptionRow>, Vec<Span>) {
    let of_term = heard.into_iter().filter(|(_, span)| span.ended.is_none_or(|ended| ended >= term.began));
    of_term.map(|(row, span)| (row, Span { from: span.from.max(term.began), ..span })).unzip()
}

/// Why nobody heard, in a sentence.
fn reason(term: &Term, hole: &Hole, heard: &[&SubscriptionRow]) -> String {
    match hole.after.and_then(|at| heard.get(at)) {
        Some(row) => row.reason.clone().unwrap_or_else(|| "the listener ended without a word".to_owned()),
        None if hole.from == term.began => "the channel was not confirmed yet".to_owned(),
        None => "nobody was subscribed".to_owned(),
    }
}
