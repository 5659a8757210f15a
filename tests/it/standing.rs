//! Where an order stands, and what its timeline shows, follow from what is told, not from who hears what first: the
//! tellings of a life are drawn at random from a seed that is the same every time, and are heard in several arrangements,
//! by two processes.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::intake::{Form, Heard, Intake, Writer};
use transak_relay::model::event::Source;
use transak_relay::store::pool::MIGRATOR;

use crate::world::World;

/// Lives, and in how many arrangements each is heard.
const LIVES: usize = 40;
const ARRANGEMENTS: usize = 6;

const STATUSES: [&str; 7] = [
    "AWAITING_PAYMENT_FROM_USER",
    "PENDING_DELIVERY_FROM_TRANSAK",
    "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK",
    "CANCELLED",
    "FAILED",
    "COMPLETED",
    "SOMETHING_NEW",
];

/// By which of its ways something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Stream,
    Webhook,
    /// A message that REST keeps.
    Rest,
    /// A row of the order's history.
    Row,
    /// A public channel.
    Rumour,
}

#[derive(Debug, Clone)]
struct Telling {
    way: Way,
    status: &'static str,
    /// Since the order was made; `None`: it does not say.
    second: Option<i64>,
}

fn telling(rumours: bool) -> impl Strategy<Value = Telling> {
    let odd = if rumours { Way::Rumour } else { Way::Row };
    (
        prop::sample::select(vec![Way::Stream, Way::Webhook, Way::Rest, odd]),
        prop::sample::select(&STATUSES[..]),
        prop::option::weighted(0.9, prop::sample::select(&[0_i64, 20, 30, 61, 100, 3600][..])),
    )
        .prop_map(|(way, status, second)| {
            let second = second.or((way == Way::Row).then_some(20));
            Telling { way, status, second }
        })
}

/// A life: what is told of an order, some of it twice.
fn life() -> impl Strategy<Value = Vec<Telling>> {
    any::<bool>().prop_flat_map(|rumours| prop::collection::vec(telling(rumours), 2..9))
}

fn made_at() -> DateTime<Utc> {
    "2025-04-04T13:00:00Z".parse().unwrap()
}

impl Telling {
    /// What one identity tells is the same each time; what an identity swallows is another matter.
    fn order(&self, id: &str) -> Value {
        let mut order = json!({ "id": id, "status": self.status, "isBuyOrSell": "BUY" });
        let Some(second) = self.second else { return order };
        let at = made_at() + TimeDelta::seconds(second);
        order["updatedAt"] = json!(at);
        order["network"] = json!(format!("{} {second}", self.status));
        if second % 20 == 0 {
            order["createdAt"] = json!(made_at());
            order["walletAddress"] = json!(format!("wallet {second}"));
        }
        order
    }

    fn heard(&self, world: &World, id: &str) -> Heard {
        let order = self.order(id);
        let (source, form, data) = match self.way {
            Way::Stream => (Source::Stream, Form::Signed, world.signed(&order.to_string())),
            Way::Webhook => {
                let claims = json!({ "webhookData": order }).to_string();
                (Source::Webhook, Form::Signed, json!({ "data": world.signed(&claims) }).to_string())
            }
            Way::Rest => {
                (Source::Reconcile, Form::Rest, json!({ "id": "row", "webhookData": order }).to_string())
            }
            Way::Row => (Source::Reconcile, Form::History, order.to_string()),
            Way::Rumour => (Source::Stream, Form::Open, order.to_string()),
        };
        let at = made_at() + TimeDelta::days(1);
        Heard { source, form, at, data: Bytes::from(data), ..world.heard("") }
    }
}

