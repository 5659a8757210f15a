//! Thousands of endpoints of one partner that hang or refuse, beside another partner whose endpoints answer.

use std::collections::BTreeMap;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::json;

use crate::receiver::Arrivals;
use crate::report::Run;
use crate::stage::{Bench, Stage};

/// Endpoints of the partner that is measured.
const HEALTHY: usize = 10;
/// Events a second of that partner.
const RATE: u64 = 20;
/// How many deliveries each endpoint of the other partner is owed.
const OWED: i32 = 4;
/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

/// What the latency of the one partner is while the other has nothing, hangs, and refuses.
pub(crate) async fn compare(bench: &mut Bench, endpoints: usize, seconds: u64) -> anyhow::Result<Run> {
    let hangs = format!("{}/hang", bench.receiver.address);
    let without = beside(bench, None, seconds).await?;
    let hanging = beside(bench, Some((&hangs, endpoints)), seconds).await?;
    let refusing = beside(bench, Some((NOBODY, endpoints)), seconds).await?;
    Ok(BTreeMap::from([
        ("p50_without_ms", without.p50),
        ("p50_hanging_ms", hanging.p50),
        ("p50_refusing_ms", refusing.p50),
        ("p95_without_ms", without.p95),
        ("p95_hanging_ms", hanging.p95),
        ("p95_refusing_ms", refusing.p95),
        ("ratio_hanging", hanging.p95 / without.p95),
        ("ratio_refusing", refusing.p95 / without.p95),
    ]))
}

async fn beside(
    bench: &mut Bench,
    neighbour: Option<(&str, usize)>,
    seconds: u64,
) -> anyhow::Result<Arrivals> {
    let mut stage = bench.stage().await?;
    let receiver = bench.receiver.address.clone();
    let partner = stage.partner().await?;
    stage.endpoints_of(&partner, (0..HEALTHY).map(|n| format!("{receiver}/ok/{n}"))).await?;
    if let Some((url, endpoints)) = neighbour {
        crowd(&stage, url, endpoints).await?;
    }
    let expected = |events: u64| usize::try_from(events).map(|events| format!("expect {}", events * HEALTHY));
    stage.source.ask(&format!("pace 0 {RATE} 2")).await?;
    bench.receiver.ask(&expected(RATE * 2)?).await?;
    bench.receiver.ask("reset").await?;
    stage.source.ask(&format!("pace {} {RATE} {seconds}", RATE * 2)).await?;
    bench.receiver.ask(&expected(RATE * seconds)?).await?;
    let arrivals = Arrivals::of(&mut bench.receiver).await?;
    bench.clear(stage).await?;
    Ok(arrivals)
}

/// Another partner with so many endpoints, each owed some deliveries that are due.
async fn crowd(stage: &Stage, url: &str, endpoints: usize) -> anyhow::Result<()> {
    let new = json!({ "name": "crowd", "environment": "STAGING", "apiKey": "another-key" });
    let made = stage.call(Method::POST, "/v1/partners", Some(new)).await?;
    let partner = made["id"].as_str().context("a partner without an id")?;
    // A relay that knows no bound refuses to hear of one.
    let _ = stage
        .call(Method::PATCH, &format!("/v1/partners/{partner}"), Some(json!({ "maxEndpoints": 100_000 })))
        .await;
    stage.endpoints_of(partner, (0..endpoints).map(|_| url.to_owned())).await?;
    let partner = partner.trim_start_matches("ptr_");
    for statement in OWE {
        sqlx::query(statement).bind(partner).bind(OWED).execute(&stage.database.pool).await?;
    }
    Ok(())
}

/// `$1`: the partner, `$2`: how many events each of its endpoints is owed.
const OWE: [&str; 3] = [
    "insert into event (partner_id, event_id, event, identity, occurred_at, received_at)
     select $1::uuid, uuid_in(md5('e' || n)::cstring), 'ORDER_PROCESSING', uuid_send(uuid_in(md5('e' || n)::cstring)),
            now(), now()
     from generate_series(1, $2) as n",
    "insert into payload (partner_id, event_id, received_at, body)
     select partner_id, event_id, received_at, '{}' from event where partner_id = $1::uuid and $2 > 0",
    "insert into delivery (partner_id, delivery_id, event_id, endpoint_id, next_attempt_at)
     select event.partner_id, gen_random_uuid(), event_id, endpoint_id, now()
     from event join endpoint using (partner_id) where event.partner_id = $1::uuid and $2 > 0",
];
