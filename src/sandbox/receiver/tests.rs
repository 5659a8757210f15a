//! The receiver over real sockets.

use reqwest::Client;

use super::*;
use crate::sandbox::signing;

/// A writer whose text can be read.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

async fn receiver() -> (Receiver, Paper) {
    let paper = Paper::default();
    let receiver = Receiver::start(([127, 0, 0, 1], 0).into(), paper.clone()).await.unwrap();
    receiver.trust_access_token("token".into());
    (receiver, paper)
}

async fn post(receiver: &Receiver, key: &str, id: &str) -> u16 {
    let claims = r#"{"webhookData":{"id":"o1","status":"COMPLETED","isBuyOrSell":"SELL"},"eventID":"ORDER_COMPLETED"}"#;
    let body = format!("{{\"data\":\"{}\"}}", signing::sign(&key.into(), claims).unwrap());
    let http = Client::builder().no_proxy().build().unwrap();
    let sent = http.post(receiver.url()).header("webhook-id", id).body(body).send().await;
    sent.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_verified_callback_is_answered_204_and_printed_on_one_line() {
    let (receiver, paper) = receiver().await;
    assert_eq!(post(&receiver, "token", "a").await, 204);
    assert_eq!(post(&receiver, "token", "a").await, 204);
    let text = paper.text();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().all(|line| line.contains("ORDER_COMPLETED") && line.contains("SELL")), "{text}");
    assert!(text.contains("1st time\n") && text.contains("2nd time\n"), "{text}");
    assert_eq!(*receiver.count().borrow(), 2);
    assert_eq!(receiver.arrivals()[1].order_id, "o1");
}

#[tokio::test]
async fn what_is_not_verified_is_refused() {
    let (receiver, paper) = receiver().await;
    receiver.answer(Answer { status: StatusCode::OK, ..Answer::default() });
    assert_eq!(post(&receiver, "other", "a").await, 401);
    assert!(paper.text().contains("NOT VERIFIED"));
}

#[tokio::test]
async fn told_to_it_fails_the_first_attempts_of_each_message() {
    let (receiver, _) = receiver().await;
    receiver.answer(Answer { status: StatusCode::ACCEPTED, fail_first: 2, ..Answer::default() });
    let mut answers = Vec::new();
    for id in ["a", "a", "b", "a"] {
        answers.push(post(&receiver, "token", id).await);
    }
    assert_eq!(answers, [500, 500, 500, 202]);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let (receiver, paper) = receiver().await;
    let http = Client::builder().no_proxy().build().unwrap();
    let sent = http.post(receiver.url()).body(vec![b' '; LARGEST + 1]).send().await.unwrap();
    assert_eq!((sent.status().as_u16(), paper.text().as_str()), (413, ""));
}
