//! Which addresses are dialled, and which never are.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::delivery::sender::dial::MOST_DIALLED;
use crate::model::callback_url::spellings::SPELLINGS;
use crate::model::own_address::{Listening, OwnAddresses};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn resolving(answers: &[&[&str]]) -> Sender {
    sender_with(SenderSettings { addresses: loopback(), resolver: Answers::of(answers), ..in_the_clear() })
}

#[tokio::test]
async fn no_spelling_of_a_special_host_opens_a_connection() {
    let receiver = Receiver::answering(OK).await;
    let port = receiver.address.port();
    let strict = sender_with(SenderSettings { resolver: Arc::new(AllHere), ..in_the_clear() });
    let mut tried = 0;
    for host in SPELLINGS {
        // As if registration had let them through.
        let attempt = strict.send(request(&format!("http://{host}:{port}/"), PATIENT)).await;
        assert_eq!(attempt.error.map(SendError::kind), Some("refused_address"), "{host}: {attempt:?}");
        assert!(attempt.status_code.is_none() && attempt.remote_ip.is_none(), "{host}");
        tried += 1;
    }
    println!("{tried} spellings of special hosts tried, {} connections made", receiver.connections());
    assert!(tried >= 150, "{tried}");
    assert_eq!(receiver.connections(), 0);
}

/// A name server that says loopback to every name, as a stranger's may.
#[derive(Debug)]
struct AllHere;

impl Resolve for AllHere {
    fn lookup(&self, _name: &str) -> Lookup {
        std::future::ready(Ok(vec![IpAddr::from([127, 0, 0, 1])])).boxed()
    }
}

