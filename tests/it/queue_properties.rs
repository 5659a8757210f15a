//! Whatever happens in whatever order: fences hold, lanes never go backwards. The histories are drawn at random, from a
//! seed that is the same every time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::model::delivery::{DeliveryState, Job};
use transak_relay::model::id::DeliveryId;
use transak_relay::store::delivery::claim::{claim, release};
use transak_relay::store::delivery::finish::{Finished, finish};
use transak_relay::store::dispatcher::{DispatcherId, beat};
use transak_relay::store::pool::MIGRATOR;

use crate::stub::Stub;
use crate::world::{World, order};

/// Histories of `steps` steps. Not by `proptest!`, which cannot wait for a database.
fn histories<S: Strategy>(step: S, steps: usize, count: usize) -> Vec<Vec<S::Value>> {
    let mut runner = TestRunner::deterministic();
    let history = prop::collection::vec(step, steps);
    (0..count).map(|_| history.new_tree(&mut runner).unwrap().current()).collect()
}

/// What workers do to three deliveries, in any order. Numbers choose among everything that was ever claimed, so that
/// most write-backs come from workers whose lease has passed on.
#[derive(Debug, Clone)]
enum Work {
    Claim,
    LeasesEnd,
    Finish(prop::sample::Index, DeliveryState),
    GiveBack(prop::sample::Index),
    SendAgain(prop::sample::Index),
}

fn work() -> impl Strategy<Value = Work> {
    let result = prop::sample::select(vec![
        DeliveryState::Pending,
        DeliveryState::Succeeded,
        DeliveryState::Exhausted,
    ]);
    prop_oneof![
        3 => Just(Work::Claim),
        2 => Just(Work::LeasesEnd),
        4 => (any::<prop::sample::Index>(), result).prop_map(|(at, state)| Work::Finish(at, state)),
        2 => any::<prop::sample::Index>().prop_map(Work::GiveBack),
        1 => any::<prop::sample::Index>().prop_map(Work::SendAgain),
    ]
}

/// What must be true of the fence: of each delivery only the last claim that has not written back may do so.
#[derive(Default)]
struct Fences {
    claimed: Vec<Job>,
    /// Which of `claimed` holds a delivery.
    holds: HashMap<DeliveryId, usize>,
    refused: usize,
    accepted: usize,
}

/// The result of an attempt that was answered.
fn answered(job: &Job, state: DeliveryState) -> Finished<'_> {
    Finished { job, state, retry_after: None, asked: None, is_over: false, status_code: Some(200) }
}

impl Fences {
    /// Whether this write-back must be accepted; if so its lease is over.
    fn expects(&mut self, at: usize) -> bool {
        let id = self.claimed[at].delivery_id;
        let holds = self.holds.get(&id) == Some(&at);
        if holds {
            self.holds.remove(&id);
        }
        *(if holds { &mut self.accepted } else { &mut self.refused }) += 1;
        holds
    }

    async fn step(&mut self, world: &World, work: &Work, dispatcher: DispatcherId) {
        let mut conn = world.pool.acquire().await.unwrap();
        match work {
            Work::Claim => {
                let wanted = world.rooms(2).await;
                for one in claim(&mut conn, dispatcher, &wanted).await.unwrap() {
                    self.holds.insert(one.job.delivery_id, self.claimed.len());
                    self.claimed.push(one.job);
                }
            }
            Work::LeasesEnd => world.pass_time().await,
            Work::Finish(at, state) if !self.claimed.is_empty() => {
                let at = at.index(self.claimed.len());
                let expected = self.expects(at);
                let result = answered(&self.claimed[at], *state);
                let before = rows(world).await;
                let written = finish(&mut conn, &[result]).await.unwrap();
                assert_eq!(written.len(), usize::from(expected), "{work:?}");
                assert_eq!(rows(world).await != before, expected, "{work:?}");
            }
            Work::GiveBack(at) if !self.claimed.is_empty() => {
                let at = at.index(self.claimed.len());
                let expected = self.expects(at);
                let before = rows(world).await;
                assert_eq!(
                    release(&mut conn, &[(&self.claimed[at], std::time::Duration::ZERO)]).await.unwrap(),
                    u64::from(expected),
                    "{work:?}"
                );
                assert_eq!(rows(world).await != before, expected, "{work:?}");
            }
            Work::SendAgain(at) if !self.claimed.is_empty() => {
                let job = &self.claimed[at.index(self.claimed.len())];
                // A request that is under way is left alone; a lease that is over is taken away.
                let path = format!("/v1/deliveries/{}/retry", job.delivery_id);
                let before = leased(world, job.delivery_id).await;
                let (status, _) = world.call("POST", &path, None).await;
                assert_eq!(status, StatusCode::ACCEPTED);
                if before && !leased(world, job.delivery_id).await {
                    self.holds.remove(&job.delivery_id);
                }
            }
            Work::Finish(..) | Work::GiveBack(_) | Work::SendAgain(_) => {}
        }
    }
}

