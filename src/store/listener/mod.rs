//! Table `listener`: who hears which partner's channel, by slot; and the slots themselves.
//!
//! A slot is an advisory lock of a session. Postgres gives it back when the session ends, however the process died, so
//! a dead listener needs no clean-up.

pub mod hearing;

use sqlx::{Connection as _, PgConnection, PgPool};

use super::session::{self, PATIENCE};
use super::{Result, within};

/// The first half of the advisory locks' key: "slot" in ASCII.
const SLOT_CLASS: i32 = 0x736c_6f74;

/// A slot that this process holds for as long as the session lives.
#[derive(Debug)]
pub struct Slot {
    /// Which one, from 0.
    pub number: i32,
    session: PgConnection,
}

impl Slot {
    /// Takes the first free slot of `copies`; `None` if all are held.
    pub async fn take(pool: &PgPool, copies: i32) -> Result<Option<Self>> {
        for number in 0..copies {
            if let Some(slot) = Self::take_number(pool, number).await? {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// Takes one slot, if it is free. The session is one of its own, outside of the pool.
    pub async fn take_number(pool: &PgPool, number: i32) -> Result<Option<Self>> {
        let mut session = session::open(pool).await?;
        let taken =
            sqlx::query_scalar!(r#"select pg_try_advisory_lock($1, $2) as "taken!""#, SLOT_CLASS, number);
        let taken = within(PATIENCE, async { Ok(taken.fetch_one(&mut session).await?) }).await?;
        Ok(taken.then_some(Self { number, session }))
    }

    /// Whether the session, and with it the slot, is still ours.
    pub async fn is_held(&mut self) -> bool {
        tokio::time::timeout(PATIENCE, self.session.ping()).await.is_ok_and(|answer| answer.is_ok())
    }
}
