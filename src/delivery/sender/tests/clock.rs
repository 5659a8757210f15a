//! What takes how long, on a wire without a socket, so that the clock can be paused.

use tokio::io::DuplexStream;
use tokio::time::interval;

use super::*;
use crate::delivery::sender::connection::{Connection, MAX_BODY_TIME};

/// A connection, and what answers on it; both ends of a pipe.
async fn wire() -> (Connection, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(1024);
    (Connection::open(Box::new(ours), [127, 0, 0, 1].into()).await.unwrap(), theirs)
}

/// One exchange over the wire.
async fn exchange(connection: &mut Connection) -> Attempt {
    exchange_of(connection, request("http://127.0.0.1/", PATIENT)).await
}

async fn exchange_of(connection: &mut Connection, mut request: CallbackRequest) -> Attempt {
    complete(&mut request);
    let mut progress = Progress::new(Instant::now(), &request.headers);
    let failure = connection.exchange(http_request(&request), &mut progress).await.err();
    progress.finish(failure)
}

/// The head, then as many bytes, one each second, for as long as anyone listens.
async fn drip(mut stream: DuplexStream, head: String, bytes: usize) -> DuplexStream {
    let mut beat = interval(Duration::from_secs(1));
    let mut end = [0; 4];
    stream.read_exact(&mut end).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..bytes {
        beat.tick().await;
        if stream.write_all(b"a").await.is_err() {
            break;
        }
    }
    stream
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_waited_for_three_seconds_and_costs_the_connection() {
    let (mut connection, theirs) = wire().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_owned();
    let begun = Instant::now();
    let attempt = tokio::select! {
        attempt = exchange(&mut connection) => attempt,
        _ = drip(theirs, head, 1000) => panic!("the whole body was read"),
    };
    assert_eq!(begun.elapsed(), MAX_BODY_TIME);
    assert_eq!((attempt.status_code, attempt.error), (Some(200), None));
    assert!(body(&attempt).truncated && body(&attempt).content.starts_with("aaa"), "{attempt:?}");
    assert!(!connection.is_reusable());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_within_three_seconds_is_kept_whole_and_keeps_the_connection() {
    let (mut connection, theirs) = wire().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n".to_owned();
    let (attempt, _theirs) = tokio::join!(exchange(&mut connection), drip(theirs, head, 3));
    assert_eq!(*body(&attempt), ResponseBody { content: "aaa".into(), base64: false, truncated: false });
    assert!(connection.is_reusable());
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_is_counted_from_the_requests_end_and_not_to_the_end_of_the_head() {
    let (mut connection, mut theirs) = wire().await;
    let body = Bytes::from(vec![b'x'; 8 * 1024]);
    let request = CallbackRequest { body, ..request("http://127.0.0.1/", PATIENT) };
    let slow = async {
        let mut beat = interval(Duration::from_secs(1));
        beat.tick().await;
        // The request waits two seconds to be read, the answer one to begin, its head another one to end.
        beat.tick().await;
        beat.tick().await;
        let mut seen = Vec::new();
        while !seen.ends_with(&[b'x'; 8 * 1024]) {
            seen.push(theirs.read_u8().await.unwrap());
        }
        for part in ["HTTP/1.1 ", "204 No\r\n\r\n"] {
            beat.tick().await;
            theirs.write_all(part.as_bytes()).await.unwrap();
        }
    };
    let (attempt, ()) = tokio::join!(exchange_of(&mut connection, request), slow);
    assert_eq!((attempt.status_code, attempt.durations.first_byte), (Some(204), Some(1000)));
    assert_eq!(attempt.durations.total, 4000);
}
