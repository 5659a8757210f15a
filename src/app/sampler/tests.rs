//! What is shown of a database and of a process, and for how long.

use super::*;

const MONTH: Duration = Duration::from_hours(30 * 24);

fn sampler(pool: &PgPool) -> Sampler {
    Sampler {
        pool: pool.clone(),
        bounds: Bounds { spool_bytes: 1 << 20, held: Some(MONTH) },
        names_partners: true,
        stream: None,
        metrics: metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle(),
        found: watch::Sender::default(),
        queue: watch::Sender::default(),
        clock: watch::Sender::default(),
    }
}

async fn write(pool: &PgPool, statement: &'static str) {
    sqlx::raw_sql(statement).execute(pool).await.unwrap();
}

const PARTNER: &str = "insert into partner (partner_id, name, environment, api_key)
    values ('018f0000-0000-7000-8000-000000000001', 'p', 'STAGING', 'key');
    insert into access_token (partner_id, access_token_id, token, fingerprint, expires_at)
    values ('018f0000-0000-7000-8000-000000000001', '018f0000-0000-7000-8000-000000000002', 'x', 'x', now());
    insert into endpoint (partner_id, endpoint_id, url, retry_schedule, state, disabled_reason, disabled_at)
    values ('018f0000-0000-7000-8000-000000000001', '018f0000-0000-7000-8000-000000000003', 'x', '{}', 'disabled', 'x',
            now() - interval '10 days');
    insert into delivery (partner_id, delivery_id, event_id, endpoint_id, state, created_at)
    values ('018f0000-0000-7000-8000-000000000001', '018f0000-0000-7000-8000-000000000004',
            '018f0000-0000-7000-8000-000000000005', '018f0000-0000-7000-8000-000000000003', 'held',
            now() - interval '20 days');
    insert into gap (partner_id, gap_id, started_at, reason)
    values ('018f0000-0000-7000-8000-000000000001', '018f0000-0000-7000-8000-000000000006', now(), 'x')";

#[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
async fn the_gauges_of_a_partner_and_of_an_endpoint_go_with_them(pool: PgPool) {
    write(&pool, PARTNER).await;
    let sampler = sampler(&pool);
    let text = sampler.look_at_database().await.unwrap().render();
    let of_partner = "partner=\"ptr_018f0000000070008000000000000001\"";
    assert!(text.contains(&format!("\nrelay_partner_unheard_seconds{{{of_partner}}} ")), "{text}");
    assert!(text.contains("\nrelay_access_token_expiry_timestamp_seconds "), "{text}");
    assert!(text.contains("\nrelay_endpoints_holding 1\n"), "{text}");
    let ends = text.lines().find_map(|line| line.strip_prefix("relay_held_ends_seconds "));
    let days = ends.unwrap().parse::<f64>().unwrap() / 86_400.0;
    assert!((19.9..20.1).contains(&days), "it is held since its endpoint is disabled: {days}");
    write(&pool, "update partner set deleted_at = now(); update endpoint set deleted_at = now()").await;
    let text = sampler.look_at_database().await.unwrap().render();
    for name in ["partner=", "relay_access_token_expiry_timestamp_seconds", "relay_held_ends_seconds"] {
        assert!(!text.contains(name), "{name}: {text}");
    }
    assert!(text.contains("\nrelay_endpoints_holding 0\n"), "{text}");
}

#[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
async fn unless_the_operator_wants_it_nobody_is_named_and_with_it_twenty_at_most(pool: PgPool) {
    let named = sampler(&pool);
    let anonymous = Sampler { names_partners: false, ..sampler(&pool) };
    let shown = |sampler: &Sampler, partners: u32| {
        let mut round = Round::default();
        let unheard = (1..=partners).map(|seconds| (PartnerId::new(), f64::from(seconds))).collect();
        sampler.show_unheard(&mut round, unheard);
        let text = round.render();
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&anonymous, 0), ["relay_partner_unheard_seconds 0"]);
    assert_eq!(shown(&anonymous, 30), ["relay_partner_unheard_seconds 30"]);
    let lines = shown(&named, 30);
    assert_eq!(lines.len(), MOST_NAMED);
    assert!(
        lines.iter().all(|line| line.contains("{partner=\"ptr_")) && lines[0].ends_with(" 30"),
        "{lines:?}"
    );
    assert!(shown(&named, 0).is_empty());
}

#[test]
fn what_was_found_in_the_database_outlasts_a_short_outage_and_no_long_one() {
    let (mut last, began) = (Last::default(), Instant::now());
    let mut round = Round::default();
    round.show("relay_queue_due", 3.0);
    let shown = |last: &mut Last, looked, after| !last.after(looked, began + after).render().is_empty();
    assert!(shown(&mut last, Some(round.clone()), Duration::ZERO));
    assert!(shown(&mut last, None, BELIEVED.saturating_sub(PERIOD)));
    assert!(!shown(&mut last, None, BELIEVED));
    assert!(shown(&mut last, Some(round), BELIEVED + PERIOD), "and is there again after it");
}
