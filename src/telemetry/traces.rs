//! Traces to an OpenTelemetry collector: OTLP over HTTP, as protobuf. Off unless an endpoint is given.
//!
//! Everything else is said by the variables that OpenTelemetry's own SDK reads: `OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` and the like.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use opentelemetry::{Key, global};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use url::Url;

use crate::trace;

/// How long a collector may take for a batch of spans.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long the last spans may take when the process stops.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Sends spans until it is told to stop.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts sending spans to `endpoint`, which is the root that `/v1/traces` stands under.
    ///
    /// # Errors
    /// The endpoint cannot be used.
    pub fn start(endpoint: &Url) -> anyhow::Result<Self> {
        let place = format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'));
        let http = reqwest::Client::builder()
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("no HTTP client for traces")?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector { http, runtime: Handle::current(), failing: AtomicBool::new(false) })
            .with_endpoint(place)
            .build()
            .context("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used")?;
        let provider =
            SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build();
        global::set_tracer_provider(provider.clone());
        trace::turn_on();
        Ok(Self(provider))
    }

    /// Sends what is left.
    pub async fn stop(self) {
        let stopped = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_WORDS)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("the last spans were not sent");
        }
    }
}

/// Who sends: this program, unless the environment names it.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let name = said.get(&Key::from_static_str("service.name"));
    if name.is_some_and(|name| !name.as_str().starts_with("unknown_service")) {
        return said;
    }
    Resource::builder().with_service_name(env!("CARGO_PKG_NAME")).build()
}

/// The collector, asked from the thread that gathers spans and answered on the runtime.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

impl Collector {
    /// Says when the collector stops or begins to answer, not each time it does not.
    fn note(&self, answered: bool) {
        if self.failing.swap(!answered, Ordering::Relaxed) == answered {
            if answered {
                tracing::info!("the collector of traces answers again");
            } else {
                tracing::warn!("the collector of traces does not take spans; they are dropped");
            }
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = self.http.post(parts.uri.to_string()).headers(parts.headers).body(body);
        let answered = self.runtime.spawn(async move {
            let answer = request.send().await?;
            let (status, body) = (answer.status(), answer.bytes().await?);
            Ok::<_, reqwest::Error>((status, body))
        });
        let answered = answered.await.map_err(HttpError::from).and_then(|sent| Ok(sent?));
        self.note(matches!(&answered, Ok((status, _)) if status.is_success()));
        let (status, body) = answered?;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }
}
