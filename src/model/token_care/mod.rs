//! When an access token is replaced, and when somebody has to be told that nobody can.
//!
//! Transak's tokens last seven days (docs.transak.com/api/public/refresh-access-token), which asks not to refresh without
//! need; and a refresh may end the token before it, which others may still use. So a token is replaced once, shortly
//! before it ends, and out of turn only if messages stop to verify.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The longest time before its end that a token is replaced.
const LEAD: TimeDelta = TimeDelta::days(1);

/// How long a token that does not say is taken to last, less the lead.
const UNSAID: TimeDelta = TimeDelta::days(6);

/// Two refreshes of a partner are at least this far apart.
pub const INTERVAL: TimeDelta = TimeDelta::minutes(10);

/// How long one process has for a refresh before another may try.
pub const LEASE: TimeDelta = TimeDelta::minutes(1);

/// No access token lasts longer: Transak's last seven days.
const LONGEST: TimeDelta = TimeDelta::days(366);

/// A token that ends sooner than this is as good as ended.
const USELESS: TimeDelta = TimeDelta::seconds(30);

/// What is known of a partner's newest access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Since when the relay has it.
    pub since: DateTime<Utc>,
    /// When it ends, if it says.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What is known of a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Care {
    /// New tokens can be made.
    pub has_secret: bool,
    /// The newest token.
    pub token: Option<Token>,
    /// When the relay last made one.
    pub refreshed_at: Option<DateTime<Utc>>,
    /// Nobody tries before.
    pub refresh_after: Option<DateTime<Utc>>,
}

/// Why a token is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There is none.
    Absent,
    /// It has ended.
    Expired,
    /// It ends soon.
    Expiring,
    /// Messages do not verify any more.
    Suspected,
}

impl Why {
    /// One word of a closed set, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Expired => "expired",
            Self::Expiring => "expiring",
            Self::Suspected => "suspected",
        }
    }
}

/// What is to be done for a partner now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Nothing.
    None,
    /// Make a new token.
    Refresh(Why),
    /// Tell somebody: the token ends within 24 hours, or has ended, and nobody but the partner can make another.
    Warn,
}

/// Messages of a partner that did not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// When the newest of them came.
    pub at: DateTime<Utc>,
    /// How many refreshes in a row made no message verify.
    pub fruitless: u32,
}

/// Decides.
pub fn duty(care: &Care, suspicion: Option<Suspicion>, now: DateTime<Utc>) -> Duty {
    let why = replace(care, now)
        .or_else(|| suspicion.filter(|one| is_due(care, *one, now)).map(|_| Why::Suspected));
    match why {
        Some(why) if care.has_secret => {
            let waits = care.refresh_after.is_some_and(|after| after > now);
            if waits { Duty::None } else { Duty::Refresh(why) }
        }
        _ if !care.has_secret && ends_by(care, now + TimeDelta::hours(24)) => Duty::Warn,
        _ => Duty::None,
    }
}

fn ends_by(care: &Care, at: DateTime<Utc>) -> bool {
    care.token.and_then(|token| token.expires_at).is_some_and(|end| end <= at)
}

fn replace(care: &Care, now: DateTime<Utc>) -> Option<Why> {
    let Some(token) = care.token else { return Some(Why::Absent) };
    let since = care.refreshed_at.map_or(token.since, |at| at.max(token.since));
    let Some(end) = token.expires_at else {
        return (now >= since + UNSAID).then_some(Why::Expiring);
    };
    if end <= now {
        return Some(Why::Expired);
    }
    // Of seven days the last one; of a shorter life the same share.
    let lead = ((end - since) / 7).clamp(TimeDelta::zero(), LEAD);
    (now >= end - lead).then_some(Why::Expiring)
}

/// A suspicion that neither a refresh nor a token given by hand has answered yet. Strangers can raise one with a forged
/// webhook, so fruitless refreshes become rarer.
fn is_due(care: &Care, suspicion: Suspicion, now: DateTime<Utc>) -> bool {
    let answered = care.refreshed_at.max(care.token.map(|token| token.since));
    let wait = INTERVAL * 2_i32.pow(suspicion.fruitless.min(6));
    answered.is_none_or(|at| suspicion.at > at) && care.refreshed_at.is_none_or(|at| now >= at + wait)
}

/// What makes somebody look after a partner's token.
#[derive(Debug, Clone, Copy)]
pub struct Keeping<'a> {
    /// New tokens can be made.
    pub has_secret: bool,
    /// There is a token.
    pub has_token: bool,
    /// When the newest token ends or has ended, if it says.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why the last refresh failed, if it did.
    pub error: Option<&'a str>,
}

/// Why somebody has to look after a token that ends within 24 hours, has ended, or is not there; a sentence.
pub fn worry(keeping: &Keeping<'_>, now: DateTime<Utc>) -> Option<String> {
    let ends = keeping.expires_at.filter(|end| *end <= now + TimeDelta::hours(24));
    let when = match ends {
        Some(end) if end <= now => format!("the access token ended at {}", second(end)),
        Some(end) => format!("the access token ends at {}", second(end)),
        None if keeping.has_secret && !keeping.has_token => "there is no access token".to_owned(),
        None => return None,
    };
    match (keeping.has_secret, keeping.error) {
        (true, Some(error)) => Some(format!("{when} and could not be replaced: {error}")),
        (true, None) => None,
        (false, _) => {
            Some(format!("{when}: there is no API secret to make another with, so give the next one"))
        }
    }
}

fn second(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// When a new token ends. Its own word counts; what the answer told beside it counts for a token that does not say, and
/// only if it can be true: a wrong date must cost no good token.
pub fn end_of(
    own: Option<DateTime<Utc>>,
    told: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    own.or_else(|| told.filter(|end| (now + USELESS..=now + LONGEST).contains(end)))
}

/// Why the answer to a refresh is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the new access token has already ended")]
pub struct AlreadyEnded;

/// Whether a new token is one to use.
pub fn accept(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), AlreadyEnded> {
    if expires_at.is_some_and(|end| end <= now + USELESS) { Err(AlreadyEnded) } else { Ok(()) }
}

/// When the next refresh may begin after one that brought a token with this end. A token that lasts no longer than the
/// interval is replaced halfway.
pub fn after_success(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    let half = expires_at.map_or(INTERVAL, |end| (end - now) / 2);
    now + half.clamp(USELESS, INTERVAL)
}

/// When the next refresh may begin after `failures` in a row: from a minute, doubled each time, up to an hour.
pub fn after_failure(failures: u32, asked: Duration, now: DateTime<Utc>) -> DateTime<Utc> {
    let doubled = Duration::from_mins(1) * 2_u32.pow(failures.saturating_sub(1).min(6));
    let pause = doubled.min(Duration::from_hours(1)).max(asked);
    now + TimeDelta::from_std(pause).unwrap_or(LEAD)
}

#[cfg(test)]
mod tests;
