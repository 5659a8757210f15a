//! Answers that help: everything that is wrong at once, in the caller's words, with what was probably meant.

use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::model::order::wallet_key;

use crate::api::{ADMIN, Answer, Relay, keep_order};

/// What is said of a field.
fn said(answer: &Answer, field: &str) -> String {
    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
    let found = errors.iter().find(|error| error["field"] == field);
    found.unwrap_or_else(|| panic!("{field}: {answer:?}"))["detail"].as_str().unwrap().to_owned()
}

#[sqlx::test]
async fn all_faults_of_a_body_are_told_at_once_whatever_their_kind(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let body = json!({
        "url": "ftp://example.com/", "timeoutMs": "5s", "evnts": [], "maxInFlight": 5000, "ordered": "yes",
        "retrySchedule": [1, "2"], "format": "Standard", "redact": ["ipAddress"], "statuses": ["completed", "gone"],
    });
    let answer = relay.post(&tenant.token, "/v1/endpoints", body).await;
    answer.is_problem(422, "validation-failed");
    assert_eq!(said(&answer, "timeoutMs"), "must be a whole number of milliseconds or null, not a string");
    assert_eq!(said(&answer, "evnts"), "is not known here; did you mean `events`?");
    assert_eq!(said(&answer, "maxInFlight"), "must be from 1 to 1000");
    assert_eq!(said(&answer, "ordered"), "must be true or false or null, not a string");
    assert_eq!(said(&answer, "retrySchedule[1]"), "must be a whole number of seconds, not a string");
    assert_eq!(said(&answer, "format"), "must be one of standard, transak; did you mean `standard`?");
    assert!(said(&answer, "url").starts_with("must begin with https://"));
    assert!(said(&answer, "redact").len() > 5);
    assert!(said(&answer, "statuses[0]").ends_with("did you mean `COMPLETED`?"));
    assert!(said(&answer, "statuses[1]").starts_with("must be one of "));
}

#[sqlx::test]
async fn faults_of_a_partner_are_told_at_once_too(pool: PgPool) {
    let relay = Relay::new(pool);
    let body = json!({"environment": "staging", "apiKey": "a b", "accessToken": "abc"});
    let answer = relay.post(ADMIN, "/v1/partners", body).await;
    answer.is_problem(422, "validation-failed");
    assert_eq!(said(&answer, "name"), "is required");
    assert_eq!(said(&answer, "environment"), "must be one of STAGING, PRODUCTION; did you mean `STAGING`?");
    assert!(said(&answer, "apiKey").contains("letters"));
    assert!(said(&answer, "accessToken").contains("a JWT of three parts"));
}

#[sqlx::test]
async fn an_address_refused_by_policy_names_the_setting_that_allows_it(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    for (url, setting) in [
        ("https://10.0.0.1/hook", "RELAY_ALLOW_CALLBACK_CIDRS"),
        ("https://localhost/hook", "RELAY_ALLOW_CALLBACK_CIDRS"),
        ("http://example.com/hook", "RELAY_ALLOW_HTTP_CALLBACKS"),
    ] {
        let answer = relay.post(&tenant.token, "/v1/endpoints", json!({"url": url})).await;
        assert!(said(&answer, "url").contains(setting), "{answer:?}");
    }
}

#[sqlx::test]
async fn a_filter_for_a_value_that_nobody_knows_is_refused_with_those_there_are(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &["COMPLETED"]).await;
    for (path, field, meant) in [
        ("/v1/orders?status=completed", "status", "COMPLETED"),
        ("/v1/orders?product=sell", "product", "SELL"),
        ("/v1/events?event=order_completed", "event", "ORDER_COMPLETED"),
        ("/v1/events?status=Canceled", "status", "CANCELLED"),
        ("/v1/events?source=webhooks", "source", "webhook"),
        ("/v1/deliveries?state=Exhausted", "state", "exhausted"),
    ] {
        let answer = relay.get(&tenant.token, path).await;
        answer.is_problem(422, "validation-failed");
        let said = said(&answer, field);
        assert!(
            said.starts_with("must be one of ") && said.ends_with(&format!("did you mean `{meant}`?")),
            "{said}"
        );
    }
    let misspelt = relay.get(&tenant.token, "/v1/orders?statuss=COMPLETED").await;
    misspelt.is_problem(400, "invalid-parameter");
    assert_eq!(said(&misspelt, "statuss"), "is not known here; did you mean `status`?");
}

#[sqlx::test]
async fn a_status_that_transak_has_invented_since_is_found_if_an_order_has_it(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    keep_order(&relay, &tenant, "order-1", &["INVENTED_YESTERDAY"]).await;
    assert_eq!(relay.get(&tenant.token, "/v1/orders?status=INVENTED_YESTERDAY").await.rows().len(), 1);
    relay.get(&tenant.token, "/v1/orders?status=INVENTED_TODAY").await.is_problem(422, "validation-failed");
}

#[sqlx::test]
async fn a_wallet_is_found_in_any_spelling_that_means_the_same_and_in_no_other(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let hex = "0xD9020000000000000000000000000000000BEFeE";
    let base58 = "7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV";
    for (order, wallet) in [("order-1", hex), ("order-2", base58)] {
        keep_order(&relay, &tenant, order, &["COMPLETED"]).await;
        let kept = r#"update "order" set wallet_address = $1 where order_id = $2"#;
        sqlx::query(kept).bind(wallet).bind(order).execute(&relay.pool).await.unwrap();
    }
    for (wallet, found) in [
        (hex.to_owned(), 1),
        (hex.to_lowercase(), 1),
        (hex.to_uppercase(), 1),
        (hex[..41].to_owned(), 0),
        (base58.to_owned(), 1),
        (base58.to_lowercase(), 0),
    ] {
        let rows = relay.get(&tenant.token, &format!("/v1/orders?walletAddress={wallet}")).await.rows();
        assert_eq!(rows.len(), found, "{wallet}");
    }
}

