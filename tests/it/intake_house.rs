//! One partner, a running intake, and a fake Transak to read from.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transak_relay::intake::directory::{self, Directory, Pictures};
use transak_relay::intake::requeue::Requeue;
use transak_relay::intake::spool::Spool;
use transak_relay::intake::suspicion::Suspicion;
use transak_relay::intake::{Fate, Form, Heard, Intake, Writer, reconcile, tokens};
use transak_relay::model::event::Source;
use transak_relay::model::hops::Hops;
use transak_relay::model::id::PartnerId;
use transak_relay::model::pace::Rate;
use transak_relay::model::partner::Environment;
use transak_relay::model::seal::MasterKey;
use transak_relay::store;
use transak_relay::transak::rest::{Settings, TransakRest};

use crate::fake_transak::{API_KEY, API_SECRET, Fake, sign};

pub(crate) struct House {
    pub(crate) pool: PgPool,
    pub(crate) key: MasterKey,
    pub(crate) fake: Fake,
    pub(crate) partner: PartnerId,
    pub(crate) intake: Intake,
    pub(crate) suspicion: Suspicion,
    pub(crate) picture: watch::Sender<Arc<Directory>>,
    rest: Arc<TransakRest>,
    _writer: JoinSet<()>,
    // Deleted with the test.
    _spool: tempfile::TempDir,
}

impl House {
    /// With a partner that has a secret or not, and the token that Transak accepts or none.
    pub(crate) async fn new(pool: &PgPool, has_secret: bool, has_token: bool) -> Self {
        let key = MasterKey::parse("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=").unwrap();
        let fake = Fake::start().await;
        let mut conn = pool.acquire().await.unwrap();
        let new = store::partner::NewPartner {
            name: "Partner".to_owned(),
            environment: Environment::Staging,
            api_key: API_KEY.to_owned(),
            api_secret: has_secret.then(|| SecretString::from(API_SECRET)),
        };
        let partner = store::partner::insert(&mut conn, &key, &new).await.unwrap().unwrap();
        if has_token {
            let token = SecretString::from(fake.world().new_token());
            store::access_token::add(&mut conn, &key, partner, &token).await.unwrap();
        }
        let picture = watch::Sender::new(Arc::new(directory::load(pool, &key).await.unwrap()));
        let (folder, suspicion) = (tempfile::tempdir().unwrap(), Suspicion::default());
        let (intake, writer) = Writer::new(transak_relay::intake::Settings {
            pool: pool.clone(),
            directory: picture.subscribe(),
            spool: Spool::open(folder.path(), 1 << 24).unwrap(),
            hand_over: None,
            suspicion: suspicion.clone(),
            reconcile_every: Duration::from_mins(1),
        });
        let mut task = JoinSet::new();
        task.spawn(async move { writer.run(CancellationToken::new()).await.unwrap() });
        let most = NonZeroU32::MAX;
        let settings = Settings {
            api_url: Some(fake.url.clone()),
            rate: Rate { per_second: NonZeroU32::new(1_000_000).unwrap(), burst: most },
            ..Settings::default()
        };
        let rest = Arc::new(TransakRest::new(settings).unwrap());
        let pool = pool.clone();
        Self { _spool: folder, pool, key, fake, partner, intake, suspicion, picture, rest, _writer: task }
    }

    pub(crate) fn requeue(&self) -> Requeue {
        Requeue::new(self.pool.clone(), self.picture.subscribe(), self.intake.clone())
    }

    fn pictures(&self) -> Pictures {
        Pictures::new((self.pool.clone(), self.key.clone()), self.picture.clone())
    }

    pub(crate) fn token_care(&self) -> tokens::TokenCare {
        tokens::TokenCare::new(tokens::Settings {
            pool: self.pool.clone(),
            key: self.key.clone(),
            rest: Arc::clone(&self.rest),
            requeue: self.requeue(),
            pictures: self.pictures(),
            suspicion: self.suspicion.clone(),
        })
    }

    /// The care of tokens in another process, which knows only what stands in the tables.
    pub(crate) fn another(&self, pool: &PgPool) -> tokens::TokenCare {
        tokens::TokenCare::new(tokens::Settings {
            pool: pool.clone(),
            key: self.key.clone(),
            rest: Arc::clone(&self.rest),
            requeue: self.requeue(),
            pictures: self.pictures(),
            suspicion: Suspicion::default(),
        })
    }

