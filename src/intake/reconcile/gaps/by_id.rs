//! Orders that a repair asks for one by one: those under way that no list of the gap's days has shown, and those that
//! could not be read before.

use tokio::sync::Mutex;

use super::list::Looks;
use super::{Came, Repair};
use crate::intake::reconcile::Stop;
use crate::intake::reconcile::orders::{Known, each};
use crate::intake::reconcile::pass::{Pass, Seen};
use crate::model::reconcile::is_believed_unknown;
use crate::store;
use crate::store::gap_repair::orders::{self, Listed};
use crate::transak::rest::RestError;

/// The most orders of a turn: more than it has time for.
const MOST: i64 = 1000;

/// Orders that are asked for before it is written down which could be read: a few rounds of calls.
const BATCH: usize = 16;

impl Pass<'_> {
    /// Asks for each order on the list once. What cannot be read stays on it, and is noted.
    pub(super) async fn by_id(&self, repair: &Repair) -> Result<Came, Stop> {
        let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
        let listed = orders::left(&mut conn, self.key(repair), MOST).await?;
        drop(conn);
        for some in listed.chunks(BATCH) {
            let (looks, asked) = self.ask(repair, some).await?;
            let mut conn = self.settings.pool.acquire().await.map_err(store::Error::from)?;
            looks.write(&mut conn, self.key(repair), self.clock.now()).await?;
            drop(conn);
            if looks.has_done() {
                repair.progress();
            }
            asked?;
            if self.is_over_for_gaps() {
                return Ok(Came::SomeWay);
            }
        }
        let has_more = i64::try_from(listed.len()).is_ok_and(|count| count >= MOST);
        let may_go_on = has_more && repair.trouble.lock().await.is_none();
        Ok(if may_go_on { Came::SomeWay } else { Came::ToTheEnd })
    }

    /// Asks for these orders and compares them. What cannot be read is noted; the inner error says that the others were
    /// not asked for, because their calls would fail as well.
    pub(super) async fn ask(
        &self,
        repair: &Repair,
        listed: &[Listed],
    ) -> Result<(Looks, Result<(), Stop>), Stop> {
        let looks = Mutex::new(Looks::default());
        let looked = Mutex::new(Vec::with_capacity(listed.len()));
        let mut works = Vec::with_capacity(listed.len());
        for Listed { order_id: id, unknown_since } in listed {
            works.push(async {
                let is_believed = is_believed_unknown(*unknown_since, self.clock.now());
                let (known, outcome) = self.ask_one(repair, id, is_believed).await?;
                looks.lock().await.sort(id, known, is_believed);
                looked.lock().await.push((id.as_str(), known));
                outcome
            });
        }
        let asked = match each(works).await {
            Err(Stop::Rest(error)) => Err(Stop::Rest(error)),
            other => {
                other?;
                Ok(())
            }
        };
        self.schedule(&looked.into_inner()).await?;
        Ok((looks.into_inner(), asked))
    }

    async fn ask_one(
        &self,
        repair: &Repair,
        id: &str,
        is_believed: bool,
    ) -> Result<(Known, Result<(), Stop>), Stop> {
        self.note(|summary| summary.orders += 1);
        let (known, outcome) = match self.read_and_look(id, repair.because()).await {
            Ok(known) => (known, Ok(())),
            // It is the next time asked for after the others, so that it holds up none of them.
            Err(Stop::Rest(error)) => {
                (Known::Yes(Seen { young: None, trouble: Some(error) }), Err(Stop::Rest(error)))
            }
            Err(stop) => return Err(stop),
        };
        match known {
            Known::Yes(Seen { trouble: Some(error), .. }) => repair.note(error).await,
            Known::No if !is_believed => repair.note(RestError::NotFound).await,
            Known::Yes(_) | Known::No => {}
        }
        Ok((known, outcome))
    }
}