/// The rule stands twice, in the program and in the index: both must say the same of any text.
#[sqlx::test]
async fn the_program_and_the_index_agree_which_wallets_are_the_same(pool: PgPool) {
    let definition: String =
        sqlx::query_scalar("select pg_get_expr(indexprs, indrelid) from pg_index where indexrelid = 'order_by_wallet_key'::regclass")
            .fetch_one(&pool)
            .await
            .unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut wallets: Vec<String> = (0..3_000)
        .map(|_| {
            let digits = "0123456789abcdefABCDEFg";
            let last = [22, 22, 22, 23][random.usize(..4)];
            let length = [39, 40, 40, 40, 41][random.usize(..5)];
            let body: String =
                (0..length).map(|_| char::from(digits.as_bytes()[random.usize(..last)])).collect();
            format!("{}{body}", ["0x", "0X", "0x", "", "x0"][random.usize(..5)])
        })
        .collect();
    wallets.push(format!("0x{}\n", "A".repeat(40)));
    let statement = format!(
        "select array(select {definition} from unnest($1::text[]) with ordinality as t (wallet_address, at) order by at)"
    );
    let keys: Vec<String> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).bind(&wallets).fetch_one(&pool).await.unwrap();
    let expected: Vec<_> = wallets.iter().map(|wallet| wallet_key(wallet)).collect();
    assert_eq!(keys, expected);
    assert!(
        keys.iter().zip(&wallets).filter(|(key, wallet)| key != wallet).count() > 500,
        "both cases occur"
    );
}

#[sqlx::test]
async fn what_only_admins_may_do_to_ones_own_things_is_403_and_to_anothers_404(pool: PgPool) {
    let relay = Relay::new(pool);
    let (ours, theirs) = (relay.tenant("a").await, relay.tenant("b").await);
    keep_order(&relay, &ours, "order-1", &["COMPLETED"]).await;
    keep_order(&relay, &theirs, "order-2", &["COMPLETED"]).await;
    let tokens = |id: &str| format!("/v1/tokens?partnerId={id}");
    let mine = relay.get(ADMIN, &tokens(&ours.id)).await.rows()[0]["id"].as_str().unwrap().to_owned();
    let others = relay.get(ADMIN, &tokens(&theirs.id)).await.rows()[0]["id"].as_str().unwrap().to_owned();
    for (own, anothers) in [
        ("/v1/orders/order-1".to_owned(), "/v1/orders/order-2".to_owned()),
        (format!("/v1/partners/{}", ours.id), format!("/v1/partners/{}", theirs.id)),
        (format!("/v1/tokens/{mine}"), format!("/v1/tokens/{others}")),
    ] {
        relay.delete(&ours.token, &own).await.is_problem(403, "forbidden");
        relay.delete(&ours.token, &anothers).await.is_problem(404, "not-found");
    }
    assert_eq!(relay.get(&ours.token, "/v1/orders/order-1").await.status, 200);
}

#[sqlx::test]
async fn the_title_of_a_problem_is_the_usual_word_and_the_sentence_is_its_detail(pool: PgPool) {
    let relay = Relay::new(pool);
    let tenant = relay.tenant("a").await;
    let taken = json!({"name": "n", "environment": "STAGING", "apiKey": "key-a"});
    for (answer, title) in [
        (relay.get(&tenant.token, "/v1/orders/x").await, "Not found"),
        (relay.get(&tenant.token, "/v1/nothing").await, "Not found"),
        (relay.get("", "/v1/orders").await, "Unauthorized"),
        (relay.get(&tenant.token, "/v1/partners").await, "Forbidden"),
        (relay.post(ADMIN, "/v1/partners", taken).await, "Conflict"),
        (relay.call(ADMIN, (Method::PUT, "/v1/endpoints"), None).await, "Method not allowed"),
        (relay.post(ADMIN, "/v1/partners", json!({})).await, "Validation failed"),
        (relay.get(ADMIN, "/v1/orders?limit=x").await, "Invalid parameter"),
    ] {
        let problem = answer.json();
        assert_eq!(problem["title"], title, "{answer:?}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(' ') && detail != title, "{answer:?}");
    }
}

#[sqlx::test]
async fn the_bare_address_answers_a_person_and_a_program_with_links_that_lead_somewhere(pool: PgPool) {
    let relay = Relay::new(pool);
    let request = Request::get("/").header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");
    let page = relay.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert!(page.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
    let home: Value = relay.get("", "/").await.json();
    let links = home["links"].as_object().unwrap();
    assert!(links.len() > 5 && home["name"] == "transak-relay");
    for (name, path) in links {
        let path = path.as_str().unwrap();
        assert!(page.text.contains(&format!("<a href=\"{path}\">{name}</a>")), "{page:?}");
        // Metrics are those of a whole process.
        let answer = relay.get("", path).await;
        assert!(name == "metrics" || answer.status.is_success(), "{path}: {answer:?}");
    }
}
