//! What servers do that they should not, and what is sent and counted.

use super::*;

#[tokio::test]
async fn the_request_names_app_protocol_client_and_version() {
    with_client(quick(), &[], async |bench| {
        let (mut tcp, _) = bench.listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = tcp.read(&mut request).await.unwrap();
        let request = String::from_utf8(request[..length].to_vec()).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let line =
            format!("GET /app/KEY?protocol=7&client=rust-transak-relay&version={version} HTTP/1.1\r\n");
        assert!(request.starts_with(&line), "{request}");
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_is_handed_over_and_the_connection_stays() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        let not_utf8 = Frame::message(Bytes::from_static(b"\xff{}"), OpCode::Data(OpData::Text), true);
        let long = [b'x'; 5000];
        peer.send(Message::Frame(not_utf8)).await.unwrap();
        peer.send(Message::binary(&b"{\"event\":\"E\",\"channel\":\"A\"}"[..])).await.unwrap();
        peer.send(Message::text(String::from_utf8(long.to_vec()).unwrap())).await.unwrap();
        peer.send(Message::text("not JSON")).await.unwrap();
        peer.send(event("still here")).await.unwrap();
        for expected in [&b"\xff{}"[..], b"{\"event\":\"E\",\"channel\":\"A\"}", &long[..1000], b"not JSON"] {
            let Notice::Unreadable { raw, .. } = bench.told().await else { panic!("not unreadable") };
            assert_eq!(raw, expected);
        }
        assert_eq!(data(bench.told().await), Data::Text("still here".to_owned()));
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn what_came_before_a_frame_without_end_is_still_heard() {
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        let text = event("before").into_text().unwrap();
        let length = u8::try_from(text.len()).unwrap();
        let endless = [&[0x81, length], text.as_bytes(), &[0x81, 127], &(1_u64 << 60).to_be_bytes()].concat();
        peer.get_mut().write_all(&endless).await.unwrap();
        assert_eq!(data(bench.told().await), Data::Text("before".to_owned()));
        assert!(matches!(bench.told().await, Notice::Lost { reason: Reason::Dropped, .. }));
        bench.serving("A").await;
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_refused_upgrade_is_backed_off_from() {
    with_client(quick(), &[], async |mut bench| {
        let (mut tcp, _) = bench.listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let down = |notice: &Notice| {
            matches!(notice, Notice::State(State::BackingOff { reason: Reason::NotConnected, .. }))
        };
        bench.until(down).await;
        bench.peer().await;
        bench.stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_read_is_still_heard() {
    let names: Vec<_> = (0..15_000).map(|n| format!("{n:0>160}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).chain(["A"]).collect();
    let timing = Timing { burst: usize::MAX, ..quick() };
    with_client(timing, &names, async |mut bench| {
        let mut peer = bench.peer().await;
        peer.send(Message::text(GREETING)).await.unwrap();
        bench.until(|notice| matches!(notice, Notice::State(State::Connected { .. }))).await;
        for n in 0..1000 {
            peer.send(event(&n.to_string())).await.unwrap();
        }
        for n in 0..1000 {
            assert_eq!(data(bench.told().await), Data::Text(n.to_string()));
        }
        bench.stop.cancel();
        drop(peer);
    })
    .await;
}

#[tokio::test]
async fn what_arrives_and_what_is_lost_is_counted_under_a_fixed_set_of_labels() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _installed = metrics::set_default_local_recorder(&recorder);
    with_client(quick(), &["A"], async |mut bench| {
        let mut peer = bench.serving("A").await;
        for text in
            ["not JSON", r#"{"event":"no-one-knows-me","channel":"A"}"#, r#"{"event":"E","channel":"B"}"#]
        {
            peer.send(Message::text(text)).await.unwrap();
        }
        peer.send(event("d")).await.unwrap();
        bench.until(|notice| data_is(notice, "d")).await;
        drop(peer);
        bench.serving("A").await;
        bench.stop.cancel();
    })
    .await;
    let counted = recorder.handle().render();
    for line in [
        r#"relay_stream_frames_total{kind="connection_established"} 2"#,
        r#"relay_stream_frames_total{kind="unreadable"} 1"#,
        r#"relay_stream_frames_total{kind="other"} 1"#,
        r#"relay_stream_frames_total{kind="not_subscribed"} 1"#,
        r#"relay_stream_frames_total{kind="ORDER_CREATED"} 1"#,
        r#"relay_stream_reconnects_total{reason="dropped"} 1"#,
        "relay_stream_unreadable_frames_total 1",
    ] {
        assert!(counted.contains(line), "{line} in {counted}");
    }
    assert!(!counted.contains("no-one"), "{counted}");
}

#[tokio::test]
async fn a_url_of_another_kind_is_an_error_at_the_start() {
    for base in ["https://ws-ap2.pusher.com", "mailto:a@b"] {
        let settings = Settings::new(Url::parse(base).unwrap(), "KEY");
        let (_wanted, receiver) = watch::channel(set(&[]));
        assert!(run(settings, receiver, |_| (), CancellationToken::new()).await.is_err(), "{base}");
    }
}
