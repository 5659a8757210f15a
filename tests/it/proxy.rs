//! Proxies in the environment, which must not learn of callbacks, let alone decide where they go.

use serde_json::json;
use sqlx::PgPool;
use tokio::net::TcpListener;
use transak_relay::store::pool::MIGRATOR;

use crate::process::Around;
use crate::world::order;

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_proxy_in_the_environment_is_not_asked(pool: PgPool) {
    let around = Around::new(pool).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let relay = around.start(&names.map(|name| (name, url.as_str()))).await;
    let receiver = relay.endpoint(json!({})).await;
    around.publish(&order("o1", "PROCESSING", 1));
    let mut count = receiver.count();
    tokio::select! {
        biased;
        asked = proxy.accept() => panic!("the proxy was asked: {asked:?}"),
        told = count.wait_for(|count| *count >= 1) => drop(told.unwrap()),
    }
}
