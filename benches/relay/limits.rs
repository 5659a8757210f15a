//! What this machine can do at all, so that figures of two machines, or of two hours, can be compared.

use std::io::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;
use sqlx::PgPool;
use tokio::task::JoinSet;
use transak_relay::delivery::sender::{CallbackRequest, Sender, SenderSettings};
use transak_relay::model::address::AddressPolicy;
use transak_relay::model::callback_url::{CallbackUrl, UrlPolicy};

use crate::orders;
use crate::stage::Bench;

const AT_ONCE: usize = 64;

/// The limits.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Limits {
    /// POSTs a second of the relay's own client to the receiver, 64 at once, connections kept.
    pub(crate) posts: f64,
    /// Rows a second of a durable insert of the same payload, 100 a commit, one connection.
    pub(crate) rows: f64,
    /// Commits of one such row a second.
    pub(crate) commits: f64,
    /// Writes of 8 KiB a second, each waited for.
    pub(crate) fsyncs: f64,
    pub(crate) cpus: usize,
}

/// Measures, for about ten seconds.
pub(crate) async fn measure(bench: &mut Bench, quick: bool) -> anyhow::Result<Limits> {
    let span = if quick { Duration::from_millis(200) } else { Duration::from_millis(2_500) };
    let database = bench.server.fresh().await?;
    sqlx::raw_sql(
        "create table plain (id bigint generated always as identity primary key, body text not null)",
    )
    .execute(&database.pool)
    .await?;
    let limits = Limits {
        posts: posts(&bench.receiver.address, span).await?,
        rows: inserts(&database.pool, 100, span).await?,
        commits: inserts(&database.pool, 1, span).await?,
        fsyncs: fsyncs(bench, span)?,
        cpus: std::thread::available_parallelism()?.get(),
    };
    bench.server.drop(database).await?;
    Ok(limits)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
fn rate(count: usize, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64()
}

async fn posts(receiver: &str, span: Duration) -> anyhow::Result<f64> {
    let addresses = AddressPolicy::new(vec!["127.0.0.0/8".parse()?]);
    let policy = UrlPolicy { allow_http: true, addresses: addresses.clone() };
    let url = CallbackUrl::parse(&format!("{receiver}/bare"), &policy)?;
    let sender = std::sync::Arc::new(Sender::new(SenderSettings {
        addresses,
        allow_http: true,
        ..SenderSettings::default()
    })?);
    let body = Bytes::from(orders::order(0, 0).0);
    let (began, mut senders) = (Instant::now(), JoinSet::new());
    for _ in 0..AT_ONCE {
        let (sender, url, body) = (std::sync::Arc::clone(&sender), url.clone(), body.clone());
        senders.spawn(async move {
            let mut count = 0;
            while began.elapsed() < span {
                let (headers, timeout) = (HeaderMap::new(), Duration::from_secs(15));
                let request = CallbackRequest {
                    url: url.clone(),
                    headers,
                    body: body.clone(),
                    timeout,
                    identity: None,
                };
                count += usize::from(sender.send(request).await.status_code == Some(200));
            }
            count
        });
    }
    let count = senders.join_all().await.into_iter().sum();
    Ok(rate(count, began))
}

async fn inserts(pool: &PgPool, rows: usize, span: Duration) -> anyhow::Result<f64> {
    let bodies = vec![orders::order(0, 0).0; rows];
    let mut conn = pool.acquire().await?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < span {
        sqlx::query("insert into plain (body) select * from unnest($1::text[])")
            .bind(&bodies)
            .execute(&mut *conn)
            .await?;
        count += rows;
    }
    Ok(rate(count, began))
}

fn fsyncs(bench: &Bench, span: Duration) -> anyhow::Result<f64> {
    let mut file = std::fs::File::create(bench.folder.path().join("fsync"))?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < span {
        file.write_all(&[7; 8192])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(rate(count, began))
}
