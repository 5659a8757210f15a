//! Endpoints as a sender needs them, with their secrets opened.

use std::time::Duration;

use secrecy::SecretString;
use sqlx::PgPool;

use crate::model::callback_url::CallbackUrl;
use crate::model::endpoint::PayloadFormat;
use crate::model::header::CallbackHeaders;
use crate::model::id::{EndpointId, PartnerId};
use crate::model::redact::Redaction;
use crate::model::retry::{RetryPolicy, RetrySchedule};
use crate::model::seal::{MasterKey, SealError};
use crate::model::signing::{EndpointSecret, RetiredSecret, Signer};
use crate::model::target::Target;
use crate::store::Result;

/// One endpoint, ready to send to; `None` if it was deleted.
///
/// # Errors
/// A secret that does not open with this master key, or a stored setting that no longer reads.
pub async fn target(
    pool: &PgPool,
    key: &MasterKey,
    (partner, endpoint): (PartnerId, EndpointId),
) -> Result<Option<Target>> {
    let row = sqlx::query!(
        r#"select url, format as "format: PayloadFormat", headers, timeout_ms, retry_schedule, redact, revision, failing_since
           from endpoint where partner_id = $1 and endpoint_id = $2 and deleted_at is null"#,
        partner.uuid(),
        endpoint.uuid(),
    );
    let Some(row) = row.fetch_optional(pool).await? else { return Ok(None) };
    let seconds: Vec<u64> = row.retry_schedule.iter().filter_map(|&wait| u64::try_from(wait).ok()).collect();
    let schedule = RetrySchedule::parse(&seconds).map_err(|_| SealError::Damaged)?;
    let format = row.format;
    Ok(Some(Target {
        partner_id: partner,
        endpoint_id: endpoint,
        revision: row.revision,
        url: CallbackUrl::from_stored(&row.url).map_err(|_| SealError::Damaged)?,
        headers: headers(key, endpoint, row.headers.as_deref())?,
        timeout: Duration::from_millis(u64::try_from(row.timeout_ms).unwrap_or(15_000)),
        policy: RetryPolicy { schedule },
        signer: signer(pool, key, (partner, endpoint)).await?,
        redact: Redaction::parse(&row.redact).map_err(|_| SealError::Damaged)?,
        access_token: if format == PayloadFormat::Transak {
            newest_token(pool, key, partner).await?
        } else {
            None
        },
        format,
        failing_since: row.failing_since,
    }))
}

fn headers(key: &MasterKey, endpoint: EndpointId, sealed: Option<&[u8]>) -> Result<CallbackHeaders> {
    let Some(sealed) = sealed else { return Ok(CallbackHeaders::default()) };
    let json = key.open(&format!("headers/{}", endpoint.uuid()), sealed)?;
    let map: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(&json).map_err(|_| SealError::Damaged)?;
    let headers = CallbackHeaders::parse(map.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Ok(headers.map_err(|_| SealError::Damaged)?)
}

async fn signer(
    pool: &PgPool,
    key: &MasterKey,
    (partner, endpoint): (PartnerId, EndpointId),
) -> Result<Signer> {
    let rows = sqlx::query!(
        "select secret, expires_at from endpoint_secret where partner_id = $1 and endpoint_id = $2
         order by endpoint_secret_id desc",
        partner.uuid(),
        endpoint.uuid(),
    );
    let context = format!("endpoint_secret/{}", endpoint.uuid());
    let (mut current, mut retired) = (None, Vec::new());
    for row in rows.fetch_all(pool).await? {
        let text = key.open_text(&context, &row.secret)?;
        let secret = EndpointSecret::parse(secrecy::ExposeSecret::expose_secret(&text))
            .map_err(|_| SealError::Damaged)?;
        match row.expires_at {
            None => current = current.or(Some(secret)),
            Some(until) => retired.push(RetiredSecret { secret, until }),
        }
    }
    Ok(Signer { current: current.ok_or(SealError::Damaged)?, retired, ed25519: None })
}

async fn newest_token(pool: &PgPool, key: &MasterKey, partner: PartnerId) -> Result<Option<SecretString>> {
    let sealed = sqlx::query_scalar!(
        "select token from access_token where partner_id = $1 order by access_token_id desc limit 1",
        partner.uuid(),
    );
    let context = format!("access_token/{}", partner.uuid());
    let sealed = sealed.fetch_optional(pool).await?;
    Ok(sealed.map(|sealed| key.open_text(&context, &sealed)).transpose()?)
}
