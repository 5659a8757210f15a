//! An order's timeline, drawn as a table: what happened, how long it lasted, how it was learned, who was told.

use std::io::Write;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::text::{columns, duration, field, time};

/// Draws the answer of `GET /v1/orders/{id}/timeline`.
pub(super) fn draw(timeline: &Value, out: &mut impl Write) -> anyhow::Result<()> {
    let own = field(timeline, "partnerOrderId");
    let own = if own.is_empty() { own } else { format!(" ({own})") };
    let over = if timeline["terminal"] == true { ", over" } else { "" };
    writeln!(out, "order {}{own}: {}{over}\n", field(timeline, "orderId"), field(timeline, "status"))?;
    let head = ["OCCURRED (UTC)", "STATUS", "LASTED", "HEARD", "TOLD"].map(str::to_owned).to_vec();
    let entries = rows(&timeline["entries"]);
    let table: Vec<_> = std::iter::once(head).chain(entries.iter().flat_map(entry)).collect();
    columns(&table, out)?;
    for gap in rows(&timeline["gaps"]) {
        let to = gap["to"].as_str().map_or("now".to_owned(), time);
        let repaired = gap["repairedAt"].as_str().map(time);
        let repaired = repaired.map_or("not repaired yet".to_owned(), |at| format!("repaired {at}"));
        writeln!(out, "\nnot listening {} to {to}: {repaired}", time(&field(&gap, "from")))?;
    }
    Ok(())
}

fn rows(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}

/// The lines of one entry: the first says what happened, each delivery beyond the first has one of its own.
fn entry(entry: &Value) -> Vec<Vec<String>> {
    let status = entry["status"].as_str().map_or_else(|| field(entry, "event"), |_| field(entry, "status"));
    let lasted = entry["durationMs"].as_i64().map(duration).unwrap_or_default();
    let mut told: Vec<String> = rows(&entry["deliveries"]).iter().map(|one| delivery(one, entry)).collect();
    if told.is_empty() {
        told.push("nobody".to_owned());
    }
    let mut lines: Vec<Vec<String>> = Vec::new();
    for (at, told) in told.into_iter().enumerate() {
        lines.push(match at {
            0 => vec![time(&field(entry, "occurredAt")), status.clone(), lasted.clone(), heard(entry), told],
            _ => [String::new(), String::new(), String::new(), String::new(), told].to_vec(),
        });
    }
    let anomaly = field(entry, "anomaly");
    if !anomaly.is_empty() {
        lines.push(vec![String::new(), format!("! {anomaly}")]);
    }
    lines
}

/// From where, and how long after it occurred: `stream +0.412s, webhook`.
fn heard(entry: &Value) -> String {
    let mut sources: Vec<String> = Vec::new();
    for sighting in rows(&entry["sightings"]) {
        let source = field(&sighting, "source");
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    if let (Some(first), Some(after)) =
        (sources.first_mut(), between(entry, "occurredAt", &entry["receivedAt"]))
    {
        first.push_str(" +");
        first.push_str(&after);
    }
    sources.join(", ")
}

/// To whom, with what answer: `ep_… succeeded 200 +1.204s (2 attempts)`.
fn delivery(delivery: &Value, entry: &Value) -> String {
    let mut words =
        vec![field(delivery, "endpointId"), field(delivery, "state"), field(delivery, "lastStatusCode")];
    let after = between(entry, "receivedAt", &delivery["deliveredAt"]);
    words.extend(after.map(|after| format!("+{after}")));
    if let Some(attempts) = delivery["attempts"].as_u64().filter(|&attempts| attempts != 1) {
        words.push(format!("({attempts} attempts)"));
    }
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

fn between(entry: &Value, from: &str, to: &Value) -> Option<String> {
    let from: DateTime<Utc> = entry[from].as_str()?.parse().ok()?;
    let to: DateTime<Utc> = to.as_str()?.parse().ok()?;
    Some(duration((to - from).num_milliseconds().max(0)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_timeline_is_a_table_with_durations() {
        let timeline = json!({
            "orderId": "o1", "partnerOrderId": "po-1", "status": "COMPLETED", "terminal": true,
            "entries": [
                {"eventId": "evt_1", "event": "ORDER_PROCESSING", "status": "PROCESSING",
                 "occurredAt": "2026-04-04T13:11:48.374Z", "receivedAt": "2026-04-04T13:11:48.500Z",
                 "sightings": [{"source": "stream", "at": "2026-04-04T13:11:48.500Z"}], "durationMs": 61000,
                 "anomaly": "from nowhere", "deliveries": []},
                {"eventId": "evt_2", "event": "ORDER_COMPLETED", "status": "COMPLETED",
                 "occurredAt": "2026-04-04T13:12:49.374Z", "receivedAt": "2026-04-04T13:12:50.374Z",
                 "sightings": [{"source": "stream", "at": "x"}, {"source": "webhook", "at": "x"}, {"source": "stream", "at": "x"}],
                 "durationMs": null, "anomaly": null,
                 "deliveries": [
                    {"endpointId": "ep_1", "state": "succeeded", "attempts": 2, "lastStatusCode": 200, "deliveredAt": "2026-04-04T13:12:51.374Z"},
                    {"endpointId": "ep_2", "state": "pending", "attempts": 0, "lastStatusCode": null, "deliveredAt": null}]},
            ],
            "gaps": [{"from": "2026-04-04T13:00:00.000Z", "to": null, "repairedAt": null}],
        });
        let mut out = Vec::new();
        draw(&timeline, &mut out).unwrap();
        let expected = "\
order o1 (po-1): COMPLETED, over

OCCURRED (UTC)           STATUS          LASTED  HEARD                    TOLD
2026-04-04 13:11:48.374  PROCESSING      1m 1s   stream +0.126s           nobody
                         ! from nowhere
2026-04-04 13:12:49.374  COMPLETED               stream +1.000s, webhook  ep_1 succeeded 200 +1.000s (2 attempts)
                                                                          ep_2 pending (0 attempts)

not listening 2026-04-04 13:00:00.000 to now: not repaired yet
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
