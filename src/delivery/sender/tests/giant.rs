//! Answers without end or measure.

use std::fmt::Write as _;

use tokio::sync::mpsc;

use super::*;

#[tokio::test]
async fn an_endless_body_is_read_to_64_kib_and_the_connection_closed() {
    let (ended, mut end) = mpsc::unbounded_channel();
    let receiver = after_request(move |mut stream| {
        let ended = ended.clone();
        async move {
            let chunk = format!("1000\r\n{}\r\n", "b".repeat(0x1000));
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            ended.send(()).unwrap();
        }
    })
    .await;
    let sender = sender();
    let attempt = sender.send(request(&receiver.url(), PATIENT)).await;
    assert_eq!((attempt.status_code, attempt.error), (Some(200), None));
    assert_eq!(
        *body(&attempt),
        ResponseBody { content: "b".repeat(BODY_KEPT), base64: false, truncated: true }
    );
    end.recv().await.unwrap();
    assert_eq!(sender.pool.len(), 0);
}

#[tokio::test]
async fn ten_gibibytes_announced_are_not_ten_gibibytes_read() {
    let receiver = after_request(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 10737418240\r\n\r\n").await.unwrap();
        let block = vec![b'c'; 65536];
        while stream.write_all(&block).await.is_ok() {}
    })
    .await;
    let attempt = attempt(&receiver, PATIENT).await;
    assert_eq!(attempt.status_code, Some(500));
    assert_eq!(body(&attempt).content.len(), BODY_KEPT);
}

#[tokio::test]
async fn a_body_over_what_is_kept_and_under_what_is_read_keeps_its_connection() {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 40000\r\n\r\n{}", "d".repeat(40_000));
    let receiver = Receiver::answering(answer).await;
    let sender = sender();
    let attempt = sender.send(request(&receiver.url(), PATIENT)).await;
    assert!(body(&attempt).truncated && body(&attempt).content.len() == BODY_KEPT);
    assert_eq!(sender.pool.len(), 1);
}

#[tokio::test]
async fn header_floods_are_refused() {
    let many = (0..10_000).fold(String::new(), |mut many, n| {
        write!(many, "x-{n}: y\r\n").unwrap();
        many
    });
    let large = format!("x: {}\r\n", "e".repeat(1_000_000));
    let status = "f".repeat(1_000_000);
    for head in [
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 OK\r\n{large}\r\n"),
        format!("HTTP/1.1 200 {status}\r\n\r\n"),
    ] {
        let attempt = attempt(&Receiver::answering(head).await, PATIENT).await;
        assert_eq!((attempt.status_code, attempt.error), (None, Some(SendError::TooManyHeaders)));
    }
}

#[tokio::test]
async fn response_headers_are_kept_to_16_kib() {
    let headers = (0..90).fold(String::new(), |mut headers, n| {
        write!(headers, "x-{n}: {}\r\n", "g".repeat(400)).unwrap();
        headers
    });
    let receiver =
        Receiver::answering(format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n")).await;
    let attempt = attempt(&receiver, PATIENT).await;
    let kept: usize = attempt.response_headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(
        attempt.status_code == Some(200) && (HEADERS_KEPT - 410..=HEADERS_KEPT).contains(&kept),
        "{kept}"
    );
}

#[tokio::test]
async fn a_header_too_large_to_keep_hides_none_behind_it() {
    let large = "h".repeat(20_000);
    let head = format!("HTTP/1.1 200 OK\r\nset-cookie: {large}\r\nx-after: 1\r\ncontent-length: 0\r\n\r\n");
    let attempt = attempt(&Receiver::answering(head).await, PATIENT).await;
    let kept = |name: &str| attempt.response_headers.iter().any(|(kept, _)| kept == name);
    assert!(kept("x-after") && kept("content-length") && !kept("set-cookie"), "{attempt:?}");
}

#[tokio::test]
async fn headers_are_measured_as_they_are_kept() {
    // No UTF-8: each byte is replaced by three.
    let head = [b"HTTP/1.1 200 OK\r\nx-bytes: ", &[0xff; 6_000][..], b"\r\nx-after: 1\r\n\r\n"].concat();
    let receiver = after_request(move |mut stream| {
        let head = head.clone();
        async move { stream.write_all(&head).await.unwrap() }
    })
    .await;
    let attempt = attempt(&receiver, PATIENT).await;
    assert_eq!(attempt.response_headers, [("x-after".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn a_compressed_body_is_kept_as_it_came() {
    // The first bytes of a gzip stream; what it would grow to is nobody's business here.
    let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xec\xc1\x01\x01\x00\x00\x00\x80\x90\xfe\xaf";
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
            packed.len()
        );
        let receiver = Receiver::answering([head.as_bytes(), packed].concat()).await;
        let attempt = attempt(&receiver, PATIENT).await;
        assert_eq!(*body(&attempt), ResponseBody::new(packed, true), "{coding}");
        assert!(body(&attempt).base64);
    }
}
