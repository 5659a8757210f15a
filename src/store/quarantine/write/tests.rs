//! Who takes room from whom.

use chrono::DateTime;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use sqlx::PgPool;

use super::*;

fn message(raw: &str, source: Source, reason: Reason) -> Quarantined {
    Quarantined {
        partner_id: None,
        source,
        form: "signed",
        channel: None,
        event: None,
        refusal: Refusal::new(reason, "x"),
        generation: 0,
        raw: raw.as_bytes().to_vec(),
        received_at: DateTime::UNIX_EPOCH,
        hops: Hops::default(),
    }
}

fn heard(raw: &str) -> Quarantined {
    message(raw, Source::Stream, Reason::NoTokenFits)
}

fn stranger(raw: &str) -> Quarantined {
    message(raw, Source::Webhook, Reason::NotSigned)
}

async fn kept(conn: &mut PgConnection) -> Vec<(String, i32)> {
    let rows =
        sqlx::query_as("select convert_from(raw, 'UTF8'), times from quarantine order by quarantine_id");
    rows.fetch_all(conn).await.unwrap()
}

async fn names(conn: &mut PgConnection) -> Vec<String> {
    kept(conn).await.into_iter().map(|(raw, _)| raw).collect()
}

/// Messages and bytes of each room, as counted and as they are.
async fn usage(conn: &mut PgConnection) -> [Vec<(bool, i64, i64)>; 2] {
    let counted = "select stranger, messages, bytes from quarantine_usage where messages <> 0 or bytes <> 0
                   order by partner_id, stranger";
    let real = "select stranger, count(*), sum(octet_length(raw))::bigint from quarantine
                group by partner_id, stranger order by partner_id, stranger";
    let counted = sqlx::query_as(counted).fetch_all(&mut *conn).await.unwrap();
    [counted, sqlx::query_as(real).fetch_all(conn).await.unwrap()]
}

const SMALL: Room = Room { messages: 2, bytes: 100 };

#[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
async fn of_what_was_heard_the_first_stays_and_what_is_too_much_is_refused(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    for (raw, fits) in [("a", true), ("b", true), ("c", false), ("a", true)] {
        assert_eq!(insert_into(&mut conn, &heard(raw), SMALL).await.unwrap(), fits, "{raw}");
    }
    assert_eq!(kept(&mut conn).await, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    let of_somebody = Quarantined { partner_id: Some(PartnerId::new()), ..heard("c") };
    assert!(insert_into(&mut conn, &of_somebody, SMALL).await.unwrap(), "each has its own room");
}

#[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
async fn bytes_count_too_and_what_is_deleted_makes_room(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    let room = Room { messages: 9, bytes: 10 };
    assert!(insert_into(&mut conn, &heard("12345678"), room).await.unwrap());
    assert!(!insert_into(&mut conn, &heard("123"), room).await.unwrap());
    sqlx::query("delete from quarantine").execute(&mut *conn).await.unwrap();
    assert!(insert_into(&mut conn, &heard("123"), room).await.unwrap());
}

#[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
async fn strangers_fill_only_their_own_room_and_there_the_oldest_goes(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    let room = Room { messages: 5, bytes: 1 << 20 };
    for number in 0..50 {
        assert!(insert_into(&mut conn, &stranger(&format!("junk {number}")), room).await.unwrap());
    }
    let newest: Vec<_> = (45..50).map(|number| format!("junk {number}")).collect();
    assert_eq!(names(&mut conn).await, newest);
    for raw in ["a", "b", "c", "d", "e"] {
        assert!(insert_into(&mut conn, &heard(raw), room).await.unwrap(), "{raw}");
    }
    assert!(!insert_into(&mut conn, &heard("f"), room).await.unwrap());
}

#[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
async fn large_junk_goes_when_bytes_are_short(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    let room = Room { messages: 1000, bytes: 1000 };
    for number in 0..20 {
        assert!(insert_into(&mut conn, &stranger(&format!("{number:0200}")), room).await.unwrap());
    }
    let [counted, _] = usage(&mut conn).await;
    assert!(counted[0].2 <= 1000, "{counted:?}");
}

#[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
async fn what_a_token_may_yet_verify_outlasts_junk(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    let room = Room { messages: 10, bytes: 1 << 20 };
    let signed = message("signed with the next token", Source::Webhook, Reason::NoTokenFits);
    insert_into(&mut conn, &signed, room).await.unwrap();
    for number in 0..100 {
        insert_into(&mut conn, &stranger(&format!("junk {number}")), room).await.unwrap();
    }
    assert_eq!(names(&mut conn).await[0], "signed with the next token");
}

#[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
async fn what_a_stranger_copied_and_posted_first_leaves_the_strangers_room_when_it_is_heard(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    let room = Room { messages: 5, bytes: 1 << 20 };
    let copied = message("a", Source::Webhook, Reason::NoTokenFits);
    insert_into(&mut conn, &copied, room).await.unwrap();
    insert_into(&mut conn, &heard("a"), room).await.unwrap();
    insert_into(&mut conn, &copied, room).await.unwrap();
    for number in 0..20 {
        let forged = message(&format!("forged {number}"), Source::Webhook, Reason::NoTokenFits);
        insert_into(&mut conn, &forged, room).await.unwrap();
    }
    assert_eq!(kept(&mut conn).await[0], ("a".to_owned(), 3));
    let [counted, real] = usage(&mut conn).await;
    assert_eq!(counted, real);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Insert { number: u8, is_stranger: bool, size: usize },
    Delete(u8),
    Verify(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..20u8, any::<bool>(), 0..40usize)
            .prop_map(|(number, is_stranger, size)| Step::Insert { number, is_stranger, size }),
        1 => (0..20u8).prop_map(Step::Delete),
        1 => (0..20u8).prop_map(Step::Verify),
    ];
    prop::collection::vec(step, 1..60)
}

async fn take(conn: &mut PgConnection, step: Step) {
    let of = |number: u8| format!("{number:02}%");
    match step {
        Step::Insert { number, is_stranger, size } => {
            let raw = format!("{number:02}{}", "x".repeat(size));
            let one = if is_stranger { stranger(&raw) } else { heard(&raw) };
            let is_kept = insert_into(conn, &one, Room { messages: 8, bytes: 150 }).await.unwrap();
            assert!(is_kept || !is_stranger, "a stranger's message is always kept");
        }
        Step::Delete(number) => {
            let gone = sqlx::query("delete from quarantine where convert_from(raw, 'UTF8') like $1");
            gone.bind(of(number)).execute(conn).await.unwrap();
        }
        Step::Verify(number) => {
            let verified = sqlx::query(
                "update quarantine set code = 'unreadable' where convert_from(raw, 'UTF8') like $1",
            );
            verified.bind(of(number)).execute(conn).await.unwrap();
        }
    }
}

#[sqlx::test(migrator = "crate::store::pool::MIGRATOR")]
async fn whatever_comes_and_goes_each_room_is_counted_right_and_strangers_keep_to_theirs(pool: PgPool) {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut conn = pool.acquire().await.unwrap();
    for _ in 0..100 {
        sqlx::query("delete from quarantine").execute(&mut *conn).await.unwrap();
        for step in steps().new_tree(&mut runner).unwrap().current() {
            take(&mut conn, step).await;
            let [counted, real] = usage(&mut conn).await;
            assert_eq!(counted, real, "{step:?}");
            let strangers = counted.iter().find(|(is_stranger, ..)| *is_stranger);
            assert!(strangers.is_none_or(|room| room.1 <= 8 && room.2 <= 150), "{counted:?}");
        }
    }
}
