//! Lists of a server that gives as many rows as it likes, tells a total or not, and moves between two pages.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 10;

/// How a server counts.
#[derive(Debug, Clone, Copy)]
enum Total {
    Silent,
    Right,
    TooSmall,
    TooLarge,
}

impl Total {
    fn of(self, length: usize) -> Option<usize> {
        match self {
            Self::Silent => None,
            Self::Right => Some(length),
            Self::TooSmall => Some(length / 3),
            Self::TooLarge => Some(length + 7),
        }
    }
}

/// What happens to the list before a page is asked for.
#[derive(Debug, Clone, Copy)]
enum Move {
    Rests,
    /// So many rows leave it from a place on.
    Leaves(usize, usize),
    /// So many come in there.
    Comes(usize, usize),
}

#[derive(Debug)]
struct Server {
    list: Vec<String>,
    most: usize,
    total: Total,
    made: usize,
}

impl Server {
    fn new(length: usize, most: usize, total: Total) -> Self {
        Self { list: (0..length).map(|row| format!("r{row}")).collect(), most, total, made: 0 }
    }

    fn shift(&mut self, step: Move) {
        match step {
            Move::Rests => {}
            Move::Leaves(at, count) => {
                let from = at.min(self.list.len());
                self.list.drain(from..(from + count).min(self.list.len()));
            }
            Move::Comes(at, count) => {
                let new: Vec<_> = (0..count).map(|row| format!("new{}", self.made + row)).collect();
                self.made += count;
                let at = at.min(self.list.len());
                self.list.splice(at..at, new);
            }
        }
    }

    fn page(&self, skip: usize) -> (Vec<String>, Option<usize>) {
        let page = self.list.iter().skip(skip).take(LIMIT.min(self.most)).cloned().collect();
        (page, self.total.of(self.list.len()))
    }
}

/// Reads a list to the end, broken off and taken up again after every so many pages.
struct Reading {
    next: Next,
    shown: HashSet<String>,
    pages: usize,
}

fn read(server: &mut Server, moves: &[Move], breaks: Option<usize>) -> Reading {
    let mut pages = Pages::new(LIMIT);
    let mut reading = Reading { next: Next::Ask, shown: HashSet::new(), pages: 0 };
    while reading.next == Next::Ask && reading.pages < 5000 {
        if let Some(step) = moves.get(reading.pages) {
            server.shift(*step);
        }
        let (rows, total) = server.page(pages.skip());
        reading.shown.extend(rows.iter().cloned());
        reading.next = pages.take(rows, total);
        reading.pages += 1;
        if breaks.is_some_and(|every| reading.pages.is_multiple_of(every)) {
            pages = Pages::resume(pages.place().clone());
        }
    }
    reading
}

