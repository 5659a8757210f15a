//! Random schedules beside an oracle: every moment of a partner's term in which nobody was subscribed and alive lies in a
//! gap, and what was heard lies in none.

use std::collections::HashSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::world::{RENEWAL, TermOfWorld, World, moment};
use super::*;

/// Two minutes.
const LENGTH: i64 = 240;

/// What was heard by a process that ends, or whose connection does, may lie in a gap for as long as it was not proven and
/// written: the interval of proofs, of writing, and what was on its way.
const TOLERANCE: i64 = 20 + RENEWAL + 2 + 1;

#[derive(Debug, Clone, Copy)]
enum Step {
    Start(usize),
    Kill(usize),
    Stop(usize),
    Connect(usize),
    Drop(usize),
    Mute(usize),
    CutOff(usize),
    Reach(usize),
    Register(u8),
    Delete,
    ChangeKey(u8),
    Publish,
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0_usize..3;
    prop_oneof![
        4 => which().prop_map(Step::Start),
        2 => which().prop_map(Step::Kill),
        1 => which().prop_map(Step::Stop),
        6 => which().prop_map(Step::Connect),
        2 => which().prop_map(Step::Drop),
        2 => which().prop_map(Step::Mute),
        1 => which().prop_map(Step::CutOff),
        3 => which().prop_map(Step::Reach),
        2 => (0_u8..2).prop_map(Step::Register),
        1 => Just(Step::Delete),
        1 => (0_u8..2).prop_map(Step::ChangeKey),
        3 => Just(Step::Publish),
        12 => (0_i64..30).prop_map(Step::Wait),
    ]
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Start(which) => world.start(which),
        Step::Kill(which) => world.kill(which),
        Step::Stop(which) => world.stop(which),
        Step::Connect(which) => world.connect(which),
        Step::Drop(which) => world.drop_socket(which),
        Step::Mute(which) => world.mute(which),
        Step::CutOff(which) => world.cut_off(which, true),
        Step::Reach(which) => world.cut_off(which, false),
        Step::Register(key) => world.register(key),
        Step::Delete => world.delete(),
        Step::ChangeKey(key) => world.change_key(key),
        Step::Publish => world.publish(),
        Step::Wait(ticks) => (0..ticks).for_each(|_| world.pass()),
    }
}

/// Plays a schedule, and has a process look at what it left until everything is decided.
fn play(steps: &[Step]) -> (World, i64) {
    let mut world = World::default();
    for step in steps {
        take(&mut world, *step);
        if world.now >= LENGTH {
            break;
        }
    }
    let end = world.now;
    for which in 0..3 {
        world.start(which);
        world.cut_off(which, false);
        world.connect(which);
    }
    (0..120).for_each(|_| world.pass());
    (world, end)
}

fn in_a_gap(world: &World, term: &TermOfWorld, tick: i64) -> bool {
    let middle = moment(tick) + TimeDelta::milliseconds(250);
    let mut gaps = world.gaps.iter().filter(|(whose, ..)| *whose == term.partner);
    gaps.any(|(_, from, to)| *from <= middle && to.is_none_or(|to| middle <= to))
}

/// The first ticks of a term are promised to nobody if somebody hears by their end. Who heard before and died at once may
/// have written nothing, so that the first hearing that is known is a later one.
fn entry(term: &TermOfWorld) -> i64 {
    let over = term.ended.map_or(i64::MAX, |ended| ended - term.began);
    let heard = (0..=5).rev().find(|tick| term.heard.contains_key(&(term.began + tick)));
    if over <= 5 { term.began + over } else { term.began + heard.unwrap_or_default() }
}

/// Whether somebody heard at that tick who had had the time to write down that it was confirmed, and who went on hearing,
/// and writing, for long enough to prove it. A gap that another one's confirmation ends meanwhile ends with that one's.
fn was_proven(world: &World, term: &TermOfWorld, tick: i64) -> bool {
    let nobody = HashSet::new();
    let heard = |tick: i64| term.heard.get(&tick).unwrap_or(&nobody);
    let went_on = |run: &Uuid| {
        let cut_off = world.unreachable.get(run).unwrap_or(&EMPTY);
        (tick - RENEWAL..=tick + TOLERANCE).all(|tick| !cut_off.contains(&tick))
            && (tick - RENEWAL..=tick + TOLERANCE).all(|tick| heard(tick).contains(run))
    };
    heard(tick).iter().any(went_on)
}

static EMPTY: std::sync::LazyLock<HashSet<i64>> = std::sync::LazyLock::new(HashSet::new);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn every_moment_that_nobody_heard_lies_in_a_gap_and_what_was_heard_lies_in_none(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let (world, end) = play(&steps);
        for term in &world.terms {
            let last = term.ended.unwrap_or(end).min(end);
            for tick in entry(term)..last {
                if !term.heard.contains_key(&tick) {
                    prop_assert!(in_a_gap(&world, term, tick), "missed: {} of {:?}, {:?}", tick, term, world.gaps);
                } else if was_proven(&world, term, tick) {
                    prop_assert!(!in_a_gap(&world, term, tick), "no loss: {} of {:?}, {:?}", tick, term, world.gaps);
                }
            }
        }
    }

    #[test]
    fn a_partner_has_one_open_gap_at_most_and_none_ends_before_it_begins(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let (world, _) = play(&steps);
        let mut open = HashSet::new();
        for (partner, from, to) in &world.gaps {
            prop_assert!(to.is_some() || open.insert(*partner), "two open gaps");
            prop_assert!(to.is_none_or(|to| *from <= to));
        }
    }
}
