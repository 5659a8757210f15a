//! One relay process: everything its roles need, on one database.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::bootstrap;
use crate::config::{Role, Serve};
use crate::delivery::dispatcher::{Dispatcher, Settings};
use crate::delivery::sender::{Sender, SenderSettings};
use crate::http::{self, Api};
use crate::intake::stream::StreamHealth;
use crate::intake::{Writer, directory, stream};
use crate::model::address::AddressPolicy;
use crate::model::callback_url::UrlPolicy;
use crate::pusher;
use crate::shutdown::Tasks;
use crate::store::pool;
use crate::store::wake::{self, Wakes};

/// A relay that is ready to run: connected, migrated, its port bound.
pub struct Relay {
    config: Serve,
    pool: PgPool,
    listener: Option<TcpListener>,
    metrics: PrometheusHandle,
}

impl Relay {
    /// Prepares everything that can fail at once, so that a mistake in the configuration is one line at start.
    pub async fn prepare(config: Serve, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        let database = &config.database;
        let url = secrecy::ExposeSecret::expose_secret(&database.database_url);
        let pool = pool::connect(url, database.database_connections).await?;
        pool::migrate(&pool).await?;
        bootstrap::check_master_key(&pool, &config.master_key).await?;
        bootstrap::first_partner(&pool, &config.master_key, &config.partner).await?;
        let listener = if config.roles.contains(&Role::Api) { Some(bind(&config).await?) } else { None };
        Ok(Self { config, pool, listener, metrics })
    }

    /// Starts the tasks of this process's roles.
    pub async fn start(self, tasks: &mut Tasks) -> anyhow::Result<()> {
        let wakes = Wakes::default();
        let stop = tasks.stop_token();
        tasks.spawn("wake-ups", wake::listen(self.pool.clone(), wakes.clone(), stop.clone()));
        let hand_over = if self.has(Role::Dispatch) { Some(self.start_dispatcher(tasks, &wakes)?) } else { None };
        let (picture, directory) = self.start_directory(tasks, &wakes).await?;
        drop(picture);
        let (health, stream_health) = watch::channel(StreamHealth::default());
        if self.has(Role::Stream) {
            let (intake, writer) = Writer::new(self.pool.clone(), directory.clone(), hand_over);
            tasks.spawn("intake", writer.run(stop.clone()));
            let settings = pusher::Settings::new(self.config.pusher.base()?, self.config.pusher.pusher_app_key.clone());
            tasks.spawn("stream", stream::listen(settings, (directory, intake), health, stop.clone()));
        }
        self.start_api(tasks, stream_health)
    }

    fn has(&self, role: Role) -> bool {
        self.config.roles.contains(&role)
    }

    fn addresses(&self) -> AddressPolicy {
        AddressPolicy::new(self.config.callbacks.allow_callback_cidrs.clone())
    }

    fn start_dispatcher(
        &self,
        tasks: &mut Tasks,
        wakes: &Wakes,
    ) -> anyhow::Result<tokio::sync::mpsc::Sender<crate::model::delivery::Job>> {
        let settings = SenderSettings {
            addresses: self.addresses(),
            own_listen: self.listener.iter().filter_map(|listener| listener.local_addr().ok()).collect(),
            ..SenderSettings::default()
        };
        let (hand_over, dispatcher) = Dispatcher::new(Settings {
            pool: self.pool.clone(),
            key: self.config.master_key.clone(),
            sender: Sender::new(settings).context("cannot read the certificate authorities of this system")?,
            concurrency: usize::from(self.config.callbacks.dispatch_concurrency),
            wake: Arc::clone(&wakes.deliveries),
        });
        tasks.spawn("dispatcher", dispatcher.run(tasks.stop_token()));
        Ok(hand_over)
    }

    async fn start_directory(&self, tasks: &mut Tasks, wakes: &Wakes) -> anyhow::Result<((), directory::Watch)> {
        let key = self.config.master_key.clone();
        let first = directory::load(&self.pool, &key).await?;
        let (picture, directory) = watch::channel(Arc::new(first));
        let follow =
            directory::follow((self.pool.clone(), key), Arc::clone(&wakes.partners), picture, tasks.stop_token());
        tasks.spawn("directory", follow);
        Ok(((), directory))
    }

    fn start_api(self, tasks: &mut Tasks, stream: watch::Receiver<StreamHealth>) -> anyhow::Result<()> {
        let _ = stream;
        let url_policy =
            UrlPolicy { allow_http: self.config.callbacks.allow_http_callbacks, addresses: self.addresses() };
        let _ = (url_policy, self.metrics);
        let Some(listener) = self.listener else { return Ok(()) };
        tracing::info!(address = %listener.local_addr()?, "the relay answers");
        let stop = tasks.stop_token();
        let router: Router = http::router();
        tasks.spawn("api", async move {
            axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?;
            Ok(())
        });
        Ok(())
    }
}

async fn bind(config: &Serve) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(config.listen).await;
    listener.with_context(|| format!("cannot listen on {}: is another process using it? (RELAY_LISTEN)", config.listen))
}