fn totals() -> impl Strategy<Value = Total> {
    prop_oneof![Just(Total::Silent), Just(Total::Right), Just(Total::TooSmall), Just(Total::TooLarge)]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    // At the front more often than elsewhere.
    let place = prop_oneof![2 => Just(0_usize), 1 => 0..80_usize];
    let one = prop_oneof![
        2 => Just(Move::Rests),
        1 => (place.clone(), 1..25_usize).prop_map(|(at, count)| Move::Leaves(at, count)),
        1 => (place, 1..25_usize).prop_map(|(at, count)| Move::Comes(at, count)),
    ];
    prop::collection::vec(one, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn what_stood_in_the_list_all_the_while_was_read_or_the_list_is_not_called_whole(
        length in 0..80_usize, most in 1..13_usize, total in totals(), moves in moves(), breaks in prop::option::of(1..9_usize),
    ) {
        let mut server = Server::new(length, most, total);
        let before = server.list.clone();
        let reading = read(&mut server, &moves, breaks);
        if reading.next == Next::Done {
            let missing: Vec<_> =
                before.iter().filter(|row| server.list.contains(row) && !reading.shown.contains(*row)).collect();
            prop_assert!(missing.is_empty(), "{missing:?} were never shown");
        }
    }

    #[test]
    fn a_list_that_rests_is_read_whole_whatever_its_server_calls_a_page(
        length in 0..80_usize, most in 2..13_usize, total in totals(), breaks in prop::option::of(1..9_usize),
    ) {
        let reading = read(&mut Server::new(length, most, total), &[], breaks);
        let expected = match total {
            Total::TooLarge => Next::Given(Why::TooShort),
            _ => Next::Done,
        };
        prop_assert_eq!(reading.next, expected);
        prop_assert_eq!(reading.shown.len(), length);
    }
}

#[test]
fn a_list_costs_two_pages_more_than_it_fills_and_an_empty_one_costs_one() {
    let pages = |length, most| read(&mut Server::new(length, most, Total::Silent), &[], None).pages;
    assert_eq!([pages(0, 10), pages(1, 10), pages(7, 10)], [1, 3, 3]);
    assert!(pages(80, 10) <= 12, "{}: nine overlapping ones, the end, and the last row again", pages(80, 10));
    assert!(pages(80, 5) <= 24, "{}: the server's own size is learnt once", pages(80, 5));
}

#[test]
fn rows_that_leave_the_front_push_nothing_past_the_reader() {
    let mut server = Server::new(40, 10, Total::Right);
    let moves = [Move::Rests, Move::Leaves(0, 9), Move::Leaves(0, 9)];
    let reading = read(&mut server, &moves, None);
    assert_eq!(reading.next, Next::Done);
    assert!(server.list.iter().all(|row| reading.shown.contains(row)));
}

#[test]
fn pages_of_one_row_are_all_read_but_nobody_can_say_that_they_were_all() {
    let reading = read(&mut Server::new(20, 1, Total::Right), &[], None);
    assert_eq!((reading.next, reading.shown.len()), (Next::Given(Why::Moves), 20));
}

#[test]
fn one_page_wherever_it_is_asked_for_is_the_list_if_it_tells_no_more_rows() {
    for rows in [1, 3, LIMIT] {
        let told = |total| {
            let mut pages = Pages::new(LIMIT);
            let page = || (0..rows).map(|row| row.to_string()).collect::<Vec<_>>();
            (0..200).map(|_| pages.take(page(), total)).find(|next| *next != Next::Ask)
        };
        assert_eq!(told(Some(rows)), Some(Next::Done), "{rows}");
        assert_eq!(told(Some(rows + 1)), Some(Next::Given(Why::TooShort)), "{rows}");
        assert_eq!(told(None), Some(Next::Given(Why::Moves)), "{rows}: it may have more");
    }
}

#[test]
fn a_list_that_never_ends_is_given_up() {
    let mut pages = Pages::new(1000);
    let next = (0..3000).map(|_| {
        let at = pages.skip();
        pages.take((at..at + 1000).map(|row| row.to_string()).collect(), None)
    });
    assert_eq!(next.into_iter().find(|next| *next != Next::Ask), Some(Next::Given(Why::Moves)));
}

#[test]
fn an_end_that_comes_before_the_total_is_told_so() {
    for shown in [0, 3] {
        let mut server = Server::new(shown, 10, Total::TooLarge);
        assert_eq!(read(&mut server, &[], None).next, Next::Given(Why::TooShort), "{shown}");
    }
}

/// Rows of one sort key come in another order at each call: groups of them, or the whole list.
#[test]
fn rows_that_change_places_are_looked_for_until_all_are_read_or_the_list_is_given_up() {
    let mut random =
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for (length, group, total) in [(120, 10, true), (120, 30, false), (130, 130, true), (130, 130, false)] {
        let mut list: Vec<String> = (0..length).map(|row| row.to_string()).collect();
        let (mut pages, mut met) = (Pages::new(40), HashSet::new());
        let end = (0..1000).find_map(|_| {
            for group in list.chunks_mut(group) {
                for at in (1..group.len()).rev() {
                    group.swap(at, random.next_u32() as usize % (at + 1));
                }
            }
            let page: Vec<_> = list.iter().skip(pages.skip()).take(40).cloned().collect();
            met.extend(page.iter().cloned());
            let next = pages.take(page, total.then_some(length));
            (next != Next::Ask).then_some(next)
        });
        match end {
            Some(Next::Done) => assert_eq!(met.len(), length, "groups of {group}"),
            Some(Next::Given(_)) => assert_eq!(group, length, "small groups come to an end"),
            other => panic!("{other:?}"),
        }
    }
}
