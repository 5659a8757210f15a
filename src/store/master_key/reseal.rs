//! Sealing anew with another key, a batch at a time.
//!
//! Guarantees: a value is replaced only if it is still the one that was opened; what one batch has done stays done, so
//! that whoever is interrupted goes on where it was. Values that do not open are left as they are and counted.

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};

use super::sealed::SealedColumn;
use crate::model::seal::{KeyId, MasterKey};
use crate::store::Result;

/// Where a walk through a column has got to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

impl Default for Place {
    /// The beginning.
    fn default() -> Self {
        Self("(0,0)".to_owned())
    }
}

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batch {
    /// Values sealed anew.
    pub resealed: u64,
    /// Values that did not open.
    pub damaged: u64,
}

/// Seals up to `most` values of a column anew that another key sealed, from `place` on. `None`: there are no more.
pub async fn batch(
    pool: &PgPool,
    key: &MasterKey,
    column: SealedColumn,
    (place, most): (&mut Place, i64),
) -> Result<Option<Batch>> {
    let SealedColumn { table, column, context } = column;
    let mut tx = pool.begin().await?;
    let rows = sqlx::query(AssertSqlSafe(format!(
        "select ctid::text as place, {context} as context, {column} as sealed from \"{table}\"
         where ctid > $1::tid and {} order by ctid limit $3 for update",
        foreign(column, 2)
    )));
    let rows = rows.bind(&place.0).bind(&key.id()[..]).bind(most).fetch_all(&mut *tx).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let next = Place(last.get("place"));
    let update = format!("update \"{table}\" set {column} = $1 where ctid = $2::tid and {column} = $3");
    let mut done = Batch::default();
    for row in &rows {
        let (context, sealed): (String, Vec<u8>) = (row.get("context"), row.get("sealed"));
        let Ok(plain) = key.open(&context, &sealed) else {
            done.damaged += 1;
            continue;
        };
        let update = sqlx::query(AssertSqlSafe(update.as_str()));
        let update = update.bind(key.seal(&context, &plain)).bind(row.get::<String, _>("place")).bind(sealed);
        done.resealed += update.execute(&mut *tx).await?.rows_affected();
    }
    tx.commit().await?;
    *place = next;
    Ok(Some(done))
}

/// How many values of a column another key has sealed.
pub async fn left(conn: &mut PgConnection, column: SealedColumn, key: KeyId) -> Result<i64> {
    let SealedColumn { table, column, .. } = column;
    let count = format!("select count(*) from \"{table}\" where {}", foreign(column, 1));
    Ok(sqlx::query_scalar(AssertSqlSafe(count)).bind(&key[..]).fetch_one(conn).await?)
}

/// That the key in the head of a value is not the one in the parameter; see the layout in [`crate::model::seal`].
fn foreign(column: &str, parameter: u8) -> String {
    format!("{column} is not null and substring({column} from 2 for 4) <> ${parameter}")
}
