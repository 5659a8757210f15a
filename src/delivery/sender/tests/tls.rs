//! Certificates: which are believed, which are shown, and what is said when they are not.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::delivery::sender::tls::MAX_PREPARED;
use crate::model::tls_identity::{InvalidTlsIdentity, Part, TlsIdentityPem};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Two authorities of the same name would be taken for one whose signatures are forged.
    params.distinguished_name.push(DnType::CommonName, format!("{:02x?}", key.public_key_raw()));
    CertifiedIssuer::self_signed(params, key).unwrap()
}

/// A certificate for a name, and its key.
struct Leaf {
    cert: rcgen::Certificate,
    key: KeyPair,
}

fn leaf(authority: &Authority, name: &str, expires: i32) -> Leaf {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(expires, 1, 1);
    let key = KeyPair::generate().unwrap();
    Leaf { cert: params.signed_by(&key, authority).unwrap(), key }
}

/// A server that shows `leaf` and, if told so, wants a certificate of `clients`.
async fn server(leaf: &Leaf, clients: Option<&Authority>) -> Receiver {
    let builder =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            )
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::Pkcs8(leaf.key.serialize_der().into());
    let config = builder.with_single_cert(vec![CertificateDer::from(leaf.cert.der().to_vec())], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Receiver::new(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut seen = Vec::new();
            while let Ok(byte) = stream.read_u8().await {
                seen.push(byte);
                if seen.ends_with(b"\r\n\r\n{}") {
                    seen.clear();
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
            }
        }
    })
    .await
}

fn trusting(authority: &Authority) -> TlsIdentityPem {
    TlsIdentityPem { ca: Some(authority.pem()), ..TlsIdentityPem::default() }
}

fn showing(pem: TlsIdentityPem, leaf: &Leaf) -> TlsIdentityPem {
    TlsIdentityPem {
        client_cert: Some(leaf.cert.pem()),
        client_key: Some(leaf.key.serialize_pem().into()),
        ..pem
    }
}

/// To a server by its name `receiver.example`, which resolves to this machine.
async fn call(sender: &Sender, receiver: &Receiver, pem: Option<&TlsIdentityPem>) -> Attempt {
    let mut request = request(&format!("https://receiver.example:{}/", receiver.address.port()), PATIENT);
    request.identity = pem.map(|pem| Arc::new(TlsIdentity::parse(pem).unwrap()));
    sender.send(request).await
}

fn resolving() -> Sender {
    let resolver = Answers::of(&[&["127.0.0.1"][..]; 8]);
    sender_with(SenderSettings { addresses: loopback(), resolver, ..SenderSettings::default() })
}

#[tokio::test]
async fn a_private_authority_is_believed_where_it_is_given_and_only_there() {
    let authority = authority();
    let receiver = server(&leaf(&authority, "receiver.example", 2200), None).await;
    let sender = resolving();
    let trusted = call(&sender, &receiver, Some(&trusting(&authority))).await;
    assert_eq!((trusted.status_code, trusted.error), (Some(200), None));
    assert!(trusted.durations.tls.is_some());
    let unknown = Some(SendError::Tls("the certificate is from an unknown authority"));
    assert_eq!(call(&sender, &receiver, None).await.error, unknown);
    assert_eq!(call(&sender, &receiver, Some(&trusting(&self::authority()))).await.error, unknown);
    let again = call(&sender, &receiver, Some(&trusting(&authority))).await;
    assert_eq!((again.status_code, again.durations.tls), (Some(200), None));
}

#[tokio::test]
async fn certificates_that_expired_or_name_another_host_are_refused() {
    let authority = authority();
    for (name, expires, said) in [
        ("receiver.example", 2021, "the certificate has expired"),
        ("other.example", 2200, "the certificate is for another host name"),
        ("127.0.0.1", 2200, "the certificate is for another host name"),
        ("*.receiver.example", 2200, "the certificate is for another host name"),
    ] {
        let receiver = server(&leaf(&authority, name, expires), None).await;
        let attempt = call(&resolving(), &receiver, Some(&trusting(&authority))).await;
        assert_eq!((attempt.status_code, attempt.error), (None, Some(SendError::Tls(said))), "{name}");
    }
}

/// A certificate that is signed by itself, as `openssl req -x509` makes it, and as one that is no authority.
fn self_signed(names: &[&str], is_ca: IsCa, expires: i32) -> Leaf {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = is_ca;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(expires, 1, 1);
    let key = KeyPair::generate().unwrap();
    Leaf { cert: params.self_signed(&key).unwrap(), key }
}

