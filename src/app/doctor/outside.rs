//! What is outside: Transak's stream and REST API for each partner, and the receivers.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Patient;
use super::database::{Found, judge_clock};
use super::report::{Line, Report};
use crate::delivery::resolver::{Resolve as _, SystemResolver};
use crate::intake::credentials::{NO_ORDER, answer};
use crate::model::address::AddressPolicy;
use crate::model::callback_url::{CallbackUrl, InvalidCallbackUrl, UrlPolicy};
use crate::model::clock::Ahead;
use crate::model::credentials::{self, CredentialsState};
use crate::model::endpoint::EndpointState;
use crate::model::id::EndpointId;
use crate::pusher::{self, Channel, Notice};
use crate::store::endpoint::Endpoint;
use crate::store::endpoint::read as endpoint;
use crate::store::list::Page;
use crate::transak::rest::{self, Account, TransakRest};

/// How long the stream's server has to confirm every channel.
const STREAM: Duration = Duration::from_secs(20);

/// How long one host has to be looked up.
const LOOKUP: Duration = Duration::from_secs(10);

/// How long it has to take a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Calls and look-ups at once.
const AT_ONCE: usize = 8;

/// Endpoints that are read at once.
const PAGE: i64 = 200;

/// Looks at Transak and at the receivers, for all partners.
pub(super) async fn look(
    patient: &Patient<'_>,
    partners: &[Found],
    report: &mut Report<impl Write>,
) -> anyhow::Result<()> {
    if partners.is_empty() {
        return report.say(Line::warn("partners", "there is none yet: make one with POST /v1/partners"));
    }
    for line in streams(patient, partners).await? {
        report.say(line)?;
    }
    for line in calls(patient, partners).await? {
        report.say(line)?;
    }
    receivers(patient, partners, report).await
}

/// Subscribes to every partner's channel on one connection, as the relay does.
async fn streams(patient: &Patient<'_>, partners: &[Found]) -> anyhow::Result<Vec<Line>> {
    let pusher = &patient.config.pusher;
    let base = pusher.base()?;
    let server = base.host_str().unwrap_or_default().to_owned();
    let channels: BTreeSet<Channel> =
        partners.iter().filter_map(|found| found.partner.api_key.parse().ok()).collect();
    let confirmed =
        tokio::time::timeout(STREAM + STREAM, confirmed((base, &pusher.pusher_app_key), channels));
    let (confirmed, last) = confirmed.await.unwrap_or_default();
    let line = |found: &Found| {
        let what = format!("stream of {}", found.partner.partner_id);
        match found.partner.api_key.parse::<Channel>() {
            Err(error) => Line::fail(what, format!("its API key cannot be a channel: {error}")),
            Ok(channel) if confirmed.contains(&channel) => Line::ok(what, "its channel is confirmed"),
            Ok(_) => Line::fail(
                what,
                format!(
                    "{server} does not confirm its channel ({last}): check PUSHER_URL, PUSHER_APP_KEY, PUSHER_CLUSTER and the way there"
                ),
            ),
        }
    };
    Ok(partners.iter().map(line).collect())
}

/// The channels that are confirmed in time, and what the connection was doing last.
async fn confirmed(
    (base, app_key): (url::Url, &str),
    channels: BTreeSet<Channel>,
) -> (BTreeSet<Channel>, String) {
    let settings = pusher::Settings::new(base, app_key);
    let (_keep, wanted) = watch::channel(Arc::new(channels.iter().cloned().collect()));
    let (notices, mut heard) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let listening = pusher::run(settings, wanted, move |notice| drop(notices.send(notice)), stop.clone());
    let (mut confirmed, mut last) = (BTreeSet::new(), "it was not reached".to_owned());
    let waiting = async {
        while confirmed.len() < channels.len() {
            match heard.recv().await {
                Some(Notice::Confirmed { channel, .. }) => drop(confirmed.insert(channel)),
                Some(Notice::State(state)) => last = state.to_string(),
                Some(_) => {}
                None => break,
            }
        }
    };
    tokio::select! {
        _ended = tokio::time::timeout(STREAM, waiting) => {}
        ended = listening => if let Err(error) = ended { last = format!("{error:#}") },
    }
    stop.cancel();
    (confirmed, last)
}

/// Calls Transak's REST API with each partner's credentials; the clock is compared on the way.
async fn calls(patient: &Patient<'_>, partners: &[Found]) -> anyhow::Result<Vec<Line>> {
    let (clock, clocks) = watch::channel(Ahead::default());
    let config = &patient.config.transak;
    let settings = rest::Settings {
        api_url: config.transak_api_url.clone(),
        user_ip: config.transak_user_ip,
        clock,
        ..rest::Settings::default()
    };
    let rest = TransakRest::new(settings)?;
    let asked = stream::iter(partners.iter().map(|found| call(&rest, found)));
    let mut lines: Vec<Line> = asked.buffered(AT_ONCE).collect().await;
    let ahead = clocks.borrow().of_transak;
    // Nobody has answered, which the lines say already, or to the millisecond the same.
    if ahead != 0.0 {
        lines.push(judge_clock("Transak's", ahead));
    }
    Ok(lines)
}