async fn leased(world: &World, id: DeliveryId) -> bool {
    let leased = sqlx::query_scalar("select leased_at is not null from delivery where delivery_id = $1");
    leased.bind(id.uuid()).fetch_one(&world.pool).await.unwrap()
}

/// Everything that stands in the table.
async fn rows(world: &World) -> Vec<String> {
    let rows = sqlx::query_scalar("select row(d.*)::text from delivery d order by delivery_id");
    rows.fetch_all(&world.pool).await.unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn whoever_has_lost_a_lease_changes_nothing_whatever_came_before(pool: PgPool) {
    let mut world = World::new(pool).await;
    Stub::always(StatusCode::OK).await.register(&world, json!({})).await;
    world.hear_many(3).await;
    let dispatcher = DispatcherId::new();
    let (mut refused, mut accepted) = (0, 0);
    for history in histories(work(), 60, 20) {
        world
            .sql(
                "update delivery set state = 'pending', attempts = 0, schedule_start = 0, leased_at = null,
                                      finished_at = null, next_attempt_at = now()",
            )
            .await;
        beat(&mut world.pool.acquire().await.unwrap(), dispatcher).await.unwrap();
        let mut fences = Fences::default();
        for step in &history {
            fences.step(&world, step, dispatcher).await;
        }
        refused += fences.refused;
        accepted += fences.accepted;
    }
    println!(
        "20 histories of 60 steps: {accepted} write-backs accepted, {refused} of stale workers changed 0 rows"
    );
    assert!(refused > 50 && accepted > 50, "{refused} {accepted}");
}

/// What happens to an ordered endpoint.
#[derive(Debug, Clone)]
enum Life {
    Hear(usize),
    Send,
    TimePasses,
    AProcessDiesWithWhatIsDue,
}

fn life() -> impl Strategy<Value = Life> {
    prop_oneof![
        2 => (0..3_usize).prop_map(Life::Hear),
        1 => Just(Life::Send),
        1 => Just(Life::TimePasses),
        1 => Just(Life::AProcessDiesWithWhatIsDue),
    ]
}

/// An ordered endpoint of which every third request fails, and what it must have been told.
struct Lanes {
    world: World,
    stub: Stub,
    heard: HashMap<String, u32>,
}

impl Lanes {
    async fn new(pool: PgPool) -> Self {
        let world = World::new(pool).await;
        let luck = Arc::new(Mutex::new(fastrand::Rng::with_seed(7)));
        let stub = Stub::start(move |_, _| {
            let lucky = luck.lock().unwrap().u8(..10) < 6;
            async move { if lucky { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }.into_response() }
        })
        .await;
        stub.register(&world, json!({ "ordered": true, "maxInFlight": 4 })).await;
        Self { world, stub, heard: HashMap::new() }
    }

    async fn step(&mut self, life: &Life, case: usize) {
        match life {
            Life::Hear(which) => {
                let id = format!("case{case}-order{which}");
                let minute = self.heard.entry(id.clone()).or_default();
                let message = self.world.signed(&order(&id, "PROCESSING", *minute));
                *minute += 1;
                self.world.hear(&message).await;
            }
            Life::Send => drop(self.world.dispatcher.drain().await.unwrap()),
            Life::TimePasses => self.world.pass_time().await,
            Life::AProcessDiesWithWhatIsDue => {
                // It takes the endpoint from whoever has it, as if that one had died before it.
                self.world.bury_the_dead().await;
                self.world.another_dispatcher().die_with_what_is_due().await.unwrap();
                self.world.bury_the_dead().await;
            }
        }
    }

    async fn settle(&mut self) {
        for _ in 0..60 {
            self.world.bury_the_dead().await;
            self.world.dispatcher.drain().await.unwrap();
            self.world.pass_time().await;
            if self.world.in_state("pending").await == 0 {
                return;
            }
        }
        panic!("a lane is stuck");
    }

    /// The minutes of an order's events in the order of their coming.
    fn minutes(&self, id: &str) -> Vec<u32> {
        let of_order = self.stub.seen().into_iter().map(|seen| seen.order()).filter(|(order, _)| order == id);
        of_order.map(|(_, updated)| updated[14..16].parse().unwrap()).collect()
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn no_order_is_ever_told_backwards_and_none_is_left_untold(pool: PgPool) {
    let mut lanes = Lanes::new(pool).await;
    for (case, history) in histories(life(), 40, 8).iter().enumerate() {
        for step in history {
            lanes.step(step, case).await;
        }
        lanes.settle().await;
    }
    for (id, count) in &lanes.heard {
        let minutes = lanes.minutes(id);
        assert!(minutes.is_sorted(), "{id}: {minutes:?}");
        assert_eq!(minutes.iter().max(), Some(&(count - 1)), "{id}");
    }
    println!("8 histories, {} lanes, {} requests: none out of order", lanes.heard.len(), lanes.stub.count());
}
