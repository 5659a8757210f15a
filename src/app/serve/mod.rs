//! One relay process: everything its roles need, on one database.

mod dispatch;
mod transak;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::app::bootstrap;
use crate::app::listening::bind;
use crate::app::open_files::raise_limit;
use crate::app::readiness::{self, Signs};
use crate::app::sampler::{Bounds, Sampler};
use crate::config::{Role, Serve};
use crate::http::health::{Figures, Trouble};
use crate::http::live::{self, Feed};
use crate::http::rate::TokenRates;
use crate::http::server;
use crate::http::strangers::Strangers;
use crate::http::turns::Turns;
use crate::http::{self, Api};
use crate::intake::directory::{Directory, Pictures};
use crate::intake::listener::{Listener, look_for_gaps};
use crate::intake::spool::Spool;
use crate::intake::stream::StreamHealth;
use crate::intake::suspicion::Suspicion;
use crate::intake::tokens::Cure;
use crate::intake::{self, Intake, Writer, directory};
use crate::maintenance::{self, Maintenance};
use crate::model::address::AddressPolicy;
use crate::model::callback_url::UrlPolicy;
use crate::model::clock::Ahead;
use crate::model::queue::HandOver;
use crate::model::token::TokenHash;
use crate::pusher;
use crate::shutdown::Tasks;
use crate::store::figures::Queue;
use crate::store::pool;
use crate::store::wake::{self, Wakes};

/// A relay that is ready to run: connected, migrated, its port bound.
pub struct Relay {
    config: Serve,
    pool: PgPool,
    /// Connections for requests, beside those of the pool.
    for_requests: u32,
    listener: Option<TcpListener>,
    metrics: PrometheusHandle,
}

/// What requests are answered with, beside the database.
struct Answering {
    intake: Intake,
    health: watch::Receiver<Vec<Trouble>>,
    feed: Feed,
    pictures: Pictures,
    figures: Figures,
    /// How many files may be open.
    files: u64,
}