#[tokio::test]
async fn a_certificate_signed_by_itself_is_believed_where_it_is_given() {
    for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::ExplicitNoCa, IsCa::NoCa] {
        let own = self_signed(&["receiver.example"], is_ca, 2200);
        let receiver = server(&own, None).await;
        let given = TlsIdentityPem { ca: Some(own.cert.pem()), ..TlsIdentityPem::default() };
        let trusted = call(&resolving(), &receiver, Some(&given)).await;
        assert_eq!((trusted.status_code, trusted.error), (Some(200), None));
        let other = trusting(&authority());
        for pem in [None, Some(&other)] {
            let attempt = call(&resolving(), &receiver, pem).await;
            assert_eq!(attempt.error.map(SendError::kind), Some("tls"), "{attempt:?}");
        }
    }
}

#[tokio::test]
async fn a_given_certificate_still_has_to_name_the_host_and_to_be_in_date() {
    let authority = || IsCa::Ca(BasicConstraints::Unconstrained);
    for (own, said) in [
        (self_signed(&["receiver.example"], authority(), 2021), "the certificate has expired"),
        (self_signed(&["other.example"], authority(), 2200), "the certificate is for another host name"),
        (
            self_signed(&[], authority(), 2200),
            "the certificate names no host: make it with the host name as subjectAltName",
        ),
    ] {
        let receiver = server(&own, None).await;
        let given = TlsIdentityPem { ca: Some(own.cert.pem()), ..TlsIdentityPem::default() };
        let attempt = call(&resolving(), &receiver, Some(&given)).await;
        assert_eq!((attempt.status_code, attempt.error), (None, Some(SendError::Tls(said))));
    }
}

#[tokio::test]
async fn an_authority_that_is_shown_as_a_certificate_says_what_to_change() {
    let own = self_signed(&["receiver.example"], IsCa::Ca(BasicConstraints::Unconstrained), 2200);
    let receiver = server(&own, None).await;
    let other = trusting(&authority());
    let said = "the certificate is an authority's own: give it as tls.ca, or let the receiver show one that it signed";
    assert_eq!(call(&resolving(), &receiver, Some(&other)).await.error, Some(SendError::Tls(said)));
}

#[tokio::test]
async fn an_address_as_host_needs_a_certificate_for_that_address() {
    let authority = authority();
    let receiver = server(&leaf(&authority, "127.0.0.1", 2200), None).await;
    let mut request = request(&format!("https://{}/", receiver.address), PATIENT);
    request.identity = Some(Arc::new(TlsIdentity::parse(&trusting(&authority)).unwrap()));
    assert_eq!(resolving().send(request).await.status_code, Some(200));
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_given_and_its_connection_serves_no_one_else() {
    let (authority, clients) = (authority(), authority());
    let receiver = server(&leaf(&authority, "receiver.example", 2200), Some(&clients)).await;
    let sender = resolving();
    let mine = showing(trusting(&authority), &leaf(&clients, "client", 2200));
    assert_eq!(call(&sender, &receiver, Some(&mine)).await.status_code, Some(200));
    let strange = showing(trusting(&authority), &leaf(&self::authority(), "client", 2200));
    for pem in [&trusting(&authority), &strange] {
        let attempt = call(&sender, &receiver, Some(pem)).await;
        let refused = Some(SendError::Tls("the receiver refused the client certificate, or wants one"));
        // The refusal may be overtaken by the end of the connection.
        assert!(attempt.error == refused || attempt.error == Some(SendError::Reset), "{attempt:?}");
    }
    assert_eq!(receiver.connections(), 3);
}

#[tokio::test]
async fn a_receiver_without_tls_or_without_a_word_fails_as_tls() {
    let plain = Receiver::new(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        wait_for_end(&mut stream).await;
    })
    .await;
    let spoke = call(&resolving(), &plain, None).await;
    assert_eq!(spoke.error, Some(SendError::Tls("the receiver does not speak TLS on this port")));
    let closing = Receiver::new(|stream| async { drop(stream) }).await;
    assert_eq!(call(&resolving(), &closing, None).await.error.map(SendError::kind), Some("tls"));
    let silent = Receiver::new(|mut stream| async move { wait_for_end(&mut stream).await }).await;
    let mut request = request(&format!("https://{}/", silent.address), SHORT);
    request.identity = None;
    assert_eq!(sender().send(request).await.error, Some(SendError::Timeout(Stage::Tls)));
}

