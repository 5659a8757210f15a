//! Asking Transak what it thinks of the credentials that were given to the relay.
//!
//! Guarantees: each new access token is shown to Transak once, in the background, by one process; what it said stands with
//! the partner, in one line of the log and in one count. While Transak cannot be asked, it is asked again later.
//! Does not guarantee that a token which was accepted still is: whoever calls Transak later hears of that.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use secrecy::SecretString;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::directory;
use crate::model::credentials::{self, Answer, CredentialsState, Verdict};
use crate::model::fault::Fault;
use crate::model::id::PartnerId;
use crate::model::seal::MasterKey;
use crate::store;
use crate::store::access_token::context;
use crate::store::credentials::Due;
use crate::transak::rest::{Account, RestError, TransakRest};

/// How often the partners are looked at without being asked to.
const POLL: Duration = Duration::from_secs(15);

/// Partners that are asked about at once.
const AT_ONCE: i64 = 4;

/// How long one process has before another may ask: longer than a call and its turn take.
const LEASE: TimeDelta = TimeDelta::minutes(1);

/// When Transak is asked again that has said nothing.
const AGAIN: TimeDelta = TimeDelta::minutes(10);

/// Nobody's order. A caller whose token is accepted hears that there is none.
pub const NO_ORDER: &str = "00000000-0000-4000-8000-000000000000";

/// What the check needs.
pub struct Check {
    pub pool: PgPool,
    pub key: MasterKey,
    pub rest: Arc<TransakRest>,
    /// Changes when partners or tokens do.
    pub directory: directory::Watch,
}

impl Check {
    /// Checks what is new until told to stop.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut failing = Fault::default();
        loop {
            let looked = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                looked = self.look(Utc::now()) => looked,
            };
            match failing.news(&looked) {
                Some(Ok(())) => tracing::info!("the credentials can be looked at again"),
                Some(Err(error)) => {
                    tracing::warn!(
                        error = error as &dyn Error,
                        "the credentials cannot be looked at right now"
                    );
                }
                None => {}
            }
            if looked.is_ok_and(|asked| asked > 0) {
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                changed = self.directory.changed() => if changed.is_err() {
                    stop.cancelled().await;
                    return Ok(());
                },
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Asks about some partners whose credentials are new; answers how many.
    pub async fn look(&self, now: DateTime<Utc>) -> store::Result<usize> {
        let mut conn = self.pool.acquire().await?;
        let due = store::credentials::claim(&mut conn, (now, now + LEASE), AT_ONCE).await?;
        drop(conn);
        let asked = due.len();
        let mut answers =
            stream::iter(due.into_iter().map(|due| self.ask(due, now))).buffer_unordered(asked.max(1));
        while let Some((due, verdict)) = answers.next().await {
            tell(&due, &verdict);
            let mut conn = self.pool.acquire().await?;
            store::credentials::keep(&mut conn, &due, &verdict, (now, now + AGAIN)).await?;
        }
        Ok(asked)
    }

    async fn ask(&self, due: Due, now: DateTime<Utc>) -> (Due, Verdict) {
        let Ok(token) = self.key.open_text(&context(due.partner_id), &due.token) else {
            let detail = "the access token cannot be opened with this master key".to_owned();
            return (due, Verdict { state: CredentialsState::Unchecked, detail: Some(detail) });
        };
        let account = Account {
            partner_id: due.partner_id,
            environment: due.environment,
            api_key: due.api_key.clone(),
        };
        // Transak would not know whose it is either.
        if let Ok(false) = self.is_own(due.partner_id, &token).await {
            return (due, credentials::shared());
        }
        let claims = credentials::read_token(secrecy::ExposeSecret::expose_secret(&token), now).ok();
        let answer = answer(self.rest.session(&account, &token).order(NO_ORDER).await.map(drop));
        let verdict = credentials::judge(answer, claims.as_ref(), &due.api_key);
        (due, verdict)
    }

    async fn is_own(&self, partner: PartnerId, token: &SecretString) -> store::Result<bool> {
        store::access_token::is_own(&mut *self.pool.acquire().await?, partner, token).await
    }
}

/// What a call's end says of the token it was made with.
pub fn answer(called: Result<(), RestError>) -> Answer {
    match called {
        Ok(()) | Err(RestError::NotFound) => Answer::Accepted,
        Err(RestError::InactiveToken | RestError::InvalidSecret) => Answer::Refused,
        Err(error @ RestError::Refused { status: 403 }) => {
            Answer::Nothing(format!("{error}: is this machine's address on Transak's allow-list?"))
        }
        Err(error) => Answer::Nothing(error.to_string()),
    }
}

/// Once for each answer, and so once for each token that Transak has an opinion of.
fn tell(due: &Due, verdict: &Verdict) {
    let (partner, detail) = (due.partner_id, verdict.detail.as_deref().unwrap_or_default());
    metrics::counter!("relay_credentials_checks_total", "outcome" => verdict.state.as_str()).increment(1);
    match verdict.state {
        CredentialsState::Valid => tracing::info!(partner.id = %partner, "Transak accepts the access token"),
        CredentialsState::Mismatched => {
            tracing::warn!(partner.id = %partner, detail, "the access token is not this partner's");
        }
        CredentialsState::Invalid => {
            tracing::error!(partner.id = %partner, detail, "Transak does not accept the access token");
        }
        CredentialsState::Unchecked => {
            tracing::info!(partner.id = %partner, detail, "the access token could not be checked yet");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_about_the_token_says_something_of_it() {
        assert_eq!(answer(Ok(())), Answer::Accepted);
        assert_eq!(answer(Err(RestError::NotFound)), Answer::Accepted);
        assert_eq!(answer(Err(RestError::InactiveToken)), Answer::Refused);
        for error in [
            RestError::Unavailable { retry_after: None },
            RestError::RateLimited { retry_after: None },
            RestError::Refused { status: 404 },
        ] {
            assert!(matches!(answer(Err(error)), Answer::Nothing(_)), "{error}");
        }
        let Answer::Nothing(why) = answer(Err(RestError::Refused { status: 403 })) else { panic!() };
        assert!(why.contains("allow-list"), "{why}");
    }
}
