//! Whatever comes in whatever order: nothing breaks and nobody is hammered.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Opened,
    NotConnected,
    Text(String),
    Traffic,
    Closed(u16),
    Dropped,
    Wanted(Vec<u8>),
    Pass(u64),
    UntilDue,
    Stop,
}

fn name(n: u8) -> String {
    format!("c{n}")
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        (0_u64..200).prop_map(greeting),
        (0_u8..8).prop_map(|n| confirmation(&name(n))),
        (0_u8..8).prop_map(|n| message(&name(n))),
        (0_u8..8).prop_map(|n| format!(r#"{{"event":"pusher:subscription_error","channel":"c{n}"}}"#)),
        (3990_u16..4400).prop_map(|code| error(&code.to_string())),
        Just(
            r#"{"event":"pusher:error","data":{"message":"Existing subscription to channel c1"}}"#.to_owned()
        ),
        Just(r#"{"event":"pusher:ping"}"#.to_owned()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Opened),
        1 => Just(Step::NotConnected),
        6 => text().prop_map(Step::Text),
        1 => Just(Step::Traffic),
        1 => prop_oneof![any::<u16>(), 4000_u16..4300].prop_map(Step::Closed),
        1 => Just(Step::Dropped),
        2 => proptest::collection::vec(0_u8..8, 0..8).prop_map(Step::Wanted),
        2 => (0_u64..200_000).prop_map(Step::Pass),
        4 => Just(Step::UntilDue),
        1 => prop_oneof![30 => Just(Step::Traffic), 1 => Just(Step::Stop)],
    ]
}

fn take(rig: &mut Rig, step: Step) -> Vec<Output> {
    match step {
        Step::Opened => rig.tell(Input::Opened),
        Step::NotConnected => rig.tell(Input::NotConnected),
        Step::Text(text) => rig.text(&text),
        Step::Traffic => rig.tell(Input::Traffic),
        Step::Closed(code) => rig.tell(Input::Closed(code)),
        Step::Dropped => rig.tell(Input::Dropped),
        Step::Wanted(names) => rig.tell(Input::Wanted(set(names.into_iter().map(name)))),
        Step::Pass(time) => rig.pass(millis(time)),
        Step::UntilDue if rig.session.deadline().is_some() => rig.until_due().1,
        Step::UntilDue => Vec::new(),
        Step::Stop => rig.tell(Input::Stop),
    }
}

/// What an executor would hold: a connection asked for and not ended. Panics if an output makes no sense for it.
fn check(outputs: &[Output], held: &mut bool) {
    for output in outputs {
        match output {
            Output::Connect { .. } => assert!(!std::mem::replace(held, true), "a second connection"),
            Output::Close => assert!(std::mem::replace(held, false), "nothing to close"),
            Output::Send(_) => assert!(*held, "nothing to send on"),
            Output::Notice(_) | Output::Counted(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn no_sequence_of_inputs_breaks_the_session(percent in 0_u32..=100, steps in prop::collection::vec(step(), 1..120)) {
        let mut rig = Rig::new(true, percent);
        let (mut held, mut heard) = (false, BTreeSet::new());
        for step in steps {
            let ends = matches!(step, Step::NotConnected | Step::Closed(_) | Step::Dropped);
            held &= !ends;
            let outputs = take(&mut rig, step);
            check(&outputs, &mut held);
            for notice in notices(&outputs) {
                match notice {
                    Notice::Confirmed { channel, .. } => prop_assert!(heard.insert(channel.clone()), "confirmed twice"),
                    Notice::Lost { channel, since, at, .. } => {
                        prop_assert!(since <= at);
                        prop_assert!(heard.remove(channel), "lost and not heard before");
                    }
                    Notice::Left { channel, .. } => prop_assert!(heard.remove(channel), "left and not heard before"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn a_server_that_always_says_4200_is_asked_at_most_62_times_in_any_minute(
        dice in prop::collection::vec(0_u32..=100, 200),
        steps in prop::collection::vec((0_u64..40_000, any::<bool>(), 4200_u16..4300), 1..200),
    ) {
        let mut rolls = dice.into_iter().cycle();
        let mut rig = Rig::new(true, 0);
        rig.session.backoff = Backoff::new(Box::new(move |span| span * rolls.next().unwrap_or(0) / 100));
        let mut attempts = vec![rig.now.mono];
        rig.tell(Input::Tick);
        for (stood, greeted, code) in steps {
            rig.tell(Input::Opened);
            if greeted {
                rig.text(&greeting(120));
                rig.pass(millis(stood / 10));
            }
            if !rig.tell(Input::Closed(code)).iter().any(|output| matches!(output, Output::Connect { .. })) {
                rig.pause();
            }
            attempts.push(rig.now.mono);
        }
        for (first, start) in attempts.iter().enumerate() {
            let within = attempts[first..].iter().take_while(|at| **at < *start + secs(60)).count();
            prop_assert!(within <= 62, "{within} attempts");
        }
    }
}

#[test]
fn with_fair_dice_a_4200_storm_gets_nine_attempts_in_its_first_minute_and_four_in_later_ones() {
    let mut rig = Rig::new(true, 50);
    let start = rig.now.mono;
    rig.tell(Input::Tick);
    let mut minutes = [0; 5];
    while let Some(count) = minutes.get_mut(usize::try_from((rig.now.mono - start).as_secs() / 60).unwrap()) {
        *count += 1;
        rig.tell(Input::Opened);
        rig.tell(Input::Closed(4200));
        rig.pause();
    }
    assert_eq!(minutes, [9, 4, 4, 4, 4]);
}