/// A server that has read the client's greeting and chooses this version of TLS, with a cipher of TLS 1.2.
async fn choosing(version: [u8; 2]) -> Receiver {
    Receiver::new(move |mut stream| async move {
        let mut record = [0; 5];
        stream.read_exact(&mut record).await.unwrap();
        let mut greeting = vec![0; usize::from(u16::from_be_bytes([record[3], record[4]]))];
        stream.read_exact(&mut greeting).await.unwrap();
        // Version, random, no session, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression.
        let hello = [&version[..], &[7; 32], &[0], &[0xc0, 0x2b], &[0]].concat();
        let message = [&[2, 0, 0, u8::try_from(hello.len()).unwrap()], &hello[..]].concat();
        let head = [22, 3, 3, 0, u8::try_from(message.len()).unwrap()];
        stream.write_all(&[&head[..], &message[..]].concat()).await.unwrap();
        wait_for_end(&mut stream).await;
    })
    .await
}

#[tokio::test]
async fn tls_below_1_2_is_refused() {
    for version in [[3, 0], [3, 1], [3, 2]] {
        let attempt = call(&resolving(), &choosing(version).await, None).await;
        let said = SendError::Tls("the receiver offers no common version or cipher");
        assert_eq!((attempt.status_code, attempt.error), (None, Some(said)), "{version:?}");
    }
    // With 1.2 the very same answer is one to go on with.
    let receiver = choosing([3, 3]).await;
    let mut request = request(&format!("https://{}/", receiver.address), SHORT);
    request.identity = None;
    assert_eq!(sender().send(request).await.error, Some(SendError::Timeout(Stage::Tls)));
}

#[test]
fn an_identity_is_prepared_once_and_no_more_are_kept_than_the_bound() {
    let (configs, ca) = (TlsConfigs::new().unwrap(), authority().pem());
    // The same authority, and another text each time.
    let identity = |number: usize| {
        let ca = Some(format!("{ca}{}", "\n".repeat(number)));
        TlsIdentity::parse(&TlsIdentityPem { ca, ..TlsIdentityPem::default() }).unwrap()
    };
    let first = configs.config(Some(&identity(0))).unwrap();
    assert!(Arc::ptr_eq(&first, &configs.config(Some(&identity(0))).unwrap()));
    assert!(!Arc::ptr_eq(&first, &configs.config(None).unwrap()));
    for number in 0..2 * MAX_PREPARED {
        configs.config(Some(&identity(number))).unwrap();
        assert!(configs.prepared() <= MAX_PREPARED);
    }
}

#[test]
fn an_identity_is_checked_when_it_is_read() {
    use InvalidTlsIdentity::{Authority as NoAuthority, Certificate, Key, Mismatch, Missing, TooLong};
    let authority = authority();
    let (one, other) = (leaf(&authority, "a", 2200), leaf(&authority, "b", 2200));
    let whole = showing(TlsIdentityPem::default(), &one);
    let text = |text: &str| Some(text.to_owned());
    let secret = |text: String| Some(text.into());
    let cases = [
        (TlsIdentityPem { client_key: None, ..whole.clone() }, Missing(Part::ClientKey)),
        (TlsIdentityPem { client_cert: None, ..whole.clone() }, Missing(Part::ClientCertificate)),
        (TlsIdentityPem { client_cert: text("x"), ..whole.clone() }, Certificate),
        (TlsIdentityPem { client_cert: text(&one.key.serialize_pem()), ..whole.clone() }, Certificate),
        (TlsIdentityPem { client_key: secret(one.cert.pem()), ..whole.clone() }, Key),
        (TlsIdentityPem { client_key: secret(other.key.serialize_pem()), ..whole.clone() }, Mismatch),
        (TlsIdentityPem { ca: text("x"), ..whole.clone() }, NoAuthority),
        (TlsIdentityPem { ca: text(&"x".repeat(70_000)), ..whole.clone() }, TooLong(Part::Ca)),
    ];
    for (pem, why) in cases {
        assert_eq!(TlsIdentity::parse(&pem).unwrap_err(), why);
    }
    let read = TlsIdentity::parse(&whole).unwrap();
    assert_eq!(read.fingerprint(), TlsIdentity::parse(&whole).unwrap().fingerprint());
    let with_ca = TlsIdentityPem { ca: Some(authority.pem()), ..whole };
    assert_ne!(read.fingerprint(), TlsIdentity::parse(&with_ca).unwrap().fingerprint());
    assert!(!format!("{read:?} {with_ca:?}").contains("PRIVATE"));
}
