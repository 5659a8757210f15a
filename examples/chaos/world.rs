//! The world around the relay processes: a Postgres behind a door that can be shut, a simulated Transak, a receiver.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use transak_relay::sandbox::postgres::{Options, Postgres};
use transak_relay::sandbox::{RelayApi, Upstream, UpstreamSettings, signing};
use url::Url;

use crate::door::Door;
use crate::load::Load;
use crate::receiver::Receiver;

const API_KEY: &str = "22222222-0000-4000-8000-000000000000";
pub(crate) const ADMIN: &str = "rly_admin_of_the_chaos_tests";

/// Thousands of orders are missed at once here, and Transak is on loopback: it can be asked faster than the real one.
pub(crate) const REST_RATE: u32 = 500;

const OPTIONS: Options = Options { install: false, max_connections: 100, counts_statements: false };

pub(crate) struct World {
    postgres: tokio::sync::Mutex<Option<Postgres>>,
    door: Door,
    database_url: String,
    pub(crate) upstream: Upstream,
    pub(crate) receiver: Receiver,
    endpoints: usize,
    settings: Vec<(&'static str, &'static str)>,
    access_token: SecretString,
    folder: tempfile::TempDir,
    pub(crate) pool: PgPool,
    kills: Kills,
    _tasks: JoinSet<()>,
}

/// When processes were killed.
type Kills = Arc<Mutex<Vec<DateTime<Utc>>>>;

/// A relay process; dropping it kills it.
pub(crate) struct Process {
    child: Child,
    kills: Kills,
    pub(crate) api: RelayApi,
    /// Where it listens.
    pub(crate) base: Url,
}

/// What was counted.
pub(crate) struct Figures {
    pub(crate) played: usize,
    pub(crate) missing: usize,
    pub(crate) duplicates: i64,
    pub(crate) reconciled: i64,
    pub(crate) gaps: i64,
    pub(crate) repaired: i64,
    pub(crate) untold: usize,
    pub(crate) settled_after: Duration,
}

