//! Coverage of the stream on a real database, by a clock that is handed in: what processes write, and the gaps that any of
//! them finds in it.

mod listening;
mod terms;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgPool;
use transak_relay::intake::listener::find_gaps;
use transak_relay::model::coverage::logbook::{End, Logbook};
use transak_relay::model::id::PartnerId;
use transak_relay::store::listener::book;
use transak_relay::store::pool::MIGRATOR;
use uuid::Uuid;

use crate::world::{API_KEY, World};

/// One run of a process that hears.
struct Run {
    id: Uuid,
    logbook: Logbook,
}

/// Times are seconds since the partner was registered.
struct Stage {
    world: World,
    began: DateTime<Utc>,
}

impl Stage {
    async fn new(pool: PgPool) -> Self {
        let world = World::new(pool).await;
        let began = sqlx::query_scalar("select began_at from stream_term").fetch_one(&world.pool).await;
        Self { world, began: began.unwrap() }
    }

    fn at(&self, second: i64) -> DateTime<Utc> {
        self.began + TimeDelta::seconds(second)
    }

    /// A process that hears these partners on this channel from a second on.
    async fn hears(&self, partners: &[PartnerId], channel: &str, second: i64) -> Run {
        let mut run = Run { id: Uuid::now_v7(), logbook: Logbook::default() };
        run.logbook.opened((Uuid::now_v7(), 0), self.at(second));
        run.logbook.confirmed(&Arc::from(channel), partners.iter().copied(), self.at(second));
        self.write(&mut run, second).await;
        run
    }

    async fn write(&self, run: &mut Run, second: i64) {
        let entries = run.logbook.entries();
        let mut conn = self.world.pool.acquire().await.unwrap();
        let inserted = book::write(&mut conn, (run.id, self.at(second)), &entries).await.unwrap();
        run.logbook.written(&entries, &inserted);
    }

    /// It lives, and everything that it heard until then is safe.
    async fn proves(&self, run: &mut Run, second: i64) {
        run.logbook.proven(self.at(second + 1), Some(self.at(second + 1)));
        self.write(run, second).await;
    }

    async fn stops(&self, run: &mut Run, second: i64) {
        run.logbook.closed(&End { at: self.at(second), reason: "the relay was told to stop".to_owned() });
        run.logbook.proven(self.at(second), None);
        self.write(run, second).await;
    }

    /// Whatever this machine has taken for it: who is registered now is so from the first second on.
    async fn registered_at_once(&self) {
        let at_once = "update stream_term set began_at = $1, decided_until = $1 where ended_at is null";
        sqlx::query(at_once).bind(self.began).execute(&self.world.pool).await.unwrap();
    }

