//! The API over real sockets, as a client sees it.

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::sandbox::lifecycle::{Ending, Journey, Lifecycle, Plan};

struct Api {
    rest: Rest,
    http: Client,
    ids: Vec<String>,
}

impl Api {
    /// A purchase, a sale and an NFT, all completed just now.
    async fn start() -> Self {
        let book = Arc::new(Book::new("key"));
        let mut random = fastrand::Rng::with_seed(1);
        let mut ids = Vec::new();
        for journey in [Journey::CardBuy, Journey::Sell, Journey::Nft] {
            let life = Lifecycle::new(Plan::new(journey, Ending::Completed), &mut random);
            ids.push(life.order_id().to_owned());
            life.play_from(Utc::now()).iter().for_each(|step| book.record(step));
        }
        let tokens = Tokens::new("key", "secret".into(), ("token".into(), Utc::now().timestamp()));
        let rest = Rest::start(([127, 0, 0, 1], 0).into(), book, Arc::new(tokens)).await.unwrap();
        Self { rest, http: Client::builder().no_proxy().build().unwrap(), ids }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let url = format!("{}/partners/api/v2/{path}", self.rest.url());
        self.http.get(url).header("access-token", "token").header("x-api-key", "key")
    }

    async fn json(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.get(path).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn refresh(&self, secret: &str) -> (StatusCode, Value) {
        let url = format!("{}/partners/api/v2/refresh-token", self.rest.url());
        let request = self.http.post(url).header("api-secret", secret).json(&json!({ "apiKey": "key" }));
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }
}

#[tokio::test]
async fn an_order_is_told_with_its_whole_history() {
    let api = Api::start().await;
    let (status, body) = api.json(&format!("order/{}", api.ids[0])).await;
    assert_eq!((status, &body["meta"]["orderId"]), (StatusCode::OK, &Value::from(api.ids[0].clone())));
    assert_eq!(body["data"]["statusHistories"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn an_unknown_order_is_a_400_in_transaks_envelope() {
    let api = Api::start().await;
    let (status, body) = api.json("order/nothing").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let error =
        json!({ "error": { "statusCode": 400, "name": "Bad Request", "message": "Order not found" } });
    assert_eq!(body, error);
}

#[tokio::test]
async fn orders_are_purchases_unless_sales_are_asked_for_and_come_in_pages() {
    let api = Api::start().await;
    let (_, body) = api.json("orders?limit=1&skip=1").await;
    assert_eq!((&body["meta"]["totalCount"], &body["meta"]["limit"]), (&json!(2), &json!(1)));
    assert_eq!(body["data"][0]["id"], api.ids[0], "newest first, so the older of two is the second");
    let (_, body) =
        api.json("orders?filter%5BproductsAvailed%5D=%5B%22SELL%22%5D&filter[status]=COMPLETED").await;
    assert_eq!((body["data"].as_array().unwrap().len(), &body["data"][0]["id"]), (1, &json!(api.ids[1])));
    let (_, body) = api.json("orders?startDate=2020-01-01&endDate=2020-01-02").await;
    assert_eq!(body["data"], json!([]));
    assert_eq!(api.json("orders?startDate=yesterday").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn webhooks_are_filtered_by_order_and_event() {
    let api = Api::start().await;
    let (_, body) = api.json(&format!("webhooks?orderID={}&eventID=ORDER_PROCESSING", api.ids[0])).await;
    let rows = body["data"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["webhookData"]["status"], "PENDING_DELIVERY_FROM_TRANSAK");
    assert_eq!((&rows[0]["partnerApiKey"], &rows[0]["webhookResponse"]), (&json!("key"), &json!({})));
    assert_eq!(body["meta"], json!({ "orderID": api.ids[0], "eventID": "ORDER_PROCESSING" }));
    assert_eq!(api.json("webhooks").await.1["data"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn without_a_token_nothing_is_told() {
    let api = Api::start().await;
    for path in ["order/x", "orders", "webhooks"] {
        let answer = api.http.get(format!("{}/partners/api/v2/{path}", api.rest.url())).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["message"], "Authorization Required");
    }
    assert_eq!(api.rest.calls().borrow().without_api_key, 3);
}

#[tokio::test]
async fn a_refresh_makes_the_old_token_inactive() {
    let api = Api::start().await;
    assert_eq!(api.refresh("guess").await.0, StatusCode::BAD_REQUEST);
    let (status, body) = api.refresh("secret").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body["data"]["expiresAt"].as_i64().unwrap() > Utc::now().timestamp() + LIFETIME - 60);
    let (status, body) = api.json("orders").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["error"]["message"].as_str().unwrap().contains("Access Token is Inactive"));
    assert_eq!(api.rest.calls().borrow().refresh, 2);
}

#[tokio::test]
async fn told_to_it_answers_wrongly_and_only_as_often_as_told() {
    let api = Api::start().await;
    let path = format!("order/{}", api.ids[0]);
    api.rest.misbehave_for(1, Fault::Status { code: 429, retry_after: Some(7) });
    let answer = api.get(&path).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    api.rest.misbehave_for(1, Fault::Html);
    assert!(api.get(&path).send().await.unwrap().text().await.unwrap().starts_with("<!doctype"));
    api.rest.misbehave_for(1, Fault::Truncated);
    let half = api.get(&path).send().await.unwrap().text().await.unwrap();
    assert!(half.starts_with("{\"meta\"") && serde_json::from_str::<Value>(&half).is_err());
    api.rest.misbehave_for(1, Fault::AnotherOrder);
    assert_ne!(api.json(&path).await.1["data"]["id"], api.ids[0]);
    api.rest.misbehave_for(1, Fault::Oversized);
    assert!(api.get(&path).send().await.unwrap().bytes().await.unwrap().len() > OVERSIZED);
    assert_eq!(api.json(&path).await.1["data"]["id"], api.ids[0]);
    assert_eq!(api.rest.calls().borrow().order, 6);
}

#[tokio::test]
async fn told_to_a_refresh_answers_with_a_token_that_has_ended() {
    let api = Api::start().await;
    api.rest.misbehave(Fault::ExpiredToken);
    let (_, body) = api.refresh("secret").await;
    assert!(body["data"]["expiresAt"].as_i64().unwrap() < Utc::now().timestamp());
}
