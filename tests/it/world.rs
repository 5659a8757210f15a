//! A relay whose tasks are driven by hand: what is heard is written when a test says so, what is owed is sent when a
//! test says so. The sandbox plays Transak and the receiver.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use bytes::Bytes;
use chrono::Utc;
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::watch;
use tower::ServiceExt as _;
use transak_relay::delivery::dispatcher::Dispatcher;
use transak_relay::http::live::{Feed, Reading};
use transak_relay::intake::spool::Spool;
use transak_relay::intake::{Form, Heard, Intake, Writer, directory};
use transak_relay::model::breaker::Pick;
use transak_relay::model::event::Source;
use transak_relay::model::id::PartnerId;
use transak_relay::model::queue::Room;
use transak_relay::model::seal::MasterKey;
use transak_relay::sandbox::receiver::Receiver;
use transak_relay::sandbox::signing;
use uuid::Uuid;

use crate::parts::{api_knowing, dispatcher, intake};

pub(crate) const ADMIN: &str = "rly_admin_of_the_tests";
pub(crate) const API_KEY: &str = "11111111-0000-4000-8000-000000000000";

pub(crate) struct World {
    pub(crate) pool: PgPool,
    pub(crate) key: MasterKey,
    pub(crate) intake: Intake,
    pub(crate) writer: Writer,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) partner: PartnerId,
    pub(crate) access_token: SecretString,
    pub(crate) api: axum::Router,
    /// New events for those who follow; the reader runs when a test says so.
    pub(crate) feed: Feed,
    pub(crate) reading: Option<Reading>,
    pub(crate) directory: watch::Sender<Arc<directory::Directory>>,
    // Deleted with the test.
    _spool: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(pool: PgPool) -> Self {
        let mut world = Self::around(pool);
        world.add_partner().await;
        world
    }

    /// One more process on a database that holds something already.
    pub(crate) fn around(pool: PgPool) -> Self {
        let key = MasterKey::parse(&base64::engine::general_purpose::STANDARD.encode([7; 32])).unwrap();
        let (hand_over, dispatcher) = dispatcher(&pool, &key);
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1 << 24).unwrap();
        let (pictures, directory) = watch::channel(Arc::default());
        let (intake, writer) = Writer::new(intake(&pool, directory, (spool, Some(hand_over))));
        let (feed, reading) = Feed::new(pool.clone(), writer.kept());
        let knowing = directory::Pictures::new((pool.clone(), key.clone()), pictures.clone());
        let api = api_knowing(Some(knowing), (&pool, &key), (intake.clone(), feed.clone()));
        let access_token = signing::access_token(API_KEY, Utc::now().timestamp(), 604_800).unwrap();
        Self {
            pool,
            key,
            intake,
            writer,
            dispatcher,
            partner: PartnerId::new(),
            access_token,
            api,
            feed,
            reading: Some(reading),
            directory: pictures,
            _spool: folder,
        }
    }

    async fn add_partner(&mut self) {
        let token = secrecy::ExposeSecret::expose_secret(&self.access_token).to_owned();
        let body =
            json!({ "name": "test", "environment": "STAGING", "apiKey": API_KEY, "accessToken": token });
        let (status, made) = self.call("POST", "/v1/partners", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        self.partner = made["id"].as_str().unwrap().parse().unwrap();
        self.look_again().await;
    }

    /// Has the intake read the partners again.
    pub(crate) async fn look_again(&self) {
        self.directory.send_replace(Arc::new(directory::load(&self.pool, &self.key).await.unwrap()));
    }

    /// Every endpoint, with room for so many deliveries each.
    pub(crate) async fn rooms(&self, most: usize) -> Vec<Room> {
        let places: Vec<(Uuid, Uuid)> = sqlx::query_as("select partner_id, endpoint_id from endpoint")
            .fetch_all(&self.pool)
            .await
            .unwrap();
        places
            .into_iter()
            .map(|(partner, endpoint)| Room {
                place: (partner.into(), endpoint.into()),
                most,
                pick: Pick::InTurn,
            })
            .collect()
    }

    /// The dispatcher of another process.
    pub(crate) fn another_dispatcher(&self) -> Dispatcher {
        dispatcher(&self.pool, &self.key).1
    }

    /// Everything that waits for its time, or for its endpoint's pause to end, has waited long enough.
    pub(crate) async fn pass_time(&self) {
        self.sql("update delivery set next_attempt_at = now() where next_attempt_at < '9000-01-01'").await;
        self.sql("update endpoint set paused_until = now() where paused_until is not null").await;
    }

    /// Whoever has died so far has been dead for long enough to be noticed.
    pub(crate) async fn bury_the_dead(&self) {
        self.sql("update dispatcher set heartbeat_at = now() - interval '1 min'").await;
    }

    pub(crate) async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&self.pool).await.unwrap();
    }

    /// Hears so many events, each of an order of its own.
    pub(crate) async fn hear_many(&mut self, count: usize) {
        for number in 0..count {
            let message = self.signed(&order(&format!("many-{number}"), "PROCESSING", 1));
            self.hear(&message).await;
        }
    }

    /// One endpoint, as the interface shows it.
    pub(crate) async fn show(&self, endpoint: &Value) -> Value {
        self.call("GET", &format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap()), None).await.1
    }

    /// The events of a name, as the interface shows them.
    pub(crate) async fn events(&self, name: &str) -> Vec<Value> {
        let (_, page) = self.call("GET", &format!("/v1/events?event={name}"), None).await;
        page["data"].as_array().unwrap().clone()
    }

    /// How many deliveries are in a state.
    pub(crate) async fn in_state(&self, state: &str) -> i64 {
        sqlx::query_scalar("select count(*) from delivery where state = $1::text::delivery_state")
            .bind(state)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Calls the interface as the administrator.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let (status, bytes) = self.call_raw(method, path, body).await;
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(crate) async fn call_raw(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {ADMIN}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .unwrap();
        let answer = self.api.clone().oneshot(request).await.unwrap();
        (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
    }

    /// Posts while the intake writes what arrives.
    pub(crate) async fn post_while_writing(&mut self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::post(path).header("access-token", ADMIN);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        let mut answer = std::pin::pin!(self.api.clone().oneshot(request));
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer.unwrap(),
                () = self.writer.write_next() => {}
            }
        };
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Registers a callback receiver that trusts what it is then sent.
    pub(crate) async fn endpoint(&self, mut settings: Value) -> (Receiver, Value) {
        let receiver = Receiver::start(([127, 0, 0, 1], 0).into(), std::io::sink()).await.unwrap();
        settings["partnerId"] = json!(self.partner.to_string());
        settings["url"] = json!(receiver.url());
        let (status, made) = self.call("POST", "/v1/endpoints", Some(settings)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        receiver.trust_secret(SecretString::from(made["secret"].as_str().unwrap()));
        receiver.trust_access_token(self.access_token.clone());
        (receiver, made)
    }

    /// What the stream would hear if Transak signed these claims.
    pub(crate) fn signed(&self, claims: &str) -> String {
        signing::sign(&self.access_token, claims).unwrap()
    }

    /// Hears a message of the stream and writes it.
    pub(crate) async fn hear(&mut self, data: &str) {
        self.hear_from(Source::Stream, Form::Signed, data).await;
    }

    pub(crate) async fn hear_from(&mut self, source: Source, form: Form, data: &str) {
        let heard = Heard { source, form, ..self.heard(data) };
        self.intake.offer(heard).unwrap();
        self.writer.drain().await;
    }

    /// A message of the stream as it is heard now.
    pub(crate) fn heard(&self, data: &str) -> Heard {
        Heard {
            partner_id: Some(self.partner),
            source: Source::Stream,
            form: Form::Signed,
            channel: Some(API_KEY.into()),
            event: None,
            data: Bytes::copy_from_slice(data.as_bytes()),
            at: Utc::now(),
            hops: transak_relay::model::hops::Hops::default(),
            trace: None,
        }
    }

    /// The intake of another process.
    pub(crate) fn another_writer(&self) -> (Intake, Writer, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1 << 24).unwrap();
        let (intake, writer) = Writer::new(intake(&self.pool, self.directory.subscribe(), (spool, None)));
        (intake, writer, folder)
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

/// An order as Transak sends it.
pub(crate) fn order(id: &str, status: &str, minute: u32) -> String {
    let updated = format!("2025-04-04T13:{minute:02}:48.374Z");
    json!({
        "id": id, "status": status, "isBuyOrSell": "BUY", "walletAddress": "0xD902", "fiatCurrency": "EUR",
        "fiatAmount": 30, "cryptoCurrency": "ETH", "network": "ethereum", "partnerOrderId": format!("po-{id}"),
        "createdAt": "2025-04-04T13:00:47.260Z", "updatedAt": updated,
    })
    .to_string()
}

/// The values of one field over a list.
pub(crate) fn pluck<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|one| one[field].as_str().unwrap()).collect()
}
