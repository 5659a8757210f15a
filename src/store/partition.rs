//! The time partitions of the tables that grow with the traffic.
//!
//! Guarantees: making and dropping never waits longer than a second for others, and others never wait longer than that
//! for it: who cannot have the lock tries again with the next run. What belongs to events that are kept moves from a
//! partition that is dropped to the table's default partition first, in the same transaction.
//! Does not guarantee: a place for what is written into a partition after [`needed`] has looked through it. One that is
//! over is older than whatever is still taken in.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::Result;
use crate::model::partition::Partition;

/// A table that is partitioned by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Attempt,
    Payload,
    Sighting,
}

/// All of them.
pub const TABLES: [Table; 3] = [Table::Attempt, Table::Payload, Table::Sighting];

/// How long a change may wait for a lock and how long it may then hold it: nobody reads or writes the table meanwhile.
const PATIENCE: &str = "set local lock_timeout = '1s'; set local statement_timeout = '4s'";

/// How many blocks of a partition are looked through at a time: 4 MB.
const PIECE: u16 = 512;

impl Table {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Payload => "payload",
            Self::Sighting => "sighting",
        }
    }

    /// The column it is partitioned by.
    const fn time(self) -> &'static str {
        match self {
            Self::Attempt | Self::Sighting => "at",
            Self::Payload => "received_at",
        }
    }

    /// To whom a row `part` of it belongs.
    const fn owner(self) -> &'static str {
        match self {
            Self::Attempt => {
                "select from delivery where delivery.partner_id = part.partner_id and delivery.delivery_id = part.delivery_id"
            }
            Self::Payload | Self::Sighting => {
                "select from event where event.partner_id = part.partner_id and event.event_id = part.event_id"
            }
        }
    }

    fn partition(self, partition: &Partition) -> String {
        format!("{}_{}", self.name(), partition.suffix())
    }
}

/// The partitions of a table, its default one not among them.
pub async fn list(conn: &mut PgConnection, table: Table) -> Result<Vec<Partition>> {
    let names = sqlx::query_scalar!(
        r#"select child.relname::text as "name!"
           from pg_inherits join pg_class child on child.oid = inhrelid
           where inhparent = $1::text::regclass"#,
        table.name(),
    );
    let names = names.fetch_all(conn).await?;
    let suffix =
        |name: &String| name.strip_prefix(table.name())?.strip_prefix('_').and_then(Partition::parse);
    Ok(names.iter().filter_map(suffix).collect())
}

/// Makes a partition. `false`: rows of that time are in the default partition already, where they stay until retention
/// deletes them.
pub async fn make(conn: &mut PgConnection, table: Table, partition: &Partition) -> Result<bool> {
    let (parent, name, time) = (table.name(), table.partition(partition), table.time());
    let (from, to) = (partition.start().to_rfc3339(), partition.end().to_rfc3339());
    let mut tx = conn.begin().await?;
    sqlx::raw_sql(PATIENCE).execute(&mut *tx).await?;
    let taken: bool = sqlx::query_scalar(AssertSqlSafe(format!(
        "select exists (select from {parent}_default where {time} >= '{from}' and {time} < '{to}')"
    )))
    .fetch_one(&mut *tx)
    .await?;
    if taken {
        return Ok(false);
    }
    // Attached, not made in place: that would lock the whole table.
    sqlx::raw_sql(AssertSqlSafe(format!(
        "create table {name} (like {parent} including all);
         alter table {parent} attach partition {name} for values from ('{from}') to ('{to}')"
    )))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// The rows of a partition whose event or delivery is kept, by their places; `None` if they are more than `most`.
///
/// Every row is looked at: an event is kept much later than it was heard if its message was in quarantine meanwhile, so
/// its id does not say in which partition its payload is. Nothing is locked, a piece is read at a time.
pub async fn needed(
    conn: &mut PgConnection,
    (table, partition): (Table, &Partition),
    most: usize,
) -> Result<Option<Vec<String>>> {
    let name = table.partition(partition);
    let size =
        AssertSqlSafe(format!("select pg_relation_size('{name}') / current_setting('block_size')::bigint"));
    let blocks: i64 = sqlx::query_scalar(size).fetch_one(&mut *conn).await?;
    let piece = format!(
        "select part.ctid::text from {name} as part
         where part.ctid >= format('(%s,0)', $1::bigint)::tid and part.ctid < format('(%s,0)', $2::bigint)::tid
           and exists ({})",
        table.owner()
    );
    let mut places = Vec::new();
    for from in (0..=blocks).step_by(PIECE.into()) {
        let found = sqlx::query_scalar(AssertSqlSafe(piece.clone())).bind(from).bind(from + i64::from(PIECE));
        places.extend(found.fetch_all(&mut *conn).await?);
        if places.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(places))
}

/// Drops a partition. What stands in these places of it moves to the default partition.
pub async fn drop(
    conn: &mut PgConnection,
    (table, partition): (Table, &Partition),
    needed: &[String],
) -> Result<()> {
    let (parent, name) = (table.name(), table.partition(partition));
    let mut tx = conn.begin().await?;
    sqlx::raw_sql(PATIENCE).execute(&mut *tx).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("alter table {parent} detach partition {name}")))
        .execute(&mut *tx)
        .await?;
    let moved = format!("insert into {parent} select * from {name} where ctid = any ($1::text[]::tid[])");
    sqlx::query(AssertSqlSafe(moved)).bind(needed).execute(&mut *tx).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("drop table {name}"))).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Deletes up to `limit` rows from before `cutoff` out of a table's default partition, those of kept events excepted.
pub async fn drain_default(
    conn: &mut PgConnection,
    table: Table,
    (cutoff, limit): (DateTime<Utc>, i64),
) -> Result<u64> {
    let (parent, time) = (table.name(), table.time());
    let owner = table.owner();
    let sql = format!(
        "delete from {parent}_default where ctid = any (array(
             select part.ctid from {parent}_default part
             where part.{time} < $1
               and not exists ({owner})
             limit $2))"
    );
    Ok(sqlx::query(AssertSqlSafe(sql)).bind(cutoff).bind(limit).execute(conn).await?.rows_affected())
}
