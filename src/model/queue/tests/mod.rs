//! Queues on a clock that the tests turn.

mod leases;
mod lingering;
mod newcomers;
mod partners;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use proptest::prelude::*;

use super::*;
use crate::model::breaker::Change;
use crate::model::delivery::{LONGEST_WAIT, Terms, Told};
use crate::model::hops::Hops;
use crate::model::id::{DeliveryId, EventId};
use crate::model::rate::Rate;
use crate::model::retry::Found;

fn terms(max_in_flight: u16) -> Terms {
    Terms { revision: 1, max_in_flight, rate: None, ordered: false, trips: 0 }
}

fn job(place: Place, terms: Terms, now: Instant) -> Job {
    Job {
        partner_id: place.0,
        delivery_id: DeliveryId::new(),
        endpoint_id: place.1,
        terms,
        in_lane: false,
        attempts: 1,
        claims: 1,
        schedule_start: 0,
        leased_at: now,
        told: Arc::new(Told {
            event_id: EventId::new(),
            order_id: None,
            event: "ORDER_CREATED".to_owned(),
            occurred_at: Utc::now(),
            received_at: Utc::now(),
            hops: Hops::default(),
            payload: Bytes::new(),
            trace: None,
            standard: OnceLock::new(),
        }),
    }
}

struct World {
    queues: Queues,
    now: Instant,
}

impl World {
    fn new(most: usize) -> Self {
        let now = Instant::now();
        let mut queues = Queues::new(Most::of_slots(most));
        queues.ours_until(now + Duration::from_hours(1));
        Self { queues, now }
    }

    fn push(&mut self, place: Place, terms: Terms, count: usize) {
        for _ in 0..count {
            self.queues.push(job(place, terms, self.now), false, self.now);
        }
    }

    fn start_all(&mut self) -> Vec<Job> {
        std::iter::from_fn(|| self.queues.start(self.now)).collect()
    }

    fn end(&mut self, job: &Job, succeeded: bool) -> Effect {
        self.end_as(job, succeeded, false)
    }

    fn end_as(&mut self, job: &Job, succeeded: bool, gone: bool) -> Effect {
        let found = if succeeded || gone { Found::Up } else { Found::Down };
        let ended = Ended { of: job.delivery_id, succeeded, found, gone, began: self.now };
        self.queues.ended((job.partner_id, job.endpoint_id), ended, self.now)
    }
}

fn place() -> Place {
    (PartnerId::new(), EndpointId::new())
}

#[test]
fn an_endpoint_begins_with_one_at_a_time_and_earns_one_more_with_each_answer_up_to_its_cap() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, terms(5), 40);
    let mut started = world.start_all();
    let mut widths = vec![started.len()];
    while let Some(job) = started.pop() {
        world.end(&job, true);
        started.extend(world.start_all());
        widths.push(started.len());
    }
    assert_eq!(widths[0], 1);
    assert_eq!(widths.iter().max(), Some(&5));
    assert!(world.queues.is_quiet());
}

#[test]
fn many_that_earned_much_and_then_stop_answering_leave_slots_to_the_others() {
    let mut world = World::new(256);
    let strangers: Vec<Place> = (0..64).map(|_| place()).collect();
    for place in &strangers {
        world.push(*place, terms(16), 30);
    }
    let mut answered = 0;
    while answered < 64 * 20 {
        for job in world.start_all() {
            world.end(&job, true);
            answered += 1;
        }
    }
    for place in &strangers {
        world.push(*place, terms(16), 100);
    }
    let hanging = world.start_all().len();
    assert!((200..=250).contains(&hanging), "{hanging} of 256");
    let healthy = place();
    world.push(healthy, terms(16), 2);
    assert_eq!(world.start_all().iter().filter(|job| job.endpoint_id == healthy.1).count(), 1);
}

#[test]
fn what_is_held_back_by_its_share_goes_on_when_a_request_of_its_own_ends() {
    let (mut world, place) = (World::new(8), place());
    world.push(place, terms(16), 40);
    let (mut sent, mut started) = (0, world.start_all());
    while let Some(job) = started.pop() {
        sent += 1;
        world.end(&job, true);
        started.extend(world.start_all());
    }
    assert_eq!(sent, 40);
}

#[test]
fn endpoints_take_turns() {
    let (mut world, first, second) = (World::new(4), place(), place());
    world.push(first, terms(16), 50);
    world.push(second, terms(16), 50);
    let started = world.start_all();
    let of_second = started.iter().filter(|job| job.endpoint_id == second.1).count();
    assert_eq!((started.len(), of_second), (2, 1));
}

#[test]
fn ten_failures_pause_an_endpoint_and_what_waits_is_given_back_uncounted() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, terms(1), 30);
    let mut changes = Vec::new();
    while let Some(job) = world.queues.start(world.now) {
        changes.extend(world.end(&job, false).change);
    }
    assert_eq!(changes, [Change::Opened { trips: 1, pause: Duration::from_secs(10) }]);
    assert_eq!(world.queues.take_unsent(world.now).len(), 20);
}

