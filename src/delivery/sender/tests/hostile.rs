//! Answers that are slow, broken or tempting.

use tokio::net::TcpSocket;
use tokio::sync::mpsc;

use super::*;

#[tokio::test]
async fn a_plain_answer_is_kept_whole_with_all_its_evidence() {
    let receiver =
        Receiver::answering("HTTP/1.1 202 Fine\r\nx-a: 1\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\nok")
            .await;
    let mut request = request(&receiver.url(), PATIENT);
    let mut secret = HeaderValue::from_static("s3cret");
    secret.set_sensitive(true);
    request.headers.insert("authorization", secret);
    request.headers.insert("host", HeaderValue::from_static("elsewhere"));
    request.headers.insert("user-agent", HeaderValue::from_static("another"));
    request.headers.insert("webhook-id", HeaderValue::from_static("evt_1"));
    let attempt = sender().send(request).await;
    assert_eq!((attempt.status_code, attempt.error), (Some(202), None));
    assert_eq!(attempt.remote_ip, Some(receiver.address.ip()));
    assert_eq!(attempt.retry_after.as_deref(), Some("7"));
    assert_eq!(*body(&attempt), ResponseBody { content: "ok".into(), base64: false, truncated: false });
    let header =
        |name: &str| attempt.request_headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    assert_eq!(header("authorization"), Some("[redacted]"));
    assert_eq!(header("host"), Some(receiver.address.to_string().as_str()));
    assert_eq!(header("webhook-id"), Some("evt_1"));
    assert_eq!(header("accept-encoding"), Some("identity"));
    assert_eq!(header("content-length"), Some("2"));
    assert_eq!(header("user-agent"), Some(USER_AGENT));
    assert!(attempt.response_headers.contains(&("x-a".into(), "1".into())));
    assert!(attempt.durations.dns.is_none() && attempt.durations.tls.is_none());
    assert!(attempt.durations.connect.is_some() && attempt.durations.first_byte.is_some());
}

#[tokio::test]
async fn the_request_is_one_post_with_the_path_query_and_length() {
    let (seen, mut heads) = mpsc::unbounded_channel();
    let receiver = Receiver::new(move |mut stream| {
        let seen = seen.clone();
        async move {
            seen.send(read_request(&mut stream).await).unwrap();
            stream.write_all(b"HTTP/1.1 204 \r\n\r\n").await.unwrap();
        }
    })
    .await;
    assert_eq!(attempt(&receiver, PATIENT).await.status_code, Some(204));
    let head = heads.recv().await.unwrap().unwrap().to_lowercase();
    assert!(head.starts_with("post /hook?k=v http/1.1\r\n"), "{head}");
    for name in [
        "host:",
        "content-length: 2\r\n",
        "accept-encoding: identity\r\n",
        "content-type: application/json\r\n",
    ] {
        assert_eq!(head.matches(name).count(), 1, "{name} in {head}");
    }
    assert!(!head.contains("transfer-encoding"), "{head}");
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_left_at_the_deadline() {
    let receiver = after_request(|mut stream| async move { wait_for_end(&mut stream).await }).await;
    let attempt = attempt(&receiver, SHORT).await;
    assert_eq!((attempt.status_code, attempt.error), (None, Some(SendError::Timeout(Stage::Answer))));
    assert!(attempt.durations.total >= 100, "{:?}", attempt.durations);
    assert_eq!(attempt.remote_ip, Some(receiver.address.ip()));
}

#[tokio::test]
async fn a_receiver_that_never_accepts_is_left_at_the_deadline() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _fills_the_queue = TcpStream::connect(address).await.unwrap();
    let attempt = sender().send(request(&format!("http://{address}/"), SHORT)).await;
    assert_eq!(attempt.error, Some(SendError::Timeout(Stage::Connect)));
    assert_eq!(attempt.durations.connect, None);
}

#[tokio::test]
async fn a_name_server_that_never_answers_is_left_at_the_deadline() {
    let sender = sender_with(SenderSettings { resolver: Arc::new(Silence), ..in_the_clear() });
    let attempt = sender.send(request("https://example.com/", SHORT)).await;
    assert_eq!(attempt.error, Some(SendError::Timeout(Stage::Dns)));
}

#[tokio::test]
async fn headers_that_drip_are_cut_at_the_deadline() {
    let receiver = after_request(|stream| drip(stream, "HTTP/1.1 200 OK\r\nx: ")).await;
    assert_eq!(attempt(&receiver, SHORT).await.error, Some(SendError::Timeout(Stage::Answer)));
}