impl World {
    pub(crate) async fn new(endpoints: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // The Postgres server runs as another user when this runs as root.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let postgres = Postgres::start(&folder.path().join("postgres"), OPTIONS).await?;
        let mut url: Url = postgres.url().expose_secret().parse()?;
        let door = Door::to(url.port());
        let mut tasks = JoinSet::new();
        // For the counting, which must go on whatever the relays meet.
        url.set_port(Some(door.clone().keep(&mut tasks, false).await?)).ok().context("a URL with a port")?;
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2).connect_lazy(url.as_str())?;
        url.set_port(Some(door.clone().keep(&mut tasks, true).await?)).ok().context("a URL with a port")?;
        let access_token = signing::access_token(API_KEY, Utc::now().timestamp(), 604_800)?;
        let upstream = Upstream::start_idle(UpstreamSettings::local(API_KEY, access_token.clone())).await?;
        let receiver = Receiver::start().await?;
        let database_url = url.to_string();
        Ok(Self {
            postgres: tokio::sync::Mutex::new(Some(postgres)),
            door,
            database_url,
            upstream,
            receiver,
            endpoints,
            settings: Vec::new(),
            access_token,
            folder,
            pool,
            kills: Kills::default(),
            _tasks: tasks,
        })
    }

    /// When processes were killed.
    pub(crate) fn kills(&self) -> Vec<DateTime<Utc>> {
        self.kills.lock().expect("no panic").clone()
    }

    /// Configures the relays that are started from now on.
    pub(crate) fn set(&mut self, variable: &'static str, value: &'static str) {
        self.settings.push((variable, value));
    }

    /// Starts a relay and waits until it is ready and the receiver is registered, once for each endpoint.
    pub(crate) async fn relay(&self, copies: u16, rest: bool) -> anyhow::Result<Process> {
        let listen = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let child = self.spawn(listen, copies, rest)?;
        let base: Url = format!("http://{listen}/").parse()?;
        let api = RelayApi::new(base.clone(), ADMIN.into())?;
        let process = Process { child, kills: Arc::clone(&self.kills), api, base };
        ensure!(
            process.api.ready(&tokio_util::sync::CancellationToken::new()).await,
            "the relay is not ready"
        );
        let registered: i64 =
            sqlx::query_scalar("select count(*) from endpoint").fetch_one(&self.pool).await?;
        for endpoint in usize::try_from(registered)?..self.endpoints {
            process.api.register(None, &format!("{}/{endpoint}", self.receiver.url)).await?;
        }
        Ok(process)
    }

    fn spawn(&self, listen: SocketAddr, copies: u16, rest: bool) -> anyhow::Result<Child> {
        let binary = std::env::current_exe()?
            .parent()
            .and_then(|examples| examples.parent())
            .context("target")?
            .join("transak-relay");
        let nowhere = "http://127.0.0.1:9".to_owned();
        let child = Command::new(binary)
            .args(["--log", "error", "serve"])
            .env("DATABASE_URL", &self.database_url)
            .env("RELAY_LISTEN", listen.to_string())
            .env("RELAY_MASTER_KEY", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
            .env("RELAY_ADMIN_TOKEN", ADMIN)
            .env("RELAY_ALLOW_CALLBACK_CIDRS", "127.0.0.0/8")
            .env("RELAY_ALLOW_HTTP_CALLBACKS", "true")
            .env("RELAY_STREAM_COPIES", copies.to_string())
            .env("RELAY_SPOOL_DIR", self.spool())
            .env("RELAY_TRANSAK_REQUESTS_PER_SECOND", REST_RATE.to_string())
            .env("PUSHER_URL", self.upstream.pusher().url())
            .env("TRANSAK_API_URL", if rest { self.upstream.rest().url() } else { nowhere })
            .env("TRANSAK_API_KEY", API_KEY)
            .env("TRANSAK_ACCESS_TOKEN", self.access_token.expose_secret())
            .envs(self.settings.iter().copied())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        child.context("the relay's binary does not start: build it first")
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    pub(crate) fn spooled_bytes(&self) -> u64 {
        std::fs::metadata(self.spool().join("0/messages")).map_or(0, |file| file.len())
    }

    /// Waits until that many connections hear the partner's channel.
    pub(crate) async fn heard_by(&self, listeners: usize) {
        self.upstream.pusher().subscribed(API_KEY, listeners).await;
    }

    /// Where the relays reach Postgres.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// Ends the session that holds a slot; another process may be faster to take it than its holder.
    pub(crate) async fn take_a_slot_away(&self, slot: i32) -> anyhow::Result<usize> {
        let ended: Vec<bool> = sqlx::query_scalar(
            "select pg_terminate_backend(pid) from pg_locks
             where locktype = 'advisory' and granted and objsubid = 1
               and classid::bigint << 32 | objid::bigint = lock_key('slot/' || $1::int)",
        )
        .bind(slot)
        .fetch_all(&self.pool)
        .await?;
        Ok(ended.len())
    }

    /// Postgres is gone at once, as after a crash.
    pub(crate) async fn stop_postgres(&self) -> anyhow::Result<()> {
        self.door.shut();
        let pid = std::fs::read_to_string(self.folder.path().join("postgres/data/postmaster.pid"))?;
        let pid = pid.lines().next().context("a process id")?.to_owned();
        ensure!(Command::new("kill").args(["-QUIT", &pid]).status().await?.success(), "kill -QUIT");
        drop(self.postgres.lock().await.take());
        Ok(())
    }

    pub(crate) async fn start_postgres(&self) -> anyhow::Result<()> {
        let postgres = Postgres::start(&self.folder.path().join("postgres"), OPTIONS).await?;
        let url: Url = postgres.url().expose_secret().parse()?;
        self.door.open(url.port());
        *self.postgres.lock().await = Some(postgres);
        Ok(())
    }

    /// Waits until nothing is missing, everything is told and, if asked to, every gap repaired, or time is up; then
    /// counts.
    pub(crate) async fn settle(
        &self,
        load: &Load<'_>,
        (patience, repairs): (Duration, bool),
    ) -> anyhow::Result<Figures> {
        let began = Instant::now();
        loop {
            let figures = Figures { settled_after: began.elapsed(), ..self.figures(load).await? };
            let repaired = !repairs || figures.repaired == figures.gaps;
            if (figures.missing == 0 && figures.untold == 0 && repaired) || began.elapsed() > patience {
                return Ok(figures);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn figures(&self, load: &Load<'_>) -> anyhow::Result<Figures> {
        let kept: Vec<(String, String)> =
            sqlx::query_as("select order_id, status from event where order_id is not null")
                .fetch_all(&self.pool)
                .await?;
        let kept: HashSet<_> = kept.into_iter().collect();
        let told = self.receiver.told();
        let count = |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&self.pool);
        Ok(Figures {
            played: load.events.len(),
            missing: load.events.difference(&kept).count(),
            duplicates: count("select coalesce(sum(n - 1), 0)::bigint from (select count(*) as n from event where order_id is not null group by order_id, status) as kept").await?,
            reconciled: count("select count(*) from event where not exists (select from sighting where sighting.event_id = event.event_id and source <> 'reconcile')").await?,
            gaps: count("select count(*) from gap").await?,
            repaired: count("select count(*) from gap where repaired_at is not null").await?,
            untold: load.events.difference(&told).count(),
            settled_after: Duration::ZERO,
        })
    }

    /// Stops Postgres in order.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self.postgres.into_inner() {
            Some(postgres) => Ok(postgres.stop().await?),
            None => Ok(()),
        }
    }

    pub(crate) async fn end(self, figures: &Figures) -> anyhow::Result<()> {
        self.stop().await?;
        ensure!(figures.missing == 0, "{} events are missing", figures.missing);
        ensure!(figures.duplicates == 0, "{} events are kept twice", figures.duplicates);
        ensure!(figures.untold == 0, "{} events were never told", figures.untold);
        Ok(())
    }
}

impl Process {
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        self.kills.lock().expect("no panic").push(Utc::now());
        Ok(())
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("it still runs")
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.pid()?.to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status().await?.success(), "kill -TERM");
        ensure!(self.child.wait().await?.success(), "the relay did not end with exit code 0");
        Ok(())
    }
}
