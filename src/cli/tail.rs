//! `events tail`: events as they happen, a line each.

use std::io::Write;

use chrono::{DateTime, Utc};

use super::client::{Answer, Client};
use super::feed::Feed;
use super::text::{field, time};
use crate::config::Tail;

/// Prints events until interrupted, or until the relay refuses.
pub(super) async fn tail(asked: &Tail, now: DateTime<Utc>, out: &mut impl Write) -> anyhow::Result<()> {
    let client = Client::new(&asked.remote.place)?;
    let mut feed = Feed::new(client, asked.since, now).only("orderId", asked.order.clone());
    loop {
        print(&feed.next().await?, asked.remote.json, out)?;
    }
}

fn print(event: &Answer, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{}", event.text)?;
    } else {
        let event = &event.value;
        let [at, name] = [time(&field(event, "receivedAt")), field(event, "event")];
        let [status, order, id] = ["status", "orderId", "id"].map(|name| field(event, name));
        writeln!(out, "{at}  {name:24}  {status:32}  {order:36}  {id}")?;
    }
    Ok(out.flush()?)
}
