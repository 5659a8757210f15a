//! Partners that were never tried beside many that hang, and endpoints that fail at some events only.

use super::partners::{Manner, manner, neighbour, of, pass};
use super::*;
use crate::model::breaker::Pick;

const SLOTS: usize = 256;

impl World {
    fn end_with(&mut self, job: &Job, found: Found) -> Effect {
        self.now += Duration::from_millis(1);
        let ended =
            Ended { of: job.delivery_id, succeeded: found == Found::Up, found, gone: false, began: self.now };
        self.queues.ended(job.place(), ended, self.now)
    }

    fn hanging_partners(&mut self, partners: usize, endpoints: usize) -> usize {
        for _ in 0..partners {
            let owner = place();
            for _ in 0..endpoints {
                self.push(neighbour(owner), terms(16), 3);
            }
        }
        self.start_all().len()
    }
}

#[test]
fn many_endpoints_that_hang_leave_slots_to_those_that_answer() {
    let mut world = World::new(256);
    for _ in 0..64 {
        world.push(place(), terms(16), 100);
    }
    let hanging = world.start_all().len();
    assert_eq!(hanging, 64);
    let healthy = place();
    world.push(healthy, terms(16), 1);
    assert_eq!(world.start_all().first().map(|job| job.endpoint_id), Some(healthy.1));
}

#[test]
fn doubtful_endpoints_of_all_partners_together_have_half_of_the_slots() {
    assert_eq!(World::new(SLOTS).hanging_partners(60, 10), SLOTS / 2);
}

#[test]
fn the_first_try_of_a_new_partner_finds_a_slot_beside_sixty_partners_that_hang() {
    let mut world = World::new(SLOTS);
    world.hanging_partners(60, 10);
    for _ in 0..SLOTS / 4 {
        let new = place();
        world.push(new, terms(16), 3);
        assert_eq!(of(&world.start_all(), new.0), 1);
    }
    let proven = place();
    world.push(proven, terms(16), 1);
    assert_eq!(world.start_all().len(), 0, "what is left is for those that answer");
}

#[test]
fn partners_known_to_fail_do_not_take_the_slots_of_new_ones() {
    let mut world = World::new(SLOTS);
    let failing: Vec<Place> = (0..300).map(|_| place()).collect();
    for one in &failing {
        world.push(*one, terms(16), 1);
    }
    let mut tried = 0;
    while tried < failing.len() {
        for job in world.start_all() {
            world.end_with(&job, Found::Silent);
            tried += 1;
        }
    }
    for one in &failing {
        world.push(*one, terms(16), 1);
    }
    assert_eq!(world.start_all().len(), SLOTS * 5 / 8);
    for _ in 0..SLOTS / 8 {
        let new = place();
        world.push(new, terms(16), 1);
        assert_eq!(of(&world.start_all(), new.0), 1);
    }
}

#[test]
fn an_endpoint_that_never_answered_has_one_request_at_a_time() {
    let mut world = World::new(SLOTS);
    world.push(place(), terms(16), 40);
    assert_eq!(world.start_all().len(), 1);
}

#[test]
fn proven_endpoints_leave_slots_to_partners_that_have_none() {
    let mut world = World::new(SLOTS);
    let proven: Vec<Place> = (0..200).map(|_| place()).collect();
    for _ in 0..20 {
        for one in &proven {
            world.push(*one, terms(16), 2);
        }
        for job in world.start_all() {
            world.end(&job, true);
        }
    }
    for one in &proven {
        world.push(*one, terms(16), 16);
    }
    assert!(world.start_all().len() >= SLOTS * 3 / 4);
    for _ in 0..SLOTS / 16 {
        let new = place();
        world.push(new, terms(16), 1);
        assert_eq!(of(&world.start_all(), new.0), 1);
    }
}

#[test]
fn what_waits_is_given_back_when_an_endpoint_is_sounded_out_and_the_newest_is_asked_for() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, terms(1), 30);
    for _ in 0..10 {
        let job = world.queues.start(world.now).unwrap();
        assert_eq!(world.end_with(&job, Found::Erring).change, None);
    }
    assert_eq!(world.queues.take_drained().len(), 20);
    assert_eq!(world.queues.wanted(world.now), [Room { place, most: 1, pick: Pick::Newest }]);
    world.push(place, terms(1), 1);
    let sounding = world.queues.start(world.now).unwrap();
    assert_eq!(world.end_with(&sounding, Found::Up).change, None);
    assert!(world.queues.wanted(world.now).iter().all(|room| room.pick == Pick::InTurn));
}

#[test]
fn an_error_between_answers_leaves_an_endpoint_proven() {
    let (mut world, place) = (World::new(100), place());
    for outcome in [Found::Up, Found::Erring, Found::Up, Found::Erring] {
        world.push(place, terms(16), 1);
        let job = world.queues.start(world.now).unwrap();
        world.end_with(&job, outcome);
        assert_eq!(world.queues.by_endpoint[&place.1].standing(), Standing::Proven);
    }
    world.push(place, terms(16), 1);
    let job = world.queues.start(world.now).unwrap();
    world.end_with(&job, Found::Erring);
    assert_eq!(world.queues.by_endpoint[&place.1].standing(), Standing::Doubtful);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_many_partners_hang_or_refuse_a_new_one_is_tried_in_the_time_of_some_answers(
        greedy in prop::collection::vec((1_usize..20, manner()), 1..40), seconds in 1_u64..20,
    ) {
        let mut world = World::new(64);
        let (mut manners, mut crowd) = (HashMap::new(), Vec::new());
        for (count, manner) in greedy {
            let owner = place();
            for _ in 0..count {
                let place = neighbour(owner);
                manners.insert(place.1, manner);
                crowd.push(place);
            }
        }
        let (mut under_way, mut untried) = (Vec::new(), Vec::<(Place, u64)>::new());
        for step in 0..seconds * 50 {
            if step % 25 == 0 {
                for place in &crowd {
                    world.push(*place, terms(16), 2);
                }
            }
            let new = place();
            world.push(new, terms(16), 3);
            untried.push((new, step));
            let started = world.start_all();
            untried.retain(|(place, _)| of(&started, place.0) == 0);
            prop_assert!(untried.iter().all(|(_, since)| step - since < 5), "step {}", step);
            let now = world.now;
            under_way.extend(started.into_iter().map(|job| {
                let manner = manners.get(&job.endpoint_id).copied().unwrap_or(Manner::Answers);
                (job, manner, now)
            }));
            prop_assert!(world.queues.under_way <= 64 && under_way.len() <= 4 * 64);
            pass(&mut world, &mut under_way);
        }
    }
}
