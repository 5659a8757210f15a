//! What a partner may say about an endpoint, checked as a whole so that every wrong field is named at once.

use serde::Deserialize;
use utoipa::ToSchema;

use super::pace::{DEFAULT_MAX_IN_FLIGHT, RateLimit, apply_pace};
use super::proof::{DEFAULT_SIGNATURES, TlsSettings, apply_proofs};
use crate::http::body::Object;
use crate::http::field::{Pairs, Secret, Text};
use crate::http::partner::never_null;
use crate::http::problem::{FieldError, Problem};
use crate::http::suggest::did_you_mean;
use crate::model::callback_url::{CallbackUrl, UrlPolicy};
use crate::model::change::Change;
use crate::model::endpoint::{EVENTS, PayloadFormat, STATUSES, SignatureVersion};
use crate::model::header::CallbackHeaders;
use crate::model::id::{EndpointId, PartnerId};
use crate::model::redact::Redaction;
use crate::model::retry::RetrySchedule;
use crate::model::seal::MasterKey;
use crate::store::endpoint::{EndpointSettings, headers_context};

/// Bounds of `timeoutMs`, and what it is if nobody says: milliseconds from connecting to the last byte.
const TIMEOUT_MS: std::ops::RangeInclusive<i32> = 100..=crate::model::delivery::MAX_TIMEOUT_MS;
const DEFAULT_TIMEOUT_MS: i32 = 15_000;

/// An endpoint to be registered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewEndpoint {
    /// Where callbacks are sent: https, a public host, no user or password, no fragment.
    #[schema(format = Uri, max_length = 2048, example = "https://example.com/callback")]
    url: String,
    /// For people.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    description: Option<Text<500>>,
    /// The events to send; left out: all.
    #[schema(min_items = 1, example = json!(["ORDER_COMPLETED", "ORDER_FAILED"]))]
    events: Option<Vec<String>>,
    /// The statuses to send; left out: all.
    #[schema(min_items = 1, example = json!(["COMPLETED"]))]
    statuses: Option<Vec<String>>,
    format: Option<PayloadFormat>,
    /// Headers to add to callbacks, like `authorization`. Values never come out again.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>, write_only)]
    headers: Option<Pairs>,
    /// Milliseconds from connecting to the answer's last byte.
    #[schema(minimum = 100, maximum = 30000, default = 15000)]
    timeout_ms: Option<i32>,
    /// Seconds to wait after each failed try; an empty list means one try. Each wait varies by ±10 %.
    #[schema(max_items = 50, default = json!([5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]))]
    retry_schedule: Option<Vec<u64>>,
    /// JSON pointers to values of the order that are sent as null; `*` stands for every element.
    #[schema(max_items = 50, example = json!(["/ipAddress", "/statusHistories/*/message"]))]
    redact: Option<Vec<String>>,
    /// The most requests at once.
    #[schema(minimum = 1, maximum = 1000, default = 16)]
    max_in_flight: Option<i32>,
    /// How fast at most; left out: as fast as it answers.
    #[schema(value_type = Option<RateLimit>)]
    rate_limit: Option<Object<RateLimit>>,
    /// One request at a time for each order, in the order in which its events were heard. One that fails is tried again
    /// before those behind it are sent; one that is given up lets them pass.
    ordered: Option<bool>,
    /// How callbacks are signed; each adds its own to the header. With `v1a` the answer has a `publicKey`.
    #[schema(min_items = 1, max_items = 2, default = json!(["v1"]))]
    signatures: Option<Vec<SignatureVersion>>,
    /// A certificate for receivers that ask for one, and a private authority.
    #[schema(value_type = Option<TlsSettings>, write_only)]
    tls: Option<Object<TlsSettings>>,
    /// A signing secret you bring along; left out: one is made.
    #[schema(
        value_type = Option<String>,
        pattern = "^whsec_([A-Za-z0-9+/]{4}){8,20}([A-Za-z0-9+/]{4}([A-Za-z0-9+/][AQgw]==)?|[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
        write_only
    )]
    pub(super) secret: Option<Secret>,
    /// With an admin token: whose endpoint it is.
    pub(super) partner_id: Option<PartnerId>,
}

