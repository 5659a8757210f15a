//! When a token is replaced, and when somebody is told.

use super::*;

fn now() -> DateTime<Utc> {
    "2025-01-10T00:00:00Z".parse().unwrap()
}

fn care(token: Option<(TimeDelta, TimeDelta)>) -> Care {
    let token = token.map(|(age, left)| Token { since: now() - age, expires_at: Some(now() + left) });
    Care { has_secret: true, token, refreshed_at: None, refresh_after: None }
}

fn duty_of(age: TimeDelta, left: TimeDelta) -> Duty {
    duty(&care(Some((age, left))), None, now())
}

#[test]
fn a_token_of_seven_days_is_replaced_on_its_last() {
    let week = TimeDelta::days(7);
    assert_eq!(duty_of(TimeDelta::zero(), week), Duty::None);
    assert_eq!(duty_of(TimeDelta::hours(143), TimeDelta::hours(25)), Duty::None);
    assert_eq!(duty_of(TimeDelta::days(6), TimeDelta::days(1)), Duty::Refresh(Why::Expiring));
    assert_eq!(duty_of(week, TimeDelta::zero()), Duty::Refresh(Why::Expired));
}

#[test]
fn a_token_of_an_hour_is_replaced_in_its_last_minutes() {
    assert_eq!(duty_of(TimeDelta::minutes(50), TimeDelta::minutes(10)), Duty::None);
    assert_eq!(duty_of(TimeDelta::minutes(52), TimeDelta::minutes(8)), Duty::Refresh(Why::Expiring));
}

#[test]
fn without_a_token_one_is_made_at_once_but_not_twice() {
    assert_eq!(duty(&care(None), None, now()), Duty::Refresh(Why::Absent));
    let waiting = Care { refresh_after: Some(now() + LEASE), ..care(None) };
    assert_eq!(duty(&waiting, None, now()), Duty::None);
    assert_eq!(duty(&waiting, None, now() + LEASE), Duty::Refresh(Why::Absent));
}

#[test]
fn a_token_that_does_not_say_when_it_ends_is_replaced_after_six_days() {
    let token = Token { since: now(), expires_at: None };
    let care = Care { token: Some(token), ..care(None) };
    assert_eq!(duty(&care, None, now() + TimeDelta::hours(143)), Duty::None);
    assert_eq!(duty(&care, None, now() + TimeDelta::days(6)), Duty::Refresh(Why::Expiring));
}

#[test]
fn without_a_secret_there_is_a_warning_from_24_hours_before_the_end_on() {
    let without = |left| Care { has_secret: false, ..care(Some((TimeDelta::days(6), left))) };
    let duty_of = |left, suspicion| duty(&without(left), suspicion, now());
    assert_eq!(duty_of(TimeDelta::hours(25), None), Duty::None);
    assert_eq!(duty_of(TimeDelta::hours(24), None), Duty::Warn);
    assert_eq!(duty_of(TimeDelta::hours(-1), None), Duty::Warn);
    assert_eq!(duty_of(TimeDelta::hours(25), Some(Suspicion { at: now(), fruitless: 0 })), Duty::None);
    assert_eq!(duty(&Care { token: None, ..without(TimeDelta::zero()) }, None, now()), Duty::None);
}

#[test]
fn a_suspicion_causes_at_most_one_refresh_an_interval() {
    let good = care(Some((TimeDelta::days(1), TimeDelta::days(6))));
    let suspicion = |at, fruitless| Some(Suspicion { at, fruitless });
    assert_eq!(duty(&good, suspicion(now(), 0), now()), Duty::Refresh(Why::Suspected));
    let refreshed = Care { refreshed_at: Some(now()), ..good };
    let later = now() + TimeDelta::minutes(9);
    assert_eq!(duty(&refreshed, suspicion(later, 0), later), Duty::None);
    let later = now() + TimeDelta::minutes(10);
    assert_eq!(duty(&refreshed, suspicion(later, 0), later), Duty::Refresh(Why::Suspected));
    assert_eq!(duty(&refreshed, suspicion(now(), 0), later), Duty::None, "it was answered");
    assert_eq!(duty(&refreshed, suspicion(later, 1), later), Duty::None, "the last one was for nothing");
}

#[test]
fn a_token_given_since_answers_a_suspicion() {
    let given = |age| care(Some((age, TimeDelta::days(6))));
    let suspicion = Some(Suspicion { at: now() - TimeDelta::minutes(5), fruitless: 0 });
    assert_eq!(duty(&given(TimeDelta::minutes(4)), suspicion, now()), Duty::None);
    assert_eq!(duty(&given(TimeDelta::minutes(6)), suspicion, now()), Duty::Refresh(Why::Suspected));
}

#[test]
fn a_tokens_own_end_counts_and_an_odd_one_told_beside_it_does_not() {
    let (week, past) = (Some(now() + TimeDelta::days(7)), Some(now() - TimeDelta::days(7)));
    let far = Some(now() + TimeDelta::days(367));
    let told = Some(now() + TimeDelta::days(3));
    for (own, told, end) in [
        (week, past, week),
        (week, told, week),
        (week, None, week),
        (past, told, past),
        (None, told, told),
        (None, past, None),
        (None, Some(now()), None),
        (None, far, None),
        (None, None, None),
    ] {
        assert_eq!(end_of(own, told, now()), end, "{own:?} {told:?}");
    }
}

#[test]
fn a_token_that_has_ended_is_no_answer() {
    assert_eq!(accept(Some(now() - TimeDelta::seconds(1)), now()), Err(AlreadyEnded));
    assert_eq!(accept(Some(now() + TimeDelta::seconds(29)), now()), Err(AlreadyEnded));
    assert_eq!(accept(Some(now() + TimeDelta::minutes(1)), now()), Ok(()));
    assert_eq!(accept(None, now()), Ok(()));
}

#[test]
fn refreshes_are_never_a_loop() {
    let minutes = |at: DateTime<Utc>| (at - now()).num_minutes();
    assert_eq!(minutes(after_success(Some(now() + TimeDelta::days(7)), now())), 10);
    assert_eq!(minutes(after_success(Some(now() + TimeDelta::minutes(4)), now())), 2);
    assert_eq!((after_success(Some(now() - LEAD), now()) - now()).num_seconds(), 30);
    let waits = [1, 2, 3, 6, 7, 1000].map(|failures| minutes(after_failure(failures, Duration::ZERO, now())));
    assert_eq!(waits, [1, 2, 4, 32, 60, 60]);
    assert_eq!(minutes(after_failure(1, Duration::from_hours(3), now())), 180);
}
