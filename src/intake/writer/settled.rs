//! What is said of a message whose fate is settled: to whoever waits for it, to its trace, and to the metrics.

use super::super::{Fate, Reply};
use crate::trace::Span;

pub(super) fn end_span(span: Option<&Span>, fate: Fate) {
    if let Some(span) = span {
        span.set("relay.fate", fate.as_str());
        span.end();
    }
}

pub(super) fn settle(reply: Reply, fate: Fate) {
    count(fate);
    // Whoever waits is not told that a message is kept which is not: the reply is dropped.
    if let Some(reply) = reply.filter(|_| fate != Fate::Refused) {
        // The caller may have gone: what it sent is kept all the same.
        let _ = reply.send(fate);
    }
}

pub(super) fn count(fate: Fate) {
    metrics::counter!("relay_intake_messages_total", "fate" => fate.as_str()).increment(1);
}
