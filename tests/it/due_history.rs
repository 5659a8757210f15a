//! Whatever happens to what one endpoint is owed, it is looked at in time: a long random history of it.

use std::time::Duration;

use axum::http::StatusCode;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::model::breaker::Pick;
use transak_relay::model::delivery::{DeliveryState, Job};
use transak_relay::model::queue::{Place, Room};
use transak_relay::store::delivery::claim::{claim, release};
use transak_relay::store::delivery::finish::{Finished, finish};
use transak_relay::store::delivery::hasten::hasten;
use transak_relay::store::dispatcher::{DispatcherId, beat};
use transak_relay::store::pool::MIGRATOR;

use crate::due::{only_place, settled, too_late};
use crate::stub::Stub;
use crate::world::{World, order};

/// What may happen to what an endpoint is owed.
#[derive(Debug, Clone)]
enum Deed {
    Hear,
    Claim,
    Finish(prop::sample::Index, DeliveryState, u64),
    GiveBack(prop::sample::Index, u64),
    Settle,
    Hasten,
    Retry,
    Pause,
    Enable(bool),
    Change(bool),
}

fn deed() -> impl Strategy<Value = Deed> {
    let state = prop::sample::select(vec![
        DeliveryState::Pending,
        DeliveryState::Succeeded,
        DeliveryState::Exhausted,
    ]);
    let at = any::<prop::sample::Index>;
    prop_oneof![
        3 => Just(Deed::Hear),
        4 => Just(Deed::Claim),
        4 => (at(), state, 0_u64..100).prop_map(|(at, state, wait)| Deed::Finish(at, state, wait)),
        2 => (at(), 0_u64..10).prop_map(|(at, wait)| Deed::GiveBack(at, wait)),
        5 => Just(Deed::Settle),
        1 => Just(Deed::Hasten),
        2 => Just(Deed::Retry),
        1 => Just(Deed::Pause),
        2 => any::<bool>().prop_map(Deed::Enable),
        1 => any::<bool>().prop_map(Deed::Change),
    ]
}

/// One endpoint, and who sends to it.
struct History {
    world: World,
    place: Place,
    dispatcher: DispatcherId,
    claimed: Vec<Job>,
    heard: usize,
}

impl History {
    async fn claim(&mut self) {
        let mut conn = self.world.pool.acquire().await.unwrap();
        beat(&mut conn, self.dispatcher).await.unwrap();
        let room = [Room { place: self.place, most: 2, pick: Pick::InTurn }];
        let claimed = claim(&mut conn, self.dispatcher, &room).await.unwrap();
        self.claimed.extend(claimed.into_iter().map(|one| one.job));
    }

    async fn finish(&self, job: &Job, state: DeliveryState, wait: u64) {
        let retry_after = Some(Duration::from_secs(wait));
        let result =
            Finished { job, state, retry_after, asked: None, status_code: Some(200), is_over: false };
        let mut tx = self.world.pool.begin().await.unwrap();
        finish(&mut tx, &[result]).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn release(&self, job: &Job, wait: u64) {
        let mut tx = self.world.pool.begin().await.unwrap();
        release(&mut tx, &[(job, Duration::from_secs(wait))]).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn call(&self, method: &str, path: String, body: Option<serde_json::Value>) {
        let (status, answer) = self.world.call(method, &path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
    }

    async fn retry_one(&self) {
        let (_, page) = self.world.call("GET", "/v1/deliveries?limit=1", None).await;
        if let Some(id) = page["data"][0]["id"].as_str() {
            self.call("POST", format!("/v1/deliveries/{id}/retry"), None).await;
        }
    }

    async fn does(&mut self, deed: &Deed) {
        match deed {
            Deed::Hear => {
                self.heard += 1;
                let message = self.world.signed(&order(&format!("o{}", self.heard), "PROCESSING", 1));
                self.world.hear(&message).await;
            }
            Deed::Claim => self.claim().await,
            Deed::Finish(at, state, wait) if !self.claimed.is_empty() => {
                let job = self.claimed.swap_remove(at.index(self.claimed.len()));
                self.finish(&job, *state, *wait).await;
            }
            Deed::GiveBack(at, wait) if !self.claimed.is_empty() => {
                let job = self.claimed.swap_remove(at.index(self.claimed.len()));
                self.release(&job, *wait).await;
            }
            Deed::Finish(..) | Deed::GiveBack(..) => {}
            Deed::Settle => settled(&self.world, &[self.place]).await,
            Deed::Hasten => hasten(&self.world.pool, self.place, Duration::MAX).await.unwrap(),
            Deed::Retry => self.retry_one().await,
            Deed::Pause => {
                let pause = "update endpoint set breaker_trips = 1, paused_until = now() + interval '1 hour'";
                self.world.sql(pause).await;
            }
            Deed::Enable(enabled) => {
                let what = if *enabled { "enable" } else { "disable" };
                self.call("POST", format!("/v1/endpoints/{}/{what}", self.place.1), None).await;
            }
            Deed::Change(ordered) => {
                let body = Some(json!({ "ordered": ordered }));
                self.call("PATCH", format!("/v1/endpoints/{}", self.place.1), body).await;
            }
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn whatever_happens_to_what_an_endpoint_is_owed_it_is_looked_at_in_time(pool: PgPool) {
    let world = World::new(pool).await;
    let stub = Stub::always(StatusCode::OK).await;
    stub.register(&world, json!({})).await;
    let place = only_place(&world).await;
    let mut history =
        History { world, place, dispatcher: DispatcherId::new(), claimed: Vec::new(), heard: 0 };
    let mut runner = TestRunner::deterministic();
    let deeds = prop::collection::vec(deed(), 600).new_tree(&mut runner).unwrap().current();
    for (number, deed) in deeds.iter().enumerate() {
        history.does(deed).await;
        assert_eq!(too_late(&history.world).await, 0, "after {number}: {deed:?}");
    }
}
