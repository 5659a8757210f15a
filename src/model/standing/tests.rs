//! Where an order stands, by what is known of it in every order of arrival.

use proptest::prelude::*;

use super::*;

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + minute * 60, 0).unwrap()
}

fn event(status: &str, minute: i64) -> Observed {
    let mut identity = [0; 16];
    identity[..8].copy_from_slice(&minute.to_be_bytes());
    identity[8] = u8::try_from(status.len()).unwrap();
    Observed {
        event_id: EventId::new(),
        identity: Identity(identity),
        status: Status::parse(status).unwrap(),
        at: at(minute),
        received_at: at(1000),
        verified: true,
        created_at: None,
        updated_at: None,
        details: Details::default(),
    }
}

fn rumour(status: &str, minute: i64) -> Observed {
    Observed { verified: false, ..event(status, minute) }
}

/// The status that these come to, in the order given and in the reverse one, and which of them are odd.
fn come_to(events: &[Observed]) -> (String, Vec<bool>) {
    let (state, odd) = of_all(events).unwrap();
    let reversed: Vec<_> = events.iter().rev().cloned().collect();
    assert_eq!(of_all(&reversed).unwrap().0, state);
    (state.standing.status.as_str().to_owned(), odd.iter().map(Option::is_some).collect())
}

fn two(from: (&str, i64), to: (&str, i64)) -> (String, Vec<bool>) {
    come_to(&[event(from.0, from.1), event(to.0, to.1)])
}

#[test]
fn the_documented_ways_are_forward() {
    for (from, to) in [
        ("AWAITING_PAYMENT_FROM_USER", "PAYMENT_DONE_MARKED_BY_USER"),
        ("AWAITING_PAYMENT_FROM_USER", "PENDING_DELIVERY_FROM_TRANSAK"),
        ("AWAITING_PAYMENT_FROM_USER", "EXPIRED"),
        ("PROCESSING", "PENDING_DELIVERY_FROM_TRANSAK"),
        ("PENDING_DELIVERY_FROM_TRANSAK", "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK"),
        ("ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK", "PENDING_DELIVERY_FROM_TRANSAK"),
        ("PENDING_DELIVERY_FROM_TRANSAK", "COMPLETED"),
        ("FAILED", "REFUNDED"),
        ("EXPIRED", "REFUNDED"),
        ("CANCELLED", "REFUNDED"),
    ] {
        assert_eq!(two((from, 0), (to, 1)), (to.to_owned(), vec![false, false]), "{from} -> {to}");
    }
}

#[test]
fn a_way_back_is_flagged_and_not_taken() {
    for (from, to) in [("COMPLETED", "PROCESSING"), ("EXPIRED", "PAYMENT_DONE_MARKED_BY_USER")] {
        assert_eq!(two((from, 1), (to, 2)), (from.to_owned(), vec![false, true]), "{from} -> {to}");
    }
}

#[test]
fn a_surprising_way_forward_is_taken_and_flagged() {
    for (from, to) in [("EXPIRED", "COMPLETED"), ("COMPLETED", "REFUNDED"), ("PROCESSING", "SOMETHING_NEW")] {
        assert_eq!(two((from, 1), (to, 2)), (to.to_owned(), vec![false, true]), "{from} -> {to}");
    }
}

#[test]
fn the_same_status_later_on_is_where_the_order_stands_since_then() {
    for (one, other) in [
        ("PENDING_DELIVERY_FROM_TRANSAK", "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK"),
        ("CANCELLED", "FAILED"),
        ("PROCESSING", "SOMETHING_NEW"),
    ] {
        let events = [event(one, 1), event(one, 5), event(other, 3)];
        let (state, _) = of_all(&events).unwrap();
        assert_eq!((state.standing.status.as_str(), state.standing.at), (one, at(5)));
        assert_eq!(state.newest.event_id, events[1].event_id);
    }
}

#[test]
fn of_two_statuses_of_one_time_the_one_to_look_at_counts() {
    for (one, other) in [
        ("PENDING_DELIVERY_FROM_TRANSAK", "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK"),
        ("EXPIRED", "CANCELLED"),
        ("CANCELLED", "FAILED"),
        ("SOMETHING_NEW", "PROCESSING"),
        ("ONE_UNKNOWN", "OTHER_UNKNOWN"),
    ] {
        assert_eq!(two((one, 1), (other, 1)).0, other);
    }
}

