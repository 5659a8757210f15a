//! Orders that a repair asks for one by one: those under way that no list of the gap's days has shown, and those that
//! could not be read before.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::list::Looks;
use super::{Came, Repair};
use crate::intake::reconcile::orders::Known;
use crate::intake::reconcile::pass::{Pass, Seen};
use crate::intake::reconcile::{CALLS_AT_ONCE, Stop};
use crate::store;
use crate::store::gap_repair::orders;

/// Orders that are asked for before it is written down which could be read: a few rounds of calls.
const BATCH: i64 = 16;

impl Pass<'_> {
    /// Asks for each order on the list once. What cannot be read stays on it, and is noted.
    pub(super) async fn by_id(&self, repair: &Repair) -> Result<Came, Stop> {
        let mut after = String::new();
        while !self.is_over_for_gaps() {
            let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
            let ids = orders::next(&mut conn, self.key(repair), &after, BATCH).await?;
            drop(conn);
            let Some(last) = ids.last() else { return Ok(Came::ToTheEnd) };
            after.clone_from(last);
            let mut looks = Looks::default();
            for (id, known) in self.ask(repair, &ids).await? {
                looks.sort(id, known);
            }
            let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
            looks.write(&mut conn, self.key(repair)).await?;
            if looks.has_done() {
                repair.progress();
            }
        }
        Ok(Came::SomeWay)
    }

    /// Asks for these orders and compares them. What cannot be read is noted.
    pub(super) async fn ask<'i>(
        &self,
        repair: &Repair,
        ids: &'i [String],
    ) -> Result<Vec<(&'i str, Known)>, Stop> {
        let asked = ids.iter().map(|id| async move {
            self.note(|summary| summary.orders += 1);
            let known = self.read_and_look(id, repair.because()).await?;
            if let Known::Yes(Seen { trouble: Some(error), .. }) = known {
                repair.note(error).await;
            }
            Ok::<_, Stop>((id.as_str(), known))
        });
        let asked: Vec<_> = asked.collect();
        let looked: Vec<_> = stream::iter(asked).buffer_unordered(CALLS_AT_ONCE).try_collect().await?;
        self.schedule(&looked).await?;
        Ok(looked)
    }
}
