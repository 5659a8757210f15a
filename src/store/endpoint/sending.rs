//! Endpoints as a sender needs them, with their secrets opened.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;

use super::{secret, tls_context};
use crate::model::callback_url::CallbackUrl;
use crate::model::endpoint::{PayloadFormat, SignatureVersion};
use crate::model::header::CallbackHeaders;
use crate::model::id::{EndpointId, PartnerId};
use crate::model::redact::Redaction;
use crate::model::retry::{RetryPolicy, RetrySchedule};
use crate::model::seal::{MasterKey, SealError};
use crate::model::signing::{Ed25519Key, EndpointSecret, InvalidSecret, Keys, Retired, Signer};
use crate::model::target::Target;
use crate::model::tls_identity::{TlsIdentity, TlsIdentityPem};
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
        r#"select url, format as "format: PayloadFormat", headers, timeout_ms, retry_schedule, redact, revision, failing_since,
                  signatures as "signatures: Vec<SignatureVersion>", tls
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
        signer: signer(pool, key, ((partner, endpoint), &row.signatures)).await?,
        identity: identity(key, endpoint, row.tls.as_deref())?,
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

fn identity(
    key: &MasterKey,
    endpoint: EndpointId,
    sealed: Option<&[u8]>,
) -> Result<Option<Arc<TlsIdentity>>> {
    let Some(sealed) = sealed else { return Ok(None) };
    let json = Zeroizing::new(key.open(&tls_context(endpoint), sealed)?);
    let pem = TlsIdentityPem::from_json(&json).ok_or(SealError::Damaged)?;
    let identity = TlsIdentity::parse(&pem).map_err(|_| SealError::Damaged)?;
    Ok(Some(Arc::new(identity)))
}

/// A stored key, opened, and until when it signs; `None`: it is the current one.
type Opened = (SecretString, Option<DateTime<Utc>>);

async fn signer(
    pool: &PgPool,
    key: &MasterKey,
    ((partner, endpoint), versions): ((PartnerId, EndpointId), &[SignatureVersion]),
) -> Result<Signer> {
    let rows = sqlx::query!(
        r#"select kind as "kind: SignatureVersion", secret, expires_at from endpoint_secret
           where partner_id = $1 and endpoint_id = $2 and kind = any ($3)
           order by endpoint_secret_id desc"#,
        partner.uuid(),
        endpoint.uuid(),
        versions as _,
    );
    let context = secret::context(endpoint);
    let (mut secrets, mut pairs) = (Vec::new(), Vec::new());
    for row in rows.fetch_all(pool).await? {
        let opened = (key.open_text(&context, &row.secret)?, row.expires_at);
        match row.kind {
            SignatureVersion::V1 => secrets.push(opened),
            SignatureVersion::V1a => pairs.push(opened),
        }
    }
    let asked = |version| versions.contains(&version);
    Ok(Signer {
        v1: asked(SignatureVersion::V1).then(|| keys(secrets, EndpointSecret::parse)).transpose()?,
        v1a: asked(SignatureVersion::V1a).then(|| keys(pairs, Ed25519Key::parse)).transpose()?,
    })
}

type Parse<K> = fn(&str) -> std::result::Result<K, InvalidSecret>;

/// Keys of one kind, newest first.
fn keys<K>(stored: Vec<Opened>, parse: Parse<K>) -> Result<Keys<K>> {
    let (mut current, mut retired) = (None, Vec::new());
    for (text, until) in stored {
        let key = parse(text.expose_secret()).map_err(|_| SealError::Damaged)?;
        match until {
            None => current = current.or(Some(key)),
            Some(until) => retired.push(Retired { key, until }),
        }
    }
    Ok(Keys { current: current.ok_or(SealError::Damaged)?, retired })
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