/// What changes of an endpoint: what is left out stays, null is the default again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EndpointPatch {
    /// Where callbacks are sent from now on.
    #[schema(value_type = String, format = Uri, max_length = 2048)]
    #[serde(default)]
    url: Change<String>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    #[serde(default)]
    description: Change<Text<500>>,
    /// The events to send; null: all.
    #[schema(value_type = Option<Vec<String>>, min_items = 1)]
    #[serde(default)]
    events: Change<Vec<String>>,
    /// The statuses to send; null: all.
    #[schema(value_type = Option<Vec<String>>, min_items = 1)]
    #[serde(default)]
    statuses: Change<Vec<String>>,
    #[schema(value_type = Option<PayloadFormat>)]
    #[serde(default)]
    format: Change<PayloadFormat>,
    /// All headers to add to callbacks from now on; null: none.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>, write_only)]
    #[serde(default)]
    headers: Change<Pairs>,
    /// Milliseconds from connecting to the answer's last byte.
    #[schema(value_type = Option<i32>, minimum = 100, maximum = 30000)]
    #[serde(default)]
    timeout_ms: Change<i32>,
    /// Seconds to wait after each failed try.
    #[schema(value_type = Option<Vec<u64>>, max_items = 50)]
    #[serde(default)]
    retry_schedule: Change<Vec<u64>>,
    /// JSON pointers to values of the order that are sent as null.
    #[schema(value_type = Option<Vec<String>>, max_items = 50)]
    #[serde(default)]
    redact: Change<Vec<String>>,
    /// The most requests at once.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000)]
    #[serde(default)]
    max_in_flight: Change<i32>,
    /// How fast at most; null: as fast as it answers.
    #[schema(value_type = Option<RateLimit>)]
    #[serde(default)]
    rate_limit: Change<Object<RateLimit>>,
    /// One request at a time for each order.
    #[schema(value_type = Option<bool>)]
    #[serde(default)]
    ordered: Change<bool>,
    /// How callbacks are signed from now on. A key pair that was made stays the same.
    #[schema(value_type = Option<Vec<SignatureVersion>>, min_items = 1, max_items = 2)]
    #[serde(default)]
    signatures: Change<Vec<SignatureVersion>>,
    /// All of it from now on; null: the usual authorities and no certificate.
    #[schema(value_type = Option<TlsSettings>, write_only)]
    #[serde(default)]
    tls: Change<Object<TlsSettings>>,
}

impl NewEndpoint {
    /// What it says, as changes of [`defaults`].
    pub(super) fn into_patch(self) -> EndpointPatch {
        EndpointPatch {
            url: Change::Set(self.url),
            description: self.description.into(),
            events: self.events.into(),
            statuses: self.statuses.into(),
            format: self.format.into(),
            headers: self.headers.into(),
            timeout_ms: self.timeout_ms.into(),
            retry_schedule: self.retry_schedule.into(),
            redact: self.redact.into(),
            max_in_flight: self.max_in_flight.into(),
            rate_limit: self.rate_limit.into(),
            ordered: self.ordered.into(),
            signatures: self.signatures.into(),
            tls: self.tls.into(),
        }
    }
}

/// An endpoint of which nobody has said anything, its URL included.
pub(super) fn defaults() -> EndpointSettings {
    EndpointSettings {
        url: String::new(),
        description: None,
        events: None,
        statuses: None,
        format: PayloadFormat::default(),
        headers: None,
        timeout_ms: DEFAULT_TIMEOUT_MS,
        retry_schedule: seconds(&RetrySchedule::default()),
        redact: Vec::new(),
        max_in_flight: DEFAULT_MAX_IN_FLIGHT,
        rate: None,
        ordered: false,
        signatures: DEFAULT_SIGNATURES.to_vec(),
        tls: None,
    }
}

/// What is needed to judge and to seal what a partner says.
pub(super) struct Judge<'a> {
    pub(super) policy: &'a UrlPolicy,
    pub(super) key: &'a MasterKey,
    pub(super) endpoint_id: EndpointId,
}