#[tokio::test]
async fn a_body_that_drips_after_200_is_cut_at_the_deadline_and_is_still_a_success() {
    let receiver =
        after_request(|stream| drip(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")).await;
    let attempt = attempt(&receiver, SHORT).await;
    assert_eq!((attempt.status_code, attempt.error), (Some(200), None));
    assert!(body(&attempt).truncated && body(&attempt).content.starts_with('a'));
    assert!(attempt.durations.total < 5_000);
}

/// The head, then one byte at a time for as long as anyone listens.
async fn drip(mut stream: TcpStream, head: &'static str) {
    let mut beat = tokio::time::interval(Duration::from_millis(5));
    stream.write_all(head.as_bytes()).await.unwrap();
    while stream.write_all(b"a").await.is_ok() {
        beat.tick().await;
    }
}

#[tokio::test]
async fn a_reset_before_the_answer_fails_and_in_the_body_does_not() {
    let before = after_request(|stream| async { abort(stream) }).await;
    assert_eq!(attempt(&before, PATIENT).await.error, Some(SendError::Reset));
    let within = after_request(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await.unwrap();
        abort(stream);
    })
    .await;
    let attempt = attempt(&within, PATIENT).await;
    assert_eq!((attempt.status_code, attempt.error), (Some(200), None));
    assert_eq!(*body(&attempt), ResponseBody { content: "abc".into(), base64: false, truncated: true });
}

#[tokio::test]
async fn closing_without_a_word_or_in_the_head_is_a_reset() {
    for said in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nx: y\r\n"] {
        let receiver = after_request(move |mut stream| async move {
            stream.write_all(said.as_bytes()).await.unwrap();
        })
        .await;
        assert_eq!(attempt(&receiver, PATIENT).await.error, Some(SendError::Reset), "{said:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    for said in [
        "220 smtp.example ESMTP\r\n",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "\0\0\0\0",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\na\0b: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    ] {
        let attempt = attempt(&Receiver::answering(said).await, PATIENT).await;
        assert_eq!((attempt.status_code, attempt.error), (None, Some(SendError::Protocol)), "{said:?}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let inner = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for status in (300..=310).chain([399]) {
        let head = format!("HTTP/1.1 {status} Go\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", inner.url());
        let receiver = Receiver::answering(head).await;
        let attempt = attempt(&receiver, PATIENT).await;
        assert_eq!((attempt.status_code, receiver.connections()), (Some(status), 1));
    }
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn an_endless_row_of_interim_answers_is_no_answer_long_before_the_deadline() {
    let receiver = after_request(|mut stream| async move {
        let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(100);
        while stream.write_all(interim.as_bytes()).await.is_ok() {}
    })
    .await;
    let attempt = attempt(&receiver, PATIENT).await;
    assert_eq!((attempt.status_code, attempt.error), (None, Some(SendError::Protocol)));
}

#[tokio::test]
async fn a_few_interim_answers_before_the_answer_do_no_harm() {
    let receiver =
        Receiver::answering("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(16) + "HTTP/1.1 204 Done\r\n\r\n")
            .await;
    assert_eq!(attempt(&receiver, PATIENT).await.status_code, Some(204));
}

#[tokio::test]
async fn an_upgrade_nobody_asked_for_is_no_success() {
    let receiver =
        Receiver::answering("HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nabc").await;
    let sender = sender();
    let attempt = sender.send(request(&receiver.url(), SHORT)).await;
    assert!(!attempt.status_code.is_some_and(|status| (200..300).contains(&status)), "{attempt:?}");
    assert_eq!(sender.pool.len(), 0);
}

#[tokio::test]
async fn no_error_names_the_path_the_query_or_the_address() {
    let receiver = after_request(|stream| async { drop(stream) }).await;
    let errors = [
        attempt(&receiver, PATIENT).await.error,
        sender().send(request("http://127.0.0.1:1/hook?k=v", PATIENT)).await.error,
        sender().send(request("http://10.9.8.7/hook?k=v", PATIENT)).await.error,
        sender().send(request("http://nowhere.invalid/hook?k=v", PATIENT)).await.error,
    ];
    for error in errors {
        let said = format!("{} {error:?}", error.unwrap());
        assert!(
            !["hook", "k=v", "127.0", "10.9", "nowhere"].iter().any(|part| said.contains(part)),
            "{said}"
        );
    }
}

/// Ends a connection with RST instead of FIN.
fn abort(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

#[tokio::test]
async fn a_malformed_header_line_does_not_turn_a_success_into_a_failure() {
    for lines in [
        "x-folded: one\r\n two\r\n",
        "x-folded: one\r\n\ttwo\r\n three\r\n",
        "x-space : before the colon\r\n",
        "no colon at all\r\n",
        "x-bad\u{1}name: 1\r\n",
        ": no name\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}content-length: 2\r\n\r\nok");
        let attempt = attempt(&Receiver::answering(answer).await, PATIENT).await;
        assert_eq!((attempt.status_code, attempt.error), (Some(200), None), "{lines:?}");
        assert_eq!(body(&attempt).content, "ok", "{lines:?}");
    }
}