/// Has two processes hear a life: batch by batch, each by one of them, both at once.
async fn hear(
    world: &mut World,
    other: (&Intake, &mut Writer),
    life: &[Telling],
    (id, sizes): (&str, &[usize]),
) {
    let mut rest = life;
    for (turn, size) in sizes.iter().enumerate() {
        let (batch, later) = rest.split_at((*size).min(rest.len()));
        rest = later;
        for one in batch {
            let heard = one.heard(world, id);
            let intake = if turn % 2 == 0 { &world.intake } else { other.0 };
            intake.offer(heard).unwrap();
        }
        if turn % 2 == 1 || rest.is_empty() {
            tokio::join!(world.writer.drain(), other.1.drain());
        }
    }
}

/// What is shown of an order, without what differs from one order to another.
async fn shown(world: &World, id: &str) -> (Value, Vec<Value>) {
    let (_, mut order) = world.call("GET", &format!("/v1/orders/{id}"), None).await;
    assert_eq!(order["order"]["id"], id, "{order}");
    order["order"]["id"] = Value::Null;
    order["orderId"] = Value::Null;
    let (_, timeline) = world.call("GET", &format!("/v1/orders/{id}/timeline"), None).await;
    let entries = timeline["entries"].as_array().unwrap().iter();
    let entries = entries.map(|entry| {
        json!([entry["event"], entry["status"], entry["occurredAt"], entry["durationMs"], entry["anomaly"]])
    });
    (order, entries.collect())
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_order_stands_where_it_stands_whoever_hears_what_first(pool: PgPool) {
    let mut world = World::new(pool).await;
    let (intake, mut writer, _spool) = world.another_writer();
    let mut runner = TestRunner::deterministic();
    let mut statuses = BTreeSet::new();
    for number in 0..LIVES {
        let life = life().new_tree(&mut runner).unwrap().current();
        let mut first = None;
        for arrangement in 0..ARRANGEMENTS {
            let shuffled = Just(life.clone()).prop_shuffle().new_tree(&mut runner).unwrap().current();
            let sizes = prop::collection::vec(1_usize..4, 9).new_tree(&mut runner).unwrap().current();
            let id = format!("life-{number}-{arrangement}");
            hear(&mut world, (&intake, &mut writer), &shuffled, (&id, &sizes)).await;
            let shown = shown(&world, &id).await;
            statuses.insert(shown.0["status"].as_str().unwrap().to_owned());
            let first = first.get_or_insert_with(|| shown.clone());
            assert_eq!(*first, shown, "{life:?}\nheard as {shuffled:?}\nin {sizes:?}");
        }
    }
    assert!(statuses.len() >= 5, "the lives end in many ways: {statuses:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_event_that_comes_late_does_not_take_an_order_back_that_was_in_its_status_again(pool: PgPool) {
    let mut world = World::new(pool).await;
    let told = |status, second| Telling { way: Way::Stream, status, second: Some(second) };
    for (second, status) in [(0, STATUSES[1]), (60, STATUSES[1]), (30, STATUSES[2])] {
        let heard = told(status, second).heard(&world, "o1");
        world.intake.offer(heard).unwrap();
        world.writer.drain().await;
    }
    let (order, _) = shown(&world, "o1").await;
    assert_eq!(
        (&order["status"], &order["updatedAt"]),
        (&json!(STATUSES[1]), &json!("2025-04-04T13:01:00.000Z"))
    );
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_odd_is_told_anew_when_something_comes_late(pool: PgPool) {
    let mut world = World::new(pool).await;
    let told = |status, second| Telling { way: Way::Stream, status, second: Some(second) };
    for (second, status) in [(60, "COMPLETED"), (100, "FAILED"), (30, "FAILED"), (20, "REFUNDED")] {
        let heard = told(status, second).heard(&world, "o1");
        world.intake.offer(heard).unwrap();
        world.writer.drain().await;
    }
    let (_, entries) = shown(&world, "o1").await;
    let odd: Vec<_> = entries.iter().map(|entry| entry[4].as_str()).collect();
    let after = |to: &str| format!("{to} after REFUNDED is not a transition that Transak is known to make");
    let (failed, completed) = (after("FAILED"), after("COMPLETED"));
    assert_eq!(odd, [None, Some(&*failed), Some(&*completed), Some(&*failed)]);
}
