//! Transak's stream, in a process of its own.
//!
//! `sign FROM COUNT` prepares events, `send COUNT` publishes the next of them, `pace FROM RATE SECONDS` signs and publishes
//! at a steady rate.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use tokio::time::{MissedTickBehavior, interval};
use transak_relay::sandbox::pusher::{Server, Settings};

use crate::child::Driver;
use crate::orders::signed;

const APP_KEY: &str = "1d9ffac87de599c61283";

struct Source {
    server: Server,
    api_key: String,
    token: SecretString,
    prepared: VecDeque<(String, &'static str)>,
}

/// Plays until the driver is gone.
pub(crate) async fn play(api_key: String, token: SecretString) -> anyhow::Result<()> {
    let server = Server::start(Settings::local(APP_KEY)).await?;
    let mut driver = Driver::new(&server.url());
    let mut source = Source { server, api_key, token, prepared: VecDeque::new() };
    while let Some(words) = driver.next().await? {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["sign", from, count] => source.sign(from.parse()?, count.parse()?)?,
            ["send", count] => source.send(count.parse()?)?,
            ["pace", from, rate, seconds] => {
                source.pace(from.parse()?, rate.parse()?, seconds.parse()?).await?;
            }
            _ => bail!("the source does not know {words:?}"),
        }
        driver.answer("ok");
    }
    Ok(())
}

impl Source {
    fn sign(&mut self, from: usize, count: usize) -> anyhow::Result<()> {
        self.prepared =
            (from..from + count).map(|number| signed(number, &self.token)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn send(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            let (message, event) = self.prepared.pop_front().context("nothing is prepared")?;
            self.publish(event, &message)?;
        }
        Ok(())
    }

    async fn pace(&self, from: usize, rate: u64, seconds: u64) -> anyhow::Result<()> {
        let mut ticks = interval(Duration::from_micros(1_000_000 / rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let count = usize::try_from(rate * seconds)?;
        for number in from..from + count {
            ticks.tick().await;
            let (message, event) = signed(number, &self.token)?;
            self.publish(event, &message)?;
        }
        Ok(())
    }

    fn publish(&self, event: &str, message: &str) -> anyhow::Result<()> {
        match self.server.publish(&self.api_key, event, message) {
            0 => bail!("nobody listens"),
            _ => Ok(()),
        }
    }
}
