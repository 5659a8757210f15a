//! Gaps: spans in which the stream was not heard.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::field::Time;
use super::page::{Listing, PageParams, Paged, PartnerParam};
use super::problem::Problem;
use super::problem::openapi::Common;
use super::quarantine::NoFilter;
use crate::model::gap::GapState;
use crate::model::id::{GapId, PartnerId};
use crate::store::gap as store;
use crate::store::list::snapshot;

/// A span in which nobody heard a partner's stream.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StreamGap)]
pub struct GapView {
    id: GapId,
    partner_id: PartnerId,
    /// When something was last heard.
    from: Time,
    /// When it was heard again; null: it is not yet.
    #[schema(required)]
    to: Option<Time>,
    /// Why it was not heard.
    reason: String,
    /// When everything that Transak's REST API tells of the span had been read; null: not yet.
    #[schema(required)]
    repaired_at: Option<Time>,
    state: GapState,
    /// How often it was tried to read what was missed.
    #[schema(minimum = 0)]
    tries: i32,
    /// Why the last try did not come to its end; null: none failed.
    #[schema(required)]
    last_error: Option<String>,
    /// When the next try may begin; null: it is still not heard, or there is nothing left to read.
    #[schema(required)]
    next_repair_at: Option<Time>,
}

impl From<store::Gap> for GapView {
    fn from(gap: store::Gap) -> Self {
        let state = gap.repair().state(Utc::now());
        let has_next = matches!(state, GapState::Waiting | GapState::Repairing);
        Self {
            id: gap.gap_id,
            partner_id: gap.partner_id,
            from: Time(gap.from),
            to: gap.to.map(Time),
            reason: gap.reason,
            repaired_at: gap.repaired_at.map(Time),
            state,
            tries: gap.repairs,
            last_error: gap.last_error,
            next_repair_at: has_next.then_some(Time(gap.next_repair_at)),
        }
    }
}

/// List the spans in which the stream was not heard, newest first.
#[utoipa::path(
    get, path = "/v1/gaps", tag = "Events", params(PageParams, PartnerParam),
    responses((status = 200, description = "A page of gaps.", body = Paged<GapView>), Common),
)]
pub async fn list_gaps(
    State(api): State<Arc<Api>>,
    list: Listing<NoFilter>,
) -> Result<Json<Paged<GapView>>, Problem> {
    let page = list.page::<GapId>(&api)?;
    let mut conn = snapshot(&api.pool).await?;
    let rows = store::list(&mut conn, &list.access.partners, &page).await?;
    Ok(list.answer(&api, rows, |row| row.gap_id))
}
