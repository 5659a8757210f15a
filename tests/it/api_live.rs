//! Following events live: nothing missing, nothing repeated, whatever breaks in between.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transak_relay::model::id::{EventId, PartnerId};
use transak_relay::store::event::feed;
use transak_relay::store::pool::MIGRATOR;
use transak_relay::store::wake::{self, Wakes};

use crate::live_client::{Stream, request};
use crate::world::{World, order};

/// Runs the reader of a world until the set is dropped.
pub(crate) fn run_reader(world: &mut World, tasks: &mut JoinSet<anyhow::Result<()>>) -> CancellationToken {
    let stop = CancellationToken::new();
    tasks.spawn(world.reading.take().unwrap().run(stop.clone()));
    stop
}

pub(crate) async fn insert(conn: &mut PgConnection, partner: PartnerId, order_id: &str, ids: &[EventId]) {
    let identities: Vec<_> = ids.iter().map(|id| id.uuid().as_bytes().to_vec()).collect();
    sqlx::query(
        "insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at)
         select $1, new.id, $2, 'ORDER_PROCESSING', 'PROCESSING', new.identity, now(), now()
         from unnest($3::uuid[], $4::bytea[]) as new (id, identity)",
    )
    .bind(partner)
    .bind(order_id)
    .bind(ids)
    .bind(identities)
    .execute(conn)
    .await
    .unwrap();
}

pub(crate) fn new_ids(count: usize) -> Vec<EventId> {
    (0..count).map(|_| EventId::new()).collect()
}

