//! `transak-relay dev`: the relay as in production, between a simulated Transak and a callback receiver.
//!
//! Guarantees: nothing of it speaks to anybody outside of this machine, whatever the environment holds: the relay's
//! configuration is composed here and reads no variable. The first order is played after the receiver is registered, so
//! that everything that is printed was told and verified; the banner comes before what is printed.
//! Does not guarantee: that what an earlier run heard is still known to its Transak, which begins anew each time.

mod folder;
mod stage;
mod trigger;

use std::path::{Path, PathBuf};
use std::pin::pin;

pub(super) use trigger::run as trigger;

use self::folder::Folder;
use self::stage::Stage;
use crate::config::{Dev, DevOnly};
use crate::sandbox::postgres;
use crate::sandbox::{ReceiverSettings, UpstreamSettings, run_receiver, run_upstream};
use crate::shutdown::{self, Tasks};

/// Runs until interrupted.
pub(super) async fn run(config: Dev) -> anyhow::Result<()> {
    match config.only {
        Some(only) => run_only(only).await,
        None => run_all(config).await,
    }
}

async fn run_only(only: DevOnly) -> anyhow::Result<()> {
    let mut tasks = Tasks::default();
    let stop = tasks.stop_token();
    match only {
        DevOnly::Upstream { pusher_listen, rest_listen, control_listen, api_key, access_token } => {
            let settings = UpstreamSettings {
                pusher_listen,
                rest_listen,
                control_listen,
                ..UpstreamSettings::local(&api_key, access_token)
            };
            tasks.spawn("upstream", run_upstream(settings, stop));
        }
        DevOnly::Receiver { listen, url, relay_url, token } => {
            let settings = ReceiverSettings {
                listen,
                public_url: url,
                relay_url,
                admin_token: token,
                partner_id: None,
                access_token: None,
            };
            tasks.spawn("receiver", run_receiver(settings, stop));
        }
    }
    tasks.run_until(shutdown::interrupted()).await
}

async fn run_all(config: Dev) -> anyhow::Result<()> {
    let dir = place(config.dir.as_deref(), config.home.as_deref()).await;
    let mut interrupted = pin!(shutdown::interrupted());
    let starting = Stage::start(Folder::new(dir.clone()), config.listen);
    let stage = tokio::select! {
        biased;
        () = &mut interrupted => None,
        started = starting => Some(started?),
    };
    if let Some(stage) = stage {
        stage.play_until(interrupted).await?;
    }
    say_goodbye(&dir);
    Ok(())
}

/// The folder that was named, or else the default.
async fn place(dir: Option<&Path>, home: Option<&Path>) -> PathBuf {
    match dir {
        Some(dir) => dir.to_owned(),
        None => postgres::default_dir(home).await,
    }
}

#[expect(clippy::print_stdout, reason = "the last word of `dev` is for whoever looks at the terminal")]
fn say_goodbye(dir: &Path) {
    println!("Stopped. The database stays in {}; the next `dev` goes on with it.", dir.display());
}
