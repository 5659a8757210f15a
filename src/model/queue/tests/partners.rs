//! Partners beside each other.

use super::*;

const SLOTS: usize = 256;

/// Another endpoint of the same partner.
pub(super) fn neighbour(place: Place) -> Place {
    (place.0, EndpointId::new())
}

impl World {
    /// So many endpoints of one partner with so many deliveries each.
    fn crowd(&mut self, endpoints: usize, each: usize) -> PartnerId {
        let owner = place();
        for _ in 0..endpoints {
            self.push(neighbour(owner), terms(16), each);
        }
        owner.0
    }

    /// An endpoint that has answered.
    fn proven(&mut self, place: Place) -> Place {
        self.push(place, terms(16), 1);
        for job in self.start_all() {
            self.end(&job, true);
        }
        place
    }
}

pub(super) fn of(jobs: &[Job], partner: PartnerId) -> usize {
    jobs.iter().filter(|job| job.partner_id == partner).count()
}

#[test]
fn however_many_new_endpoints_of_a_partner_hang_three_quarters_of_the_slots_are_the_others() {
    let mut world = World::new(SLOTS);
    world.crowd(10_000, 2);
    let hanging = world.start_all().len();
    assert!((SLOTS / 8..=SLOTS / 4).contains(&hanging), "{hanging} of {SLOTS}");
}

#[test]
fn new_endpoints_of_many_partners_that_hang_leave_slots_to_proven_ones() {
    let mut world = World::new(SLOTS);
    let proven = world.proven(place());
    for _ in 0..300 {
        world.crowd(10, 2);
    }
    let hanging = world.start_all().len();
    assert!(hanging <= SLOTS * 3 / 4, "{hanging} of {SLOTS}");
    world.push(proven, terms(16), 1);
    assert_eq!(of(&world.start_all(), proven.0), 1);
}

#[test]
fn proven_endpoints_of_a_partner_that_stop_answering_leave_slots_to_other_partners() {
    let mut world = World::new(SLOTS);
    let owner = place();
    let endpoints: Vec<Place> = (0..200).map(|_| world.proven(neighbour(owner))).collect();
    for place in endpoints {
        world.push(place, terms(16), 16);
    }
    let hanging = world.start_all().len();
    assert!((SLOTS / 2..=SLOTS * 3 / 4).contains(&hanging), "{hanging} of {SLOTS}");
}

#[test]
fn endpoints_of_a_partner_that_earned_much_and_are_slow_now_leave_slots_to_its_others() {
    let mut world = World::new(SLOTS);
    let owner = place();
    let slow: Vec<Place> = (0..64).map(|_| neighbour(owner)).collect();
    for _ in 0..20 {
        for place in &slow {
            world.push(*place, terms(16), 2);
        }
        for job in world.start_all() {
            world.end(&job, true);
        }
    }
    for place in &slow {
        world.push(*place, terms(16), 100);
    }
    let hanging = world.start_all().len();
    assert!((SLOTS / 2..SLOTS * 3 / 4).contains(&hanging), "{hanging} of {SLOTS}");
    let quick: Vec<Place> = (0..8).map(|_| neighbour(owner)).collect();
    for place in &quick {
        world.push(*place, terms(16), 1);
    }
    assert_eq!(world.start_all().len(), quick.len(), "beside {hanging} that hang");
}

#[test]
fn a_partner_with_one_endpoint_has_every_other_turn_beside_one_with_a_thousand() {
    let mut world = World::new(16);
    let (few, many) = (place(), place());
    let many: Vec<Place> = (0..1_000).map(|_| world.proven(neighbour(many))).collect();
    world.proven(few);
    for place in &many {
        world.push(*place, terms(16), 2);
    }
    world.push(few, terms(16), 2);
    let (mut order, mut started) = (Vec::new(), world.start_all());
    while order.len() < 8 {
        order.extend(started.iter().map(|job| job.partner_id));
        let ended = started.remove(0);
        world.end(&ended, true);
        started = world.start_all();
    }
    assert_eq!(order[..4].iter().filter(|id| **id == few.0).count(), 2);
}

#[test]
fn proven_and_doubtful_endpoints_of_a_partner_take_turns() {
    let mut world = World::new(SLOTS);
    let proven = world.proven(place());
    world.push(proven, terms(16), 2);
    let new = neighbour(proven);
    world.push(new, terms(16), 2);
    let order: Vec<EndpointId> = world.start_all().iter().map(|job| job.endpoint_id).collect();
    assert_eq!(order.iter().filter(|id| **id == new.1).count(), 1);
    assert_ne!(order[0], order[1]);
}

#[test]
fn endpoints_that_refuse_fail_no_faster_than_their_partner_may_and_go_on_when_it_may_again() {
    let mut world = World::new(SLOTS);
    world.crowd(1_000, 1);
    let mut failures = 0;
    loop {
        let started = world.start_all();
        if started.is_empty() {
            break;
        }
        failures += started.len();
        for job in started {
            world.end(&job, false);
        }
    }
    // Those under way when the last token went are more.
    assert!((100..=200).contains(&failures), "{failures} at once");
    world.now = world.queues.next_timer().unwrap();
    assert!(!world.start_all().is_empty());
}

