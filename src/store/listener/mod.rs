//! Who hears the stream: the slots, what each connection hears ([`book`]), and the gaps in it ([`survey`]).
//!
//! A slot is an advisory lock of a session. Postgres gives it back when the session ends, however the process died, so
//! a dead listener needs no clean-up. The same session holds a lock that says that this run of the process lives.

pub mod book;
pub mod survey;

use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use super::session::{self, PATIENCE};
use super::{Result, within};

/// A slot that this process holds for as long as the session lives.
#[derive(Debug)]
pub struct Slot {
    /// Which one, from 0.
    pub number: i32,
    session: PgConnection,
}

impl Slot {
    /// Takes the first free slot of `copies` for this run of a process; `None` if all are held.
    pub async fn take(pool: &PgPool, listener: Uuid, copies: i32) -> Result<Option<Self>> {
        for number in 0..copies {
            if let Some(slot) = Self::take_number(pool, listener, number).await? {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// Takes one slot, if it is free. The session is one of its own, outside of the pool.
    pub async fn take_number(pool: &PgPool, listener: Uuid, number: i32) -> Result<Option<Self>> {
        let taking = async {
            let mut session = session::open(pool).await?;
            let taken = sqlx::query_scalar!(
                r#"select pg_try_advisory_lock(lock_key('slot/' || $1::int)) as "taken!""#,
                number
            );
            if !taken.fetch_one(&mut session).await? {
                return Ok(None);
            }
            // If a session of ours that was lost still holds it, our renewals must do until that is found out.
            sqlx::query!("select pg_try_advisory_lock(lock_key('listener/' || $1::uuid))", listener)
                .fetch_one(&mut session)
                .await?;
            Ok(Some(Self { number, session }))
        };
        within(PATIENCE, taking).await
    }

    /// Whether the session, and with it the slot, is still ours.
    pub async fn is_held(&mut self) -> bool {
        within(PATIENCE, async { Ok(self.session.ping().await?) }).await.is_ok()
    }
}
