//! Connections kept alive: when they serve again, and what happens when they are dead.

use tokio::sync::Notify;

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn send(sender: &Sender, receiver: &Receiver) -> Attempt {
    sender.send(request(&receiver.url(), PATIENT)).await
}

#[tokio::test]
async fn the_second_callback_uses_the_first_ones_connection() {
    let receiver = Receiver::answering(OK).await;
    let sender = sender();
    assert!(send(&sender, &receiver).await.durations.connect.is_some());
    for _ in 0..5 {
        let again = send(&sender, &receiver).await;
        assert_eq!((again.status_code, again.remote_ip), (Some(200), Some(receiver.address.ip())));
        let Durations { dns, connect, tls, first_byte, .. } = again.durations;
        assert!(dns.is_none() && connect.is_none() && tls.is_none() && first_byte.is_some());
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn answers_without_a_body_keep_the_connection_too() {
    for answer in [
        "HTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    ] {
        let receiver = Receiver::answering(answer).await;
        let sender = sender();
        send(&sender, &receiver).await;
        send(&sender, &receiver).await;
        assert_eq!(receiver.connections(), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_connection_the_receiver_wants_closed_is_not_kept() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    ] {
        let receiver = Receiver::answering(answer).await;
        let sender = sender();
        send(&sender, &receiver).await;
        assert_eq!(sender.pool.len(), 0);
        assert_eq!(send(&sender, &receiver).await.status_code, Some(200));
        assert_eq!(receiver.connections(), 2, "{answer}");
    }
}

#[tokio::test]
async fn bytes_nobody_asked_for_are_never_taken_for_an_answer() {
    // The second "answer" is sent along with the first, to be mistaken for the answer to the next request.
    let receiver =
        Receiver::answering(format!("{OK}HTTP/1.1 299 Smuggled\r\ncontent-length: 0\r\n\r\n")).await;
    let sender = sender();
    for _ in 0..3 {
        assert_eq!(send(&sender, &receiver).await.status_code, Some(200));
    }
    assert_eq!(receiver.connections(), 3);
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_within_the_attempt() {
    // Each connection answers once, then reads the next request and hangs up on it.
    let receiver = Receiver::new(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(OK.as_bytes()).await;
        read_request(&mut stream).await;
    })
    .await;
    let sender = sender();
    for sent in 1..=4 {
        let attempt = send(&sender, &receiver).await;
        assert_eq!((attempt.status_code, attempt.error), (Some(200), None));
        assert!(attempt.durations.connect.is_some());
        assert_eq!(receiver.connections(), sent);
    }
}

#[tokio::test]
async fn what_a_receiver_leaves_on_a_kept_connection_does_not_fail_the_next_callback() {
    for left in ["garbage\r\n\r\n", "HTTP/1.1 2OO OK\r\n\r\n", "\0\0\0", "HTTP/9.9 200 OK\r\n\r\n"] {
        // Each connection answers its first request and is out of step at the second.
        let receiver = Receiver::new(move |mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            read_request(&mut stream).await;
            let _ = stream.write_all(left.as_bytes()).await;
            wait_for_end(&mut stream).await;
        })
        .await;
        let sender = sender();
        for sent in 1..=3 {
            let attempt = send(&sender, &receiver).await;
            assert_eq!((attempt.status_code, attempt.error), (Some(200), None), "{left:?}");
            assert_eq!(receiver.connections(), sent, "{left:?}");
        }
    }
}

#[tokio::test]
async fn a_408_that_a_receiver_leaves_on_an_idle_connection_is_not_the_answer_to_the_next_callback() {
    let late = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::new(move |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(OK.as_bytes()).await;
        // The next request is on its way.
        let _ = stream.read_u8().await;
        let _ = stream.write_all(late.as_bytes()).await;
        wait_for_end(&mut stream).await;
    })
    .await;
    let sender = sender();
    for sent in 1..=3 {
        let attempt = send(&sender, &receiver).await;
        assert_eq!((attempt.status_code, attempt.error), (Some(200), None));
        assert_eq!(body(&attempt).content, "ok");
        assert_eq!(receiver.connections(), sent);
    }
    let always = Receiver::answering(late).await;
    assert_eq!(attempt(&always, PATIENT).await.status_code, Some(408), "on a new connection it is meant");
}

#[tokio::test]
async fn what_had_to_be_mended_costs_the_connection_and_not_the_answer() {
    for answer in [
        "http/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let receiver = Receiver::answering(answer).await;
        let sender = sender();
        for sent in 1..=2 {
            let attempt = send(&sender, &receiver).await;
            assert_eq!((attempt.status_code, attempt.error), (Some(200), None), "{answer:?}");
            assert_eq!(body(&attempt).content, "ok", "{answer:?}");
            assert!(!body(&attempt).truncated, "{answer:?}");
            assert_eq!(receiver.connections(), sent, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn three_hundred_header_lines_are_taken() {
    let lines = "x: 1\r\n".repeat(300);
    let receiver = Receiver::answering(format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n")).await;
    assert_eq!(attempt(&receiver, PATIENT).await.status_code, Some(200));
}

#[tokio::test]
async fn a_new_connection_that_dies_is_not_tried_again() {
    let receiver = Receiver::new(|mut stream| async move {
        read_request(&mut stream).await;
    })
    .await;
    assert_eq!(send(&sender(), &receiver).await.error, Some(SendError::Reset));
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn callbacks_at_the_same_time_get_a_connection_each_and_sixteen_are_kept() {
    let all_here = Arc::new(Notify::new());
    let arrived = Arc::new(AtomicUsize::new(0));
    let receiver = Receiver::new({
        let (all_here, arrived) = (Arc::clone(&all_here), Arc::clone(&arrived));
        move |mut stream| {
            let (all_here, arrived) = (Arc::clone(&all_here), Arc::clone(&arrived));
            async move {
                read_request(&mut stream).await;
                let go = all_here.notified();
                if arrived.fetch_add(1, Ordering::SeqCst) == 19 {
                    all_here.notify_waiters();
                } else {
                    go.await;
                }
                let _ = stream.write_all(OK.as_bytes()).await;
                wait_for_end(&mut stream).await;
            }
        }
    })
    .await;
    let sender = sender();
    let attempts = futures_util::future::join_all((0..20).map(|_| send(&sender, &receiver))).await;
    assert!(attempts.iter().all(|attempt| attempt.status_code == Some(200)));
    assert_eq!((receiver.connections(), sender.pool.len()), (20, 16));
}

#[tokio::test]
async fn an_abandoned_attempt_closes_its_connection() {
    let (closed, mut close) = tokio::sync::mpsc::unbounded_channel();
    let (arrived, mut arrival) = tokio::sync::mpsc::unbounded_channel();
    let receiver = Receiver::new(move |mut stream| {
        let (arrived, closed) = (arrived.clone(), closed.clone());
        async move {
            read_request(&mut stream).await;
            arrived.send(()).unwrap();
            wait_for_end(&mut stream).await;
            closed.send(()).unwrap();
        }
    })
    .await;
    let sender = sender();
    tokio::select! {
        attempt = send(&sender, &receiver) => panic!("{attempt:?}"),
        Some(()) = arrival.recv() => {}
    }
    close.recv().await.unwrap();
    assert_eq!(sender.pool.len(), 0);
}
