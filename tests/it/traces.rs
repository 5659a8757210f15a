//! One trace from the frame to the answer, across processes.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use transak_relay::model::trace::TraceContext;
use transak_relay::sandbox::receiver::{Answer, Arrival};
use transak_relay::store::pool::MIGRATOR;

use crate::process::Around;
use crate::soon::soon;
use crate::world::order;

type Requests = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// A collector of OTLP over HTTP.
struct Collector {
    url: String,
    requests: Requests,
    _task: JoinSet<()>,
}

impl Collector {
    async fn start() -> Self {
        let requests = Requests::default();
        let take = async |State(requests): State<Requests>, body: Bytes| {
            requests.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&requests));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, requests, _task: task }
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        let scopes =
            requests.iter().flat_map(|request| &request.resource_spans).flat_map(|one| &one.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn place(span: &Span) -> TraceContext {
    TraceContext {
        trace_id: u128::from_be_bytes(span.trace_id.clone().try_into().unwrap()),
        span_id: u64::from_be_bytes(span.span_id.clone().try_into().unwrap()),
        sampled: true,
    }
}

fn traceparent(arrival: &Arrival) -> TraceContext {
    arrival.headers["traceparent"].to_str().unwrap().parse().unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn one_trace_leads_from_the_frame_to_each_answer_also_by_another_process(pool: PgPool) {
    let (around, collector) = (Around::new(pool).await, Collector::start().await);
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    let mut first = around.start(&settings).await;
    let receiver = first.endpoint(json!({})).await;
    receiver.answer(Answer { status: StatusCode::SERVICE_UNAVAILABLE, ..Answer::default() });
    around.publish(&order("traced", "PROCESSING", 1));
    soon(receiver.count().wait_for(|count| *count >= 1)).await.unwrap();
    assert!(first.stop().await.success(), "{}", first.log());
    receiver.answer(Answer::default());
    sqlx::raw_sql("update delivery set next_attempt_at = now(), not_before = null; update endpoint set paused_until = null")
        .execute(&around.pool).await.unwrap();
    let mut second = around.start(&settings).await;
    soon(receiver.count().wait_for(|count| *count >= 2)).await.unwrap();
    assert!(second.stop().await.success(), "{}", second.log());

    let (spans, arrivals) = (collector.spans(), receiver.arrivals());
    let frame = spans.iter().find(|span| span.name == "frame").unwrap();
    let of_trace: Vec<&Span> = spans.iter().filter(|span| span.trace_id == frame.trace_id).collect();
    let mut names: Vec<&str> = of_trace.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["attempt", "attempt", "commit", "frame"]);
    assert!(frame.parent_span_id.is_empty());
    assert!(of_trace.iter().all(|span| span.name == "frame" || span.parent_span_id == frame.span_id));
    let attempts: Vec<TraceContext> =
        of_trace.iter().filter(|span| span.name == "attempt").map(|span| place(span)).collect();
    assert_eq!(arrivals.iter().map(traceparent).collect::<Vec<_>>(), attempts);
    let told = format!("{spans:?}");
    for private in [receiver.url().as_str(), "/callback", "0xD902", "po-traced", "127.0.0.1"] {
        assert!(!told.contains(private), "{private} is in a span");
    }
    println!("{} spans, {} of the trace {:032x}", spans.len(), of_trace.len(), place(frame).trace_id);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn without_a_collector_there_are_no_traces(pool: PgPool) {
    let around = Around::new(pool).await;
    let relay = around.start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).await;
    let receiver = relay.endpoint(json!({})).await;
    around.publish(&order("untraced", "PROCESSING", 1));
    soon(receiver.count().wait_for(|count| *count >= 1)).await.unwrap();
    assert!(!receiver.arrivals()[0].headers.contains_key("traceparent"));
    let traced: i64 = sqlx::query_scalar("select count(*) from event where traceparent is not null")
        .fetch_one(&around.pool)
        .await
        .unwrap();
    assert_eq!(traced, 0);
}
