//! Keeping what the relay itself tells, and owing it.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::announcement::Announcement;
use crate::model::delivery::{DeliveryState, NewDelivery, Subscription};
use crate::model::event::Identity;
use crate::model::id::{DeliveryId, PartnerId};
use crate::store::{Result, delivery, endpoint, wake};

/// Keeps announcements as events and owes each to the endpoints of its partner that name it, the one it
/// is about included: what it is told while it is disabled is held.
pub async fn announce(conn: &mut PgConnection, announcements: &[Announcement]) -> Result<()> {
    if announcements.is_empty() {
        return Ok(());
    }
    keep(conn, announcements).await?;
    let partners: BTreeSet<PartnerId> = announcements.iter().map(|one| one.about.0).collect();
    let subscriptions = endpoint::subscription::of_partners(&mut *conn, partners).await?;
    let owed: Vec<NewDelivery> = announcements
        .iter()
        .flat_map(|one| {
            let wanting = subscriptions.iter().filter(|endpoint| wants(endpoint, one));
            wanting.map(|endpoint| owed_to(endpoint, one))
        })
        .collect();
    if owed.is_empty() {
        return Ok(());
    }
    delivery::write::insert(conn, &owed).await?;
    wake::deliveries(conn).await
}

/// Keeps announcements as events that nobody is told yet.
pub async fn keep(conn: &mut PgConnection, announcements: &[Announcement]) -> Result<()> {
    let partners: Vec<Uuid> = announcements.iter().map(|one| one.about.0.uuid()).collect();
    let ids: Vec<Uuid> = announcements.iter().map(|one| one.event_id.uuid()).collect();
    let times: Vec<_> = announcements.iter().map(|one| one.at).collect();
    let identities: Vec<Vec<u8>> = announcements
        .iter()
        .map(|one| Identity::of_other(&one.name, one.event_id.to_string().as_bytes(), None).0.to_vec())
        .collect();
    let events = sqlx::query!(
        "insert into event (partner_id, event_id, event, identity, occurred_at, received_at, about_order_id)
         select partner_id, event_id, event, identity, at, at, about_order_id
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::timestamptz[], $6::text[])
              as given (partner_id, event_id, event, identity, at, about_order_id)",
        &partners,
        &ids,
        &announcements.iter().map(|one| one.name.as_ref()).collect::<Vec<_>>() as &[&str],
        &identities,
        &times,
        &announcements.iter().map(|one| one.order_id.as_deref().unwrap_or_default()).collect::<Vec<_>>()
            as &[&str],
    );
    events.execute(&mut *conn).await?;
    let payloads = sqlx::query!(
        "insert into payload (partner_id, event_id, received_at, body)
         select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bytea[])",
        &partners,
        &ids,
        &times,
        &announcements.iter().map(|one| one.payload.as_ref()).collect::<Vec<_>>() as &[&[u8]],
    );
    payloads.execute(conn).await?;
    Ok(())
}

fn wants(endpoint: &Subscription, announcement: &Announcement) -> bool {
    endpoint.partner_id == announcement.about.0 && endpoint.wants(&announcement.name, None)
}

fn owed_to(endpoint: &Subscription, announcement: &Announcement) -> NewDelivery {
    NewDelivery {
        partner_id: endpoint.partner_id,
        delivery_id: DeliveryId::new(),
        event_id: announcement.event_id,
        endpoint_id: endpoint.endpoint_id,
        order_id: None,
        state: if endpoint.enabled { DeliveryState::Pending } else { DeliveryState::Held },
        leased: false,
        in_lane: false,
    }
}
