//! The spool on a disk that fails or loses its power between any two system calls, exhaustively over short histories.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::log::Log;
use super::super::record;
use super::disk::{FakeDisk, Fault, Shared};
use super::message;

/// What is done to a spool.
#[derive(Debug, Clone, Copy)]
enum Step {
    Append(usize),
    /// So many are settled.
    Settle(usize),
    /// So many are handed out; the first of them waits on, the others are settled.
    Turn(usize),
    /// The process ends, and another takes its place or adopts what it left.
    Reopen,
}

const STEPS: [Step; 6] =
    [Step::Append(1), Step::Append(2), Step::Settle(1), Step::Settle(9), Step::Turn(2), Step::Reopen];

/// What is done after a loss of power.
const AFTERWARDS: [&[Step]; 4] = [
    &[],
    &[Step::Append(1)],
    &[Step::Settle(9), Step::Append(1), Step::Append(1)],
    &[Step::Turn(1), Step::Append(1)],
];

/// What must come of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Expected {
    /// Acknowledged and not settled: must be handed out, in this order.
    owed: Vec<usize>,
    /// Of these nobody can say: something was under way, or has failed.
    loose: BTreeSet<usize>,
    /// These may stand where they stood or at the end.
    unordered: BTreeSet<usize>,
    next: usize,
}

/// How far a history came.
#[derive(PartialEq, Eq)]
enum Played {
    /// The power was lost before its last step: a shorter history shows the same.
    CutShort,
    ToItsEnd,
    /// It was over before the fault came.
    WithoutFault,
}

/// A spool, and what must come of it.
struct Trial {
    disk: Shared,
    log: Option<Log<Shared>>,
    worth_a_file: u64,
    expected: Expected,
}

fn written(numbers: &[usize]) -> Vec<u8> {
    let mut records = Vec::new();
    for &number in numbers {
        record::write(&message(number), &mut records);
    }
    records
}

fn handed_out(log: &mut Log<Shared>, most: usize) -> (Vec<usize>, u64) {
    let (heard, end) = log.peek(most).unwrap();
    (heard.iter().map(|one| std::str::from_utf8(&one.data).unwrap().parse().unwrap()).collect(), end)
}

impl Trial {
    fn new(messages: Vec<u8>, worth_a_file: u64, expected: Expected) -> Self {
        Self { disk: FakeDisk::holding(messages), log: None, worth_a_file, expected }
    }

    /// Takes these steps with one fault.
    fn play(&mut self, steps: &[Step], fault: Fault) -> Played {
        self.disk.borrow_mut().fault = fault;
        self.step(Step::Reopen);
        for (at, step) in steps.iter().enumerate() {
            if self.disk.borrow().has_lost_power() {
                return Played::CutShort;
            }
            self.step(*step);
            if self.disk.borrow().has_lost_power() && at + 1 < steps.len() {
                return Played::CutShort;
            }
        }
        match fault {
            Fault::PowerLost(at) | Fault::Fails(at) if self.disk.borrow().calls > at => Played::ToItsEnd,
            _ => Played::WithoutFault,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(count) => self.append(count),
            Step::Settle(count) => self.settle(count, 0),
            Step::Turn(count) => self.settle(count, 1),
            Step::Reopen => {
                let open = || Log::open(Rc::clone(&self.disk), self.worth_a_file).ok();
                // Whoever cannot begin is begun again.
                self.log = open().or_else(open);
            }
        }
    }

    fn append(&mut self, count: usize) {
        let expected = &mut self.expected;
        let new: Vec<usize> = (expected.next..expected.next + count).collect();
        expected.next += count;
        match self.log.as_mut().unwrap().append(&written(&new)) {
            Ok(()) => expected.owed.extend(new),
            Err(_) => expected.loose.extend(new),
        }
    }

    fn settle(&mut self, count: usize, again: usize) {
        let (expected, log) = (&mut self.expected, self.log.as_mut().unwrap());
        let (given, end) = handed_out(log, count);
        let (again, done) = given.split_at(again.min(given.len()));
        expected.owed.retain(|one| !done.contains(one) || again.contains(one));
        expected.loose.extend(done.iter().filter(|one| !again.contains(one)));
        expected.unordered.extend(again);
        if log.settle(end, &written(again)).is_ok() {
            let left = handed_out(log, usize::MAX).0;
            expected.loose.retain(|one| !done.contains(one) || left.contains(one));
            for one in again {
                expected.unordered.remove(one);
                if let Some(at) = expected.owed.iter().position(|owed| owed == one) {
                    let one = expected.owed.remove(at);
                    expected.owed.push(one);
                }
            }
        }
    }

