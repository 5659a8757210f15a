//! Receivers that ask the relay for a certificate, and whose own is from an authority that nobody else knows.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use transak_relay::store::pool::MIGRATOR;

use crate::world::World;

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// An authority that nobody else knows.
pub(crate) fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for the name or address, until the first of January of the year, and its key.
fn leaf(authority: &Authority, name: &str, year: i32) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, format!("{name} of the tests"));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

/// A receiver on this machine that demands a certificate of `clients`.
struct Guarded {
    address: SocketAddr,
    /// The client certificates that were shown with the requests that came.
    shown: mpsc::UnboundedReceiver<Vec<u8>>,
    _server: JoinSet<()>,
}

impl Guarded {
    async fn new(own: &Authority, clients: &Authority) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(clients.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let (cert, key) = leaf(own, "127.0.0.1", 2200);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from(cert.der().to_vec())],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, shown) = mpsc::unbounded_channel();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(acceptor.clone(), stream, requests.clone()));
            }
        });
        Self { address, shown, _server: server }
    }

    fn url(&self) -> String {
        format!("https://{}/", self.address)
    }
}

/// Answers one request and ends the connection.
async fn serve(acceptor: TlsAcceptor, stream: TcpStream, requests: mpsc::UnboundedSender<Vec<u8>>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut seen = Vec::new();
    while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let shown = stream.get_ref().1.peer_certificates().map(|chain| chain[0].to_vec());
    requests.send(shown.unwrap_or_default()).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}

