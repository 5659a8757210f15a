//! Which endpoints are this process's, and which of them may be sent to.

use super::*;

fn leased(place: Place, enabled: bool) -> Leased {
    Leased { place, lost: false, enabled, revision: 1 }
}

#[test]
fn an_endpoint_that_was_lost_to_another_process_is_not_sent_to_any_more() {
    let (mut world, ours, lost) = (World::new(100), place(), place());
    world.push(ours, terms(16), 1);
    world.push(lost, terms(16), 1);
    world.queues.hold(&[leased(ours, true)], world.now);
    assert_eq!(world.queues.take_unsent(world.now).len(), 1);
    assert_eq!(world.start_all().iter().map(|job| job.endpoint_id).collect::<Vec<_>>(), [ours.1]);
}

#[test]
fn what_waits_for_a_disabled_endpoint_is_given_back_and_what_is_under_way_still_counts() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, terms(2), 5);
    let under_way = world.start_all();
    world.queues.hold(&[leased(place, false)], world.now);
    assert_eq!((under_way.len(), world.queues.take_unsent(world.now).len()), (1, 4));
    // Enabled again before those have ended.
    world.queues.hold(&[leased(place, true)], world.now);
    world.push(place, terms(2), 5);
    assert_eq!(world.start_all().len(), 0);
    world.end(&under_way[0], true);
    assert_eq!(world.start_all().len(), 2);
}

#[test]
fn an_endpoint_that_says_it_is_gone_is_sent_nothing_more_until_that_is_known() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, terms(16), 5);
    let started = world.start_all();
    world.end_as(&started[0], false, true);
    assert_eq!(world.queues.take_unsent(world.now).len(), 4);
    world.push(place, terms(16), 1);
    assert_eq!(world.start_all().len(), 0);
    world.queues.shutting_is_known(place.1);
    assert_eq!(world.start_all().len(), 1);
}

#[test]
fn what_waits_is_sent_as_the_newest_known_revision_has_it() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, terms(1), 2);
    let first = world.start_all().remove(0);
    assert_eq!(first.terms.revision, 1);
    world.queues.hold(&[Leased { revision: 2, ..leased(place, true) }], world.now);
    world.queues.ended_unsent(place, first.delivery_id);
    assert_eq!(world.start_all()[0].terms.revision, 2);
}

#[test]
fn a_success_after_a_failure_that_was_written_late_is_noted_anew() {
    let (mut world, place) = (World::new(100), place());
    world.push(place, terms(16), 3);
    let first = world.start_all();
    world.end(&first[0], false);
    let second = world.start_all();
    assert!(world.end(&second[0], true).first_success);
    world.queues.failure_is_written(place.1);
    let next = world.start_all();
    assert!(world.end(&next[0], true).first_success);
}

#[test]
fn a_scan_claims_for_a_queue_only_when_at_least_half_of_what_it_may_hold_is_missing() {
    let (mut world, busy) = (World::new(100), place());
    world.push(busy, terms(16), 41);
    let mut started = world.start_all();
    while let Some(job) = started.pop() {
        if started.is_empty() && world.queues.waiting == 0 {
            world.now += Duration::from_millis(100);
        }
        world.end(&job, true);
        started.extend(world.start_all());
    }
    // 40 in a tenth of a second: a hundred may wait here, beside the 16 that may be under way.
    let room = |world: &mut World| world.queues.wanted_of(&[busy], world.now).first().map(|room| room.most);
    world.push(busy, terms(16), 20);
    let few = room(&mut world).unwrap();
    assert!(few > 20, "{few}");
    world.push(busy, terms(16), few / 2 + 1);
    assert_eq!(room(&mut world), None);
}

#[test]
fn what_is_handed_over_after_the_end_is_refused() {
    let (queues, place) = (HandOver::new(Most::of_slots(100), || {}), place());
    queues.with(|queues| queues.push(job(place, terms(16), Instant::now()), false, Instant::now()));
    assert!(queues.give(vec![job(place, terms(16), Instant::now())]).is_empty());
    queues.with(Queues::close);
    assert_eq!(queues.give(vec![job(place, terms(16), Instant::now())]).len(), 1);
}

#[test]
fn a_time_that_has_passed_is_not_waited_for_while_nothing_may_be_sent() {
    let (mut world, place) = (World::new(100), place());
    let rate = Some(Rate::parse("2", 1).unwrap());
    world.push(place, Terms { rate, ..terms(16) }, 3);
    let first = world.start_all();
    world.end(&first[0], true);
    world.start_all();
    assert!(world.queues.next_timer().is_some());
    world.now += Duration::from_hours(2);
    assert!(world.queues.start(world.now).is_none(), "nobody knows whose the endpoint is by now");
    assert!(world.queues.next_timer().is_none_or(|at| at > world.now));
}
