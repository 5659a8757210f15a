//! An order as REST tells it: where it stands, and the rows of its `statusHistories`.
//!
//! Rows that cannot be read are left out and counted; they never cost the order.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::rewrite;
use crate::model::order::OrderId;
use crate::model::status::Status;
use crate::transak::claims;
use crate::transak::json::text;
use crate::transak::order;
use crate::transak::time::time;

/// An order as it stands, and how it got there.
#[derive(Debug)]
pub struct RestOrder {
    /// Transak's id.
    pub order_id: String,
    /// Where it stands.
    pub status: Status,
    /// When it last changed, if it says.
    pub updated_at: Option<DateTime<Utc>>,
    /// When it reached its status, if it says.
    pub reached_at: Option<DateTime<Utc>>,
    /// Whose order it is, if it says.
    pub partner_api_key: Option<String>,
    /// Its way, the oldest row first.
    pub history: Vec<HistoryRow>,
    /// Rows that could not be read.
    pub unreadable_rows: usize,
    /// As it came.
    pub raw: Box<RawValue>,
}

/// One row of `statusHistories`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The status that was reached.
    pub status: Status,
    /// When, as it was written.
    pub created_at: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Transak's name for the event.
    pub event: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    partner_api_key: Option<&'a RawValue>,
    #[serde(borrow)]
    status_histories: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    partner_event_id: Option<&'a RawValue>,
}

/// Reads an order of Get Order or Get Orders.
pub fn read(raw: Box<RawValue>) -> Result<RestOrder, claims::Unreadable> {
    let snapshot = order::read(&raw)?;
    let fields: Fields<'_> = serde_json::from_str(raw.get()).map_err(|_| claims::Unreadable::NotAnObject)?;
    let rows = fields.status_histories.map(|rows| serde_json::from_str::<Vec<&RawValue>>(rows.get()));
    let rows = rows.and_then(Result::ok).unwrap_or_default();
    let mut history: Vec<HistoryRow> = rows.iter().filter_map(|row| read_row(row)).collect();
    let unreadable_rows = rows.len() - history.len();
    history.sort_by_key(|row| (row.at, row.status.rank()));
    Ok(RestOrder {
        order_id: snapshot.order_id.as_str().to_owned(),
        status: snapshot.status.clone(),
        updated_at: snapshot.updated_at,
        reached_at: snapshot.reached_at(),
        partner_api_key: text(fields.partner_api_key),
        history,
        unreadable_rows,
        raw,
    })
}

/// The id of an order of whatever shape.
pub fn id(raw: &RawValue) -> Option<OrderId> {
    #[derive(Deserialize)]
    struct Ids<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        #[serde(borrow, rename = "_id")]
        underscore_id: Option<&'a RawValue>,
    }
    let ids: Ids<'_> = serde_json::from_str(raw.get()).ok()?;
    let id = text(ids.id).or_else(|| text(ids.underscore_id))?;
    OrderId::parse(&id)
}

fn read_row(raw: &RawValue) -> Option<HistoryRow> {
    let row: Row<'_> = serde_json::from_str(raw.get()).ok()?;
    let status = Status::parse(&text(row.status)?)?;
    let at = time(row.created_at)?;
    let created_at = text(row.created_at).unwrap_or_else(|| at.to_rfc3339());
    let event = text(row.partner_event_id).filter(|name| claims::is_event_name(name));
    Some(HistoryRow { status, created_at, at, event })
}

impl RestOrder {
    /// The order as this row tells it: its status and `updatedAt` are the row's, every other byte stays.
    pub fn as_of(&self, row: &HistoryRow) -> Option<Bytes> {
        let texts = [("status", row.status.as_str()), ("updatedAt", row.created_at.as_str())];
        rewrite::set(&self.raw, &texts).map(Bytes::from)
    }

    /// Whether something of it happened at `since` or later. In doubt, it did.
    pub fn is_touched_since(&self, since: DateTime<Utc>) -> bool {
        let last = self.history.iter().map(|row| row.at).chain(self.updated_at).max();
        self.unreadable_rows > 0 || last.is_none_or(|last| last >= since)
    }
}

impl RestOrder {
    /// Whether it had begun by the end of this span and had not come to rest before its beginning. In doubt, it was.
    pub fn is_under_way_in(&self, (from, to): (DateTime<Utc>, DateTime<Utc>)) -> bool {
        let begun = self.history.first().is_none_or(|row| row.at <= to);
        begun && self.is_touched_since(from)
    }
}

/// What a row of Get Webhooks is about, where it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// The order.
    pub order_id: Option<String>,
    /// Where the order stood.
    pub status: Option<Status>,
    /// Whose order it is.
    pub partner_api_key: Option<String>,
}

