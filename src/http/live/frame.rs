//! What goes over the wire: an event as a frame of Server-Sent Events, written once for all who follow.
//!
//! Source: html.spec.whatwg.org, "Server-sent events".

use bytes::Bytes;
use sqlx::PgConnection;

use crate::http::event::details;
use crate::http::problem::Problem;
use crate::model::id::PartnerId;
use crate::store::event::feed::Place;
use crate::store::event::read::Event;

/// The first frame: shows that the stream is open, and has clients wait two seconds before they come back.
pub(super) const HELLO: Bytes = Bytes::from_static(b"retry: 2000\n: events follow\n\n");

/// Keeps the connection alive through proxies and shows the client that it is.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b": nothing new\n\n");

/// An event, ready to be sent.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) place: Place,
    pub(super) partner_id: PartnerId,
    pub(super) order_id: Option<String>,
    pub(super) received_at: chrono::DateTime<chrono::Utc>,
    pub(super) bytes: Bytes,
}

/// Adds to events what was heard and from where, as `GET /v1/events/{id}` answers them.
pub(super) async fn frames(
    conn: &mut PgConnection,
    events: Vec<(Place, Event)>,
) -> Result<Vec<Frame>, Problem> {
    let (places, events): (Vec<Place>, Vec<Event>) = events.into_iter().unzip();
    let heads: Vec<_> = events
        .iter()
        .map(|event| (event.event_id, event.partner_id, event.order_id.clone(), event.received_at))
        .collect();
    let details = details(conn, events).await?;
    let rows = places.into_iter().zip(heads).zip(details);
    rows.map(|((place, (id, partner_id, order_id, received_at)), detail)| {
        let json =
            serde_json::to_string(&detail).map_err(|_| Problem::Internal("an event cannot be written"))?;
        Ok(Frame { place, partner_id, order_id, received_at, bytes: frame(&id.to_string(), &json) })
    })
    .collect()
}

/// A payload may be JSON over several lines, kept as it came: each is a line of data, and the client puts a line feed
/// between them, where JSON takes any white space.
fn frame(id: &str, json: &str) -> Bytes {
    let mut text = String::with_capacity(json.len() + 64);
    text.extend(["id: ", id, "\n"]);
    for line in json.split(['\r', '\n']).filter(|line| !line.is_empty()) {
        text.extend(["data: ", line, "\n"]);
    }
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_over_several_lines_is_one_event() {
        assert_eq!(
            frame("evt_1", "{\"a\":\r\n1,\n\n\"b\":2}"),
            "id: evt_1\ndata: {\"a\":\ndata: 1,\ndata: \"b\":2}\n\n"
        );
    }
}
