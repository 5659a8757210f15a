//! probe
pub mod attempt;
pub mod auth;
pub mod body;
pub mod delivery;
pub mod event;
pub mod field;
pub mod history;
pub mod order;
pub mod page;
pub mod path;
pub mod problem;
pub mod quarantine;
pub mod query;
pub mod timeline;

use crate::model::callback_url::UrlPolicy;
use crate::model::seal::MasterKey;
use crate::model::token::TokenHash;
use sqlx::PgPool;
/// x
pub struct Api {
    pub pool: PgPool,
    pub master_key: MasterKey,
    pub admin_token: Option<TokenHash>,
    pub url_policy: UrlPolicy,
}
