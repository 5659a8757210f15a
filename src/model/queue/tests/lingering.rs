//! Requests that are not answered soon leave their slots.

use super::partners::{neighbour, of};
use super::*;
use crate::model::queue::under_way::PROMPT;

const SLOTS: usize = 64;
const LINGERING: usize = 3 * SLOTS;

impl World {
    /// Endpoints of partners of their own that have answered so often.
    fn answering(&mut self, count: usize, answers: usize) -> Vec<Place> {
        let places: Vec<Place> = (0..count).map(|_| place()).collect();
        for _ in 0..answers {
            for place in &places {
                self.push(*place, terms(16), 1);
                for job in self.start_all() {
                    self.end(&job, true);
                }
            }
        }
        places
    }

    fn is_proven(&self, place: Place) -> bool {
        self.queues.by_endpoint[&place.1].standing() == Standing::Proven
    }

    fn later(&mut self, by: Duration) -> Vec<Job> {
        self.now += by;
        self.start_all()
    }
}

#[test]
fn slots_that_many_take_in_the_same_second_are_free_again_soon() {
    let mut world = World::new(SLOTS);
    let places = world.answering(80, 3);
    for place in &places {
        world.push(*place, terms(16), 2);
    }
    let hanging = world.start_all().len();
    assert!((SLOTS - 4..=SLOTS).contains(&hanging), "{hanging}");
    // The last places of all are taken too.
    let news: Vec<Place> = (0..8).map(|_| place()).collect();
    for place in &news {
        world.push(*place, terms(16), 1);
    }
    let at_once = world.start_all().len();
    assert!(at_once < news.len(), "{at_once}");
    let started = world.later(PROMPT);
    assert_eq!(news.iter().filter(|new| of(&started, new.0) > 0).count(), news.len() - at_once);
}

#[test]
fn the_timer_rings_when_the_first_request_has_waited_for_long() {
    let mut world = World::new(SLOTS);
    let began = world.now;
    world.push(place(), terms(16), 1);
    world.start_all();
    assert_eq!(world.queues.next_timer(), Some(began + PROMPT));
    world.later(PROMPT / 4 * 3);
    assert_eq!(world.queues.under_way, 1);
    world.later(PROMPT / 4);
    assert_eq!((world.queues.under_way, world.queues.lingering.len()), (0, 1));
    assert_eq!(world.queues.next_timer(), None, "nothing else is waited for");
    assert!(!world.queues.is_quiet(), "it is under way all the same");
}

#[test]
fn a_request_that_lingered_gives_no_slot_back_when_it_ends() {
    let mut world = World::new(2);
    let places = world.answering(3, 1);
    world.push(places[0], terms(16), 1);
    let slow = world.start_all();
    world.later(PROMPT);
    world.push(places[1], terms(16), 1);
    world.push(places[2], terms(16), 1);
    assert_eq!(world.start_all().len(), 2, "both slots are free");
    world.end(&slow[0], true);
    assert_eq!((world.queues.under_way, world.queues.lingering.len()), (2, 0));
    assert!(world.is_proven(places[0]));
}

#[test]
fn an_endpoint_that_has_a_request_unanswered_and_answers_no_other_is_not_known_to_answer() {
    let mut world = World::new(SLOTS);
    let places = world.answering(2, 3);
    for place in &places {
        world.push(*place, terms(16), 2);
    }
    let started = world.start_all();
    let second = |place: &Place| started.iter().rfind(|job| job.endpoint_id == place.1).unwrap().clone();
    world.now += PROMPT / 2;
    world.end(&second(&places[0]), true);
    world.later(PROMPT / 2);
    assert!(world.is_proven(places[0]), "it answered the other one meanwhile");
    assert!(!world.is_proven(places[1]));
    world.end(&second(&places[1]), true);
    assert!(world.is_proven(places[1]), "until it answers again");
}

#[test]
fn an_endpoint_that_went_silent_is_sent_nothing_more_until_it_answers() {
    let mut world = World::new(SLOTS);
    let silent = world.answering(1, 5)[0];
    world.push(silent, terms(16), 3);
    let started = world.start_all();
    assert_eq!(started.len(), 3);
    world.later(PROMPT);
    world.push(silent, terms(16), 1);
    assert_eq!(world.start_all().len(), 0);
    for job in &started {
        world.end(job, true);
    }
    assert_eq!(world.start_all().len(), 1);
}

#[test]
fn a_partner_leaves_half_of_the_room_to_linger_to_others() {
    let mut world = World::new(SLOTS);
    let owner = place();
    let places: Vec<Place> = (0..40).map(|_| neighbour(owner)).collect();
    for place in places.iter().cycle().take(40 * 12) {
        world.push(*place, terms(16), 1);
        for job in world.start_all() {
            world.end(&job, true);
        }
    }
    for place in &places {
        world.push(*place, terms(16), 12);
    }
    for _ in 0..40 {
        world.later(PROMPT);
    }
    let lingering = world.queues.lingering.len();
    assert!((SLOTS / 4..=LINGERING / 2).contains(&lingering), "{lingering}");
}

#[test]
fn what_is_another_processs_by_now_is_counted_until_it_ends() {
    let mut world = World::new(SLOTS);
    let owner = place();
    world.push(owner, terms(16), 1);
    let slow = world.start_all();
    world.later(PROMPT);
    world.queues.hold(&[], world.now);
    assert_eq!(world.queues.lingering.len(), 1);
    world.end(&slow[0], true);
    assert!(world.queues.is_quiet() && world.queues.by_partner.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whoever_answered_once_and_hangs_then_keeps_a_newcomer_waiting_for_seconds_at_most(
        crowd in prop::collection::vec((1_usize..8, 1_usize..3), 1..12), seconds in 3_u64..16,
    ) {
        let mut world = World::new(SLOTS);
        let mut places = Vec::new();
        for (count, answers) in crowd {
            let owner = place();
            for _ in 0..count {
                let place = neighbour(owner);
                for _ in 0..answers {
                    world.push(place, terms(16), 1);
                    for job in world.start_all() {
                        world.end(&job, true);
                    }
                }
                places.push(place);
            }
        }
        for place in &places {
            world.push(*place, terms(16), 4);
        }
        let mut untried = Vec::<(Place, Instant)>::new();
        for _ in 0..seconds * 50 {
            let new = place();
            world.push(new, terms(16), 1);
            untried.push((new, world.now));
            let started = world.start_all();
            for job in started.iter().filter(|job| !places.contains(&job.place())) {
                world.end(job, true);
            }
            untried.retain(|(new, _)| of(&started, new.0) == 0);
            let longest = untried.iter().map(|(_, since)| world.now - *since).max().unwrap_or_default();
            prop_assert!(longest <= PROMPT + Duration::from_millis(40), "{:?}", longest);
            prop_assert!(world.queues.under_way <= SLOTS && world.queues.lingering.len() <= LINGERING);
            world.queues.take_unsent(world.now);
            world.now += Duration::from_millis(20);
        }
    }
}