impl Relay {
    /// Prepares everything that can fail at once, so that a mistake in the configuration is one line at start.
    pub async fn prepare(mut config: Serve, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        config.master_key = config.keys()?;
        let database = &config.database;
        let url = database.database_url.expose_secret();
        // Half of the connections are for requests, where there are any.
        let for_requests =
            if config.roles.contains(&Role::Api) { database.database_connections / 2 } else { 0 };
        let pool = pool::connect(url, database.database_connections - for_requests).await?;
        if config.no_migrate {
            pool::wait_until_migrated(&pool).await?;
        } else {
            pool::migrate(&pool).await?;
        }
        bootstrap::settle_events(&pool).await?;
        let maintenance = Maintenance::new(pool.clone(), config.retention.kept());
        // Nothing that is heard needs them: the default partitions take it, and maintenance goes on trying and says so.
        if let Err(error) = maintenance.make_partitions(Utc::now()).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "partitions are made later");
        }
        bootstrap::check_master_key(&pool, &config.master_key).await?;
        bootstrap::first_partner(&pool, &config.master_key, &config.partner).await?;
        let listener =
            if config.roles.contains(&Role::Api) { Some(bind(config.listen).await?) } else { None };
        Ok(Self { config, pool, for_requests, listener, metrics })
    }

    /// Where the HTTP interface listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Starts the tasks of this process's roles.
    pub async fn start(self, tasks: &mut Tasks) -> anyhow::Result<()> {
        let wakes = Wakes::default();
        let stop = tasks.stop_token();
        tasks.spawn("wake-ups", wake::listen(self.pool.clone(), wakes.clone(), stop.clone()));
        let retention = &self.config.retention;
        let maintenance = Maintenance::new(self.pool.clone(), retention.kept()).holding_for(retention.held());
        tasks.spawn("maintenance", maintenance.run(stop.clone()));
        tasks.spawn("statistics", maintenance::statistics::run(self.pool.clone(), stop.clone()));
        let own = self.start_presence(tasks).await;
        let files = raise_limit();
        let hand_over = if self.has(Role::Dispatch) {
            Some(self.start_dispatcher(tasks, (&wakes, own), files)?)
        } else {
            None
        };
        let (pictures, directory) = self.start_directory(tasks, &wakes).await?;
        let suspicion = Suspicion::default();
        let (clock, clocks) = watch::channel(Ahead::default());
        let mut signs = Signs {
            stream: None,
            pulse: None,
            intake: None,
            queue: None,
            directory: directory.clone(),
            clock: clocks,
            key_fits: self.hold_master_key(tasks),
        };
        let intake = self.start_intake(tasks, (hand_over, suspicion.clone()), &mut signs)?;
        if self.has(Role::Stream) {
            self.start_stream(tasks, &intake, &mut signs)?;
            self.start_transak(tasks, &intake, (pictures.clone(), suspicion, clock.clone()))?;
        } else {
            let looking = look_for_gaps(self.pool.clone(), signs.directory.clone(), tasks.stop_token());
            tasks.spawn("gaps", looking);
            let requeue = intake.requeue(self.pool.clone());
            let cure = Cure { pool: self.pool.clone(), requeue, pictures: pictures.clone() };
            tasks.spawn("quarantine", cure.run(tasks.stop_token()));
        }
        let found = self.start_sampler(tasks, &mut signs, clock);
        let (troubles, health) = watch::channel(Vec::new());
        tasks.spawn("readiness", readiness::watch_signs(signs, troubles, stop));
        let (feed, reading) = Feed::new(self.pool.clone(), wakes.events);
        tasks.spawn("live events", reading.run(tasks.stop_token()));
        tasks.spawn("tokens", live::follow_tokens(feed.clone(), wakes.tokens, tasks.stop_token()));
        let figures = Figures { counted: self.metrics.clone(), found };
        self.start_api(tasks, Answering { intake, health, feed, pictures, figures, files });
        Ok(())
    }

    fn hold_master_key(&self, tasks: &mut Tasks) -> watch::Receiver<bool> {
        let (fits, key_fits) = watch::channel(true);
        let keys = (self.pool.clone(), self.config.master_key.clone());
        tasks.spawn("master key", bootstrap::hold_master_key(keys, fits, tasks.stop_token()));
        key_fits
    }

    fn has(&self, role: Role) -> bool {
        self.config.roles.contains(&role)
    }

    fn addresses(&self) -> AddressPolicy {
        AddressPolicy::new(self.config.callbacks.allow_callback_cidrs.clone())
    }

    async fn start_directory(
        &self,
        tasks: &mut Tasks,
        wakes: &Wakes,
    ) -> anyhow::Result<(Pictures, directory::Watch)> {
        let key = self.config.master_key.clone();
        let first = directory::load(&self.pool, &key).await?;
        first.tell(&Directory::default());
        let (picture, directory) = watch::channel(Arc::new(first));
        let pictures = Pictures::new((self.pool.clone(), key), picture);
        let changed = Arc::clone(&wakes.partners);
        tasks.spawn("directory", directory::follow(pictures.clone(), changed, tasks.stop_token()));
        Ok((pictures, directory))
    }

    fn start_intake(
        &self,
        tasks: &mut Tasks,
        (hand_over, suspicion): (Option<HandOver>, Suspicion),
        signs: &mut Signs,
    ) -> anyhow::Result<Intake> {
        let place = &self.config.spool;
        let spool = Spool::open(&place.spool_dir, place.spool_max_bytes).with_context(|| {
            format!("cannot use the folder {}: is it writable? (RELAY_SPOOL_DIR)", place.spool_dir.display())
        })?;
        let (intake, writer) = Writer::new(intake::Settings {
            pool: self.pool.clone(),
            directory: signs.directory.clone(),
            spool,
            hand_over,
            suspicion,
            reconcile_every: self.reconcile_every(),
        });
        signs.intake = Some((intake.clone(), writer.health()));
        let announcing = wake::announce_events(self.pool.clone(), writer.kept(), tasks.stop_token());
        tasks.spawn("announcements", announcing);
        tasks.spawn("intake", writer.run(tasks.stop_token()));
        Ok(intake)
    }

    fn start_stream(&self, tasks: &mut Tasks, intake: &Intake, signs: &mut Signs) -> anyhow::Result<()> {
        let settings =
            pusher::Settings::new(self.config.pusher.base()?, self.config.pusher.pusher_app_key.clone());
        let (health, stream_health) = watch::channel(StreamHealth::default());
        signs.stream = Some(stream_health);
        signs.pulse = Some(settings.pulse.subscribe());
        let listener = Listener {
            pool: self.pool.clone(),
            pusher: settings,
            directory: signs.directory.clone(),
            intake: intake.clone(),
            copies: i32::from(self.config.pusher.stream_copies),
            health,
        };
        tasks.spawn("stream", listener.run(tasks.stop_token()));
        Ok(())
    }

    fn start_sampler(
        &self,
        tasks: &mut Tasks,
        signs: &mut Signs,
        clock: watch::Sender<Ahead>,
    ) -> watch::Receiver<String> {
        let (queue, figures) = watch::channel(Queue::default());
        signs.queue = self.has(Role::Dispatch).then_some(figures);
        let (found, shown) = watch::channel(String::new());
        let held = self.config.retention.held();
        let sampler = Sampler {
            pool: self.pool.clone(),
            bounds: Bounds { spool_bytes: self.config.spool.spool_max_bytes, held },
            names_partners: self.config.interface.metrics_partners,
            stream: signs.stream.clone(),
            metrics: self.metrics.clone(),
            found,
            queue,
            clock,
        };
        tasks.spawn("sampler", sampler.run(tasks.stop_token()));
        shown
    }

    fn reconcile_every(&self) -> Duration {
        Duration::from_secs(self.config.transak.reconcile_seconds)
    }

    fn start_api(self, tasks: &mut Tasks, with: Answering) {
        let addresses = self.addresses();
        let Some(listener) = self.listener else { return };
        let admin_token = self.config.admin_token;
        let proxies = self.config.interface.trusted_proxies;
        let router = http::router(Api {
            pool: pool::for_requests(&self.pool, self.for_requests),
            vitals: self.pool,
            turns: Turns::of_connections(self.for_requests),
            master_key: self.config.master_key,
            admin_token: admin_token.map(|token| TokenHash::of(token.expose_secret())),
            url_policy: UrlPolicy { allow_http: self.config.callbacks.allow_http_callbacks, addresses },
            health: with.health,
            intake: Some(with.intake),
            pictures: Some(with.pictures),
            feed: with.feed,
            rates: TokenRates::new(self.config.interface.token_rate),
            limits: http::Limits {
                endpoints: self.config.limits.max_endpoints_per_partner.get(),
                watches: self.config.limits.max_watches_per_partner.get(),
            },
            cors_origins: self.config.interface.cors_origins,
            strangers: Strangers::behind(proxies.clone()),
            metrics: Some(with.figures),
        });
        let stop = tasks.stop_token();
        let bounds = server::Bounds::of_open_files(with.files, proxies);
        tasks.spawn("api", async move {
            tracing::info!(address = %listener.local_addr()?, "the relay answers");
            server::serve(listener, router, server::Serving { head: server::HEAD, bounds, stop }).await;
            Ok(())
        });
    }
}