    /// Some process looks for gaps.
    async fn look(&self, second: i64, steady: bool) {
        let mut tx = self.world.pool.begin().await.unwrap();
        find_gaps(&mut tx, (Uuid::now_v7(), steady), self.at(second)).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The gaps of a partner by now: from when to when.
    async fn gaps(&self, partner: PartnerId) -> Vec<(i64, Option<i64>)> {
        let rows: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> = sqlx::query_as(
            "select started_at, ended_at from gap where partner_id = $1 order by started_at, ended_at",
        )
        .bind(partner)
        .fetch_all(&self.world.pool)
        .await
        .unwrap();
        let second = |at: DateTime<Utc>| (at - self.began).num_seconds();
        rows.into_iter().map(|(from, to)| (second(from), to.map(second))).collect()
    }

    async fn reasons(&self) -> Vec<String> {
        sqlx::query_scalar("select reason from gap order by started_at")
            .fetch_all(&self.world.pool)
            .await
            .unwrap()
    }

    async fn stream(&self, partner: PartnerId) -> Value {
        let (_, shown) = self.world.call("GET", &format!("/v1/partners/{partner}"), None).await;
        shown["stream"]["state"].clone()
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_survivor_that_dies_leaves_a_gap_whoever_takes_whose_slot(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let partner = stage.world.partner;
    let mut first = stage.hears(&[partner], API_KEY, 1).await;
    let mut second = stage.hears(&[partner], API_KEY, 2).await;
    stage.stops(&mut first, 10).await;
    stage.proves(&mut second, 20).await;
    stage.look(24, true).await;
    assert_eq!(stage.gaps(partner).await, [], "it may live");
    let mut third = stage.hears(&[partner], API_KEY, 42).await;
    stage.proves(&mut third, 50).await;
    stage.look(51, true).await;
    assert_eq!(stage.gaps(partner).await, [(20, Some(42))]);
    assert_eq!(stage.reasons().await, ["the listener ended without a word"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_seconds_between_two_that_hear_are_a_gap(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let partner = stage.world.partner;
    let mut killed = stage.hears(&[partner], API_KEY, 1).await;
    let mut dropped = stage.hears(&[partner], API_KEY, 1).await;
    stage.proves(&mut killed, 11).await;
    stage.stops(&mut dropped, 10).await;
    stage.look(12, true).await;
    let mut back = stage.hears(&[partner], API_KEY, 16).await;
    stage.look(17, true).await;
    stage.proves(&mut back, 30).await;
    stage.look(31, true).await;
    assert_eq!(stage.gaps(partner).await, [(11, Some(16))]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_heard_and_not_safe_yet_is_a_gap_once_its_process_is_dead(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let mut run = stage.hears(&[stage.world.partner], API_KEY, 0).await;
    stage.proves(&mut run, 10).await;
    // It lives, but what it has heard since is not committed.
    stage.write(&mut run, 30).await;
    stage.look(33, true).await;
    assert_eq!(stage.gaps(stage.world.partner).await, []);
    stage.look(36, true).await;
    assert_eq!(stage.gaps(stage.world.partner).await, [(10, None)]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn after_an_outage_of_postgres_those_that_went_on_hearing_are_waited_for(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let mut run = stage.hears(&[stage.world.partner], API_KEY, 0).await;
    stage.proves(&mut run, 10).await;
    stage.look(60, false).await;
    stage.proves(&mut run, 61).await;
    stage.look(62, true).await;
    assert_eq!(stage.gaps(stage.world.partner).await, []);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_decided_leaves_nothing_behind_and_a_process_that_was_forgotten_writes_anew(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let partner = stage.world.partner;
    for second in [0, 100, 200] {
        let mut run = stage.hears(&[partner], API_KEY, second).await;
        stage.proves(&mut run, second + 80).await;
        stage.look(second + 90, true).await;
    }
    let mut living = stage.hears(&[partner], API_KEY, 300).await;
    stage.proves(&mut living, 400).await;
    stage.look(401, true).await;
    stage.look(402, true).await;
    assert_eq!(stage.world.count("stream_connection").await, 1, "the dead are decided");
    stage.world.sql("delete from stream_connection").await;
    stage.proves(&mut living, 410).await;
    stage.proves(&mut living, 412).await;
    assert_eq!(stage.world.count("stream_subscription").await, 1, "as after a restore");
    assert_eq!(stage.gaps(partner).await, [(80, Some(100)), (180, Some(200)), (280, Some(300))]);
}

/// So many schedules of spans, each looked at while it goes on.
const SCHEDULES: u64 = 120;

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_gaps_in_the_table_are_what_no_span_of_a_random_schedule_covers(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let partner = stage.world.partner;
    for seed in 0..SCHEDULES {
        let mut random = fastrand::Rng::with_seed(seed);
        stage.world.sql("delete from gap; delete from stream_connection").await;
        sqlx::query("update stream_term set decided_until = began_at")
            .execute(&stage.world.pool)
            .await
            .unwrap();
        let mut covered = vec![false; 240];
        let mut spans: Vec<(i64, i64, bool)> =
            (0..random.usize(1..7)).map(|_| (random.i64(0..200), random.i64(1..40), random.bool())).collect();
        spans.sort_unstable();
        for (from, length, in_order) in spans {
            stage.look(from, true).await;
            let mut run = stage.hears(&[partner], API_KEY, from).await;
            if in_order {
                stage.stops(&mut run, from + length).await;
            } else {
                stage.proves(&mut run, from + length).await;
            }
            (from..from + length).for_each(|second| covered[usize::try_from(second).unwrap()] = true);
        }
        stage.look(300, true).await;
        let gaps = stage.gaps(partner).await;
        // Up to two seconds are no gap right after the registration.
        let first = covered.iter().position(|covered| *covered).filter(|first| *first <= 2).unwrap_or(0);
        for (second, covered) in covered.iter().enumerate().skip(first) {
            let second = i64::try_from(second).unwrap();
            let hit = gaps.iter().any(|(from, to)| *from <= second && to.is_none_or(|to| second < to));
            assert_eq!(hit, !covered, "seed {seed}, second {second}: {gaps:?}");
        }
    }
}
