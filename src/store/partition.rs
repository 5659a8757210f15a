//! The time partitions of the tables that grow with the traffic.
//!
//! Guarantees: making and dropping never waits longer than a second for others, and others never wait longer than that
//! for it: who cannot have the lock tries again with the next run. What is still needed of a partition that is dropped
//! moves to the table's default partition first, in the same transaction.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

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

    /// The rows of `{part}` that belong to events which are kept although they are older than `$1`.
    const fn needed(self) -> &'static str {
        match self {
            Self::Payload | Self::Sighting => {
                "select part.* from event join {part} as part using (partner_id, event_id)
                 where event.partner_id in (select partner_id from partner) and event.event_id < $1"
            }
            Self::Attempt => {
                "select part.* from event join delivery using (partner_id, event_id)
                 join {part} as part on part.partner_id = delivery.partner_id and part.delivery_id = delivery.delivery_id
                 where event.partner_id in (select partner_id from partner) and event.event_id < $1"
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

/// Drops a partition. What belongs to events that are kept, those with an id before `before`, moves to the default
/// partition.
pub async fn drop(
    conn: &mut PgConnection,
    (table, partition): (Table, &Partition),
    before: Uuid,
) -> Result<u64> {
    let (parent, name) = (table.name(), table.partition(partition));
    let mut tx = conn.begin().await?;
    sqlx::raw_sql(PATIENCE).execute(&mut *tx).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("alter table {parent} detach partition {name}")))
        .execute(&mut *tx)
        .await?;
    let needed = table.needed().replace("{part}", &name);
    let moved = sqlx::query(AssertSqlSafe(format!("insert into {parent} {needed}"))).bind(before);
    let moved = moved.execute(&mut *tx).await?.rows_affected();
    sqlx::raw_sql(AssertSqlSafe(format!("drop table {name}"))).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(moved)
}

/// Whether more than `bound` events with an id before `before` are kept.
pub async fn keeps_more_than(conn: &mut PgConnection, bound: i64, before: Uuid) -> Result<bool> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from (
               select from event where partner_id in (select partner_id from partner) and event_id < $1
               limit $2) as kept"#,
        before,
        bound + 1,
    );
    Ok(count.fetch_one(conn).await? > bound)
}

/// Deletes up to `limit` rows from before `cutoff` out of a table's default partition, those of kept events excepted.
pub async fn drain_default(
    conn: &mut PgConnection,
    table: Table,
    (cutoff, limit): (DateTime<Utc>, i64),
) -> Result<u64> {
    let (parent, time) = (table.name(), table.time());
    let (owner, key) = match table {
        Table::Attempt => ("delivery", "delivery_id"),
        Table::Payload | Table::Sighting => ("event", "event_id"),
    };
    let sql = format!(
        "delete from {parent}_default where ctid = any (array(
             select part.ctid from {parent}_default part
             where part.{time} < $1
               and not exists (select from {owner} owner
                               where owner.partner_id = part.partner_id and owner.{key} = part.{key})
             limit $2))"
    );
    Ok(sqlx::query(AssertSqlSafe(sql)).bind(cutoff).bind(limit).execute(conn).await?.rows_affected())
}