async fn call(rest: &TransakRest, found: &Found) -> Line {
    let partner = &found.partner;
    let what = format!("REST of {}", partner.partner_id);
    let Some(token) = &found.token else {
        return match (partner.has_access_token, partner.has_api_secret) {
            (true, _) => Line::fail(what, "its access token cannot be opened with this master key"),
            (false, true) => {
                Line::warn(what, "it has no access token yet; the relay makes one with its API secret")
            }
            (false, false) => Line::fail(
                what,
                "it has neither an access token nor an API secret: give one with PATCH /v1/partners/{id}",
            ),
        };
    };
    let account = Account {
        partner_id: partner.partner_id,
        environment: partner.environment,
        api_key: partner.api_key.clone(),
    };
    let claims = credentials::read_token(secrecy::ExposeSecret::expose_secret(token), Utc::now());
    if let Err(error) = &claims {
        let said = format!("its access token is not good: {error}");
        return if partner.has_api_secret { Line::warn(what, said) } else { Line::fail(what, said) };
    }
    let answered = answer(rest.session(&account, token).order(NO_ORDER).await.map(drop));
    let verdict = credentials::judge(answered, claims.ok().as_ref(), &partner.api_key);
    let said = verdict.detail.unwrap_or_else(|| "Transak accepts its access token".to_owned());
    match verdict.state {
        CredentialsState::Valid => Line::ok(what, said),
        CredentialsState::Mismatched => Line::warn(what, said),
        CredentialsState::Invalid => Line::fail(what, said),
        CredentialsState::Unchecked => {
            Line::fail(what, format!("{said}: check TRANSAK_API_URL and the way there"))
        }
    }
}

/// Looks every enabled callback host up, judges its addresses as the sender does, and sees whether it takes connections.
async fn receivers(
    patient: &Patient<'_>,
    partners: &[Found],
    report: &mut Report<impl Write>,
) -> anyhow::Result<()> {
    let callbacks = &patient.config.callbacks;
    let policy = UrlPolicy {
        allow_http: callbacks.allow_http_callbacks,
        addresses: AddressPolicy::new(callbacks.allow_callback_cidrs.clone()),
    };
    let ids: Vec<_> = partners.iter().map(|found| found.partner.partner_id).collect();
    let resolver = SystemResolver::default();
    let mut page: Page<EndpointId> = Page { after: None, limit: PAGE };
    loop {
        let endpoints = endpoint::list(&mut *patient.pool.acquire().await?, &ids, &page).await?;
        let Some(last) = endpoints.last().map(|one| one.endpoint_id) else { return Ok(()) };
        let mut lines =
            stream::iter(endpoints.iter().map(|one| receiver(one, &policy, &resolver))).buffered(AT_ONCE);
        while let Some(line) = lines.next().await {
            report.say(line)?;
        }
        page.after = Some(last);
    }
}

async fn receiver(endpoint: &Endpoint, policy: &UrlPolicy, resolver: &SystemResolver) -> Line {
    let what = format!("callback of {}", endpoint.endpoint_id);
    if endpoint.state == EndpointState::Disabled {
        return Line::warn(what, "it is disabled: what it is owed is held until it is enabled");
    }
    let url = match CallbackUrl::parse(&endpoint.url, policy) {
        Ok(url) => url,
        Err(InvalidCallbackUrl::Refused(refused)) => return Line::fail(what, refused.to_string()),
        Err(error) => return Line::fail(what, format!("its URL {error}")),
    };
    let origin = url.as_url().origin().ascii_serialization();
    let said = match reach(&url, policy, resolver).await {
        Ok(()) => return Line::ok(what, format!("{origin} takes connections")),
        Err(said) => said,
    };
    Line::fail(what, format!("{origin} {said}"))
}

/// Connects to the host of a callback as the sender would, and says nothing to it; if that cannot be, why.
async fn reach(url: &CallbackUrl, policy: &UrlPolicy, resolver: &SystemResolver) -> Result<(), String> {
    let addresses: Vec<IpAddr> = match url.as_url().host() {
        Some(url::Host::Domain(name)) => match tokio::time::timeout(LOOKUP, resolver.lookup(name)).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(_)) => Vec::new(),
            Err(_) => {
                let seconds = LOOKUP.as_secs();
                return Err(format!("has a name that was not found in {seconds} s: check its name servers"));
            }
        },
        Some(url::Host::Ipv4(address)) => vec![address.into()],
        Some(url::Host::Ipv6(address)) => vec![address.into()],
        None => Vec::new(),
    };
    if addresses.is_empty() {
        return Err("has a name without an address: check how it is spelt".to_owned());
    }
    for address in &addresses {
        policy.addresses.check(*address).map_err(|refused| format!("may not be called: {refused}"))?;
    }
    let port = url.as_url().port_or_known_default().unwrap_or_default();
    let mut said = String::new();
    for address in addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect((address, port))).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                "refuses connections: start what is to listen there, or correct the URL"
                    .clone_into(&mut said);
            }
            Ok(Err(error)) => said = format!("cannot be reached ({}): check the way there", error.kind()),
            Err(_) => {
                let seconds = CONNECT.as_secs();
                said = format!("does not answer within {seconds} s: check the way there and its firewall");
            }
        }
    }
    Err(said)
}
