//! Spans of traces, from hearing a message until it was answered.
//!
//! Guarantees: while nobody asked for traces ([`turn_on`]) nothing here costs more than reading a flag. Spans carry ids of
//! ours, kinds and counts: no payload, no order's data, no address of a receiver.
//! Does not guarantee: that a span arrives. What collects them may be away, and nothing waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use chrono::{DateTime, Utc};
pub use opentelemetry::KeyValue;
pub use opentelemetry::trace::SpanKind;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use opentelemetry::{Context, Value, global};

use crate::model::trace::TraceContext;

static ON: AtomicBool = AtomicBool::new(false);

/// Says that somebody collects spans: from now on they are made.
pub fn turn_on() {
    ON.store(true, Ordering::Relaxed);
}

/// Whether spans are made.
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// A span that has begun. Cheap to clone; it ends once.
#[derive(Debug, Clone)]
pub struct Span(Context);

impl Span {
    /// Begins a span; without a parent, a trace. `None`: nobody collects spans.
    pub fn begin(
        name: &'static str,
        kind: SpanKind,
        (parent, start): (Option<TraceContext>, DateTime<Utc>),
    ) -> Option<Self> {
        is_on().then(|| {
            let tracer = global::tracer(env!("CARGO_PKG_NAME"));
            let builder = tracer.span_builder(name).with_kind(kind).with_start_time(SystemTime::from(start));
            let parent = parent.map_or_else(Context::new, remote);
            let span = tracer.build_with_context(builder, &parent);
            Self(Context::new().with_span(span))
        })
    }

    /// A span that another process, or an earlier run, has begun and ended.
    pub fn ended(context: TraceContext) -> Option<Self> {
        is_on().then(|| Self(remote(context)))
    }

    /// Its place.
    pub fn context(&self) -> Option<TraceContext> {
        let span = self.0.span();
        let context = span.span_context();
        context.is_valid().then(|| TraceContext {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(context.span_id().to_bytes()),
            sampled: context.is_sampled(),
        })
    }

    /// Says something about it.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(key, value));
    }

    /// Says that it failed, in a word.
    pub fn fail(&self, kind: &'static str) {
        self.0.span().set_status(Status::error(kind));
        self.set("error.type", kind);
    }

    /// Ends it.
    pub fn end(&self) {
        self.0.span().end();
    }
}

/// Records a span that is over already.
pub fn record(
    name: &'static str,
    (parent, start): (TraceContext, DateTime<Utc>),
    attributes: impl IntoIterator<Item = KeyValue>,
) {
    if is_on() {
        let tracer = global::tracer(env!("CARGO_PKG_NAME"));
        let builder = tracer.span_builder(name).with_start_time(SystemTime::from(start));
        tracer.build_with_context(builder.with_attributes(attributes), &remote(parent)).end();
    }
}

fn remote(context: TraceContext) -> Context {
    let flags = if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (TraceId::from(context.trace_id), SpanId::from(context.span_id));
    Context::new().with_remote_span_context(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}
