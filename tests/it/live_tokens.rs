//! Whose token is gone hears nothing more.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transak_relay::http::live::follow_tokens;
use transak_relay::model::id::EventId;
use transak_relay::store::pool::MIGRATOR;
use transak_relay::store::wake::{self, Wakes};

use crate::api_live::{insert, new_ids, run_reader};
use crate::live_client::Stream;
use crate::world::World;

/// The next event; `None`: the stream has ended. Long before a token would be looked at by itself.
async fn soon(stream: &mut Stream) -> Option<EventId> {
    let next = tokio::time::timeout(Duration::from_secs(3), stream.event()).await;
    next.expect("at once").map(|(id, _)| id)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_stream_ends_at_once_when_its_token_or_its_partner_is_deleted_in_whatever_process(pool: PgPool) {
    let mut tasks = JoinSet::new();
    let mut worlds = [World::new(pool.clone()).await, World::around(pool.clone())];
    let wakes = Wakes::default();
    tasks.spawn(wake::listen(pool.clone(), wakes.clone(), CancellationToken::new()));
    wakes.tokens.notified().await;
    tasks.spawn(follow_tokens(worlds[1].feed.clone(), wakes.tokens, CancellationToken::new()));
    for world in &mut worlds {
        run_reader(world, &mut tasks);
    }
    let partner = worlds[0].partner;
    let mut conn = pool.acquire().await.unwrap();
    for path in ["/v1/tokens/", "/v1/partners/"] {
        let new = json!({ "name": "t", "scope": "read", "partnerId": partner.to_string() });
        let (_, made) = worlds[0].call("POST", "/v1/tokens", Some(new)).await;
        let token = made["token"].as_str().unwrap();
        let mut streams = Vec::new();
        for world in [&worlds[0], &worlds[0], &worlds[1]] {
            streams.push(Stream::open_as(token, world, ("", None)).await);
        }
        let before = new_ids(1);
        insert(&mut conn, partner, "o1", &before).await;
        for stream in &mut streams {
            assert_eq!(soon(stream).await, Some(before[0]));
        }
        let id =
            if path == "/v1/tokens/" { made["id"].as_str().unwrap().to_owned() } else { partner.to_string() };
        assert_eq!(worlds[0].call("DELETE", &format!("{path}{id}"), None).await.0, 204);
        for stream in &mut streams {
            assert_eq!(soon(stream).await, None);
        }
    }
}
