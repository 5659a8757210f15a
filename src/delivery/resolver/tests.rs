//! Name servers on this machine that say what a test wants, or nothing.

use std::net::Ipv6Addr;

use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA};
use hickory_resolver::proto::rr::{RData, Record};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::*;

const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

/// What a name server does with a question.
#[derive(Debug, Clone, Copy)]
enum Says {
    Address,
    NoSuchName,
    Nothing,
}

/// A resolver that asks a name server of the test's own; `says` is asked for the name and the family of each question.
async fn resolver(says: fn(&str, RecordType) -> Says) -> (TokioResolver, JoinSet<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut connection = ConnectionConfig::udp();
    connection.port = socket.local_addr().unwrap().port();
    let server = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![connection]);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..length]).unwrap();
            if let Some(answer) = answer(&question, says) {
                socket.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
            }
        }
    });
    (build(asking(server)).unwrap(), serving)
}

fn answer(question: &Message, says: fn(&str, RecordType) -> Says) -> Option<Message> {
    let query = question.queries.first()?.clone();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_available = true;
    match says(&query.name().to_utf8(), query.query_type()) {
        Says::Nothing => return None,
        Says::NoSuchName => answer.metadata.response_code = ResponseCode::NXDomain,
        Says::Address => {
            let data =
                if query.query_type() == RecordType::A { RData::A(A(V4)) } else { RData::AAAA(AAAA(V6)) };
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
        }
    }
    answer.add_query(query);
    Some(answer)
}

#[tokio::test]
async fn both_families_are_told_the_newer_one_first() {
    let (resolver, _server) = resolver(|_, _| Says::Address).await;
    assert_eq!(addresses(&resolver, "both.example").await.unwrap(), [IpAddr::V6(V6), IpAddr::V4(V4)]);
}

#[tokio::test]
async fn a_family_that_nobody_answers_for_does_not_hold_up_the_other() {
    for silent in [RecordType::AAAA, RecordType::A] {
        let (resolver, _server) = match silent {
            RecordType::AAAA => {
                resolver(|_, family| if family == RecordType::A { Says::Address } else { Says::Nothing })
                    .await
            }
            _ => {
                resolver(|_, family| if family == RecordType::A { Says::Nothing } else { Says::Address })
                    .await
            }
        };
        // Far less than a name server is waited for.
        let found = timeout(SERVER_TIMEOUT / 2, addresses(&resolver, "half.example")).await;
        let told = if silent == RecordType::A { IpAddr::V6(V6) } else { IpAddr::V4(V4) };
        assert_eq!(found.expect("nobody waits for the silent family").unwrap(), [told]);
    }
}

#[tokio::test]
async fn a_thousand_names_that_nobody_answers_for_hold_nobody_up() {
    let (resolver, _server) =
        resolver(|name, _| if name.starts_with("good") { Says::Address } else { Says::Nothing }).await;
    let names: Vec<String> = (0..1000).map(|number| format!("dead{number}.example")).collect();
    let mut dead: Vec<_> = names.iter().map(|name| addresses(&resolver, name).boxed()).collect();
    for lookup in &mut dead {
        assert!(lookup.now_or_never().is_none());
    }
    let good = timeout(SERVER_TIMEOUT / 2, addresses(&resolver, "good.example")).await;
    assert_eq!(good.expect("it waits for nobody").unwrap().len(), 2);
}

#[tokio::test]
async fn a_name_that_there_is_not_is_an_error_that_is_not_ours() {
    let (resolver, _server) = resolver(|_, _| Says::NoSuchName).await;
    let error = addresses(&resolver, "none.example").await.unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (io::ErrorKind::NotFound, None));
}

#[tokio::test]
async fn the_systems_own_names_are_known_and_an_invalid_one_is_not() {
    let system = SystemResolver::default();
    let local = system.lookup("localhost").await.unwrap();
    assert!(!local.is_empty() && local.iter().all(IpAddr::is_loopback), "{local:?}");
    assert!(system.lookup("nowhere.invalid").await.is_err());
}
