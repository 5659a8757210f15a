//! Sessions that the server ends, as an administrator, a time-out or a restart does: no caller notices.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use transak_relay::store::pool::{MIGRATOR, pool_options};

use crate::world::{World, order};

const CONNECTIONS: u32 = 6;

/// A world with the relay's own pool, all of whose sessions have been used; and how to end them.
async fn world(options: PgConnectOptions) -> (World, sqlx::PgPool) {
    let aside = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await.unwrap();
    MIGRATOR.run(&aside).await.unwrap();
    let pool = pool_options().max_connections(CONNECTIONS).connect_with(options).await.unwrap();
    (World::new(pool).await, aside)
}

async fn end_all(world: &World, aside: &sqlx::PgPool) {
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(world.pool.acquire().await.unwrap());
    }
    for mut one in held {
        one.return_to_pool().await;
    }
    let ended = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid()";
    let ended: i64 = sqlx::query_scalar(ended).fetch_one(aside).await.unwrap();
    assert!(ended >= i64::from(CONNECTIONS), "{ended}");
}

async fn write_token(world: &World) -> String {
    let body = json!({ "name": "t", "scope": "write", "partnerId": world.partner.to_string() });
    world.call("POST", "/v1/tokens", Some(body)).await.1["token"].as_str().unwrap().to_owned()
}

#[sqlx::test(migrations = false)]
async fn a_read_after_every_session_was_ended_is_answered(_: PgPoolOptions, options: PgConnectOptions) {
    let (world, aside) = world(options).await;
    let id = world.partner.to_string();
    for path in ["/v1/events", "/v1/orders", &format!("/v1/partners/{id}"), "/v1/watches", "/readyz"] {
        end_all(&world, &aside).await;
        assert_eq!(world.call("GET", path, None).await.0, 200, "{path}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_change_after_every_session_was_ended_is_made_once(_: PgPoolOptions, options: PgConnectOptions) {
    let (world, aside) = world(options).await;
    end_all(&world, &aside).await;
    let watch = json!({ "orderId": "o-1", "partnerId": world.partner.to_string() });
    let (status, made) = world.call("POST", "/v1/watches", Some(watch)).await;
    assert_eq!(status, 201, "{made}");
    end_all(&world, &aside).await;
    let name = json!({ "name": "renamed" });
    assert_eq!(world.call("PATCH", &format!("/v1/partners/{}", world.partner), Some(name)).await.0, 200);
    end_all(&world, &aside).await;
    let path = format!("/v1/watches/{}", made["id"].as_str().unwrap());
    assert_eq!(world.call("DELETE", &path, None).await.0, 204);
    assert_eq!(world.count("watch").await, 1);
}

#[sqlx::test(migrations = false)]
async fn a_token_is_still_known_after_every_session_was_ended(_: PgPoolOptions, options: PgConnectOptions) {
    let (world, aside) = world(options).await;
    let token = write_token(&world).await;
    end_all(&world, &aside).await;
    let request = axum::http::Request::post("/v1/watches").header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/json");
    let request = request.body(axum::body::Body::from(r#"{"orderId":"o-1"}"#)).unwrap();
    let answer = tower::ServiceExt::oneshot(world.api.clone(), request).await.unwrap();
    assert_eq!(answer.status(), 201);
}

/// The next so many statements of this kind have their session ended in the middle.
async fn end_within(aside: &sqlx::PgPool, statement: &str, times: u32) {
    let once = format!(
        "create sequence if not exists told;
         create or replace function end_session() returns trigger language plpgsql as $$
         begin
             if nextval('told') <= {times} then perform pg_terminate_backend(pg_backend_pid()); end if;
             return coalesce(new, old);
         end $$;
         alter sequence told restart;
         {statement} for each row execute function end_session()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(once)).execute(aside).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn a_change_whose_session_is_ended_in_the_middle_is_made_once(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (world, aside) = world(options).await;
    let named = |name: &str| json!({ "name": name, "partnerId": world.partner.to_string(), "scope": "read" });
    end_within(&aside, "create or replace trigger ended after insert on api_token", 3).await;
    let (status, made) = world.call("POST", "/v1/tokens", Some(named("one"))).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(world.count("api_token").await, 1);
    let partner = format!("/v1/partners/{}", world.partner);
    end_within(&aside, "create or replace trigger ended after update on partner", 3).await;
    assert_eq!(world.call("PATCH", &partner, Some(json!({ "name": "other" }))).await.0, 200);
    end_within(&aside, "create or replace trigger ended after delete on api_token", 3).await;
    let token = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(world.call("DELETE", &token, None).await.0, 204);
}

#[sqlx::test(migrations = false)]
async fn a_commit_without_an_answer_is_made_again_only_for_who_gave_an_idempotency_key(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (world, aside) = world(options).await;
    let at_commit = "drop trigger if exists ended on watch;
         create constraint trigger ended after insert on watch deferrable initially deferred";
    let watch = json!({ "orderId": "o-1", "partnerId": world.partner.to_string() });
    end_within(&aside, at_commit, 1).await;
    let (status, told) = world.call("POST", "/v1/watches", Some(watch.clone())).await;
    assert_eq!((status.as_u16(), &told["title"]), (503, &json!("Service unavailable")));
    end_within(&aside, at_commit, 3).await;
    let request = axum::http::Request::post("/v1/watches")
        .header("authorization", format!("Bearer {}", crate::world::ADMIN))
        .header("content-type", "application/json")
        .header("idempotency-key", "once")
        .body(axum::body::Body::from(watch.to_string()))
        .unwrap();
    let answer = tower::ServiceExt::oneshot(world.api.clone(), request).await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(world.count("watch").await, 1);
}

#[sqlx::test(migrations = false)]
async fn a_webhook_whose_session_is_ended_in_the_middle_is_kept_at_once(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (mut world, aside) = world(options).await;
    end_within(&aside, "create or replace trigger ended after insert on event", 3).await;
    let path = format!("/ingest/transak/{}", world.partner);
    let body = json!({ "data": world.signed(&order("o1", "COMPLETED", 2)) });
    let (status, answer) = world.post_while_writing(&path, body).await;
    assert_eq!((status.as_u16(), &answer["result"]), (200, &json!("new")));
    end_within(&aside, "create or replace trigger ended after insert on quarantine", 3).await;
    let (status, _) = world.post_while_writing(&path, json!({ "data": "from a stranger" })).await;
    assert_eq!((status.as_u16(), world.count("quarantine").await), (401, 1));
}

#[sqlx::test(migrations = false)]
async fn transaks_own_interface_is_read_again_too(_: PgPoolOptions, options: PgConnectOptions) {
    let (world, aside) = world(options).await;
    end_all(&world, &aside).await;
    let token = secrecy::ExposeSecret::expose_secret(&world.access_token).to_owned();
    let request = axum::http::Request::get("/partners/api/v2/webhooks").header("access-token", token);
    let request = request.body(axum::body::Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(world.api.clone(), request).await.unwrap();
    assert_eq!(answer.status(), 200);
}