/// Reads what a row of Get Webhooks is about.
pub fn about(webhook: &RawValue) -> About {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row<'a> {
        #[serde(borrow)]
        partner_api_key: Option<&'a RawValue>,
        #[serde(borrow)]
        webhook_data: Option<&'a RawValue>,
    }
    let Ok(row) = serde_json::from_str::<Row<'_>>(webhook.get()) else { return About::default() };
    let snapshot = row.webhook_data.and_then(|data| order::read(data).ok());
    About {
        order_id: snapshot.as_ref().map(|snapshot| snapshot.order_id.as_str().to_owned()),
        status: snapshot.map(|snapshot| snapshot.status),
        partner_api_key: text(row.partner_api_key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> RestOrder {
        read(RawValue::from_string(text.to_owned()).unwrap()).unwrap()
    }

    const ORDER: &str = r#"{"_id":"o1","id":"o1","status":"COMPLETED","updatedAt":"2024-10-15T14:29:19.220Z",
        "partnerApiKey":"key","fiatAmount":45.00,"statusHistories":[
        {"status":"PENDING_DELIVERY_FROM_TRANSAK","createdAt":"2024-10-15T14:29:19.327Z","partnerEventId":"ORDER_PROCESSING"},
        {"status":"AWAITING_PAYMENT_FROM_USER","createdAt":"2024-10-15T14:29:11.104Z","message":"x"}]}"#;

    #[test]
    fn the_way_of_an_order_is_read_oldest_first() {
        let order = order(ORDER);
        let way: Vec<_> =
            order.history.iter().map(|row| (row.status.as_str(), row.event.as_deref())).collect();
        assert_eq!(
            way,
            [
                ("AWAITING_PAYMENT_FROM_USER", None),
                ("PENDING_DELIVERY_FROM_TRANSAK", Some("ORDER_PROCESSING"))
            ]
        );
        assert_eq!(order.partner_api_key.as_deref(), Some("key"));
    }

    #[test]
    fn an_order_as_of_a_row_has_that_rows_status_and_time() {
        let order = order(ORDER);
        let then = order.as_of(&order.history[0]).unwrap();
        let then = order::read(serde_json::from_slice(&then).unwrap()).unwrap();
        assert_eq!(then.status.as_str(), "AWAITING_PAYMENT_FROM_USER");
        assert_eq!(then.updated_at, Some(order.history[0].at));
        assert_eq!(then.details.fiat_amount.unwrap().as_json(), "45.00");
    }

    #[test]
    fn a_row_of_another_shape_costs_itself_only() {
        let order = order(
            r#"{"id":"o","status":"S","statusHistories":[5,{},{"status":"A","createdAt":"soon"},{"status":7},
            {"status":"A","createdAt":"2024-10-15T14:29:11.104Z","partnerEventId":"rm -rf"}]}"#,
        );
        assert_eq!((order.history.len(), order.unreadable_rows), (1, 4));
        assert_eq!(order.history[0].event, None);
    }

    #[test]
    fn an_order_that_does_not_say_when_it_changed_counts_as_touched() {
        let since = "2030-01-01T00:00:00Z".parse().unwrap();
        assert!(order(r#"{"id":"o","status":"S"}"#).is_touched_since(since));
        assert!(order(r#"{"id":"o","status":"S","statusHistories":{}}"#).is_touched_since(since));
        assert!(!order(ORDER).is_touched_since(since));
        assert!(order(ORDER).is_touched_since("2024-10-15T14:29:19.300Z".parse().unwrap()));
    }

    #[test]
    fn an_order_is_under_way_from_its_first_row_to_its_last_change() {
        let at = |time: &str| format!("2024-10-15T{time}Z").parse().unwrap();
        let way = r#"{"id":"o","status":"COMPLETED","updatedAt":"2024-10-15T12:02:00Z","statusHistories":[
            {"status":"PROCESSING","createdAt":"2024-10-15T12:00:00Z"},
            {"status":"COMPLETED","createdAt":"2024-10-15T12:01:00Z"}]}"#;
        let under_way = |from: &str, to: &str| order(way).is_under_way_in((at(from), at(to)));
        assert!(under_way("11:00:00", "12:00:00") && under_way("12:02:00", "13:00:00"));
        assert!(!under_way("11:00:00", "11:59:59") && !under_way("12:02:01", "13:00:00"));
        let silent = order(r#"{"id":"o","status":"S"}"#);
        assert!(silent.is_under_way_in((at("11:00:00"), at("12:00:00"))), "it does not say");
    }

    #[test]
    fn an_order_that_cannot_be_read_may_still_have_an_id() {
        let id = |text: &str| id(&RawValue::from_string(text.to_owned()).unwrap());
        for order in
            [r#"{"id":"o1","status":7}"#, r#"{"_id":"o1"}"#, r#"{"id":{},"_id":"o1","statusHistories":7}"#]
        {
            assert_eq!(id(order).unwrap().as_str(), "o1", "{order}");
        }
        for order in ["7", "[]", "{}", r#"{"id":""}"#] {
            assert_eq!(id(order), None, "{order}");
        }
    }

    #[test]
    fn a_webhook_row_says_whose_and_which() {
        let row =
            r#"{"id":"x","partnerApiKey":"k","webhookData":{"id":"o1","status":"S"},"webhookResponse":{}}"#;
        let about_row = about(serde_json::from_str(row).unwrap());
        assert_eq!(
            (about_row.order_id.as_deref(), about_row.partner_api_key.as_deref()),
            (Some("o1"), Some("k"))
        );
        assert_eq!(about(serde_json::from_str("[]").unwrap()), About::default());
    }
}
