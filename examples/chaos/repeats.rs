//! Deliveries that came more than once, and whether a crash explains it.

use anyhow::ensure;

use crate::world::World;

/// A delivery as the table shows it.
pub(crate) struct Row {
    endpoint: usize,
    message: String,
    /// How many of its requests were written down.
    written: usize,
}

/// Reads every delivery.
pub(crate) async fn rows(world: &World) -> anyhow::Result<Vec<Row>> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "select endpoint.url, 'evt_' || replace(event_id::text, '-', ''),
                (select count(*) from attempt where attempt.delivery_id = delivery.delivery_id)
         from delivery join endpoint using (partner_id, endpoint_id)",
    )
    .fetch_all(&world.pool)
    .await?;
    let rows = rows.into_iter().map(|(url, message, written)| {
        let endpoint = url.rsplit('/').next().unwrap_or_default().parse()?;
        Ok(Row { endpoint, message, written: usize::try_from(written)? })
    });
    rows.collect()
}

/// What was counted.
#[derive(Default)]
pub(crate) struct Repeats {
    pub(crate) never: usize,
    pub(crate) twice: usize,
    /// Of those: a request came and was not written down, so its process died between the answer and the write-back.
    /// Everything else is written down.
    pub(crate) explained: usize,
    /// Requests that came and were not written down.
    pub(crate) lost: usize,
}

impl Repeats {
    pub(crate) fn count(rows: &[Row], world: &World) -> Self {
        let came = world.receiver.arrivals();
        let mut counted = Self::default();
        for row in rows {
            let times = came.get(&(row.endpoint, row.message.clone())).map_or(0, Vec::len);
            counted.never += usize::from(times == 0);
            counted.twice += usize::from(times > 1);
            counted.explained += usize::from(times > 1 && row.written < times);
            counted.lost += times.saturating_sub(row.written);
        }
        counted
    }

    pub(crate) fn ensure_explained(&self) -> anyhow::Result<()> {
        let unexplained = self.twice - self.explained;
        ensure!(unexplained == 0, "{unexplained} deliveries were sent twice without a crash");
        Ok(())
    }
}