    /// Everything that a loss of power at this moment may leave: what is handed out of it is looked at.
    fn lose_power(self, (every_byte, losses): (bool, usize)) -> Vec<(Vec<u8>, Expected)> {
        let remains = self.disk.borrow().remains(every_byte);
        let mut left = Vec::with_capacity(remains.len());
        for messages in remains {
            let mut log = Log::open(FakeDisk::holding(messages.clone()), self.worth_a_file).unwrap();
            let (given, _) = handed_out(&mut log, usize::MAX);
            self.expected.check(&given, losses);
            let mut expected = self.expected.clone();
            expected.loose.retain(|one| given.contains(one));
            left.push((messages, expected));
        }
        left
    }
}

impl Expected {
    fn check(&self, given: &[usize], losses: usize) {
        let mut times = BTreeMap::new();
        for one in given {
            *times.entry(*one).or_insert(0) += 1;
        }
        for one in &self.owed {
            assert!(times.contains_key(one), "{one} is lost: {given:?} of {self:?}");
        }
        for (one, times) in &times {
            let known = self.owed.contains(one) || self.loose.contains(one);
            assert!(known, "{one} comes again after it was settled: {given:?} of {self:?}");
            assert!(*times <= 1 + losses, "{one} comes {times} times: {given:?} of {self:?}");
        }
        let certain = |one: &&usize| self.owed.contains(one) && !self.unordered.contains(one);
        let mut seen = BTreeSet::new();
        let order: Vec<_> = given.iter().filter(certain).filter(|one| seen.insert(**one)).collect();
        let expected: Vec<_> = self.owed.iter().filter(certain).collect();
        assert!(losses > 1 || order == expected, "out of order: {given:?} of {self:?}");
    }
}

/// All histories up to this length.
fn histories(longest: usize) -> Vec<Vec<Step>> {
    let (mut all, mut last) = (Vec::new(), vec![Vec::new()]);
    for _ in 0..longest {
        let longer = last.iter().flat_map(|history: &Vec<Step>| {
            STEPS.iter().map(|step| history.iter().copied().chain([*step]).collect())
        });
        last = longer.collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// Plays all histories up to a length with each fault, the power lost at every byte in those up to another; answers what
/// may be left, and how many cases that were.
fn first_life(
    (longest, byte_by_byte): (usize, usize),
    worth_a_file: u64,
) -> (BTreeSet<(Vec<u8>, Expected)>, usize) {
    let (mut left, mut cases) = (BTreeSet::new(), 0);
    for steps in histories(longest) {
        for fault in [Fault::PowerLost, Fault::Fails] {
            for call in 0.. {
                let mut trial = Trial::new(Vec::new(), worth_a_file, Expected::default());
                let played = trial.play(&steps, fault(call));
                if played == Played::CutShort {
                    continue;
                }
                let now = trial.lose_power((steps.len() <= byte_by_byte, 1));
                cases += now.len();
                left.extend(now);
                if played == Played::WithoutFault {
                    break;
                }
            }
        }
    }
    (left, cases)
}

#[test]
fn whenever_the_power_is_lost_or_the_disk_fails_nothing_acknowledged_is_lost_and_nothing_settled_comes_again()
{
    let mut cases = 0;
    for worth_a_file in [1, u64::MAX] {
        cases += first_life((3, 2), worth_a_file).1;
    }
    assert!(cases > 25_000, "{cases}");
}

#[test]
fn what_a_loss_of_power_left_can_lose_power_again() {
    let mut cases = 0;
    for worth_a_file in [1, u64::MAX] {
        for (messages, expected) in first_life((3, 0), worth_a_file).0 {
            for steps in AFTERWARDS {
                for call in 0.. {
                    let mut trial = Trial::new(messages.clone(), worth_a_file, expected.clone());
                    let played = trial.play(steps, Fault::PowerLost(call));
                    cases += trial.lose_power((false, 2)).len();
                    if played == Played::WithoutFault {
                        break;
                    }
                }
            }
        }
    }
    assert!(cases > 50_000, "{cases}");
}