#[test]
fn what_refuses_an_event_but_is_up_fails_as_fast_as_it_answers() {
    let mut world = World::new(SLOTS);
    world.crowd(1_000, 1);
    let (mut told, mut started) = (0, world.start_all());
    while let Some(job) = started.pop() {
        told += 1;
        let ended =
            Ended { of: job.delivery_id, succeeded: false, found: Found::Up, gone: false, began: world.now };
        world.queues.ended((job.partner_id, job.endpoint_id), ended, world.now);
        started.extend(world.start_all());
    }
    assert_eq!(told, 1_000);
}

#[test]
fn a_claim_is_for_every_partner_however_many_endpoints_of_one_are_due() {
    let mut world = World::new(SLOTS);
    let (crowd, few) = (place(), place());
    let mut seen: Vec<Place> = (0..200).map(|_| neighbour(crowd)).collect();
    seen.push(few);
    let rooms = world.queues.wanted_of(&seen, world.now);
    let of_crowd: usize = rooms.iter().filter(|room| room.place.0 == crowd.0).map(|room| room.most).sum();
    assert!((1..=SLOTS / 3).contains(&of_crowd), "{of_crowd}");
    assert!(rooms.iter().any(|room| room.place == few));
}

#[test]
fn a_claim_for_known_endpoints_is_for_every_partner_too() {
    let mut world = World::new(SLOTS);
    let owner = place();
    for _ in 0..200 {
        world.proven(neighbour(owner));
    }
    let few = world.proven(place());
    let rooms = world.queues.wanted(world.now);
    assert!(rooms.len() > 50 && rooms.iter().any(|room| room.place == few), "{} endpoints", rooms.len());
}

#[test]
fn what_was_left_out_of_a_claim_is_asked_for_by_the_next() {
    let mut world = World::new(SLOTS);
    let places: Vec<Place> = (0..300).map(|_| world.proven(place())).collect();
    let none = HashMap::new();
    let mut asked = HashSet::new();
    for _ in 0..10 {
        let rooms = world.queues.wanted(world.now);
        asked.extend(rooms.iter().map(|room| room.place));
        world.queues.claimed(&rooms, &none);
    }
    assert_eq!(asked.len(), places.len());
    assert_eq!(world.queues.wanted(world.now), [], "nothing more is due");
}

/// How an endpoint of a greedy partner treats what it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Manner {
    Hangs,
    Refuses,
    Answers,
}

pub(super) fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![Just(Manner::Hangs), Just(Manner::Refuses), Just(Manner::Answers)]
}

/// Requests of a step of 20 ms end: refused ones at once, answered ones too, hanging ones after 15 seconds.
pub(super) fn pass(world: &mut World, under_way: &mut Vec<(Job, Manner, Instant)>) {
    let (over, left): (Vec<_>, Vec<_>) =
        std::mem::take(under_way).into_iter().partition(|(_, manner, began)| {
            !matches!(manner, Manner::Hangs) || world.now.duration_since(*began) >= Duration::from_secs(15)
        });
    *under_way = left;
    for (job, manner, _) in over {
        let effect = world.end(&job, matches!(manner, Manner::Answers));
        if matches!(effect.change, Some(Change::Opened { .. })) {
            world.queues.shutting_is_known(job.endpoint_id);
        }
    }
    world.queues.take_unsent(world.now);
    world.now += Duration::from_millis(20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_greedy_partners_do_a_proven_endpoint_of_another_is_sent_to_at_once(
        greedy in prop::collection::vec((1_usize..300, manner(), 1_usize..4), 1..6), seconds in 1_u64..8,
    ) {
        let mut world = World::new(64);
        let healthy = world.proven(place());
        let crowds: Vec<(Vec<Place>, Manner, usize)> = greedy.into_iter().map(|(count, manner, each)| {
            let owner = place();
            ((0..count).map(|_| neighbour(owner)).collect(), manner, each)
        }).collect();
        let manners: HashMap<EndpointId, Manner> =
            crowds.iter().flat_map(|(places, manner, _)| places.iter().map(|place| (place.1, *manner))).collect();
        let mut under_way = Vec::new();
        for step in 0..seconds * 50 {
            if step % 25 == 0 {
                for (places, _, each) in &crowds {
                    for place in places {
                        world.push(*place, terms(16), *each);
                    }
                }
            }
            world.push(healthy, terms(16), 1);
            let started = world.start_all();
            prop_assert_eq!(of(&started, healthy.0), 1, "step {}", step);
            let now = world.now;
            under_way.extend(started.into_iter().map(|job| {
                let manner = manners.get(&job.endpoint_id).copied().unwrap_or(Manner::Answers);
                (job, manner, now)
            }));
            prop_assert!(world.queues.under_way <= 64 && under_way.len() <= 4 * 64);
            let hanging = |partner: PartnerId| under_way.iter()
                .filter(|(job, manner, _)| job.partner_id == partner && matches!(manner, Manner::Hangs)).count();
            for (places, _, _) in &crowds {
                prop_assert!(hanging(places[0].0) <= 64 / 3 + 1);
            }
            pass(&mut world, &mut under_way);
        }
    }
}
