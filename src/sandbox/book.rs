//! The orders played so far, as REST will tell them.
//!
//! Guarantees: what was recorded is told at once and unchanged; the memory is bounded, the oldest orders are forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use super::lifecycle::{Snapshot, Step};

/// How many orders are remembered.
const KEPT: usize = 10_000;

/// One row of Get Webhooks (`docs.transak.com/api/public/get-webhooks`).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookRow {
    /// 24 hexadecimal digits, always the same for this event.
    pub id: String,
    partner_api_key: String,
    created_at: String,
    /// The event's name.
    #[serde(rename = "eventID")]
    pub event: &'static str,
    webhook_data: Box<RawValue>,
    webhook_response: Empty,
}

#[derive(Debug, Clone, Serialize)]
struct Empty {}

/// What Get Orders may be asked for. Empty lists and `None` do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `BUY`, `SELL`.
    pub products: Vec<String>,
    /// Statuses.
    pub statuses: Vec<String>,
    /// Exact.
    pub partner_order_id: Option<String>,
    /// First and last day of creation, both included.
    pub days: Option<(NaiveDate, NaiveDate)>,
}

#[derive(Debug)]
struct Played {
    latest: Snapshot,
    created: DateTime<Utc>,
    rows: Vec<WebhookRow>,
}

#[derive(Debug, Default)]
struct Pages {
    orders: HashMap<String, Played>,
    oldest_first: VecDeque<String>,
}

/// The played orders of one partner.
#[derive(Debug)]
pub struct Book {
    api_key: String,
    pages: Mutex<Pages>,
}

impl Book {
    /// An empty one for the partner with this API key.
    pub fn new(api_key: &str) -> Self {
        Self { api_key: api_key.to_owned(), pages: Mutex::default() }
    }

    /// The API key whose orders these are.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step has happened.
    pub fn record(&self, step: &Step) {
        let row = self.row(step);
        let mut pages = self.pages();
        if let Some(played) = pages.orders.get_mut(&step.order.id) {
            played.latest = step.order.clone();
            played.rows.push(row);
            return;
        }
        let played = Played { latest: step.order.clone(), created: step.at, rows: vec![row] };
        pages.orders.insert(step.order.id.clone(), played);
        pages.oldest_first.push_back(step.order.id.clone());
        if pages.oldest_first.len() > KEPT
            && let Some(oldest) = pages.oldest_first.pop_front()
        {
            pages.orders.remove(&oldest);
        }
    }

    fn row(&self, step: &Step) -> WebhookRow {
        let order = step.order.to_webhook_json();
        WebhookRow {
            id: row_id(&step.order.id, step.status),
            partner_api_key: self.api_key.clone(),
            created_at: super::lifecycle::iso(step.at),
            event: step.event,
            webhook_data: RawValue::from_string(order).expect("an order is JSON"),
            webhook_response: Empty {},
        }
    }

    /// The order as Get Order tells it.
    pub fn order(&self, id: &str) -> Option<String> {
        self.pages().orders.get(id).map(|played| played.latest.to_rest_json(&self.api_key))
    }

    /// Any order but this one.
    pub fn another_order(&self, id: &str) -> Option<String> {
        let pages = self.pages();
        let other = pages.orders.values().find(|played| played.latest.id != id);
        other.map(|played| played.latest.to_rest_json(&self.api_key))
    }

    /// The orders that pass the filter, oldest first.
    pub fn orders(&self, filter: &Filter) -> Vec<String> {
        let pages = self.pages();
        let all = pages.oldest_first.iter().filter_map(|id| pages.orders.get(id));
        all.filter(|played| filter.passes(played))
            .map(|played| played.latest.to_rest_json(&self.api_key))
            .collect()
    }

