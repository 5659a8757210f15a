//! Tokens that come after the messages that they verify, with several processes that know of them sooner or later.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transak_relay::intake::directory::{self, Directory};
use transak_relay::intake::spool::Spool;
use transak_relay::intake::suspicion::Suspicion;
use transak_relay::intake::{Fate, Form, Heard, Intake, Settings, Writer};
use transak_relay::model::event::Source;
use transak_relay::model::hops::Hops;
use transak_relay::model::id::PartnerId;
use transak_relay::model::partner::Environment;
use transak_relay::model::seal::MasterKey;
use transak_relay::store;

use crate::fake_transak::{Fault, order, sign};
use crate::intake_house::House;

/// One process: what it knows of the partners is its own, and so is whatever it only remembers.
struct Process {
    pool: PgPool,
    key: MasterKey,
    picture: watch::Sender<Arc<Directory>>,
    intake: Intake,
    _writer: JoinSet<()>,
    _spool: tempfile::TempDir,
}

impl Process {
    fn new(pool: &PgPool, key: &MasterKey) -> Self {
        let picture = watch::Sender::new(Arc::default());
        let spool = tempfile::tempdir().unwrap();
        let (intake, writer) = Writer::new(Settings {
            pool: pool.clone(),
            directory: picture.subscribe(),
            spool: Spool::open(spool.path(), 1 << 24).unwrap(),
            hand_over: None,
            suspicion: Suspicion::default(),
            reconcile_every: Duration::from_mins(1),
        });
        let mut task = JoinSet::new();
        task.spawn(async move { writer.run(CancellationToken::new()).await.unwrap() });
        Self { pool: pool.clone(), key: key.clone(), picture, intake, _writer: task, _spool: spool }
    }

    async fn look(&self) {
        self.picture.send_replace(Arc::new(directory::load(&self.pool, &self.key).await.unwrap()));
    }

    async fn hear(&self, partner: PartnerId, (order_id, token): (&str, &str)) -> Fate {
        let heard = Heard {
            partner_id: Some(partner),
            source: Source::Stream,
            form: Form::Signed,
            channel: None,
            event: None,
            data: Bytes::from(sign(&order(order_id, "COMPLETED", Utc::now()).to_string(), token)),
            at: Utc::now(),
            hops: Hops::default(),
            trace: None,
        };
        self.intake.keep(heard).await.unwrap()
    }

    async fn try_quarantine(&self, partner: PartnerId) {
        self.intake.requeue(self.pool.clone()).untried(partner).await.unwrap();
    }
}

/// Something that happens, at the same time as something else.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The partner is given its next token.
    Give,
    /// A process reads the partners.
    Look(usize),
    /// A process hears a message that is signed with this token, given or not.
    Hear(usize, usize),
    /// A process tries what is put aside, with the tokens that it knows.
    Try(usize),
}

/// As many as verify at the same time.
const TOKENS: usize = 5;

fn step(random: &mut fastrand::Rng) -> Step {
    let process = random.usize(..2);
    match random.u8(..10) {
        0 => Step::Give,
        1..=2 => Step::Look(process),
        3..=7 => Step::Hear(process, random.usize(..=TOKENS)),
        _ => Step::Try(process),
    }
}

struct Schedule<'a> {
    processes: &'a [Process; 2],
    partner: PartnerId,
    given: AtomicUsize,
    heard: Mutex<Vec<(String, usize)>>,
}

