//! A plain WebSocket client against the server, over real sockets.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::*;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn server() -> Server {
    Server::start(Settings::local("key")).await.unwrap()
}

async fn connect(server: &Server) -> Client {
    tokio_tungstenite::connect_async(format!("{}/app/key?protocol=7", server.url())).await.unwrap().0
}

async fn json(client: &mut Client) -> Value {
    let Message::Text(text) = client.next().await.unwrap().unwrap() else { panic!("not a text frame") };
    serde_json::from_str(&text).unwrap()
}

async fn say(client: &mut Client, event: &str, data: Value) {
    client.send(Message::text(json!({ "event": event, "data": data }).to_string())).await.unwrap();
}

async fn established(server: &Server) -> Client {
    let mut client = connect(server).await;
    let hello = json(&mut client).await;
    assert_eq!(hello["event"], "pusher:connection_established");
    let data: Value = serde_json::from_str(hello["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["activity_timeout"], 120);
    client
}

async fn subscribed(server: &Server, channel: &str) -> Client {
    let mut client = established(server).await;
    say(&mut client, "pusher:subscribe", json!({ "channel": channel })).await;
    assert_eq!(json(&mut client).await["event"], "pusher_internal:subscription_succeeded");
    client
}

async fn close_code(client: &mut Client) -> u16 {
    loop {
        match client.next().await.unwrap().unwrap() {
            Message::Close(Some(frame)) => return frame.code.into(),
            Message::Text(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_event_reaches_those_who_are_subscribed_as_it_was_written() {
    let server = server().await;
    let mut hears = subscribed(&server, "c").await;
    let mut other = subscribed(&server, "d").await;
    assert_eq!(server.publish("c", "ORDER_CREATED", r#"{"n":0.10}"#), 1);
    let frame = json(&mut hears).await;
    assert_eq!(frame, json!({ "event": "ORDER_CREATED", "channel": "c", "data": "{\"n\":0.10}" }));
    assert_eq!(server.publish("d", "e", "eyJ.not.json"), 1);
    assert_eq!(json(&mut other).await["data"], "eyJ.not.json", "the first frame it gets is its own");
}

#[tokio::test]
async fn after_unsubscribing_nothing_is_heard() {
    let server = server().await;
    let mut client = subscribed(&server, "c").await;
    say(&mut client, "pusher:unsubscribe", json!({ "channel": "c" })).await;
    server.counts().wait_for(|counts| counts.subscribed == 0).await.unwrap();
    assert_eq!(server.publish("c", "ORDER_CREATED", "{}"), 0);
}

#[tokio::test]
async fn both_kinds_of_ping_are_answered() {
    let server = server().await;
    let mut client = established(&server).await;
    say(&mut client, "pusher:ping", json!({})).await;
    assert_eq!(json(&mut client).await["event"], "pusher:pong");
    client.send(Message::Ping(b"x"[..].into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong(b"x"[..].into()));
}

#[tokio::test]
async fn bad_input_is_answered_with_an_error_and_the_connection_stays() {
    let server = server().await;
    let mut client = subscribed(&server, "c").await;
    client.send(Message::text("{")).await.unwrap();
    assert_eq!(json(&mut client).await["event"], "pusher:error");
    client.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(json(&mut client).await["event"], "pusher:error");
    say(&mut client, "pusher:subscribe", json!({ "channel": "c" })).await;
    assert_eq!(json(&mut client).await["data"]["message"], "Existing subscription to channel c");
    server.publish("c", "ORDER_CREATED", "{}");
    assert_eq!(json(&mut client).await["event"], "ORDER_CREATED");
    assert_eq!(server.counts().borrow().bad_frames, 2);
}

#[tokio::test]
async fn a_wrong_app_key_is_refused_with_4001() {
    let server = server().await;
    let url = format!("{}/app/other?protocol=7", server.url());
    let (mut client, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    assert_eq!(json(&mut client).await["data"]["code"], 4001);
    assert_eq!(close_code(&mut client).await, 4001);
}

#[tokio::test]
async fn told_to_it_closes_with_the_code_at_each_place() {
    let server = server().await;
    for how in [Misbehaviour::CloseAtConnect(4200), Misbehaviour::CloseAfterEstablished(4200)] {
        server.misbehave(how);
        assert_eq!(close_code(&mut connect(&server).await).await, 4200, "{how:?}");
    }
    server.misbehave(Misbehaviour::CloseAfter { events: 2, code: 4100 });
    let mut client = subscribed(&server, "c").await;
    server.publish("c", "a", "{}");
    server.publish("c", "b", "{}");
    assert_eq!(
        (json(&mut client).await["event"].clone(), json(&mut client).await["event"].clone()),
        ("a".into(), "b".into())
    );
    assert_eq!(close_code(&mut client).await, 4100);
}

#[tokio::test]
async fn told_to_it_sends_errors_first_in_between_and_before_a_bare_drop() {
    let server = server().await;
    server.misbehave(Misbehaviour::ErrorFirst(4100));
    assert_eq!(json(&mut connect(&server).await).await["data"]["code"], 4100);
    server.misbehave(Misbehaviour::ErrorMidSession(4003));
    let mut client = subscribed(&server, "c").await;
    assert_eq!(json(&mut client).await["data"]["code"], 4003);
    server.publish("c", "ORDER_CREATED", "{}");
    assert_eq!(json(&mut client).await["event"], "ORDER_CREATED");
    server.misbehave(Misbehaviour::ErrorThenDrop(4001));
    let mut client = established(&server).await;
    assert_eq!(json(&mut client).await["data"]["code"], 4001);
    assert!(matches!(client.next().await, Some(Err(Error::Protocol(_) | Error::Io(_)))));
}

#[tokio::test]
async fn told_to_it_neither_confirms_nor_pongs() {
    let server = server().await;
    server.misbehave(Misbehaviour::NeverConfirm);
    let mut client = established(&server).await;
    say(&mut client, "pusher:subscribe", json!({ "channel": "c" })).await;
    say(&mut client, "pusher:ping", json!({})).await;
    assert_eq!(json(&mut client).await["event"], "pusher:pong", "no confirmation came before it");
    assert_eq!(server.publish("c", "e", "{}"), 0);
    server.misbehave(Misbehaviour::NeverPong);
    let mut client = subscribed(&server, "c").await;
    client.send(Message::Ping(b"x"[..].into())).await.unwrap();
    server.counts().wait_for(|counts| counts.pings == 2).await.unwrap();
    tokio::io::AsyncWriteExt::shutdown(client.get_mut()).await.unwrap();
    let last = client.next().await;
    assert!(matches!(last, Some(Err(_))), "the end comes first, not a pong: {last:?}");
}

#[tokio::test]
async fn misbehaviour_can_be_limited_to_some_connections() {
    let server = server().await;
    server.misbehave_for(1, Misbehaviour::CloseAtConnect(4100));
    assert_eq!(close_code(&mut connect(&server).await).await, 4100);
    established(&server).await;
    assert_eq!(server.counts().borrow().connects, 2);
}

#[tokio::test]
async fn told_to_it_sends_an_event_twice() {
    let server = server().await;
    server.misbehave(Misbehaviour::Twice);
    let mut client = subscribed(&server, "c").await;
    server.publish("c", "a", "1");
    server.publish("c", "b", "2");
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(json(&mut client).await["event"].as_str().unwrap().to_owned());
    }
    assert_eq!(names, ["a", "a", "b", "b"]);
}

#[tokio::test]
async fn every_kind_of_garbage_arrives_as_such() {
    let server = server().await;
    let mut client = subscribed(&server, "c").await;
    for garbage in
        [Garbage::NotJson, Garbage::NoEvent, Garbage::Binary, Garbage::Stranger, Garbage::Oversized(1 << 20)]
    {
        assert_eq!(server.send_garbage(garbage), 1);
        let frame = client.next().await.unwrap().unwrap();
        match garbage {
            Garbage::Binary => assert!(frame.is_binary()),
            Garbage::NotJson => assert!(serde_json::from_str::<Value>(frame.to_text().unwrap()).is_err()),
            Garbage::NoEvent => assert!(!frame.to_text().unwrap().contains("event")),
            Garbage::Stranger => assert!(frame.to_text().unwrap().contains("not-subscribed-to")),
            _ => assert!(frame.len() > 1 << 20),
        }
    }
    server.send_garbage(Garbage::InvalidUtf8);
    assert!(matches!(client.next().await, Some(Err(Error::Utf8(_)))));
}

#[tokio::test]
async fn a_silent_server_accepts_and_says_nothing_and_one_that_hangs_up_does_so() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = server().await;
    server.misbehave(Misbehaviour::Hangup);
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    server.misbehave(Misbehaviour::Silence);
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"GET /app/key?protocol=7 HTTP/1.1\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "not a byte before the end");
}

#[tokio::test]
async fn one_can_wait_for_a_subscription_to_a_channel() {
    let server = server().await;
    let (_client, ()) = tokio::join!(subscribed(&server, "c"), server.subscribed("c", 1));
    let counts = *server.counts().borrow();
    assert_eq!((counts.established, counts.subscriptions, counts.subscribed), (1, 1, 1));
}