impl EndpointPatch {
    /// Applies the changes, or names every field that is not what it must be.
    pub(super) fn apply(
        self,
        mut to: EndpointSettings,
        judge: &Judge<'_>,
    ) -> Result<EndpointSettings, Problem> {
        let errors = &mut Vec::new();
        if let Some(url) = never_null("url", self.url, errors) {
            let url = CallbackUrl::parse(&url, judge.policy);
            to.url = checked("url", url, errors).map_or(to.url, |url| url.as_str().to_owned());
        }
        set(&mut to.description, self.description.map(|text| text.0), || None, Some);
        set(&mut to.events, names("events", self.events, &EVENTS, errors), || None, Some);
        set(&mut to.statuses, names("statuses", self.statuses, &STATUSES, errors), || None, Some);
        set(&mut to.format, self.format, PayloadFormat::default, |format| format);
        let headers = check("headers", self.headers, errors, |pairs| {
            let pairs = pairs.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            CallbackHeaders::parse(pairs)
        });
        set(&mut to.headers, headers, || None, |headers| judge.seal(&headers));
        let timeout = check("timeoutMs", self.timeout_ms, errors, |ms| {
            let (least, most) = (TIMEOUT_MS.start(), TIMEOUT_MS.end());
            TIMEOUT_MS.contains(&ms).then_some(ms).ok_or_else(|| format!("must be from {least} to {most}"))
        });
        set(&mut to.timeout_ms, timeout, || DEFAULT_TIMEOUT_MS, |ms| ms);
        let schedule =
            check("retrySchedule", self.retry_schedule, errors, |waits| RetrySchedule::parse(&waits));
        set(&mut to.retry_schedule, schedule, || seconds(&RetrySchedule::default()), |waits| seconds(&waits));
        let redact = check("redact", self.redact, errors, |pointers| Redaction::parse(&pointers));
        set(&mut to.redact, redact, Vec::new, |redaction| redaction.pointers().to_vec());
        apply_pace(self.max_in_flight, self.rate_limit, &mut to, errors);
        set(&mut to.ordered, self.ordered, || false, |ordered| ordered);
        apply_proofs((self.signatures, self.tls), &mut to, judge, errors);
        if errors.is_empty() { Ok(to) } else { Err(Problem::Validation(std::mem::take(errors))) }
    }
}

impl Judge<'_> {
    /// The headers as they are stored; none at all need no seal.
    fn seal(&self, headers: &CallbackHeaders) -> Option<Vec<u8>> {
        let pairs: serde_json::Map<_, _> =
            headers.expose().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let json = serde_json::Value::from(pairs).to_string();
        let some = headers.expose().next().is_some();
        some.then(|| self.key.seal(&headers_context(self.endpoint_id), json.as_bytes()))
    }
}

fn seconds(schedule: &RetrySchedule) -> Vec<i32> {
    schedule.seconds().map(|wait| i32::try_from(wait).unwrap_or(i32::MAX)).collect()
}

pub(super) fn set<T, U>(
    slot: &mut U,
    change: Change<T>,
    default: impl FnOnce() -> U,
    value: impl FnOnce(T) -> U,
) {
    match change {
        Change::Keep => {}
        Change::Clear => *slot = default(),
        Change::Set(new) => *slot = value(new),
    }
}

pub(super) fn check<T, U, E: ToString>(
    field: &str,
    change: Change<T>,
    errors: &mut Vec<FieldError>,
    judge: impl FnOnce(T) -> Result<U, E>,
) -> Change<U> {
    match change {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(value) => checked(field, judge(value), errors).into(),
    }
}

pub(super) fn checked<T, E: ToString>(
    field: &str,
    judged: Result<T, E>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    judged.map_err(|error| errors.push(FieldError::new(field, error.to_string()))).ok()
}

/// Names out of a closed set, each once.
fn names(
    field: &str,
    change: Change<Vec<String>>,
    known: &[&str],
    errors: &mut Vec<FieldError>,
) -> Change<Vec<String>> {
    let Change::Set(names) = change else { return change };
    if names.is_empty() {
        errors.push(FieldError::new(field, "must name at least one; leave it out for all"));
    }
    for (at, name) in names.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            errors.push(FieldError::new(
                format!("{field}[{at}]"),
                format!("must be one of {}{}", known.join(", "), did_you_mean(name, known.iter().copied())),
            ));
        }
    }
    Change::Set(
        known.iter().filter(|name| names.iter().any(|n| n == *name)).map(|&name| name.to_owned()).collect(),
    )
}
