//! What a long history costs: the same reads and the same burst after ten thousand stored events and after many.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use sqlx::PgPool;
use transak_relay::model::partition::{Span, missing};
use transak_relay::store::partition;

use crate::Options;
use crate::report::Run;
use crate::scenario::publish;
use crate::stage::{Bench, Stage};

const SHORT: usize = 10_000;
/// How many reads of each kind; the median is taken.
const READS: usize = 101;
/// How many events are heard and told on top.
const BURST: usize = 2_000;
/// How many events one statement of the filling makes.
const CHUNK: usize = 100_000;

/// Compares a short history with a long one.
pub(crate) async fn grow(bench: &mut Bench, options: &Options) -> anyhow::Result<Run> {
    let burst = BURST.min(options.events);
    let short = with_history(bench, SHORT.min(options.history), burst).await?;
    let long = with_history(bench, options.history, burst).await?;
    let mut run = Run::new();
    for ((key, short), (_, long)) in short.iter().zip(&long) {
        let names: [&'static str; 3] = match *key {
            "timeline" => ["timeline_ms_short", "timeline_ms_long", "timeline_ratio"],
            "page" => ["page_ms_short", "page_ms_long", "page_ratio"],
            _ => ["burst_s_short", "burst_s_long", "burst_ratio"],
        };
        run.extend([(names[0], *short), (names[1], *long), (names[2], long / short)]);
    }
    Ok(run)
}

async fn with_history(
    bench: &mut Bench,
    events: usize,
    burst: usize,
) -> anyhow::Result<BTreeMap<&'static str, f64>> {
    let mut stage = bench.stage().await?;
    let receiver = bench.receiver.address.clone();
    let endpoints = stage.endpoints([format!("{receiver}/ok")]).await?;
    fill(&stage.database.pool, events, &endpoints[0]).await?;
    let orders = events.div_ceil(4);
    let timeline = median(&stage, |n| format!("/v1/orders/old-{}/timeline", n * 7_919 % orders)).await?;
    let page = median(&stage, |n| format!("/v1/events?limit=50&status={}", STATUSES[n % 4])).await?;
    stage.source.ask(&format!("sign 0 {burst}")).await?;
    let began = Instant::now();
    publish(&mut stage, burst).await?;
    bench.receiver.ask(&format!("expect {burst}")).await?;
    let burst = began.elapsed().as_secs_f64();
    bench.clear(stage).await?;
    Ok(BTreeMap::from([("timeline", timeline), ("page", page), ("burst", burst)]))
}

const STATUSES: [&str; 4] =
    ["AWAITING_PAYMENT_FROM_USER", "PROCESSING", "PENDING_DELIVERY_FROM_TRANSAK", "COMPLETED"];

/// The median of so many reads, in milliseconds.
async fn median(stage: &Stage, path: impl Fn(usize) -> String) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for number in 0..READS {
        let began = Instant::now();
        stage.call(Method::GET, &path(number), None).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[READS / 2])
}

/// Writes a history as the relay would have: orders of four events, each told once, over the last 80 days.
async fn fill(pool: &PgPool, events: usize, endpoint: &str) -> anyhow::Result<()> {
    let endpoint = endpoint.trim_start_matches("ep_");
    let mut conn = pool.acquire().await?;
    for week in 0..13 {
        let at = Utc::now() - TimeDelta::weeks(week);
        for table in partition::TABLES {
            let existing = partition::list(&mut conn, table).await?;
            for missing in missing(&existing, Span::Day, at) {
                partition::make(&mut conn, table, &missing).await?;
            }
        }
    }
    for from in (0..events).step_by(CHUNK) {
        let to = (from + CHUNK).min(events);
        for statement in FILL {
            sqlx::query(statement)
                .bind(i64::try_from(from)?)
                .bind(i64::try_from(to)? - 1)
                .bind(endpoint)
                .bind(i64::try_from(events)?)
                .execute(&mut *conn)
                .await?;
        }
    }
    sqlx::raw_sql("analyze").execute(&mut *conn).await?;
    Ok(())
}

/// `$1` and `$2`: the first and last event, `$3`: the endpoint, `$4`: how many there will be.
const FILL: [&str; 7] = [
    "create temporary table if not exists h as select 0::bigint as n, ''::text as o, now() as t, null::uuid as id,
         null::uuid as p where $1 + $2 + $4 < 0 and $3 = ''",
    "with gone as (delete from h) insert into h
     select n, 'old-' || n / 4, t, (lpad(to_hex((extract(epoch from t) * 1000)::bigint), 12, '0') || '7' ||
            substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid, partner_id
     from (select n, now() - interval '80 days' * (1 - n::float8 / $4) as t from generate_series($1, $2) as n) as one,
          endpoint where endpoint_id = $3::uuid",
    "insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at)
     select p, id, o, 'ORDER_PROCESSING', (array['AWAITING_PAYMENT_FROM_USER', 'PROCESSING',
            'PENDING_DELIVERY_FROM_TRANSAK', 'COMPLETED'])[n % 4 + 1], uuid_send(id), t, t
     from h where $1 + $2 + $4 >= 0 and $3 <> ''",
    "insert into payload (partner_id, event_id, received_at, body)
     select p, id, t, convert_to('{\"id\":\"' || o || '\",\"status\":\"COMPLETED\",\"x\":\"' || repeat(md5(n::text), 25) || '\"}', 'UTF8')
     from h where $1 + $2 + $4 >= 0 and $3 <> ''",
    "insert into sighting (partner_id, event_id, source, at, verified)
     select p, id, 'stream', t, true from h where $1 + $2 + $4 >= 0 and $3 <> ''",
    "insert into \"order\" (partner_id, order_id, status, status_at, verified, created_at, updated_at, snapshot_event_id,
                          snapshot_received_at, snapshot_at)
     select p, o, 'COMPLETED', t, true, t, t, id, t, t from h
     where $1 + $2 + $4 >= 0 and $3 <> '' and (n % 4 = 3 or n = $4 - 1)
     on conflict do nothing",
    "with owed as (
         insert into delivery (partner_id, delivery_id, event_id, endpoint_id, order_id, state, attempts, last_status_code,
                               created_at, finished_at)
         select p, id, id, $3::uuid, o, 'succeeded', 1, 200, t, t from h where $1 + $2 + $4 >= 0
         returning partner_id, delivery_id, created_at)
     insert into attempt (partner_id, delivery_id, attempt_id, at, status_code, total_ms, request_headers,
                          response_headers, response_body)
     select partner_id, delivery_id, delivery_id, created_at, 200, 1,
            '{\"webhook-id\":\"evt\",\"webhook-signature\":\"v1,0000000000000000000000000000000000000000000=\"}', '{}', ''
     from owed",
];