#[test]
fn an_undocumented_status_counts_while_it_is_the_newest() {
    let (new, back) = (event("SOMETHING_NEW", 2), event("PROCESSING", 3));
    let before = event("PENDING_DELIVERY_FROM_TRANSAK", 1);
    assert_eq!(come_to(&[before.clone(), new.clone()]).0, "SOMETHING_NEW");
    assert_eq!(come_to(&[before, new, back]).0, "PENDING_DELIVERY_FROM_TRANSAK");
    assert_eq!(two(("COMPLETED", 1), ("SOMETHING_NEW", 2)).0, "COMPLETED", "it is over");
}

#[test]
fn the_unverified_never_overrides_the_verified() {
    let events = [event("PROCESSING", 1), rumour("COMPLETED", 5), rumour("PROCESSING", 6)];
    assert_eq!(come_to(&events), ("PROCESSING".to_owned(), vec![false; 3]));
    assert_eq!(come_to(&events[1..]), ("COMPLETED".to_owned(), vec![false, true]), "nothing is verified");
}

#[test]
fn each_detail_is_as_the_newest_event_that_tells_it_says() {
    let with = |minute, wallet: Option<&str>, network: Option<&str>| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let details = Details { wallet_address: text(wallet), network: text(network), ..Details::default() };
        Observed { details, ..event("PROCESSING", minute) }
    };
    let events = [with(3, None, Some("c")), with(1, Some("a"), Some("a")), with(2, Some("b"), None)];
    let (state, _) = of_all(&events).unwrap();
    assert_eq!(
        (state.details.wallet_address.as_deref(), state.details.network.as_deref()),
        (Some("b"), Some("c"))
    );
}

#[test]
fn until_somebody_tells_when_an_order_was_made_it_counts_from_when_it_was_heard_of() {
    let heard = |minute| Observed { received_at: at(minute), ..event("PROCESSING", 1) };
    let told = Observed { created_at: Some(at(-9)), ..event("PROCESSING", 2) };
    assert_eq!(of_all(&[heard(30), heard(20)]).unwrap().0.created_at, at(20));
    assert_eq!(of_all(&[heard(30), told, heard(20)]).unwrap().0.created_at, at(-9));
}

const STATUSES: [&str; 9] = [
    "AWAITING_PAYMENT_FROM_USER",
    "PROCESSING",
    "PENDING_DELIVERY_FROM_TRANSAK",
    "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK",
    "FAILED",
    "CANCELLED",
    "COMPLETED",
    "REFUNDED",
    "SOMETHING_NEW",
];

prop_compose! {
    fn any_event()(
        status in prop::sample::select(&STATUSES[..]),
        minute in 0_i64..4,
        verified in prop::bool::weighted(0.8),
        received in 0_i64..3,
        told in any::<[bool; 3]>(),
    ) -> Observed {
        let text = |told: bool| told.then(|| format!("{status} {minute}"));
        let details = Details { wallet_address: text(told[0]), network: text(told[1]), ..Details::default() };
        Observed {
            details,
            verified,
            received_at: at(1000 + received),
            created_at: told[2].then(|| at(minute - 100)),
            ..event(status, minute)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever comes in whatever order and batches: what is told from a state and newer events is what all events tell.
    #[test]
    fn where_an_order_stands_does_not_depend_on_what_was_heard_first(
        (events, shuffled) in prop::collection::vec(any_event(), 1..8).prop_map(|mut events| {
            for (at, event) in events.iter_mut().enumerate() {
                event.identity.0[15] = u8::try_from(at).unwrap();
            }
            events
        }).prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        sizes in prop::collection::vec(1_usize..4, 8),
    ) {
        let (expected, odd) = of_all(&events).unwrap();
        let (mut kept, mut flags) = (Vec::<Observed>::new(), Vec::new());
        let (mut state, mut rest) = (None, &shuffled[..]);
        for size in sizes {
            let (batch, later) = rest.split_at(size.min(rest.len()));
            rest = later;
            if batch.is_empty() {
                break;
            }
            let quick = state.as_ref().and_then(|state| advanced(state, batch));
            kept.extend_from_slice(batch);
            let (now, anomalies) = match quick {
                Some((now, new)) => {
                    flags.extend(new);
                    (now, flags)
                }
                None => of_all(&kept).unwrap(),
            };
            (state, flags) = (Some(now), anomalies);
        }
        kept.extend_from_slice(rest);
        if !rest.is_empty() {
            let (now, anomalies) = of_all(&kept).unwrap();
            (state, flags) = (Some(now), anomalies);
        }
        prop_assert_eq!(state, Some(expected));
        for (event, flag) in events.iter().zip(odd) {
            let place = kept.iter().position(|one| one.event_id == event.event_id).unwrap();
            prop_assert_eq!(&flags[place], &flag);
        }
    }
}
