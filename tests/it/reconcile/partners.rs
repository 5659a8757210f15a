//! Partners do not wait for each other's REST.

use std::time::Duration;

use chrono::Utc;
use secrecy::SecretString;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transak_relay::model::partner::Environment;
use transak_relay::store;

use super::{COMPLETED, ago};
use crate::fake_transak::HANGING_KEY;
use crate::intake_house::House;
use crate::soon::soon;

#[sqlx::test(migrator = "transak_relay::store::pool::MIGRATOR")]
async fn a_partner_whose_rest_hangs_holds_up_no_gap_of_another(pool: PgPool) {
    let house = House::new(&pool, false, true).await;
    let mut conn = pool.acquire().await.unwrap();
    for number in 0..12 {
        let new = store::partner::NewPartner {
            name: format!("Hangs {number}"),
            environment: Environment::Staging,
            api_key: format!("{HANGING_KEY}-{number}"),
            api_secret: None,
        };
        let hanging = store::partner::insert(&mut conn, &house.key, &new).await.unwrap().unwrap();
        let token = SecretString::from(format!("the token of {number}"));
        store::access_token::add(&mut conn, &house.key, hanging, &token).await.unwrap();
        house.gap_of(hanging, ago(120), ago(60)).await;
    }
    sqlx::raw_sql(
        "create function told() returns trigger language plpgsql as $$
         begin perform pg_notify('repaired', new.gap_id::text); return new; end $$;
         create trigger tells after update of repaired_at on gap for each row
         when (new.repaired_at is not null) execute function told()",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    let mut repaired = PgListener::connect_with(&pool).await.unwrap();
    repaired.listen("repaired").await.unwrap();
    let mut hung = house.fake.world().hung.subscribe();
    let stop = CancellationToken::new();
    let mut task = JoinSet::new();
    task.spawn(house.reconciler().run(stop.clone()));
    soon(hung.wait_for(|hung| *hung >= 12)).await.unwrap();
    house.fake.world().play("o1", &[(COMPLETED, ago(90))]);
    house.gap(ago(120), ago(60)).await;
    let begun = Utc::now();
    tokio::time::timeout(Duration::from_secs(15), repaired.recv()).await.unwrap().unwrap();
    assert_eq!(house.statuses("o1").await, [COMPLETED], "after {}", Utc::now() - begun);
    stop.cancel();
    task.join_all().await;
}
