//! The parts of a relay, each as the tests want it.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use transak_relay::delivery::dispatcher::{Dispatcher, Settings};
use transak_relay::delivery::sender::{Sender, SenderSettings};
use transak_relay::http::live::Feed;
use transak_relay::http::strangers::Strangers;
use transak_relay::http::{self, Api};
use transak_relay::intake::Settings as IntakeSettings;
use transak_relay::intake::spool::Spool;
use transak_relay::intake::suspicion::Suspicion;
use transak_relay::intake::{Intake, directory};
use transak_relay::model::address::AddressPolicy;
use transak_relay::model::callback_url::UrlPolicy;
use transak_relay::model::queue::HandOver;
use transak_relay::model::queue::Most;
use transak_relay::model::seal::MasterKey;
use transak_relay::model::token::TokenHash;

use crate::world::ADMIN;

pub(crate) fn api(pool: &PgPool, key: &MasterKey, (intake, feed): (Intake, Feed)) -> axum::Router {
    api_knowing(None, (pool, key), (intake, feed))
}

/// The same of a process that knows the partners by these pictures.
pub(crate) fn api_knowing(
    pictures: Option<directory::Pictures>,
    (pool, key): (&PgPool, &MasterKey),
    (intake, feed): (Intake, Feed),
) -> axum::Router {
    let addresses = AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]);
    http::router(Api {
        intake: Some(intake),
        pictures,
        rates: transak_relay::http::rate::TokenRates::default(),
        limits: http::Limits { endpoints: 1_000, watches: 20_000 },
        turns: transak_relay::http::turns::Turns::new(8),
        vitals: pool.clone(),
        cors_origins: Vec::new(),
        strangers: Strangers::default(),
        pool: pool.clone(),
        master_key: key.clone(),
        admin_token: Some(TokenHash::of(ADMIN)),
        url_policy: UrlPolicy { allow_http: true, addresses },
        health: watch::channel(Vec::new()).1,
        feed,
        metrics: None,
    })
}

pub(crate) fn dispatcher(pool: &PgPool, key: &MasterKey) -> (HandOver, Dispatcher) {
    dispatcher_sending(pool, key, SenderSettings::default())
}

/// The same with a sender of these settings, which may dial this machine by http all the same.
pub(crate) fn dispatcher_sending(
    pool: &PgPool,
    key: &MasterKey,
    settings: SenderSettings,
) -> (HandOver, Dispatcher) {
    let addresses = AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]);
    Dispatcher::new(Settings {
        pool: pool.clone(),
        key: key.clone(),
        sender: Sender::new(SenderSettings { addresses, allow_http: true, ..settings }).unwrap(),
        most: Most::of_slots(64),
        wake: Arc::new(Notify::new()),
    })
}

pub(crate) fn intake(
    pool: &PgPool,
    directory: directory::Watch,
    (spool, hand_over): (Spool, Option<HandOver>),
) -> IntakeSettings {
    let (suspicion, reconcile_every) = (Suspicion::default(), std::time::Duration::from_mins(1));
    IntakeSettings { pool: pool.clone(), directory, spool, hand_over, suspicion, reconcile_every }
}