async fn register(world: &World, guarded: &Guarded, tls: &Value) -> Value {
    let body = json!({ "url": guarded.url(), "partnerId": world.partner.to_string(), "tls": tls });
    let (status, made) = world.call("POST", "/v1/endpoints", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made
}

/// Hears an event, sends it, and answers the only attempt's status code and error.
async fn told(world: &mut World, number: usize) -> (Value, Value) {
    let message = world.signed(&crate::world::order(&format!("order-{number}"), "COMPLETED", 1));
    world.hear(&message).await;
    assert_eq!(world.dispatcher.drain().await.unwrap(), 1);
    let (_, page) = world.call("GET", "/v1/deliveries?limit=1", None).await;
    let path = format!("/v1/deliveries/{}", page["data"][0]["id"].as_str().unwrap());
    let (_, delivery) = world.call("GET", &path, None).await;
    let attempt = delivery["attemptLog"][0].clone();
    (attempt["statusCode"].clone(), attempt["error"].clone())
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_receiver_that_demands_a_certificate_of_its_own_authority_is_told(pool: PgPool) {
    let (servers, clients) = (authority("servers"), authority("clients"));
    let mut guarded = Guarded::new(&servers, &clients).await;
    let (cert, key) = leaf(&clients, "relay", 2200);
    let (newer, newer_key) = leaf(&clients, "relay", 2201);
    let tls =
        json!({ "clientCertificate": cert.pem(), "clientKey": key.serialize_pem(), "ca": servers.pem() });
    let mut world = World::new(pool).await;
    let made = register(&world, &guarded, &tls).await;
    let expected = json!({
        "clientCertificate": { "subject": "CN=relay of the tests", "expiresAt": "2200-01-01T00:00:00.000Z" },
        "ca": [{ "subject": "CN=servers", "expiresAt": made["tls"]["ca"][0]["expiresAt"] }],
    });
    let shown = world.show(&made).await;
    assert_eq!((&made["tls"], &shown["tls"]), (&expected, &expected));
    assert!(!made.to_string().contains("BEGIN"), "nothing that was given comes out again");

    assert_eq!(told(&mut world, 1).await, (json!(200), Value::Null));
    assert_eq!(guarded.shown.recv().await.unwrap(), cert.der().to_vec());

    let path = format!("/v1/endpoints/{}", made["id"].as_str().unwrap());
    let change = |tls: Value| Some(json!({ "tls": tls }));
    // Another certificate counts from the next callback on.
    let renewed = json!({ "clientCertificate": newer.pem(), "clientKey": newer_key.serialize_pem(), "ca": servers.pem() });
    world.call("PATCH", &path, change(renewed)).await;
    assert_eq!(told(&mut world, 2).await, (json!(200), Value::Null));
    assert_eq!(guarded.shown.recv().await.unwrap(), newer.der().to_vec());

    // Without the authority the receiver is a stranger; without a certificate we are one to it.
    let only_cert = json!({ "clientCertificate": cert.pem(), "clientKey": key.serialize_pem() });
    world.call("PATCH", &path, change(only_cert)).await;
    let (status, error) = told(&mut world, 3).await;
    assert_eq!(status, Value::Null);
    assert!(error.as_str().unwrap().contains("unknown authority"), "{error}");
    world.call("PATCH", &path, change(json!({ "ca": servers.pem() }))).await;
    assert_eq!(told(&mut world, 4).await.0, Value::Null);
    let (_, cleared) = world.call("PATCH", &path, change(Value::Null)).await;
    assert_eq!(cleared["tls"], Value::Null);
    assert!(guarded.shown.try_recv().is_err(), "nobody without a certificate has said anything");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_key_is_sealed_and_forgotten_with_the_endpoint(pool: PgPool) {
    let (servers, clients) = (authority("servers"), authority("clients"));
    let guarded = Guarded::new(&servers, &clients).await;
    let (cert, key) = leaf(&clients, "relay", 2200);
    let world = World::new(pool).await;
    let tls = json!({ "clientCertificate": cert.pem(), "clientKey": key.serialize_pem() });
    let made = register(&world, &guarded, &tls).await;
    let stored = || async {
        let stored = sqlx::query_scalar::<_, Option<Vec<u8>>>("select tls from endpoint");
        stored.fetch_one(&world.pool).await.unwrap()
    };
    let sealed = stored().await.unwrap();
    assert!(!sealed.windows(5).any(|window| window == b"BEGIN"));
    world.call("DELETE", &format!("/v1/endpoints/{}", made["id"].as_str().unwrap()), None).await;
    assert_eq!(stored().await, None);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_cannot_be_used_in_a_handshake_is_refused_by_name_and_changes_nothing(pool: PgPool) {
    let (servers, clients) = (authority("servers"), authority("clients"));
    let guarded = Guarded::new(&servers, &clients).await;
    let ((cert, key), (_, other)) = (leaf(&clients, "relay", 2200), leaf(&clients, "other", 2200));
    let (expired, expired_key) = leaf(&clients, "relay", 2021);
    let world = World::new(pool).await;
    let made = register(&world, &guarded, &json!({ "ca": servers.pem() })).await;
    let path = format!("/v1/endpoints/{}", made["id"].as_str().unwrap());
    let before = world.show(&made).await;
    for (tls, field) in [
        (json!({}), "tls"),
        (json!("PEM"), "tls"),
        (json!({ "clientCertificate": cert.pem() }), "tls.clientKey"),
        (json!({ "clientKey": key.serialize_pem() }), "tls.clientCertificate"),
        (json!({ "clientCertificate": "x", "clientKey": key.serialize_pem() }), "tls.clientCertificate"),
        (json!({ "clientCertificate": cert.pem(), "clientKey": cert.pem() }), "tls.clientKey"),
        (json!({ "clientCertificate": cert.pem(), "clientKey": other.serialize_pem() }), "tls.clientKey"),
        (
            json!({ "clientCertificate": expired.pem(), "clientKey": expired_key.serialize_pem() }),
            "tls.clientCertificate",
        ),
        (json!({ "ca": "" }), "tls.ca"),
        (json!({ "ca": key.serialize_pem() }), "tls.ca"),
        (json!({ "ca": expired.pem() }), "tls.ca"),
        (json!({ "ca": "x".repeat(70_000) }), "tls.ca"),
        (json!({ "ca": servers.pem(), "cert": "" }), "tls.cert"),
    ] {
        let (status, problem) = world.call("PATCH", &path, Some(json!({ "tls": tls }))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{tls}: {problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{tls}: {problem}");
        assert!(!problem.to_string().contains("BEGIN"), "{problem}");
    }
    assert_eq!(world.show(&made).await, before);
}
