//! SIGTERM, once and twice.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use transak_relay::sandbox::receiver::Answer;
use transak_relay::store::pool::MIGRATOR;

use crate::process::Around;
use crate::soon::soon;
use crate::world::order;

#[sqlx::test(migrator = "MIGRATOR")]
async fn one_signal_lets_answers_come_gives_leases_back_and_ends_with_0(pool: PgPool) {
    let around = Around::new(pool).await;
    let mut relay = around.start(&[]).await;
    let receiver = relay.endpoint(json!({ "maxInFlight": 1 })).await;
    receiver.answer(Answer { delay: Duration::from_secs(2), status: StatusCode::NO_CONTENT, fail_first: 0 });
    for number in 0..5 {
        around.publish(&order(&format!("stop-{number}"), "PROCESSING", 1));
    }
    soon(receiver.count().wait_for(|count| *count >= 1)).await.unwrap();
    let heard = async {
        while sqlx::query_scalar::<_, i64>("select count(*) from delivery")
            .fetch_one(&around.pool)
            .await
            .unwrap()
            < 5
        {}
    };
    heard.await;
    let ended = relay.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", relay.log());
    let after: Vec<(String, i32, bool)> = sqlx::query_as(
        "select state::text, attempts, leased_at is null from delivery order by state desc, attempts",
    )
    .fetch_all(&around.pool)
    .await
    .unwrap();
    let (sent, unsent): (Vec<_>, Vec<_>) = after.into_iter().partition(|(state, ..)| state == "succeeded");
    assert_eq!(
        sent.len(),
        usize::try_from(*receiver.count().borrow()).unwrap(),
        "what was begun was answered"
    );
    assert!(!sent.is_empty() && !unsent.is_empty());
    assert!(sent.iter().all(|(_, attempts, free)| (*attempts, *free) == (1, true)), "{sent:?}");
    let given_back = unsent
        .iter()
        .all(|(state, attempts, free)| (state.as_str(), *attempts, *free) == ("pending", 0, true));
    assert!(given_back, "{unsent:?}");
    println!("{} answered, {} given back without an attempt", sent.len(), unsent.len());
    assert_eq!(around.upstream.pusher().counts().borrow().open, 0, "its socket is closed");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_second_signal_ends_at_once(pool: PgPool) {
    let around = Around::new(pool).await;
    let relay = around.start(&[]).await;
    let receiver = relay.endpoint(json!({})).await;
    receiver.answer(Answer { delay: Duration::from_secs(9), status: StatusCode::NO_CONTENT, fail_first: 0 });
    around.publish(&order("hangs", "PROCESSING", 1));
    soon(receiver.count().wait_for(|count| *count >= 1)).await.unwrap();
    relay.signal("TERM").await;
    relay.logs("a second signal ends the process at once").await;
    relay.signal("TERM").await;
    assert_eq!(relay.ended().await.code(), Some(130));
}