    pub(crate) fn reconciler(&self) -> reconcile::Reconciler {
        self.reconciler_with(Duration::from_hours(1))
    }

    /// One whose turns go on beginning something for so long.
    pub(crate) fn reconciler_with(&self, turn: Duration) -> reconcile::Reconciler {
        reconcile::Reconciler::new(reconcile::Settings {
            pool: self.pool.clone(),
            key: self.key.clone(),
            rest: Arc::clone(&self.rest),
            intake: self.intake.clone(),
            suspicion: self.suspicion.clone(),
            every: Duration::from_mins(1),
            turn,
        })
    }

    /// Hears an order on the stream or by webhook, signed with this token.
    pub(crate) async fn hear(&self, source: Source, order: &Value, token: &str) -> Fate {
        self.intake.keep(self.heard(source, order, token)).await.unwrap()
    }

    /// An order as it is heard now.
    pub(crate) fn heard(&self, source: Source, order: &Value, token: &str) -> Heard {
        Heard {
            partner_id: Some(self.partner),
            source,
            form: Form::Signed,
            channel: (source == Source::Stream).then(|| Arc::from(API_KEY)),
            event: None,
            data: Bytes::from(sign(&order.to_string(), token)),
            at: Utc::now(),
            hops: Hops::default(),
            trace: None,
        }
    }

    pub(crate) async fn gap(&self, from: DateTime<Utc>, to: DateTime<Utc>) {
        self.gap_of(self.partner, from, to).await;
    }

    pub(crate) async fn gap_of(&self, partner: PartnerId, from: DateTime<Utc>, to: DateTime<Utc>) {
        sqlx::query(
            "insert into gap (partner_id, gap_id, started_at, ended_at, reason, next_repair_at)
             values ($1, gen_random_uuid(), $2, $3, 'test', $2)",
        )
        .bind(partner)
        .bind(from)
        .bind(to)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// When it is next tried to repair the one gap.
    pub(crate) async fn next_repair(&self) -> DateTime<Utc> {
        sqlx::query_scalar("select next_repair_at from gap").fetch_one(&self.pool).await.unwrap()
    }

    /// Makes an order due.
    pub(crate) async fn due(&self, order_id: &str, at: DateTime<Utc>) {
        sqlx::query(r#"update "order" set reconcile_at = $2 where order_id = $1"#)
            .bind(order_id)
            .bind(at)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// When an order is looked at next.
    pub(crate) async fn next_look(&self, order_id: &str) -> Option<DateTime<Utc>> {
        sqlx::query_scalar(r#"select reconcile_at from "order" where order_id = $1"#)
            .bind(order_id)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Since when Transak says that it does not know an order.
    pub(crate) async fn not_found_since(&self, order_id: &str) -> Option<DateTime<Utc>> {
        sqlx::query_scalar(r#"select not_found_since from "order" where order_id = $1"#)
            .bind(order_id)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// The events of an order, by time: status, name and the sources that told them.
    pub(crate) async fn events(&self, order_id: &str) -> Vec<(String, String, String)> {
        sqlx::query_as(
            "select status, event,
                    (select string_agg(source::text, ' ' order by source) from sighting s where s.event_id = e.event_id)
             from event e where order_id = $1 order by occurred_at, event_id",
        )
        .bind(order_id)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    pub(crate) async fn statuses(&self, order_id: &str) -> Vec<String> {
        self.events(order_id).await.into_iter().map(|(status, _, _)| status).collect()
    }

    /// How many gaps are repaired, and what is said of those that are not.
    pub(crate) async fn gaps(&self) -> (i64, Vec<String>) {
        let repaired = sqlx::query_scalar("select count(*) from gap where repaired_at is not null");
        let open = sqlx::query_scalar("select coalesce(last_error, '-') from gap where repaired_at is null");
        (repaired.fetch_one(&self.pool).await.unwrap(), open.fetch_all(&self.pool).await.unwrap())
    }

    /// Raw messages in quarantine, with their times.
    pub(crate) async fn quarantined(&self) -> Vec<i32> {
        sqlx::query_scalar("select times from quarantine order by quarantine_id")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }
}
