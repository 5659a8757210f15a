//! Endpoints that are owed something which is not due: what they cost while they wait.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use transak_relay::store::dispatcher::DispatcherId;
use transak_relay::store::due::look;
use transak_relay::store::endpoint::in_line;
use transak_relay::store::figures;
use transak_relay::store::pool::pool_options;

use crate::quiet::pause;
use crate::report::Run;
use crate::stage::Bench;

/// How often each is measured; the median is taken.
const READS: usize = 51;

/// What a look for due deliveries, the figures and a look for what is out of line take, and what the relay and Postgres
/// take together while nothing happens.
pub(crate) async fn wait(bench: &mut Bench, endpoints: usize, seconds: u64) -> anyhow::Result<Run> {
    let stage = bench.stage().await?;
    stage.endpoints([format!("{}/ok", bench.receiver.address)]).await?;
    for statement in FILL {
        sqlx::query(statement).bind(i64::try_from(endpoints)?).execute(&stage.database.pool).await?;
    }
    sqlx::raw_sql("analyze").execute(&stage.database.pool).await?;
    // What is new is noted before it is measured.
    let unnoted = "select exists (select from delivery where not due_noted)";
    while sqlx::query_scalar::<_, bool>(unnoted).fetch_one(&stage.database.pool).await.unwrap_or(false) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let idle = pause(&stage, seconds).await?;
    let pool = pool_options().max_connections(1).connect(&stage.database.url).await?;
    let mut conn = pool.acquire().await?;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..READS {
        for (place, times) in times.iter_mut().enumerate() {
            times.push(time(&mut conn, place).await?);
        }
    }
    drop(conn);
    pool.close().await;
    let [look, figures, in_line] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[READS / 2]
    });
    bench.clear(stage).await?;
    Ok(BTreeMap::from([
        ("idle_cpu_percent", idle),
        ("look_ms", look),
        ("figures_ms", figures),
        ("in_line_ms", in_line),
    ]))
}

async fn time(conn: &mut PgConnection, what: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    match what {
        0 => drop(look(conn, DispatcherId::new(), None).await?),
        1 => {
            figures::queue(conn).await?;
        }
        _ => drop(in_line::step(conn).await?),
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// `$1`: how many.
const FILL: [&str; 2] = [
    "insert into endpoint (partner_id, endpoint_id, url, retry_schedule)
     select partner_id, uuid_in(md5('e' || n)::cstring), url, retry_schedule from endpoint, generate_series(1, $1) as n",
    "insert into delivery (partner_id, delivery_id, event_id, endpoint_id, attempts, next_attempt_at)
     select partner_id, endpoint_id, endpoint_id, endpoint_id, 1, now() + interval '10 hours'
     from endpoint where endpoint.retry_schedule is not null and $1 > 0",
];
