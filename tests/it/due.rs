//! Who is due is noted in time, found by one step along an index, and costs nothing while it waits.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use transak_relay::model::queue::Place;
use transak_relay::store::dispatcher::DispatcherId;
use transak_relay::store::due::{Sweep, adopt, look, note_now, settle, sweep};
use transak_relay::store::endpoint::in_line;
use transak_relay::store::figures;
use transak_relay::store::pool::MIGRATOR;

use crate::hot_path::entries_read;
use crate::stub::Stub;
use crate::world::World;

/// Endpoints that would be looked at too late: something of theirs may be sent before anybody looks.
const TOO_LATE: &str = "select count(*) from delivery join endpoint using (partner_id, endpoint_id)
    where delivery.state = 'pending' and delivery.next_attempt_at < '9999-01-01Z'
      and endpoint.state = 'enabled' and endpoint.deleted_at is null
      and not exists (select from endpoint_due as noted
                      where noted.partner_id = delivery.partner_id and noted.endpoint_id = delivery.endpoint_id
                        and noted.due_at <= greatest(delivery.next_attempt_at, endpoint.paused_until, now()))";

pub(crate) async fn too_late(world: &World) -> i64 {
    sqlx::query_scalar(TOO_LATE).fetch_one(&world.pool).await.unwrap()
}

async fn found(conn: &mut PgConnection) -> Vec<Place> {
    look(conn, DispatcherId::new(), None).await.unwrap().due
}

