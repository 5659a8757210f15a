//! Why a message is put aside.

use serde::{Deserialize, Serialize};

use super::event::Source;

/// Why a message is in quarantine, of a closed list. Decisions rest on this and never on the sentence beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "quarantine_reason", rename_all = "snake_case")]
pub enum Reason {
    /// The partner has no access token to verify it with.
    NoToken,
    /// No access token of the partner verifies its signature.
    NoTokenFits,
    /// It is no signed message that a token could verify.
    NotSigned,
    /// It is signed with another algorithm than Transak's.
    OtherAlgorithm,
    /// It is verified, or needs no signature, but cannot be read.
    Unreadable,
    /// It belongs to no known partner.
    NoPartner,
    /// The database refuses the event that it makes.
    Refused,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::NoToken,
        Self::NoTokenFits,
        Self::NotSigned,
        Self::OtherAlgorithm,
        Self::Unreadable,
        Self::NoPartner,
        Self::Refused,
    ];

    /// As it is written in the API, in logs and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::NoTokenFits => "no_token_fits",
            Self::NotSigned => "not_signed",
            Self::OtherAlgorithm => "other_algorithm",
            Self::Unreadable => "unreadable",
            Self::NoPartner => "no_partner",
            Self::Refused => "refused",
        }
    }

    /// Another access token could make an event of it.
    pub const fn is_curable(self) -> bool {
        matches!(self, Self::NoToken | Self::NoTokenFits)
    }

    /// Nobody can tell whether it comes from Transak.
    pub const fn is_unverified(self) -> bool {
        matches!(self, Self::NoToken | Self::NoTokenFits | Self::NotSigned | Self::OtherAlgorithm)
    }
}

/// Whether anybody at all can have sent it: the webhook is open to the world, and nothing shows that it is Transak's.
pub const fn is_of_a_stranger(source: Source, reason: Reason) -> bool {
    matches!(source, Source::Webhook) && reason.is_unverified()
}

/// A reason, and the sentence that tells a person more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    pub detail: String,
}

impl Refusal {
    /// Such a refusal.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_written_alike_everywhere() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