    /// The webhook rows of an order or of all, of one event or of all, newest first.
    pub fn webhooks(&self, order_id: Option<&str>, event: Option<&str>) -> Vec<WebhookRow> {
        let pages = self.pages();
        let orders = pages.oldest_first.iter().rev().filter(|id| order_id.is_none_or(|wanted| wanted == *id));
        let rows = orders.filter_map(|id| pages.orders.get(id)).flat_map(|played| played.rows.iter().rev());
        rows.filter(|row| event.is_none_or(|wanted| wanted == row.event)).cloned().collect()
    }
}

/// 24 hexadecimal digits made of what makes the row unique.
fn row_id(order_id: &str, status: &str) -> String {
    let name = format!("{order_id}/{status}");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let (first, _) = digest.as_ref().split_at(12);
    first.iter().fold(String::with_capacity(24), |text, byte| text + &format!("{byte:02x}"))
}

impl Filter {
    fn passes(&self, played: &Played) -> bool {
        let order = &played.latest;
        let among = |list: &[String], value: &str| list.is_empty() || list.iter().any(|one| one == value);
        let day = played.created.date_naive();
        among(&self.products, order.is_buy_or_sell)
            && among(&self.statuses, order.status)
            && self.partner_order_id.as_ref().is_none_or(|wanted| *wanted == order.partner_order_id)
            && self.days.is_none_or(|(first, last)| (first..=last).contains(&day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::lifecycle::{Ending, Journey, Lifecycle, Plan};

    fn book(journeys: &[Journey]) -> (Book, Vec<String>) {
        let book = Book::new("key");
        let mut random = fastrand::Rng::with_seed(1);
        let mut ids = Vec::new();
        for journey in journeys {
            let life = Lifecycle::new(Plan::new(*journey, Ending::Completed), &mut random);
            ids.push(life.order_id().to_owned());
            life.play_from(DateTime::from_timestamp_millis(1_700_000_000_000).unwrap())
                .iter()
                .for_each(|s| book.record(s));
        }
        (book, ids)
    }

    #[test]
    fn sales_are_asked_for_separately() {
        let (book, ids) = book(&[Journey::BankBuy, Journey::Sell, Journey::Nft]);
        let of = |product: &str| {
            let found = book.orders(&Filter { products: vec![product.to_owned()], ..Filter::default() });
            ids.iter().filter(|id| found.iter().any(|order| order.contains(*id))).collect::<Vec<_>>()
        };
        assert_eq!(of("BUY"), [&ids[0], &ids[2]]);
        assert_eq!(of("SELL"), [&ids[1]]);
    }

    #[test]
    fn the_days_of_a_filter_are_both_included() {
        let (book, _) = book(&[Journey::BankBuy]);
        let found = |first: &str, last: &str| {
            let days = Some((first.parse().unwrap(), last.parse().unwrap()));
            book.orders(&Filter { days, ..Filter::default() }).len()
        };
        assert_eq!(found("2023-11-14", "2023-11-14"), 1);
        assert_eq!(found("2023-11-15", "2023-11-20"), 0);
        assert_eq!(found("2023-11-01", "2023-11-13"), 0);
    }

    #[test]
    fn every_step_is_one_webhook_row_with_an_id_of_its_own() {
        let (book, ids) = book(&[Journey::CardBuy, Journey::Sell]);
        let rows = book.webhooks(Some(&ids[0]), None);
        let mut row_ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
        assert!(row_ids.iter().all(|id| id.len() == 24));
        row_ids.sort();
        row_ids.dedup();
        assert_eq!((rows.len(), row_ids.len()), (4, 4));
        assert_eq!(book.webhooks(Some(&ids[0]), Some("ORDER_PROCESSING")).len(), 2);
        assert_eq!(book.webhooks(None, Some("ORDER_COMPLETED")).len(), 2);
    }

    #[test]
    fn old_orders_are_forgotten() {
        let book = Book::new("key");
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..=KEPT {
            let mut life = Lifecycle::new(Plan::ROUND[0], &mut random);
            book.record(&life.advance(DateTime::UNIX_EPOCH).unwrap());
        }
        assert_eq!(book.webhooks(None, None).len(), KEPT);
    }
}
