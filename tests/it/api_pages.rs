//! Pages: complete, without repeats, and not to be forged.

use sqlx::PgPool;

use crate::api::{ADMIN, Answer, Relay, keep_delivery, keep_order};

async fn walk(relay: &Relay, token: &str, path: &str, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = relay.get(token, &format!("{path}limit={limit}{cursor}")).await;
        let rows = page.rows();
        assert!(rows.len() <= limit, "{page:?}");
        ids.extend(rows.iter().map(|row| row.get("id").unwrap_or(&row["orderId"]).to_string()));
        match next(&page) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

fn next(page: &Answer) -> Option<String> {
    page.json()["nextCursor"].as_str().map(str::to_owned)
}

#[sqlx::test]
async fn walking_the_pages_meets_every_row_once_and_newest_first(pool: PgPool) {
    let relay = Relay::new(pool);
    let (a, b) = (relay.tenant("a").await, relay.tenant("b").await);
    for n in 0..7 {
        let tenant = if n % 2 == 0 { &a } else { &b };
        let events = keep_order(&relay, tenant, &format!("order-{n}"), &["PROCESSING", "COMPLETED"]).await;
        let endpoint = relay.endpoint(tenant).await;
        keep_delivery(&relay, tenant, (events[0], endpoint), "exhausted").await;
    }
    for (path, all, ours) in [
        ("/v1/orders?", 7, 4),
        ("/v1/events?", 14, 8),
        ("/v1/deliveries?", 7, 4),
        ("/v1/endpoints?", 7, 4),
        ("/v1/partners?", 2, 0),
        ("/v1/tokens?", 2, 0),
        ("/v1/events?status=COMPLETED&", 7, 4),
    ] {
        let whole = walk(&relay, ADMIN, path, 200).await;
        assert_eq!(whole.len(), all, "{path}");
        for limit in [1, 2, 3, all] {
            assert_eq!(walk(&relay, ADMIN, path, limit).await, whole, "{path} by {limit}");
        }
        if ours > 0 {
            assert_eq!(walk(&relay, &a.token, path, 3).await.len(), ours, "{path}");
        }
    }
    let ids = walk(&relay, ADMIN, "/v1/deliveries?", 2).await;
    assert!(ids.is_sorted_by(|earlier, later| earlier > later), "newest first: {ids:?}");
}

#[sqlx::test]
async fn a_cursor_of_another_list_tenant_or_filter_is_refused(pool: PgPool) {
    let relay = Relay::new(pool);
    let (a, b) = (relay.tenant("a").await, relay.tenant("b").await);
    for tenant in [&a, &b] {
        for n in 0..2 {
            keep_order(&relay, tenant, &format!("order-{n}"), &["PROCESSING", "COMPLETED"]).await;
        }
    }
    let cursor = next(&relay.get(&a.token, "/v1/orders?limit=1").await).unwrap();
    assert_eq!(relay.get(&a.token, &format!("/v1/orders?cursor={cursor}&limit=7")).await.rows().len(), 1);
    let bent = format!("{}A", &cursor[..cursor.len() - 1]);
    for (token, path) in [
        (&b.token, format!("/v1/orders?cursor={cursor}")),
        (&ADMIN.to_owned(), format!("/v1/orders?cursor={cursor}")),
        (&a.token, format!("/v1/events?cursor={cursor}")),
        (&a.token, format!("/v1/orders?cursor={cursor}&status=COMPLETED")),
        (&a.token, format!("/v1/orders?cursor={bent}B")),
        (&a.token, "/v1/orders?cursor=".to_owned()),
        (&a.token, "/v1/orders?cursor=%00".to_owned()),
        (&a.token, "/v1/orders?cursor=eyJhIjoxfQ".to_owned()),
    ] {
        relay.get(token, &path).await.is_problem(400, "invalid-cursor");
    }
}

#[sqlx::test]
async fn rows_that_come_between_two_pages_repeat_nothing(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    for _ in 0..3 {
        relay.endpoint(&tenant).await;
    }
    let first = relay.get(&tenant.token, "/v1/endpoints?limit=2").await;
    relay.endpoint(&tenant).await;
    let path = format!("/v1/endpoints?limit=2&cursor={}", next(&first).unwrap());
    let second = relay.get(&tenant.token, &path).await;
    assert_eq!((second.rows().len(), next(&second)), (1, None));
    assert!(!first.rows().contains(&second.rows()[0]));
}

/// So many events of one order each, a minute apart, the oldest of them `COMPLETED` and told by a webhook.
async fn fill(relay: &Relay, partner: &str, events: i32) {
    for statement in [
        "insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at)
         select $1::uuid, uuid_in(md5('e' || n)::cstring), 'o' || n, 'ORDER_PROCESSING',
                case when n = $2 then 'COMPLETED' else 'PROCESSING' end, uuid_send(uuid_in(md5('e' || n)::cstring)),
                now() - n * interval '1 min', now() - n * interval '1 min'
         from generate_series(1, $2) as n",
        "insert into sighting (partner_id, event_id, source, at, verified)
         select partner_id, event_id, (case when status = 'COMPLETED' then 'webhook' else 'stream' end)::event_source,
                received_at, true
         from event where partner_id = $1::uuid and $2 > 0",
        "insert into \"order\" (partner_id, order_id, status, status_at, verified, created_at, updated_at,
                                snapshot_event_id, snapshot_received_at, snapshot_at)
         select partner_id, order_id, status, occurred_at, true, occurred_at, occurred_at, event_id, received_at,
                occurred_at
         from event where partner_id = $1::uuid and $2 > 0",
        "insert into delivery (partner_id, delivery_id, event_id, endpoint_id, order_id, state, attempts, created_at,
                               finished_at)
         select partner_id, event_id, event_id, partner_id, order_id,
                (case when status = 'COMPLETED' then 'cancelled' else 'succeeded' end)::delivery_state, 1, received_at,
                received_at
         from event where partner_id = $1::uuid and $2 > 0",
    ] {
        let partner = partner.trim_start_matches("ptr_");
        sqlx::query(statement).bind(partner).bind(events).execute(&relay.pool).await.unwrap();
    }
    sqlx::raw_sql("analyze").execute(&relay.pool).await.unwrap();
}

#[sqlx::test]
async fn a_rare_row_is_found_in_pages_that_each_look_at_a_bounded_part(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    fill(&relay, &tenant.partner_id.to_string(), 25_000).await;
    for (path, pages) in [
        ("/v1/events?status=COMPLETED", 3),
        ("/v1/events?status=COMPLETED&event=ORDER_PROCESSING", 3),
        ("/v1/events?source=webhook", 50),
        ("/v1/orders?status=COMPLETED", 3),
        ("/v1/deliveries?state=cancelled", 3),
        ("/v1/events?orderId=o25000&status=COMPLETED", 1),
        ("/v1/deliveries?orderId=o25000&state=cancelled", 1),
    ] {
        let (mut found, mut looked, mut cursor) = (0, 0, String::new());
        loop {
            let page = relay.get(&tenant.token, &format!("{path}{cursor}")).await;
            (found, looked) = (found + page.rows().len(), looked + 1);
            match next(&page) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!((found, looked), (1, pages), "{path}");
    }
}

#[sqlx::test]
async fn a_full_page_of_a_filter_goes_on_behind_its_last_row(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    fill(&relay, &tenant.partner_id.to_string(), 12_000).await;
    let path = "/v1/events?status=PROCESSING&";
    assert_eq!(walk(&relay, &tenant.token, path, 200).await.len(), 11_999);
}
