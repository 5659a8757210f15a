//! The stream's client against a server that misbehaves: how long until the channel is heard again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use transak_relay::pusher::{self, Channels, Notice};
use transak_relay::sandbox::pusher::{Misbehaviour, Server, Settings};

const CHANNEL: &str = "33333333-0000-4000-8000-000000000000";

/// How long the storm of 4200 is weathered.
const STORM: Duration = Duration::from_mins(1);

/// In production a refused stream is probed every minute; here sooner, so that the table ends.
const PROBE: Duration = Duration::from_secs(15);

/// A listening client; ends with its token.
struct Client {
    notices: mpsc::UnboundedReceiver<Notice>,
    stop: CancellationToken,
    _wanted: watch::Sender<Arc<Channels>>,
}

impl Client {
    fn start(url: &str, tasks: &mut tokio::task::JoinSet<anyhow::Result<()>>) -> anyhow::Result<Self> {
        let mut settings = pusher::Settings::new(url.parse()?, "app");
        settings.timing.fatal_probe = PROBE;
        let (wanted, channels) = watch::channel(Arc::new(Channels::from_iter([CHANNEL.parse()?])));
        let (tell, notices) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let sink = move |notice| drop(tell.send(notice));
        tasks.spawn(pusher::run(settings, channels, sink, stop.clone()));
        Ok(Self { notices, stop, _wanted: wanted })
    }

    async fn confirmed(&mut self) {
        while let Some(notice) = self.notices.recv().await {
            if matches!(notice, Notice::Confirmed { .. }) {
                return;
            }
        }
    }
}

/// Prints the table.
pub(crate) async fn table() -> anyhow::Result<()> {
    println!("{:<58} {:>12} {:>9}", "the server's first connection", "heard again", "connects");
    let mut running = tokio::task::JoinSet::new();
    for (number, (what, how)) in rows().into_iter().enumerate() {
        running.spawn(async move { (number, what, one(how).await) });
    }
    let mut done: Vec<_> = Vec::new();
    while let Some(row) = running.join_next().await {
        done.push(row?);
    }
    done.sort_by_key(|(number, ..)| *number);
    for (_, what, measured) in done {
        let (again, connects) = measured?;
        println!("{what:<58} {:>10.2} s {connects:>9}", again.as_secs_f64());
    }
    println!("{:<58} {:>10.2} s", "gone for 2.8 s while listening, then back", outage().await?.as_secs_f64());
    println!(
        "{:<58} {:>12} {:>9}",
        "4200 at once, for ever: connects in the first minute",
        "",
        storm().await?
    );
    Ok(())
}

/// Close codes and errors by their ranges. 4000 is left out: it asks for TLS, which this server has not.
fn rows() -> Vec<(String, Misbehaviour)> {
    let mut rows = Vec::new();
    for code in [1000, 1001, 1011, 4001, 4003, 4004, 4007, 4009, 4100, 4150, 4200, 4201, 4202, 4299, 4300] {
        rows.push((format!("established, then close {code}"), Misbehaviour::CloseAfterEstablished(code)));
    }
    for code in [4001, 4100, 4200] {
        rows.push((format!("close {code} before the handshake"), Misbehaviour::CloseAtConnect(code)));
        rows.push((format!("pusher:error {code} as the first frame"), Misbehaviour::ErrorFirst(code)));
        rows.push((
            format!("pusher:error {code} mid-session, the socket stays"),
            Misbehaviour::ErrorMidSession(code),
        ));
        rows.push((format!("pusher:error {code}, then a bare TCP drop"), Misbehaviour::ErrorThenDrop(code)));
    }
    rows.push(("TCP accepted and dropped".to_owned(), Misbehaviour::Hangup));
    rows.push(("TCP accepted and silent".to_owned(), Misbehaviour::Silence));
    rows.push(("subscriptions never confirmed".to_owned(), Misbehaviour::NeverConfirm));
    rows
}

/// One connection misbehaves, then the server is as it should be.
async fn one(how: Misbehaviour) -> anyhow::Result<(Duration, u64)> {
    let server = Server::start(Settings::local("app")).await?;
    server.misbehave_for(1, how);
    let mut tasks = tokio::task::JoinSet::new();
    let started = Instant::now();
    let mut client = Client::start(&server.url(), &mut tasks)?;
    client.confirmed().await;
    let again = started.elapsed();
    let connects = server.counts().borrow().connects;
    client.stop.cancel();
    tasks.join_all().await;
    Ok((again, connects))
}

async fn outage() -> anyhow::Result<Duration> {
    let server = Server::start(Settings::local("app")).await?;
    let (url, address) = (server.url(), server.addr());
    let mut tasks = tokio::task::JoinSet::new();
    let mut client = Client::start(&url, &mut tasks)?;
    client.confirmed().await;
    server.stop().await;
    tokio::time::sleep(Duration::from_millis(2_800)).await;
    let _server = Server::start(Settings { listen: address, ..Settings::local("app") }).await?;
    let back = Instant::now();
    client.confirmed().await;
    let again = back.elapsed();
    client.stop.cancel();
    tasks.join_all().await;
    Ok(again)
}

async fn storm() -> anyhow::Result<u64> {
    let server = Server::start(Settings::local("app")).await?;
    server.misbehave(Misbehaviour::CloseAtConnect(4200));
    let mut tasks = tokio::task::JoinSet::new();
    let client = Client::start(&server.url(), &mut tasks)?;
    tokio::time::sleep(STORM).await;
    let connects = server.counts().borrow().connects;
    client.stop.cancel();
    tasks.join_all().await;
    Ok(connects)
}
