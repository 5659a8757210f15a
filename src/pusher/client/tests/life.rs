//! A connection's life: greeted, lost, replaced, refused, ended.

use super::*;

#[tokio::test]
async fn from_the_first_connection_to_the_last_goodbye() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        peer.send(event("one")).await.unwrap();
        assert_eq!(data(bench.told().await), Data::Text("one".to_owned()));
        bench.wanted.send_replace(set(&["A", "B"]));
        assert_eq!(heard(&mut peer).await, Message::text(subscribe(&"B".parse().unwrap())));
        let told = chrono::Utc::now();
        bench.stop.cancel();
        assert_eq!(heard(&mut peer).await, Message::text(PING));
        peer.send(Message::text(PONG)).await.unwrap();
        let Message::Close(Some(close)) = heard(&mut peer).await else { panic!("no close") };
        assert_eq!(u16::from(close.code), 1000);
        assert!(peer.next().await.is_none(), "the connection ends");
        let Notice::Lost { since, reason: Reason::Stopped, .. } = bench.told().await else {
            panic!("not lost")
        };
        assert!(told <= since, "a server that answers was heard until it was asked");
        assert_eq!(bench.told().await, Notice::State(State::Stopped));
        assert_eq!(bench.told.recv().await, None);
    })
    .await;
}

#[tokio::test]
async fn what_answers_for_the_socket_alone_proves_nothing() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        let mute = chrono::Utc::now();
        peer.send(Message::Ping(Bytes::from_static(b"a proxy"))).await.unwrap();
        assert_eq!(heard(&mut peer).await, Message::Pong(Bytes::from_static(b"a proxy")));
        bench.stop.cancel();
        assert_eq!(heard(&mut peer).await, Message::text(PING));
        assert!(matches!(heard(&mut peer).await, Message::Close(_)), "it waits no longer for the answer");
        let Notice::Lost { since, reason: Reason::Stopped, .. } = bench.told().await else {
            panic!("not lost")
        };
        assert!(since <= mute, "the server itself said nothing since");
    })
    .await;
}

#[tokio::test]
async fn a_websocket_ping_is_answered_with_its_own_payload() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        peer.send(Message::Ping(Bytes::from_static(b"are you there"))).await.unwrap();
        assert_eq!(heard(&mut peer).await, Message::Pong(Bytes::from_static(b"are you there")));
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_lost_connection_is_replaced_and_subscribed_anew() {
    with_client(quick(), &["A"], async |mut bench| {
        drop(bench.serving("A").await);
        assert!(matches!(bench.told().await, Notice::Lost { reason: Reason::Dropped, .. }));
        assert!(matches!(bench.told().await, Notice::State(State::BackingOff { .. })));
        let mut peer = bench.serving("A").await;
        let closed = chrono::Utc::now();
        peer.close(Some(CloseFrame { code: 4200.into(), reason: "deploy".into() })).await.unwrap();
        let Notice::Lost { since, reason: Reason::Code(4200), .. } = bench.told().await else {
            panic!("not lost")
        };
        assert!(since <= closed, "it may have stopped publishing to us before it said so");
        let mut peer = bench.serving("A").await;
        peer.send(event("back")).await.unwrap();
        assert_eq!(data(bench.until(is_event).await), Data::Text("back".to_owned()));
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn an_error_before_a_bare_drop_is_believed_and_a_later_probe_heals_it() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        peer.send(Message::text(r#"{"event":"pusher:error","data":{"code":4003,"message":"off"}}"#))
            .await
            .unwrap();
        drop(peer);
        bench.until(|notice| matches!(notice, Notice::State(State::Fatal { code: 4003, .. }))).await;
        let _peer = bench.peer().await.send(Message::text(GREETING)).await;
        assert!(matches!(bench.told().await, Notice::State(State::Connected { .. })), "fatal until greeted");
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_demands_tls_gets_it() {
    with_client(quick(), &[], async |bench| {
        let mut peer = bench.peer().await;
        peer.close(Some(CloseFrame { code: 4000.into(), reason: "TLS only".into() })).await.unwrap();
        let (mut tcp, _) = bench.listener.accept().await.unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), 22, "a TLS handshake record");
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn stopping_hears_the_server_out_but_does_not_wait_for_it_for_ever() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        bench.stop.cancel();
        peer.get_ref().readable().await.unwrap();
        peer.send(event("last words")).await.unwrap();
        assert_eq!(data(bench.told().await), Data::Text("last words".to_owned()));
        bench.until(|notice| *notice == Notice::State(State::Stopped)).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_greet_is_left_with_a_close_frame() {
    let timing = Timing { establish: Duration::from_millis(5), ..quick() };
    with_client(timing, &[], async |mut bench| {
        let mut peer = bench.peer().await;
        assert!(matches!(heard(&mut peer).await, Message::Close(Some(_))));
        let late = |notice: &Notice| {
            matches!(notice, Notice::State(State::BackingOff { reason: Reason::NotEstablished, .. }))
        };
        bench.until(late).await;
        bench.stop.cancel();
    })
    .await;
}
