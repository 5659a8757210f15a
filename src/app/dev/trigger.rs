//! `trigger`: has the simulated Transak of a `dev` play an order.
//!
//! Guarantees: Transak is not even called, and what does not say that it is a sandbox is refused: no relay has the
//! operation. What is played comes to the relay as everything does: over the stream, signed.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use url::Url;

use super::folder::Folder;
use super::place;
use crate::config::Trigger;
use crate::sandbox::SANDBOX_HEADER;

/// Where the sandbox of containers is asked.
const ELSEWHERE: &str = "http://127.0.0.1:6004/";

/// How long the sandbox may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Plays the order, and says which it is.
pub(in crate::app) async fn run(asked: &Trigger, out: &mut impl Write) -> anyhow::Result<()> {
    let url = if let Some(url) = &asked.sandbox_url {
        url.clone()
    } else {
        let folder = Folder::new(place(asked.dir.as_deref(), asked.home.as_deref()).await);
        folder.control_url().map_or_else(|| ELSEWHERE.parse(), Ok)?
    };
    ensure!(!is_transaks(&url), "{url} is Transak's own: name the simulated one of `transak-relay dev`");
    let answer = ask(&url, asked).await?;
    if asked.json {
        return Ok(writeln!(out, "{answer}")?);
    }
    let steps = answer["steps"].as_array().cloned().unwrap_or_default();
    for step in &steps {
        let [event, status] = ["event", "status"].map(|name| step[name].as_str().unwrap_or_default());
        writeln!(out, "{event:24}  {status}")?;
    }
    if steps.iter().any(|step| step["onStream"] == false) {
        writeln!(
            out,
            "The stream does not announce the last one: the relay learns of it when it asks Transak."
        )?;
    }
    Ok(writeln!(out, "order {}", answer["orderId"].as_str().unwrap_or_default())?)
}

fn is_transaks(url: &Url) -> bool {
    let host = url.domain().unwrap_or_default().trim_end_matches('.');
    host == "transak.com" || host.ends_with(".transak.com")
}

async fn ask(url: &Url, asked: &Trigger) -> anyhow::Result<Value> {
    let client = reqwest::Client::builder()
        .timeout(DEADLINE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()?;
    let wanted = json!({ "event": asked.event, "product": asked.product });
    let answer = client.post(url.join("/sandbox/orders")?).json(&wanted).send().await;
    let answer = answer.with_context(|| {
        format!("no sandbox answers at {url}: start `transak-relay dev`, or name another with --sandbox-url")
    })?;
    ensure!(
        answer.headers().contains_key(SANDBOX_HEADER),
        "{url} is no sandbox: only the simulated Transak of `transak-relay dev` plays orders on request, never a relay or \
         Transak"
    );
    let status = answer.status();
    let answer: Value = answer.json().await.context("the sandbox's answer cannot be read")?;
    if !status.is_success() {
        bail!("{}", answer["detail"].as_str().unwrap_or("the sandbox cannot play this"));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaks_hosts_are_known_in_any_spelling() {
        let is = |url: &str| is_transaks(&url.parse().unwrap());
        assert!(
            is("https://api.transak.com/")
                && is("https://API-STG.Transak.com.:8443/x")
                && is("http://transak.com")
        );
        assert!(
            !is("http://127.0.0.1:6004/")
                && !is("http://nottransak.com")
                && !is("http://transak.com.example.org")
        );
    }
}
