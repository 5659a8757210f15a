//! The HTTP interface: one file per resource, and what they share.
//!
//! Reads and changes only Postgres; whoever sends callbacks hears of changes from there. A handler is extract, call,
//! answer: who calls is in its signature ([`auth`]), what is wrong is a [`problem::Problem`].

mod again;
pub mod attempt;
pub mod auth;
pub mod body;
mod callback;
pub mod condition;
pub mod cors;
pub mod creation;
pub mod delivery;
mod document;
pub mod endpoint;
pub mod erasure;
pub mod event;
pub mod field;
pub mod gap;
mod guide;
pub mod health;
pub mod hearing;
pub mod history;
mod home;
pub mod ingest;
pub mod live;
mod object;
pub mod observe;
pub mod order;
pub mod page;
pub mod partner;
pub mod path;
pub mod problem;
pub mod quarantine;
pub mod query;
pub mod rate;
pub mod recovery;
mod safety;
pub mod server;
pub mod strangers;
pub mod suggest;
pub mod timeline;
pub mod token;
pub mod transak;
pub mod turns;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::get;
use axum::{Json, Router};
use sqlx::PgPool;
use tokio::sync::watch::Receiver;
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::intake::Intake;
use crate::intake::directory::Pictures;
use crate::model::callback_url::UrlPolicy;
use crate::model::origin::Origin;
use crate::model::seal::MasterKey;
use crate::model::token::TokenHash;

use health::Trouble;
use live::Feed;
use problem::Problem;
use rate::TokenRates;
use strangers::Strangers;
use turns::Turns;

/// What the interface works with.
pub struct Api {
    /// For requests, and for nothing else: who hears, sends or says how the process is has another.
    pub pool: PgPool,
    /// What the rest of the process works with: whether it answers is whether the process is ready.
    pub vitals: PgPool,
    pub master_key: MasterKey,
    /// Opens everything, also while Postgres is down; `None`: there is no bootstrap token.
    pub admin_token: Option<TokenHash>,
    /// Which callback URLs may be registered.
    pub url_policy: UrlPolicy,
    /// Why the process is not ready, the database apart; empty if it is.
    pub health: Receiver<Vec<Trouble>>,
    /// Where Transak's webhooks go; `None`: this process takes none.
    pub intake: Option<Intake>,
    /// What the intake knows of the partners; `None`: it is not this process's to renew.
    pub pictures: Option<Pictures>,
    /// New events, for those who follow them.
    pub feed: Feed,
    /// Bounds what each token may ask.
    pub rates: TokenRates,
    /// How much a partner may make.
    pub limits: Limits,
    /// Bounds how much of it is served at once.
    pub turns: Turns,
    /// The origins whose pages may call.
    pub cors_origins: Vec<Origin>,
    /// Bounds what unverified webhooks may be kept.
    pub strangers: Strangers,
    /// `None`: `/metrics` is not there.
    pub metrics: Option<health::Figures>,
}

/// The most that one partner may have at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Endpoints, unless the partner's own bound is another.
    pub endpoints: u32,
    /// Channels that it watches.
    pub watches: u32,
}

impl Api {
    /// Has this process know what was just committed of partners before whoever committed it hears that it is. The others
    /// are told by the commit.
    async fn know_partners(&self) {
        let Some(pictures) = &self.pictures else { return };
        match tokio::time::timeout(KNOWING, pictures.renew()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the partners are read again later");
            }
            Err(_) => tracing::warn!("the partners are read again later: it takes too long"),
        }
    }
}

/// How long an answer waits for what it says to be known in this process.
const KNOWING: Duration = Duration::from_secs(5);

/// Every route.
pub fn router(api: Api) -> Router {
    let (routes, openapi) = operations().split_for_parts();
    let openapi = Arc::new(openapi);
    let cors = option_layer(cors::layer(&api.cors_origins));
    routes
        .route("/openapi.json", get(move || async move { Json(openapi.as_ref().clone()) }))
        .route("/", get(home::get_home))
        .route("/docs/security.md", get(document::get_security))
        .route("/docs/problems", get(problem::page::list_problems))
        .route("/docs/problems/{slug}", get(problem::page::get_problem))
        .merge(guide::routes())
        .with_state(Arc::new(api))
        .merge(document::pages())
        .fallback(async || Problem::NoSuchPath)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(body::MAX_BODY))
        .layer(middleware::from_fn(again::make_again))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(body::refuse_too_large))
        .layer(middleware::from_fn(rate::tell_rate))
        .layer(cors)
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(middleware::from_fn(observe::observe))
        .layer(middleware::map_response(safety::tell_browsers))
}

/// The OpenAPI document of every operation.
pub fn openapi() -> OpenApi {
    operations().into_openapi()
}

fn operations() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(document::base())
        .routes(routes!(endpoint::list_endpoints, endpoint::create_endpoint))
        .routes(routes!(endpoint::get_endpoint, endpoint::change_endpoint, endpoint::delete_endpoint))
        .routes(routes!(endpoint::switch::enable_endpoint))
        .routes(routes!(endpoint::switch::disable_endpoint))
        .routes(routes!(endpoint::switch::rotate_secret))
        .routes(routes!(endpoint::trial::test_endpoint))
        .routes(routes!(recovery::recover_endpoint))
        .routes(routes!(recovery::list_recoveries))
        .routes(routes!(recovery::get_recovery))
        .routes(routes!(recovery::cancel_recovery))
        .routes(routes!(order::list_orders))
        .routes(routes!(order::get_order, erasure::erase_order))
        .routes(routes!(timeline::get_timeline))
        .routes(routes!(history::get_status_history))
        .routes(routes!(event::list_events))
        .routes(routes!(live::stream_events))
        .routes(routes!(event::get_event))
        .routes(routes!(delivery::redeliver_event))
        .routes(routes!(delivery::list_deliveries))
        .routes(routes!(delivery::get_delivery))
        .routes(routes!(delivery::retry_delivery))
        .routes(routes!(quarantine::list_quarantine, quarantine::empty_quarantine))
        .routes(routes!(quarantine::get_quarantined, quarantine::delete_quarantined))
        .routes(routes!(quarantine::retry_all_quarantined))
        .routes(routes!(quarantine::retry_quarantined))
        .routes(routes!(watch::list_watches, watch::create_watch))
        .routes(routes!(watch::delete_watch))
        .routes(routes!(gap::list_gaps))
        .routes(routes!(ingest::receive_webhook))
        .routes(routes!(partner::list_partners, partner::create_partner))
        .routes(routes!(partner::get_partner, partner::change_partner, partner::delete_partner))
        .routes(routes!(token::list_tokens, token::create_token))
        .routes(routes!(token::delete_token))
        .routes(routes!(transak::get_webhooks))
        .routes(routes!(health::get_health))
        .routes(routes!(health::get_readiness))
        .routes(routes!(health::get_metrics))
}
