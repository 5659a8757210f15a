//! Whether the process lives, whether it should be sent traffic, and its metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{SecondsFormat, Utc};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::Api;
use super::problem::Problem;
use crate::intake::tokens::worries;
use crate::store::pool::{self, Schema};
use crate::store::{Error, figures};

/// How long readiness waits for Postgres.
const DATABASE_PATIENCE: Duration = Duration::from_secs(2);

/// What `/metrics` shows.
#[derive(Clone)]
pub struct Figures {
    /// What this process counts.
    pub counted: PrometheusHandle,
    /// What was found when somebody last looked, in the same format.
    pub found: watch::Receiver<String>,
}

/// Why the process is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Trouble {
    /// In a word, for machines.
    #[schema(value_type = String, example = "stream_down")]
    pub code: &'static str,
    /// In words, for people.
    #[schema(example = "the stream is not connected")]
    pub detail: String,
}

/// Whether the process is ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    ready: bool,
    /// Why it is not; empty if it is.
    reasons: Vec<Trouble>,
    /// What somebody has to look after although the process is ready.
    warnings: Vec<Trouble>,
}

/// The process lives. Asks nobody else.
#[utoipa::path(
    get, path = "/healthz", tag = "Health", security(()),
    responses((status = 200, description = "It lives.", body = String, content_type = "text/plain")),
)]
pub async fn get_health() -> &'static str {
    "ok\n"
}

/// Whether everything the process needs is there, and if not, what is missing.
#[utoipa::path(
    get, path = "/readyz", tag = "Health", security(()),
    responses(
        (status = 200, description = "It is ready.", body = Readiness),
        (status = 503, description = "It is not, and why.", body = Readiness),
    ),
)]
pub async fn get_readiness(State(api): State<Arc<Api>>) -> (StatusCode, Json<Readiness>) {
    let (mut reasons, mut warnings) = (api.health.borrow().clone(), Vec::new());
    match tokio::time::timeout(DATABASE_PATIENCE, database_trouble(&api)).await {
        Ok(None) => {
            warnings.extend(token_warning(&api).await);
            warnings.extend(hearing_warning(&api).await);
        }
        Ok(trouble) => reasons.extend(trouble),
        Err(_) => reasons.push(trouble("database_down", "Postgres does not answer")),
    }
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, reasons, warnings }))
}

async fn database_trouble(api: &Api) -> Option<Trouble> {
    if let Err(error) = api.vitals.acquire().await {
        return Some(database_error(&error.into()));
    }
    match pool::look_at_schema(&api.vitals).await {
        Ok(Schema::Whole) => None,
        Ok(Schema::Behind) => {
            Some(trouble("migrations_behind", "the database is not migrated: run `transak-relay migrate`"))
        }
        // This process began its work on them: whoever migrated now would make empty ones in their place.
        Ok(Schema::Missing) => Some(trouble(
            "database_tables_missing",
            "the relay's tables are not there any more: they come back with the restore that took them away, or look for \
             them in another schema or database; do not migrate before that",
        )),
        Err(error) => Some(database_error(&error)),
    }
}

/// What is wrong with a database that cannot be asked.
fn database_error(error: &Error) -> Trouble {
    if error.is_out_of_connections() {
        return trouble(
            "database_no_connection",
            "Postgres has no connection left: raise its max_connections",
        );
    }
    if error.is_unavailable() {
        return trouble("database_down", "Postgres cannot be reached");
    }
    tracing::warn!(error = error as &dyn std::error::Error, "the database cannot be asked what it is");
    trouble("database_refuses", "Postgres refuses to be asked: the log of this process says why")
}

/// Partners whose channel nobody hears are those partners' trouble, not this process's.
async fn hearing_warning(api: &Api) -> Option<Trouble> {
    let counted = async { figures::troubles(&mut *api.vitals.acquire().await?).await };
    let open = tokio::time::timeout(DATABASE_PATIENCE, counted).await.ok()?.ok()?.gaps_open;
    let detail = format!("{open} partners are not heard: see `stream` of GET /v1/partners");
    (open > 0).then(|| trouble("partners_unheard", &detail))
}

/// Who is asked without a token is not told whose tokens these are.
async fn token_warning(api: &Api) -> Option<Trouble> {
    let worries =
        tokio::time::timeout(DATABASE_PATIENCE, worries(&api.vitals, Utc::now())).await.ok()?.ok()?;
    let first = worries.iter().filter_map(|worry| worry.expires_at).min();
    let first = first.map_or_else(String::new, |at| {
        format!(", the first at {}", at.to_rfc3339_opts(SecondsFormat::Secs, true))
    });
    let detail = format!(
        "the access tokens of {} partners end within 24 hours or have ended{first}, and nobody replaces them: see \
         accessTokenWorry of GET /v1/partners",
        worries.len(),
    );
    (!worries.is_empty()).then(|| trouble("access_tokens_end", &detail))
}

fn trouble(code: &'static str, detail: &str) -> Trouble {
    Trouble { code, detail: detail.to_owned() }
}

/// The process's metrics in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "Health", security(()),
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain")),
)]
pub async fn get_metrics(State(api): State<Arc<Api>>) -> Response {
    let Some(metrics) = &api.metrics else { return Problem::NoSuchPath.into_response() };
    let text = metrics.counted.render() + &metrics.found.borrow();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