pub(crate) async fn settled(world: &World, places: &[Place]) {
    let mut tx = world.pool.begin().await.unwrap();
    settle(&mut tx, places).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn only_place(world: &World) -> Place {
    world.rooms(1).await[0].place
}

/// An endpoint that is owed one delivery which waits for an hour.
async fn waiting(pool: PgPool) -> (World, Stub, Place) {
    let mut world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    world.hear_many(1).await;
    world.sql("update delivery set next_attempt_at = now() + interval '1 hour'").await;
    let place = only_place(&world).await;
    (world, stub, place)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_has_nothing_due_is_not_looked_at_again_until_it_has(pool: PgPool) {
    let (world, _stub, place) = waiting(pool).await;
    let mut conn = world.pool.acquire().await.unwrap();
    let looked = look(&mut conn, DispatcherId::new(), None).await.unwrap();
    assert_eq!((looked.due, looked.idle.clone()), (vec![], vec![place]));
    settled(&world, &looked.idle).await;
    let again = look(&mut conn, DispatcherId::new(), None).await.unwrap();
    assert_eq!((again.due, again.idle), (vec![], vec![]));
    assert_eq!(too_late(&world).await, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_due_by_a_transaction_that_has_not_committed_is_not_forgotten(pool: PgPool) {
    let (world, _stub, place) = waiting(pool).await;
    let mut writer = world.pool.begin().await.unwrap();
    // It relies on what was noted before.
    note_now(&mut writer, [place]).await.unwrap();
    sqlx::query("update delivery set next_attempt_at = now()").execute(&mut *writer).await.unwrap();
    settled(&world, &[place]).await;
    writer.commit().await.unwrap();
    assert_eq!(found(&mut world.pool.acquire().await.unwrap()).await, [place]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_makes_something_due_waits_for_who_puts_its_endpoint_off(pool: PgPool) {
    let (world, _stub, place) = waiting(pool).await;
    let mut settling = world.pool.begin().await.unwrap();
    settle(&mut settling, &[place]).await.unwrap();
    let mut writer = world.pool.begin().await.unwrap();
    sqlx::query("set local lock_timeout = '1ms'").execute(&mut *writer).await.unwrap();
    assert!(
        note_now(&mut writer, [place]).await.unwrap_err().is_lock_timeout(),
        "or it relied on a row that goes"
    );
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_who_make_something_of_one_endpoint_due_do_not_wait_for_each_other(pool: PgPool) {
    let (world, _stub, place) = waiting(pool).await;
    for noted_before in [true, false] {
        if !noted_before {
            world.sql("delete from endpoint_due").await;
        }
        let (mut first, mut second) = (world.pool.begin().await.unwrap(), world.pool.begin().await.unwrap());
        note_now(&mut first, [place]).await.unwrap();
        sqlx::query("set local lock_timeout = '1ms'").execute(&mut *second).await.unwrap();
        note_now(&mut second, [place]).await.unwrap();
        first.commit().await.unwrap();
        second.commit().await.unwrap();
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_paused_endpoint_is_not_looked_at_until_its_pause_ends(pool: PgPool) {
    let (world, _stub, place) = waiting(pool).await;
    world.sql("update delivery set next_attempt_at = now()").await;
    world.sql("update endpoint set breaker_trips = 1, paused_until = now() + interval '1 hour'").await;
    settled(&world, &[place]).await;
    let due: i64 =
        sqlx::query_scalar("select count(*) from endpoint_due where due_at > now() + interval '59 min'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(due, 1);
    assert_eq!(too_late(&world).await, 0);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_process_of_an_earlier_version_hears_is_found(pool: PgPool) {
    let (world, _stub, place) = waiting(pool).await;
    // As it writes: it neither notes nor says so.
    world.sql("update delivery set next_attempt_at = now(), due_noted = false").await;
    world.sql("delete from endpoint_due").await;
    let mut tx = world.pool.begin().await.unwrap();
    assert!(adopt(&mut tx).await.unwrap());
    assert!(!adopt(&mut tx).await.unwrap(), "once");
    tx.commit().await.unwrap();
    assert_eq!(found(&mut world.pool.acquire().await.unwrap()).await, [place]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_nobody_noted_is_found_slice_by_slice(pool: PgPool) {
    let (world, _stub, place) = waiting(pool).await;
    many(&world, 500).await;
    world.sql("update delivery set next_attempt_at = now()").await;
    world.sql("delete from endpoint_due").await;
    let mut conn = world.pool.begin().await.unwrap();
    let (mut round, mut slices) = (Sweep::default(), 1);
    while !sweep(&mut conn, &mut round).await.unwrap() {
        slices += 1;
    }
    conn.commit().await.unwrap();
    assert_eq!(slices, 3);
    assert_eq!((too_late(&world).await, world.count("endpoint_due").await), (0, 501));
    let _ = place;
}

/// So many more endpoints of the partner, each owed one delivery that waits for an hour, as is noted.
async fn many(world: &World, count: i32) {
    let statements = [
        "insert into endpoint (partner_id, endpoint_id, url, retry_schedule)
         select partner_id, uuid_in(md5('e' || n)::cstring), url, retry_schedule from endpoint, generate_series(1, $1) as n",
        "insert into delivery (partner_id, delivery_id, event_id, endpoint_id, next_attempt_at, due_noted)
         select partner_id, uuid_in(md5('d' || n)::cstring), uuid_in(md5('v' || n)::cstring),
                uuid_in(md5('e' || n)::cstring), now() + interval '1 hour', true
         from partner, generate_series(1, $1) as n",
        "insert into endpoint_due (partner_id, endpoint_id, due_at)
         select partner_id, uuid_in(md5('e' || n)::cstring), now() + interval '1 hour'
         from partner, generate_series(1, $1) as n",
    ];
    for statement in statements {
        sqlx::query(statement).bind(count).execute(&world.pool).await.unwrap();
    }
    sqlx::raw_sql("analyze").execute(&world.pool).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn fifty_thousand_endpoints_that_wait_cost_a_claim_the_figures_and_a_look_for_what_is_out_of_line_nothing(
    pool: PgPool,
) {
    let (world, _stub, place) = waiting(pool).await;
    many(&world, 50_000).await;
    world
        .sql("update delivery set next_attempt_at = now() where attempts = 0 and order_id is not null")
        .await;
    let mut conn = world.pool.begin().await.unwrap();
    let before = entries_read(&mut conn).await;
    assert_eq!(found(&mut conn).await, [place]);
    let queue = figures::queue(&mut conn).await.unwrap();
    assert_eq!(queue.due, 1);
    assert!(!in_line::step(&mut conn).await.unwrap());
    let read = entries_read(&mut conn).await - before;
    assert!(read < 100, "{read} index entries were read beside 50,000 endpoints that wait");
    let mut round = Sweep::default();
    sweep(&mut conn, &mut round).await.unwrap();
    let read = entries_read(&mut conn).await - before - read;
    assert!(read < 2_500, "{read} index entries were read for a slice");
}