impl Schedule<'_> {
    async fn take(&self, step: Step) {
        match step {
            Step::Give => {
                let next = self.given.fetch_add(1, Ordering::SeqCst);
                if next < TOKENS {
                    self.give(&token(self.partner, next)).await;
                }
            }
            Step::Look(process) => self.processes[process].look().await,
            Step::Hear(process, with) => {
                let order = {
                    let mut heard = self.heard.lock().unwrap();
                    let order = format!("{}-{}", self.partner, heard.len());
                    heard.push((order.clone(), with));
                    order
                };
                self.processes[process].hear(self.partner, (&order, &token(self.partner, with))).await;
            }
            Step::Try(process) => self.processes[process].try_quarantine(self.partner).await,
        }
    }

    async fn give(&self, token: &str) {
        let process = &self.processes[0];
        let mut conn = process.pool.acquire().await.unwrap();
        let token = SecretString::from(token);
        store::access_token::add(&mut conn, &process.key, self.partner, &token).await.unwrap();
    }
}

/// Two partners have no token in common.
fn token(partner: PartnerId, number: usize) -> String {
    format!("token-{number}-of-{partner}")
}

async fn orders(pool: &PgPool, partner: PartnerId) -> Vec<String> {
    sqlx::query_scalar("select order_id from event where partner_id = $1 order by order_id")
        .bind(partner)
        .fetch_all(pool)
        .await
        .unwrap()
}

async fn put_aside(pool: &PgPool, partner: PartnerId) -> i64 {
    let count = sqlx::query_scalar("select count(*) from quarantine where partner_id = $1").bind(partner);
    count.fetch_one(pool).await.unwrap()
}

