//! Table `api_process`: where the processes with an HTTP interface listen.

use std::net::IpAddr;

use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::model::own_address::Listening;

/// Says that a process listens there, and forgets those that have not said so for an hour.
pub async fn beat(conn: &mut PgConnection, id: Uuid, process: &Listening) -> Result<()> {
    let addresses: Vec<String> = process.addresses.iter().map(ToString::to_string).collect();
    let beat = sqlx::query!(
        "with forgotten as (delete from api_process where heartbeat_at < now() - interval '1 hour' and api_process_id <> $1)
         insert into api_process (api_process_id, network, port, addresses) values ($1, $2, $3, $4)
         on conflict on constraint api_process_pkey
         do update set network = excluded.network, port = excluded.port, addresses = excluded.addresses, heartbeat_at = now()",
        id,
        process.network,
        i32::from(process.port),
        &addresses,
    );
    beat.execute(conn).await?;
    Ok(())
}

/// Those that have said so within half a minute.
pub async fn alive(conn: &mut PgConnection) -> Result<Vec<Listening>> {
    let rows = sqlx::query!(
        "select network, port, addresses from api_process where heartbeat_at > now() - interval '30 seconds'"
    );
    let alive = rows.fetch_all(conn).await?.into_iter().filter_map(|row| {
        let addresses = row.addresses.iter().filter_map(|ip| ip.parse::<IpAddr>().ok()).collect();
        Some(Listening { network: row.network, port: u16::try_from(row.port).ok()?, addresses })
    });
    Ok(alive.collect())
}

/// Says that a process listens no more.
pub async fn leave(conn: &mut PgConnection, id: Uuid) -> Result<()> {
    sqlx::query!("delete from api_process where api_process_id = $1", id).execute(conn).await?;
    Ok(())
}
