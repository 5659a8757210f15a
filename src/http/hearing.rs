//! Whether a partner's channel is heard.

use serde::Serialize;
use utoipa::ToSchema;

use super::field::Time;
use crate::store::partner::Partner;

/// Whether a partner is heard on the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HearingState {
    /// Pusher confirmed its channel to a process that lives.
    Heard,
    /// Nobody hears it: its API key may be wrong, or the stream is down. What it misses is a gap.
    Unheard,
    /// Its channel is being subscribed to, or it is not decided yet whether it is heard.
    Connecting,
}

/// Whether and since when a partner is heard on the stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartnerStream)]
pub struct Hearing {
    state: HearingState,
    /// Since when it is so: since its last gap, its registration, or its last change of `apiKey`.
    since: Time,
}

impl Hearing {
    pub(super) fn of(partner: &Partner) -> Self {
        match partner.unheard_since {
            Some(since) => Self { state: HearingState::Unheard, since: Time(since) },
            None if partner.is_heard => Self { state: HearingState::Heard, since: Time(partner.since) },
            None => Self { state: HearingState::Connecting, since: Time(partner.since) },
        }
    }
}