async fn partner(pool: &PgPool, key: &MasterKey, name: &str) -> PartnerId {
    let new = store::partner::NewPartner {
        name: name.to_owned(),
        environment: Environment::Staging,
        api_key: name.to_owned(),
        api_secret: None,
    };
    store::partner::insert(&mut pool.acquire().await.unwrap(), key, &new).await.unwrap().unwrap()
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn however_tokens_messages_and_tries_of_two_processes_come_to_pass_nothing_stays_that_a_token_verifies(
    pool: PgPool,
) {
    let key = MasterKey::parse("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=").unwrap();
    let processes = [Process::new(&pool, &key), Process::new(&pool, &key)];
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let partner = partner(&pool, &key, &format!("partner-{seed}")).await;
        let schedule =
            Schedule { processes: &processes, partner, given: AtomicUsize::new(0), heard: Mutex::default() };
        for _ in 0..15 {
            let (one, other, third) = (step(&mut random), step(&mut random), step(&mut random));
            tokio::join!(schedule.take(one), schedule.take(other), schedule.take(third));
        }
        // Whichever process looks last.
        let last = &processes[random.usize(..2)];
        last.look().await;
        last.try_quarantine(partner).await;
        let given = schedule.given.into_inner();
        let heard = schedule.heard.into_inner().unwrap();
        let (verified, others): (Vec<_>, Vec<_>) =
            heard.into_iter().partition(|(_, with)| *with < given.min(TOKENS));
        let mut verified: Vec<_> = verified.into_iter().map(|(order, _)| order).collect();
        verified.sort();
        assert_eq!(orders(&pool, partner).await, verified, "seed {seed}");
        assert_eq!(put_aside(&pool, partner).await, i64::try_from(others.len()).unwrap(), "seed {seed}");
    }
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_message_is_tried_with_a_token_as_often_as_somebody_puts_it_aside_without_knowing_it(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let (mut care, now) = (house.token_care(), Utc::now());
    let slow = Process::new(&pool, &house.key);
    slow.look().await;
    let mut conn = pool.acquire().await.unwrap();
    let token = SecretString::from("the next token");
    store::access_token::add(&mut conn, &house.key, house.partner, &token).await.unwrap();
    for number in 0..5 {
        let order = format!("o{number}");
        let fate = slow.hear(house.partner, (&order, "the next token")).await;
        assert_eq!(fate, Fate::Unverified, "it has not looked since");
        assert_eq!(care.tick(now).await.unwrap().cured, 1, "{order}");
    }
    assert!(house.quarantined().await.is_empty());
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn what_was_tried_with_all_tokens_is_not_tried_again_and_is_not_counted_as_heard(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    house.hear(Source::Webhook, &order("o1", "COMPLETED", Utc::now()), "never given").await;
    let none = transak_relay::intake::requeue::Tally::default();
    assert_eq!(house.requeue().untried(house.partner).await.unwrap(), none);
    let mut conn = pool.acquire().await.unwrap();
    let token = SecretString::from("another");
    store::access_token::add(&mut conn, &house.key, house.partner, &token).await.unwrap();
    house.picture.send_replace(Arc::new(directory::load(&pool, &house.key).await.unwrap()));
    assert_eq!(house.requeue().untried(house.partner).await.unwrap().stay, 1);
    assert_eq!(house.requeue().untried(house.partner).await.unwrap(), none);
    assert_eq!(house.quarantined().await, [1]);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn what_a_process_without_the_care_of_tokens_put_aside_causes_a_refresh(pool: PgPool) {
    let house = House::new(&pool, true, true).await;
    let other = Process::new(&pool, &house.key);
    other.look().await;
    other.hear(house.partner, ("o1", "a token of somebody else's refresh")).await;
    assert_eq!(house.token_care().tick(Utc::now()).await.unwrap().refreshed, 1);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_message_that_a_token_given_since_verifies_causes_no_refresh(pool: PgPool) {
    let house = House::new(&pool, true, true).await;
    house.hear(Source::Stream, &order("o1", "COMPLETED", Utc::now()), "given by hand").await;
    let mut conn = pool.acquire().await.unwrap();
    let token = SecretString::from("given by hand");
    store::access_token::add(&mut conn, &house.key, house.partner, &token).await.unwrap();
    let looked = house.token_care().tick(Utc::now()).await.unwrap();
    assert_eq!((looked.cured, looked.refreshed), (1, 0));
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_call_that_transak_refuses_in_one_process_causes_a_refresh_in_another(pool: PgPool) {
    let house = House::new(&pool, true, true).await;
    house.gap(Utc::now() - chrono::TimeDelta::hours(1), Utc::now() - chrono::TimeDelta::minutes(50)).await;
    house.fake.fault("orders", Fault::Status(401, None, "Authorization Required"));
    house.reconciler().run_once(Utc::now()).await.unwrap();
    // Nothing that the first one remembers is known to the second.
    assert_eq!(house.another(&pool).tick(Utc::now()).await.unwrap().refreshed, 1);
}

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn what_the_version_before_puts_aside_has_a_reason_and_is_tried_with_the_tokens_there_are(
    pool: PgPool,
) {
    let house = House::new(&pool, false, true).await;
    let sentences = [
        ("no access token of the partner verifies its signature", "no_token_fits"),
        ("the partner has no access token to verify it with", "no_token"),
        ("it is not a signed message in compact form", "not_signed"),
        ("it belongs to no known partner", "no_partner"),
        ("the database refused it", "refused"),
        ("the order has no status that can be kept (1 to 100 bytes, no NUL)", "unreadable"),
    ];
    for (number, (sentence, _)) in sentences.iter().enumerate() {
        let message = sign(
            &order(&format!("o{number}"), "COMPLETED", Utc::now()).to_string(),
            &house.fake.world().token,
        );
        sqlx::query(
            "insert into quarantine (quarantine_id, partner_id, source, reason, raw, fingerprint, received_at, form)
             values (gen_random_uuid(), $1, 'stream', $2, $3, sha256($3), now(), 'signed')",
        )
        .bind(house.partner)
        .bind(sentence)
        .bind(message.as_bytes())
        .execute(&pool)
        .await
        .unwrap();
    }
    let codes: Vec<(String, String)> =
        sqlx::query_as("select reason, code::text from quarantine").fetch_all(&pool).await.unwrap();
    for (sentence, code) in sentences {
        assert!(codes.contains(&(sentence.to_owned(), code.to_owned())), "{sentence}: {codes:?}");
    }
    assert_eq!(house.token_care().tick(Utc::now()).await.unwrap().cured, 2);
}