/// Writes `count` events in transactions that overlap and end in another order than they began.
async fn write_overlapping(pool: PgPool, partner: PartnerId, count: usize) -> Vec<EventId> {
    let mut conns = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let mut written = Vec::new();
    while written.len() < count {
        let [early, late] = [new_ids(fastrand::usize(1..40)), new_ids(fastrand::usize(1..40))];
        let [one, two] = &mut conns;
        let mut first = one.begin().await.unwrap();
        insert(&mut first, partner, "o1", &early).await;
        let mut second = two.begin().await.unwrap();
        insert(&mut second, partner, "o1", &late).await;
        second.commit().await.unwrap();
        tokio::task::yield_now().await;
        first.commit().await.unwrap();
        written.extend(early.into_iter().chain(late));
    }
    written
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn ten_thousand_events_over_fifty_reconnects_are_each_told_once(pool: PgPool) {
    let mut tasks = JoinSet::new();
    // Two processes on one database; every reconnect goes to the other one.
    let mut worlds = [World::new(pool.clone()).await, World::around(pool.clone())];
    for world in &mut worlds {
        run_reader(world, &mut tasks);
    }
    let partner = worlds[0].partner;
    let before = new_ids(1);
    insert(&mut pool.acquire().await.unwrap(), partner, "o1", &before).await;
    let mut writers = JoinSet::new();
    for _ in 0..2 {
        writers.spawn(write_overlapping(pool.clone(), partner, 5_000));
    }
    let mut told = Vec::new();
    let mut last = before[0];
    for reconnect in 0..50 {
        let mut stream = Stream::open(&worlds[reconnect % 2], "", Some(last)).await;
        for _ in 0..fastrand::usize(1..=200) {
            last = stream.id().await;
            told.push(last);
        }
    }
    let written: Vec<_> = writers.join_all().await.concat();
    let mut stream = Stream::open(&worlds[0], "", Some(last)).await;
    while told.len() < written.len() {
        told.push(stream.id().await);
    }
    let distinct: HashSet<_> = told.iter().copied().collect();
    let missing = written.iter().filter(|id| !distinct.contains(id)).count();
    let repeated = told.len() - distinct.len();
    println!("{} events over 50 reconnects: {missing} missing, {repeated} repeated", written.len());
    assert!(written.len() >= 10_000);
    assert_eq!((missing, repeated), (0, 0));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_commits_late_is_told_although_its_id_is_older_than_one_already_told(pool: PgPool) {
    let mut world = World::new(pool.clone()).await;
    let mut tasks = JoinSet::new();
    run_reader(&mut world, &mut tasks);
    let mut stream = Stream::open(&world, "", None).await;
    let [early, late, last] = [EventId::new(), EventId::new(), EventId::new()];
    let mut conn = pool.acquire().await.unwrap();
    insert(&mut conn, world.partner, "o1", &[late]).await;
    assert_eq!(stream.id().await, late);
    // A transaction that is overtaken by another while it is open.
    let mut open = pool.begin().await.unwrap();
    insert(&mut open, world.partner, "o1", &[early]).await;
    insert(&mut conn, world.partner, "o1", &[last]).await;
    let mut second = Stream::open(&world, "", Some(late)).await;
    open.commit().await.unwrap();
    for stream in [&mut stream, &mut second] {
        assert_eq!([stream.id().await, stream.id().await], [early, last]);
    }
    let mut third = Stream::open(&world, &format!("?since={early}"), None).await;
    assert_eq!(third.id().await, last);
}

/// The first client of a process begins in the moment in which a transaction ends that held back what it waits for.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_settles_while_the_first_client_is_counted_in_is_told(pool: PgPool) {
    let partner = World::new(pool.clone()).await.partner;
    let mut conn = pool.acquire().await.unwrap();
    for round in 0..200 {
        let mut world = World::around(pool.clone());
        let mut tasks = JoinSet::new();
        run_reader(&mut world, &mut tasks);
        let ids = new_ids(3);
        insert(&mut conn, partner, "o1", &ids[..1]).await;
        let mut open = pool.begin().await.unwrap();
        insert(&mut open, partner, "o1", &ids[1..2]).await;
        insert(&mut conn, partner, "o1", &ids[2..]).await;
        let mut stream = Stream::open(&world, "", Some(ids[0])).await;
        let ending = async {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            open.commit().await.unwrap();
        };
        let told = async { [stream.id().await, stream.id().await] };
        assert_eq!(tokio::join!(told, ending).0, [ids[1], ids[2]], "round {round}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_client_that_takes_nothing_is_dropped_from_the_live_feed_and_misses_nothing(pool: PgPool) {
    let mut world = World::new(pool.clone()).await;
    let mut tasks = JoinSet::new();
    run_reader(&mut world, &mut tasks);
    let mut slow = Stream::open(&world, "", None).await;
    let ids = new_ids(2_001);
    let mut conn = pool.acquire().await.unwrap();
    insert(&mut conn, world.partner, "o1", &ids[..1]).await;
    assert_eq!(slow.id().await, ids[0]);
    let mut quick = Stream::open(&world, &format!("?since={}", ids[0]), None).await;
    insert(&mut conn, world.partner, "o1", &ids[1..]).await;
    // One who takes what comes has it all: by then the reader has filled the other's queue.
    for id in &ids[1..] {
        assert_eq!(quick.id().await, *id);
    }
    assert!(world.feed.followers() <= 1);
    for id in &ids[1..] {
        assert_eq!(slow.id().await, *id);
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_message_that_is_heard_is_told_at_once_with_its_payload_and_sighting(pool: PgPool) {
    let mut world = World::new(pool.clone()).await;
    let mut tasks = JoinSet::new();
    run_reader(&mut world, &mut tasks);
    let mut all = Stream::open(&world, "", None).await;
    let mut one = Stream::open(&world, "?orderId=o2", None).await;
    for id in ["o1", "o2"] {
        let message = world.signed(&order(id, "PROCESSING", 1));
        world.hear(&message).await;
    }
    let (id, event) = all.event().await.unwrap();
    assert_eq!((event["id"].as_str().unwrap(), event["orderId"].as_str().unwrap()), (&*id.to_string(), "o1"));
    assert_eq!(event["payload"]["fiatAmount"], 30);
    assert_eq!(event["sightings"][0]["source"], "stream");
    assert_eq!(event["partnerOrderId"], "po-o1");
    assert_eq!(one.event().await.unwrap().1["orderId"], "o2");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_commit_of_one_process_wakes_the_followers_of_another_through_postgres(pool: PgPool) {
    let wakes = Wakes::default();
    let committed = Arc::new(Notify::new());
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(wake::listen(pool.clone(), wakes.clone(), stop.clone()));
    wakes.events.notified().await;
    tasks.spawn(wake::announce_events(pool, Arc::clone(&committed), stop.clone()));
    committed.notify_one();
    wakes.events.notified().await;
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap().unwrap();
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn streams_end_with_the_process(pool: PgPool) {
    let mut world = World::new(pool.clone()).await;
    let mut tasks = JoinSet::new();
    let stop = run_reader(&mut world, &mut tasks);
    let mut stream = Stream::open(&world, "", None).await;
    let ids = new_ids(1);
    insert(&mut pool.acquire().await.unwrap(), world.partner, "o1", &ids).await;
    assert_eq!(stream.id().await, ids[0]);
    assert_eq!(world.feed.followers(), 1);
    stop.cancel();
    assert_eq!(stream.event().await, None);
    tasks.join_next().await.unwrap().unwrap().unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_stream_begins_at_a_time_or_at_an_event_and_refuses_everything_else(pool: PgPool) {
    let mut world = World::new(pool.clone()).await;
    let mut tasks = JoinSet::new();
    run_reader(&mut world, &mut tasks);
    let ids = new_ids(3);
    insert(&mut pool.acquire().await.unwrap(), world.partner, "o1", &ids).await;
    let mut stream = Stream::open(&world, "?since=2026-01-01T00:00:00Z", None).await;
    for id in &ids {
        assert_eq!(stream.id().await, *id);
    }
    // What a client sends after a break goes before what its address says.
    let mut stream = Stream::open(&world, "?since=2026-01-01T00:00:00Z", Some(ids[1])).await;
    assert_eq!(stream.id().await, ids[2]);
    for (query, last, status) in [
        ("?since=yesterday", None, 400),
        ("?unknown=1", None, 400),
        ("?orderId=", None, 400),
        ("", Some("1".to_owned()), 400),
        ("", Some(EventId::new().to_string()), 404),
        (&*format!("?since={}", EventId::new()), None, 404),
        (&*format!("?partnerId={}", PartnerId::new()), None, 404),
    ] {
        assert_eq!(request(&world, query, last).await.status().as_u16(), status, "{query}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn events_from_another_postgres_stand_before_all_others(pool: PgPool) {
    let mut world = World::new(pool.clone()).await;
    let mut tasks = JoinSet::new();
    run_reader(&mut world, &mut tasks);
    let ids = new_ids(4);
    let mut conn = pool.acquire().await.unwrap();
    insert(&mut conn, world.partner, "o1", &ids[..3]).await;
    assert!(!feed::adopt_foreign(&mut conn).await.unwrap());
    // As after a restore into a younger cluster.
    sqlx::query("update event set transaction_id = '9000000000'").execute(&mut *conn).await.unwrap();
    assert!(feed::adopt_foreign(&mut conn).await.unwrap());
    insert(&mut conn, world.partner, "o1", &ids[3..]).await;
    let mut stream = Stream::open(&world, "", Some(ids[0])).await;
    for id in &ids[1..] {
        assert_eq!(stream.id().await, *id);
    }
}
