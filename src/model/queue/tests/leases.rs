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
    assert_eq!((under_way.len(), world.queues.take_unsent(world.now).len()), (2, 3));
    // Enabled again before those have ended.
    world.queues.hold(&[leased(place, true)], world.now);
    world.push(place, terms(2), 5);
    assert_eq!(world.start_all().len(), 0);
    world.end(&under_way[0], true);
    assert_eq!(world.start_all().len(), 1);
}
