//! What processes leave behind when they die: messages on disk.

use std::fs;

use sqlx::PgPool;
use transak_relay::intake::spool::Spool;
use transak_relay::store::pool::MIGRATOR;

use crate::world::{World, order};

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_dead_process_left_on_disk_is_kept_by_a_living_one_in_its_order(pool: PgPool) {
    let world = World::new(pool).await;
    let (_intake, mut living, folder) = world.another_writer();
    let mut dead = Spool::open(folder.path(), 1 << 24).unwrap();
    let steps = ["AWAITING_PAYMENT_FROM_USER", "PROCESSING", "COMPLETED"];
    let heard = steps
        .iter()
        .zip(1..)
        .map(|(status, minute)| world.heard(&world.signed(&order("o1", status, minute))));
    dead.append(&heard.collect::<Vec<_>>()).unwrap();
    living.drain().await;
    assert_eq!(world.count("event").await, 0, "its owner lives");
    drop(dead);
    living.drain().await;
    let kept: Vec<String> = sqlx::query_scalar("select status from event order by event_id")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(kept, steps);
    assert_eq!(fs::metadata(folder.path().join("1/messages")).unwrap().len(), 0, "its space is given back");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_flipped_bit_in_what_was_left_costs_its_message_and_no_neighbour(pool: PgPool) {
    let world = World::new(pool).await;
    let (_intake, mut living, folder) = world.another_writer();
    let mut dead = Spool::open(folder.path(), 1 << 24).unwrap();
    for id in ["o1", "o2", "o3"] {
        dead.append(&[world.heard(&world.signed(&order(id, "COMPLETED", 1)))]).unwrap();
    }
    drop(dead);
    let file = folder.path().join("1/messages");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    living.drain().await;
    let kept: Vec<String> = sqlx::query_scalar("select order_id from event order by event_id")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(kept, ["o1", "o3"]);
}
