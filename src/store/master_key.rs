//! Table `master_key_check`: notices at start that a process came with another master key.

use sqlx::PgConnection;

use super::Result;
use crate::model::seal::{MasterKey, SealError};

const CONTEXT: &str = "master_key_check";

/// Whether this key is the one the database was used with. The first key that asks becomes that one.
///
/// # Errors
/// [`SealError::OtherKey`] (as [`super::Error::Seal`]) if it is not.
pub async fn check(conn: &mut PgConnection, key: &MasterKey) -> Result<()> {
    sqlx::query!(
        "insert into master_key_check (key_id, sealed)
         select $1, $2 where not exists (select from master_key_check)
         on conflict do nothing",
        &key.id()[..],
        key.seal(CONTEXT, CONTEXT.as_bytes()),
    )
    .execute(&mut *conn)
    .await?;
    let sealed = sqlx::query_scalar!("select sealed from master_key_check where key_id = $1", &key.id()[..]);
    let sealed = sealed.fetch_optional(conn).await?.ok_or(SealError::OtherKey)?;
    key.open(CONTEXT, &sealed)?;
    Ok(())
}
