//! What the claims of a verified message hold, whichever way they are wrapped.
//!
//! What wraps what is decided by what is inside: an order is an object with an id and a status, the state of a user's
//! verification (KYC) one with a `kycStatus`. Such an object counts wherever it stands: at the root (the stream), in a
//! member (`webhookData` of the webhook, docs.transak.com/features/webhooks; `data` of the KYC webhook), in a member of a
//! member, or as JSON text in a string. The one that is wrapped least counts, so what an order contains is part of it.
//! The name and time of the event are those that stand nearest to it. What is found is kept byte for byte.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::json::{self, id, members, pick, text};
use super::time::time;

/// So deep is looked for what is wrapped, and so often may a text be quoted.
const DEEPEST: usize = 4;

/// So many objects are looked into: whoever sends a message chooses how many there are.
const MOST: usize = 1000;

/// What a message is about.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// The order object, or the event's own data, as it came.
    pub body: Cow<'a, RawValue>,
    /// The event name, if the claims carry one.
    pub event: Option<String>,
    /// When Transak triggered the message, if the claims say.
    pub triggered_at: Option<DateTime<Utc>>,
    /// What the body is.
    pub about: About,
}

/// What the body of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// An order.
    Order,
    /// The verification of a user, which belongs to no order.
    Kyc,
}

/// Why verified claims could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("it holds no order: there is no object with an id and a status, and none with a kycStatus")]
    NoOrder,
    #[error("the order has no id that can be kept (1 to 200 bytes, no NUL)")]
    NoOrderId,
    #[error("the order has no status that can be kept (1 to 100 bytes, no NUL)")]
    NoStatus,
}

/// An object on the way from the outside in.
struct Layer<'a> {
    object: Cow<'a, RawValue>,
    event: Option<String>,
    /// `createdAt` of what is around it.
    triggered_at: Option<DateTime<Utc>>,
}

/// Finds what `claims` are about.
pub fn read(claims: &RawValue) -> Result<Message<'_>, Unreadable> {
    let root = object(claims).ok_or(Unreadable::NotAnObject)?;
    let mut layers = vec![Layer { object: root, event: None, triggered_at: None }];
    let (mut lacking, mut named, mut left) = (Unreadable::NoOrder, None, MOST);
    for _ in 0..DEEPEST {
        let mut inside = Vec::new();
        for mut layer in layers {
            match layer.look() {
                Ok(about) => return Ok(layer.message(about)),
                Err(Unreadable::NoOrder) => {}
                Err(lacks) => lacking = lacks,
            }
            if named.is_none() && layer.is_kyc_by_name() {
                named = Some(Layer { object: layer.object.clone(), event: layer.event.clone(), ..layer });
            }
            inside.extend(layer.inside(&mut left));
        }
        layers = inside;
    }
    // An event of a name that says enough is kept whatever it tells.
    named.map(|layer| layer.message(About::Kyc)).ok_or(lacking)
}

impl<'a> Layer<'a> {
    /// What it is, with the name that stands in it; or what it lacks.
    fn look(&mut self) -> Result<About, Unreadable> {
        let names = ["id", "_id", "status", "kycStatus", "eventID", "event"];
        let [plain, underscore, status, kyc, event_id, event] =
            pick(&self.object, &names).ok_or(Unreadable::NoOrder)?;
        let own = [event_id, event].into_iter().filter_map(text).find(|name| is_event_name(name));
        let has_id = id(plain).or_else(|| id(underscore)).is_some();
        let (has_status, has_kyc) = (text(status).is_some(), text(kyc).is_some());
        self.event = own.or_else(|| self.event.take());
        match (has_id, has_status) {
            _ if has_kyc && self.is_kyc_by_name() => Ok(About::Kyc),
            (true, true) => Ok(About::Order),
            _ if has_kyc => Ok(About::Kyc),
            (true, false) => Err(Unreadable::NoStatus),
            (false, true) => Err(Unreadable::NoOrderId),
            (false, false) => Err(Unreadable::NoOrder),
        }
    }

    fn is_kyc_by_name(&self) -> bool {
        self.event.as_deref().is_some_and(|name| name.starts_with("KYC_"))
    }

    fn message(self, about: About) -> Message<'a> {
        Message { body: self.object, event: self.event, triggered_at: self.triggered_at, about }
    }

    /// The objects in its members. Where several hold what is looked for, the names that Transak uses come first.
    fn inside(self, left: &mut usize) -> Vec<Self> {
        let (triggered_at, objects) = match &self.object {
            Cow::Borrowed(object) => objects_in(object),
            Cow::Owned(object) => {
                let (at, objects) = objects_in(object);
                (at, objects.into_iter().map(|object| Cow::Owned(object.into_owned())).collect())
            }
        };
        let triggered_at = triggered_at.or(self.triggered_at);
        let most = objects.len().min(*left);
        *left -= most;
        let layer = |object| Layer { object, event: self.event.clone(), triggered_at };
        objects.into_iter().take(most).map(layer).collect()
    }
}

/// When an object says that it was made, and the objects in its members.
fn objects_in(object: &RawValue) -> (Option<DateTime<Utc>>, Vec<Cow<'_, RawValue>>) {
    let Some(members) = members(object) else { return (None, Vec::new()) };
    let made_at = time(members.get("createdAt").copied());
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_by_key(|(name, _)| match name.as_str() {
        "webhookData" => 0,
        "data" => 1,
        _ => 2,
    });
    (made_at, members.into_iter().filter_map(|(_, value)| self::object(value)).collect())
}

/// The object that a value is, or that its text is.
fn object(value: &RawValue) -> Option<Cow<'_, RawValue>> {
    let mut value = Cow::Borrowed(value);
    for _ in 0..=DEEPEST {
        match value.get().as_bytes().first()? {
            b'{' => return Some(value),
            b'"' => {
                let text: String = serde_json::from_str(value.get()).ok()?;
                value = Cow::Owned(json::read(text.as_bytes())?);
            }
            _ => return None,
        }
    }
    None
}

/// The event name that a `kycStatus` stands for.
pub fn kyc_name(body: &RawValue) -> Option<String> {
    let [status] = pick(body, &["kycStatus"])?;
    Some(format!("KYC_{}", text(status)?.to_ascii_uppercase())).filter(|name| is_event_name(name))
}

/// A name as Transak's event tables write them. Pusher's own events, and order ids in their place, are none.
pub fn is_event_name(name: &str) -> bool {
    let written_well = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    written_well && name.len() <= 100 && (name.starts_with("ORDER_") || name.starts_with("KYC_"))
}

#[cfg(test)]
mod tests;