#[tokio::test]
async fn one_bad_address_among_good_ones_refuses_them_all() {
    let receiver = Receiver::answering(OK).await;
    for bad in ["10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fd00::1", "0.0.0.0", "224.0.0.1"] {
        for answer in [["127.0.0.1", "127.0.0.2", bad], [bad, "127.0.0.1", "127.0.0.2"]] {
            let url = format!("http://rebind.example:{}/", receiver.address.port());
            let attempt = resolving(&[&answer]).send(request(&url, PATIENT)).await;
            assert_eq!(attempt.error.map(SendError::kind), Some("refused_address"), "{answer:?}");
        }
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_bad_address_hidden_behind_hundreds_of_good_ones_is_found() {
    let mut many: Vec<String> = (0..500).map(|n| format!("127.0.{}.{}", n / 250, n % 250 + 1)).collect();
    many.push("10.0.0.1".into());
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let attempt = resolving(&[&many]).send(request("http://many.example:9/", PATIENT)).await;
    assert_eq!(attempt.error.map(SendError::kind), Some("refused_address"));
}

#[tokio::test]
async fn a_name_that_changes_between_check_and_dial_gains_nothing() {
    let receiver = Receiver::answering(OK).await;
    let url = format!("http://rebind.example:{}/", receiver.address.port());
    // One lookup serves both the check and the dial: the second answer is seen by the second attempt only.
    let sender = resolving(&[&["127.0.0.1"], &["10.0.0.1"], &["127.0.0.1"]]);
    let first = sender.send(request(&url, PATIENT)).await;
    assert_eq!((first.status_code, first.remote_ip), (Some(200), Some(receiver.address.ip())));
    assert!(first.durations.dns.is_some());
    // A new connection is needed, and with it a new judgement.
    let fresh = format!("http://rebind.example:{}/", receiver.address.port() ^ 1);
    assert_eq!(
        sender.send(request(&fresh, PATIENT)).await.error.map(SendError::kind),
        Some("refused_address")
    );
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let receiver = Receiver::answering(OK).await;
    let sender = resolving(&[&["127.0.0.2", "127.0.0.3", "127.0.0.1"]]);
    let attempt =
        sender.send(request(&format!("http://multi.example:{}/", receiver.address.port()), PATIENT)).await;
    assert_eq!((attempt.status_code, attempt.remote_ip), (Some(200), Some(receiver.address.ip())));
}

/// An address at which connections are neither taken nor refused: its queue is full. It lasts as long as what it holds.
async fn silent(address: SocketAddr) -> (socket2::Socket, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let mut queue = Vec::new();
    // One more than the queue holds is never answered: then it is full.
    while let Ok(stream) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    (socket, queue)
}

#[tokio::test]
async fn silent_addresses_cost_a_quarter_of_a_second_each_and_not_the_attempt() {
    let receiver = Receiver::answering(OK).await;
    let port = receiver.address.port();
    let dead = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
    let mut held = Vec::new();
    for ip in dead {
        held.push(silent(SocketAddr::new(ip.parse().unwrap(), port)).await);
    }
    let sender = resolving(&[&[dead[0], dead[1], dead[2], "127.0.0.1"]]);
    // Less than the deadline that each of them would use up by itself.
    let attempt = sender.send(request(&format!("http://multi.example:{port}/"), PATIENT)).await;
    assert_eq!((attempt.status_code, attempt.remote_ip), (Some(200), Some(receiver.address.ip())));
}

#[tokio::test]
async fn every_address_gets_its_chance_up_to_a_bound() {
    let receiver = Receiver::answering(OK).await;
    let url = format!("http://multi.example:{}/", receiver.address.port());
    for (dead, reached) in [(MOST_DIALLED - 1, true), (MOST_DIALLED, false)] {
        let mut addresses: Vec<String> = (0..dead).map(|n| format!("127.0.1.{}", n + 1)).collect();
        addresses.push("127.0.0.1".into());
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let attempt = resolving(&[&addresses]).send(request(&url, PATIENT)).await;
        assert_eq!(attempt.status_code.is_some(), reached, "{dead} refuse first: {attempt:?}");
        if !reached {
            assert_eq!(attempt.error, Some(SendError::Connect("it was refused")));
        }
    }
}

#[tokio::test]
async fn a_look_up_for_which_this_machine_has_no_file_left_is_no_failure_of_the_receivers() {
    /// A resolver that could not open its socket.
    #[derive(Debug)]
    struct NoFiles;
    impl Resolve for NoFiles {
        fn lookup(&self, _name: &str) -> Lookup {
            std::future::ready(Err(io::Error::from_raw_os_error(24))).boxed()
        }
    }
    let sender = sender_with(SenderSettings { resolver: Arc::new(NoFiles), ..in_the_clear() });
    let attempt = sender.send(request("http://receiver.example/", PATIENT)).await;
    assert_eq!(attempt.error, Some(SendError::Shortage));
}

#[tokio::test]
async fn the_relays_own_port_is_refused_on_every_address_of_this_machine() {
    let receiver = Receiver::answering(OK).await;
    let port = receiver.address.port();
    let everything = AddressPolicy::new(vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]);
    let any =
        [SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
    for own in [receiver.address, any[0], any[1]] {
        let sender = sender_with(SenderSettings {
            addresses: everything.clone(),
            own: listening_on(own),
            resolver: Answers::of(&[&["127.0.0.1"]]),
            ..in_the_clear()
        });
        let mut hosts = vec![
            "127.0.0.1".to_owned(),
            "127.9.9.9".into(),
            "0.0.0.0".into(),
            "[::1]".into(),
            "[::]".into(),
            "[::ffff:0.0.0.0]".into(),
            "[::ffff:127.0.0.1]".into(),
            "[::ffff:7f00:1]".into(),
            "relay.example".into(),
        ];
        hosts.extend(address_of_this_machine().map(|ip| ip.to_string()));
        for host in hosts {
            let attempt = sender.send(request(&format!("http://{host}:{port}/"), PATIENT)).await;
            assert_eq!(attempt.error, Some(SendError::OwnAddress), "{host}, listening on {own}");
        }
    }
    assert_eq!(receiver.connections(), 0);
}

/// One process, of this machine, that listens there.
fn listening_on(own: SocketAddr) -> tokio::sync::watch::Receiver<OwnAddresses> {
    let listening = vec![Listening::new("here", own.port(), [own.ip()])];
    tokio::sync::watch::Sender::new(OwnAddresses { network: "here".to_owned(), listening }).subscribe()
}

/// The address this machine would speak to the world from, if it has one.
fn address_of_this_machine() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[tokio::test]
async fn a_stored_http_url_is_neither_looked_up_nor_dialled_where_http_is_not_allowed() {
    let receiver = Receiver::answering(OK).await;
    let resolver = Answers::of(&[&["127.0.0.1"]]);
    let settings = SenderSettings { addresses: loopback(), allow_http: false, ..in_the_clear() };
    let sender = sender_with(SenderSettings { resolver: Arc::<Answers>::clone(&resolver), ..settings });
    for host in ["127.0.0.1", "receiver.example"] {
        let url = format!("http://{host}:{}/", receiver.address.port());
        let attempt = sender.send(request(&url, PATIENT)).await;
        assert_eq!((attempt.error, attempt.remote_ip), (Some(SendError::PlainHttp), None), "{host}");
    }
    assert_eq!((resolver.0.lock().unwrap().len(), receiver.connections()), (1, 0));
}

#[tokio::test]
async fn names_without_an_address_fail_as_dns() {
    let sender = resolving(&[&[]]);
    for _ in 0..2 {
        assert_eq!(sender.send(request("http://none.example/", PATIENT)).await.error, Some(SendError::Dns));
    }
}
