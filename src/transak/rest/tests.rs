//! The client against answers that are late, cut off, or not what was asked for.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::model::retry::RetryAfter;

type Answer = Arc<dyn Fn() -> Response + Send + Sync>;

/// Answers every request in the same way and remembers what was asked.
struct Fake {
    url: Url,
    asked: Arc<Mutex<Vec<http::request::Parts>>>,
    _task: JoinSet<()>,
}

async fn fake(answer: impl Fn() -> Response + Send + Sync + 'static) -> Fake {
    let asked: Arc<Mutex<Vec<http::request::Parts>>> = Arc::default();
    let state: (Answer, _) = (Arc::new(answer), Arc::clone(&asked));
    let router = Router::new()
        .fallback(async |State((answer, asked)): State<(Answer, Arc<Mutex<Vec<_>>>)>, request: Request| {
            asked.lock().unwrap().push(request.into_parts().0);
            answer()
        })
        .with_state(state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Fake { url, asked, _task: task }
}

fn client(url: &Url) -> TransakRest {
    let settings = Settings { api_url: Some(url.clone()), ..Settings::default() };
    TransakRest::new(settings).unwrap()
}

fn account() -> Account {
    Account { partner_id: PartnerId::new(), environment: Environment::Staging, api_key: "the-key".to_owned() }
}

async fn order_error(answer: impl Fn() -> Response + Send + Sync + 'static) -> RestError {
    let fake = fake(answer).await;
    let token = SecretString::from("the-token");
    client(&fake.url).session(&account(), &token).order("o1").await.unwrap_err()
}

const ORDER: &str = r#"{"meta":{},"data":{"id":"o1","status":"COMPLETED","n":0.10}}"#;

#[tokio::test]
async fn every_call_carries_the_key_the_token_and_the_configured_address() {
    let fake = fake(|| ORDER.into_response()).await;
    let settings = Settings {
        api_url: Some(fake.url.clone()),
        user_ip: Some("192.0.2.1".parse().unwrap()),
        ..Settings::default()
    };
    let (rest, token) = (TransakRest::new(settings).unwrap(), SecretString::from("the-token"));
    let order = rest.session(&account(), &token).order("o1").await.unwrap();
    assert_eq!(order.get(), r#"{"id":"o1","status":"COMPLETED","n":0.10}"#);
    let asked = fake.asked.lock().unwrap().remove(0);
    let header = |name: &str| asked.headers[name].to_str().unwrap().to_owned();
    assert_eq!(asked.uri.path(), "/partners/api/v2/order/o1");
    assert_eq!(
        [header("x-api-key"), header("access-token"), header("x-user-ip")],
        ["the-key", "the-token", "192.0.2.1"]
    );
}

#[tokio::test]
async fn an_order_id_stays_one_part_of_the_path() {
    let fake = fake(|| ORDER.into_response()).await;
    let (rest, account, token) = (client(&fake.url), account(), SecretString::from("t"));
    let session = rest.session(&account, &token);
    for id in ["../../evil?x=1#y", "a b", "%2e%2e", "ü"] {
        assert_eq!(session.order(id).await.unwrap_err(), Unreadable::AnotherOrder.into());
        let asked = fake.asked.lock().unwrap().remove(0);
        let segments: Vec<_> = asked.uri.path().split('/').collect();
        assert_eq!((segments.len(), asked.uri.query()), (6, None), "{id}: {}", asked.uri);
    }
    assert_eq!(session.order("..").await.unwrap_err(), RestError::NotFound);
    assert!(fake.asked.lock().unwrap().is_empty(), "a path cannot name it, so nobody was asked");
}

#[tokio::test]
async fn a_page_is_asked_for_by_product_days_and_place() {
    let fake = fake(|| r#"{"meta":{"totalCount":0},"data":[]}"#.into_response()).await;
    let days = ("2025-01-01".parse().unwrap(), "2025-01-03".parse().unwrap());
    let query = OrdersQuery { product: Product::Sell, days, skip: 90, limit: 100 };
    let token = SecretString::from("t");
    client(&fake.url).session(&account(), &token).orders(query).await.unwrap();
    let asked = fake.asked.lock().unwrap().remove(0);
    let pairs: HashMap<_, _> =
        url::form_urlencoded::parse(asked.uri.query().unwrap().as_bytes()).into_owned().collect();
    let expected = [
        ("startDate", "2025-01-01"),
        ("endDate", "2025-01-03"),
        ("skip", "90"),
        ("limit", "100"),
        ("filter[productsAvailed]", r#"["SELL"]"#),
    ];
    for (name, value) in expected {
        assert_eq!(pairs[name], value);
    }
    assert!(pairs["filter[status]"].contains("REFUNDED"));
}

#[tokio::test]
async fn a_refresh_sends_the_secret_in_its_header_and_the_key_in_the_body() {
    let fake = fake(|| r#"{"data":{"accessToken":"a.b.c","expiresAt":1729775825}}"#.into_response()).await;
    let secret = SecretString::from("the-secret");
    let refreshed = client(&fake.url).refresh_token(&account(), &secret).await.unwrap();
    assert_eq!(refreshed.told_end.unwrap().timestamp(), 1_729_775_825);
    let asked = fake.asked.lock().unwrap().remove(0);
    assert_eq!((asked.method.as_str(), asked.uri.path()), ("POST", "/partners/api/v2/refresh-token"));
    assert_eq!(asked.headers["api-secret"], "the-secret");
    assert!(!asked.headers.contains_key("access-token"));
}

#[tokio::test]
async fn answers_that_cannot_be_used_are_told_apart() {
    let html = order_error(|| axum::response::Html("<h1>502</h1>").into_response()).await;
    assert_eq!(html, Unreadable::NotJson.into());
    let large = order_error(|| "x".repeat(10 << 20).into_response()).await;
    assert_eq!(large, Unreadable::TooLarge.into());
    let half = order_error(|| ORDER[..30].to_owned().into_response()).await;
    assert_eq!(half, Unreadable::Truncated.into());
    let elsewhere = order_error(|| axum::response::Redirect::temporary("/other").into_response()).await;
    assert_eq!(elsewhere, Unreadable::Redirect.into());
    let other = order_error(|| ORDER.replace("o1", "o2").into_response()).await;
    assert_eq!(other, Unreadable::AnotherOrder.into());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_truncated() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        // The request is read first: closing with unread bytes would reset the connection.
        let mut request = [0; 4096];
        assert!(socket.read(&mut request).await.unwrap() > 0);
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\":").await.unwrap();
    };
    let (rest, account, token) = (client(&url), account(), SecretString::from("t"));
    let session = rest.session(&account, &token);
    let (result, ()) = tokio::join!(session.order("o1"), server);
    assert_eq!(result.unwrap_err(), Unreadable::Truncated.into());
}

#[tokio::test]
async fn retry_after_is_read_where_it_counts() {
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let error = order_error(move || (status, [("retry-after", "7")]).into_response()).await;
        let retry_after = Some(RetryAfter::Wait(Duration::from_secs(7)));
        assert!(matches!(
            error,
            RestError::RateLimited { retry_after: asked } | RestError::Unavailable { retry_after: asked }
                if asked == retry_after
        ));
    }
}

#[tokio::test]
async fn a_server_that_never_answers_costs_a_bounded_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let settings = Settings { api_url: Some(url), total: Duration::from_millis(50), ..Settings::default() };
    let (rest, token) = (TransakRest::new(settings).unwrap(), SecretString::from("t"));
    let error = rest.session(&account(), &token).order("o1").await.unwrap_err();
    assert_eq!(error, RestError::Unavailable { retry_after: None });
    drop(listener);
}

#[tokio::test]
async fn no_error_quotes_what_was_sent_or_received() {
    let error = order_error(|| (StatusCode::BAD_REQUEST, "the-body the-token").into_response()).await;
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("the-"), "{shown}");
    let token = SecretString::from("line\nbreak");
    let rest = TransakRest::new(Settings::default()).unwrap();
    let error = rest.session(&account(), &token).order("o1").await.unwrap_err();
    assert_eq!(error, RestError::InactiveToken, "what cannot be sent is not sent");
}

#[test]
fn only_web_addresses_stand_in_for_transaks() {
    for url in ["ftp://x", "data:x", "unix:/x"] {
        let settings = Settings { api_url: Some(Url::parse(url).unwrap()), ..Settings::default() };
        assert!(TransakRest::new(settings).is_err(), "{url}");
    }
}

#[test]
fn each_environment_has_its_host_and_a_stand_in_may_have_a_path() {
    let url = |settings: Settings, environment| {
        let account = Account { environment, ..account() };
        TransakRest::new(settings).unwrap().url(&account, &["orders"]).to_string()
    };
    assert_eq!(
        url(Settings::default(), Environment::Production),
        "https://api.transak.com/partners/api/v2/orders"
    );
    assert_eq!(
        url(Settings::default(), Environment::Staging),
        "https://api-stg.transak.com/partners/api/v2/orders"
    );
    let stand_in = Settings { api_url: Some(Url::parse("http://h:1/base/").unwrap()), ..Settings::default() };
    assert_eq!(url(stand_in, Environment::Production), "http://h:1/base/partners/api/v2/orders");
}
