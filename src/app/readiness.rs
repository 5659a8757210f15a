//! Why a process is not ready, from what its tasks say of themselves.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::http::health::Trouble;
use crate::intake::IntakeHealth;
use crate::intake::directory::Watch;
use crate::intake::stream::StreamHealth;
use crate::pusher::State;

/// What readiness is told by.
#[derive(Clone)]
pub(super) struct Signs {
    pub(super) stream: Option<watch::Receiver<StreamHealth>>,
    pub(super) intake: Option<watch::Receiver<IntakeHealth>>,
    pub(super) directory: Watch,
}

/// Keeps the list of troubles up to date.
pub(super) async fn watch_signs(
    mut signs: Signs,
    troubles: watch::Sender<Vec<Trouble>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let now = list(&signs);
        troubles.send_if_modified(|before| {
            let differs = *before != now;
            *before = now;
            differs
        });
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = changed(&mut signs.stream) => {}
            () = changed(&mut signs.intake) => {}
            changed = signs.directory.changed() => if changed.is_err() { break },
        }
    }
    stop.cancelled().await;
    troubles.send_replace(vec![trouble("stopping", "the process is stopping".to_owned())]);
    Ok(())
}

async fn changed<T>(sign: &mut Option<watch::Receiver<T>>) {
    let changed = match sign {
        Some(sign) => sign.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending::<()>().await;
    }
}

fn list(signs: &Signs) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if let Some(stream) = &signs.stream {
        troubles.extend(stream_trouble(&stream.borrow(), &signs.directory.borrow().clone()));
    }
    if let Some(intake) = &signs.intake
        && intake.borrow().spooled_bytes > 0
    {
        troubles.push(trouble(
            "spool_in_use",
            "messages wait on disk because the database cannot take them".to_owned(),
        ));
    }
    troubles
}

fn stream_trouble(
    stream: &StreamHealth,
    directory: &Arc<crate::intake::directory::Directory>,
) -> Option<Trouble> {
    let wanted = directory.channels().len();
    match stream.state {
        _ if stream.stands_by => None,
        Some(State::Connected { .. }) if stream.confirmed >= wanted => None,
        Some(State::Connected { .. }) => {
            let waiting = wanted - stream.confirmed;
            Some(trouble(
                "stream_subscribing",
                format!("{waiting} of {wanted} channels are not confirmed yet"),
            ))
        }
        Some(state) => Some(trouble("stream_down", state.to_string())),
        None => Some(trouble("stream_down", "the stream has not connected yet".to_owned())),
    }
}

fn trouble(code: &'static str, detail: String) -> Trouble {
    Trouble { code, detail }
}