#[test]
fn a_paused_endpoint_is_sent_one_probe_and_then_everything() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, Terms { trips: 3, ..terms(16) }, 5);
    let probe = world.start_all();
    assert_eq!(probe.len(), 1);
    world.now += Duration::from_secs(1);
    assert_eq!(
        world.end(&probe[0], true),
        Effect { change: Some(Change::Closed { within: Duration::MAX }), first_success: true }
    );
    assert_eq!(world.start_all().len(), 2);
}

#[test]
fn nothing_is_started_while_the_table_does_not_know_that_the_breaker_opened() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, terms(1), 10);
    while let Some(job) = world.queues.start(world.now) {
        world.end(&job, false);
    }
    world.push(place, terms(1), 3);
    assert!(world.queues.start(world.now).is_none());
    world.queues.shutting_is_known(place.1);
    assert_eq!(world.start_all().len(), 1);
}

#[test]
fn a_rate_lets_the_burst_go_and_then_says_when_to_look_again() {
    let (mut world, place) = (World::new(100), place());
    let rate = Some(Rate::parse("2", 1).unwrap());
    world.push(place, Terms { rate, ..terms(16) }, 3);
    let first = world.start_all();
    assert_eq!(first.len(), 1);
    world.end(&first[0], true);
    assert_eq!(world.start_all().len(), 0);
    assert_eq!(world.queues.take_unsent(world.now).len(), 1, "what has no token soon waits in the table");
    let timer = world.queues.next_timer().unwrap();
    assert_eq!(timer - world.now, Duration::from_millis(500));
    world.now = timer;
    assert_eq!(world.start_all().len(), 1);
}

#[test]
fn what_waited_too_long_for_its_lease_is_given_back() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, terms(16), 5);
    assert_eq!(world.start_all().len(), 1);
    world.now += LONGEST_WAIT + Duration::from_secs(1);
    assert_eq!(world.queues.take_unsent(world.now).len(), 4);
}

#[test]
fn nothing_is_started_once_others_may_think_this_process_dead() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, terms(16), 1);
    world.queues.ours_until(world.now);
    assert!(world.queues.start(world.now).is_none());
    assert_eq!(world.queues.room(place.1, world.now), 0);
}

#[test]
fn an_endpoint_that_is_idle_for_a_minute_is_let_go_unless_its_tokens_are_missing() {
    let (mut world, idle, limited) = (World::new(100), place(), place());
    let rate = Some(Rate::parse("0.001", 1).unwrap());
    world.push(idle, terms(16), 1);
    world.push(limited, Terms { rate, ..terms(16) }, 1);
    for job in world.start_all() {
        world.end(&job, true);
    }
    assert_eq!(world.queues.let_go(world.now), []);
    assert_eq!(world.queues.let_go(world.now + Duration::from_secs(61)), [idle]);
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Start,
    End(usize, bool),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_usize..4).prop_map(Step::Push),
        Just(Step::Start),
        (0_usize..50, any::<bool>()).prop_map(|(at, succeeded)| Step::End(at, succeeded)),
        (0_u64..2_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_no_cap_is_exceeded_and_no_delivery_is_lost(
        caps in prop::collection::vec(1_u16..6, 4), steps in prop::collection::vec(step(), 1..400)
    ) {
        let mut world = World::new(8);
        let places: Vec<Place> = (0..4).map(|_| place()).collect();
        let (mut under_way, mut pushed, mut over) = (Vec::<Job>::new(), 0, 0);
        for step in steps {
            match step {
                Step::Push(at) => {
                    world.push(places[at], terms(caps[at]), 3);
                    pushed += 3;
                }
                Step::Start => under_way.extend(world.start_all()),
                Step::End(at, succeeded) if at < under_way.len() => {
                    let job = under_way.swap_remove(at);
                    if matches!(world.end(&job, succeeded).change, Some(Change::Opened { .. })) {
                        world.queues.shutting_is_known(job.endpoint_id);
                    }
                    over += 1;
                }
                Step::End(..) => {}
                Step::Wait(milliseconds) => world.now += Duration::from_millis(milliseconds),
            }
            let mut at_once: HashMap<EndpointId, usize> = HashMap::new();
            for job in &under_way {
                *at_once.entry(job.endpoint_id).or_default() += 1;
            }
            for (place, cap) in places.iter().zip(&caps) {
                prop_assert!(at_once.get(&place.1).copied().unwrap_or(0) <= usize::from(*cap));
            }
            prop_assert!(under_way.len() <= 8);
        }
        let left = world.queues.take_all().len();
        prop_assert_eq!(pushed, over + under_way.len() + left);
    }
}
