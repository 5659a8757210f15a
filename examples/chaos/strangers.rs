//! Receivers that do everything a receiver should not. While they are calm they answer each callback at once.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What a stranger does to a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    NeverAnswers,
    SlowHead,
    SlowBody,
    EndlessBody,
    EndlessInterim,
    GiantHeader,
    HeaderFlood,
    GzipBomb,
    ResetAtOnce,
    ResetInBody,
    RedirectLoop,
    HalfClose,
    NoHttp,
    ChunkExtension,
    WrongLength,
    AnswersTwice,
}

impl Kind {
    pub(crate) const ALL: [Self; 16] = [
        Self::NeverAnswers,
        Self::SlowHead,
        Self::SlowBody,
        Self::EndlessBody,
        Self::EndlessInterim,
        Self::GiantHeader,
        Self::HeaderFlood,
        Self::GzipBomb,
        Self::ResetAtOnce,
        Self::ResetInBody,
        Self::RedirectLoop,
        Self::HalfClose,
        Self::NoHttp,
        Self::ChunkExtension,
        Self::WrongLength,
        Self::AnswersTwice,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NeverAnswers => "never answers",
            Self::SlowHead => "a head of one byte a second",
            Self::SlowBody => "a body of one byte a second",
            Self::EndlessBody => "a body without end",
            Self::EndlessInterim => "interim answers without end",
            Self::GiantHeader => "a header without end",
            Self::HeaderFlood => "headers without end",
            Self::GzipBomb => "gzip that unpacks to 158 times as much",
            Self::ResetAtOnce => "a reset at once",
            Self::ResetInBody => "a reset in the body",
            Self::RedirectLoop => "a redirect to itself",
            Self::HalfClose => "its own half closed, the rest held open",
            Self::NoHttp => "another protocol",
            Self::ChunkExtension => "a chunk extension without end",
            Self::WrongLength => "a length of 18 digits, then nothing",
            Self::AnswersTwice => "two answers to one request",
        })
    }
}

/// The head of a gzip file and of a block with the fixed codes of deflate, a zero, and one "258 bytes like the last".
const GZIP_HEAD: [u8; 13] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 98, 24, 5];
/// "258 bytes like the last" eight times: 13 bytes for 2,064 zeros.
const GZIP_ZEROS: [u8; 13] = [163, 96, 20, 140, 130, 81, 48, 10, 70, 193, 40, 24, 5];

/// What callbacks to one kind of stranger held.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) now: AtomicUsize,
    pub(crate) requests: AtomicUsize,
    pub(crate) longest: Mutex<Duration>,
}

/// Strangers of one kind behind one address; dropping them ends them.
pub(crate) struct Strangers {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    pub(crate) held: Arc<Held>,
    _task: JoinSet<()>,
}

impl Strangers {
    /// Listens. Strangers are hostile while `hostile` is set.
    pub(crate) async fn start(kind: Kind, hostile: Arc<AtomicBool>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let held = Arc::new(Held::default());
        let mut task = JoinSet::new();
        task.spawn(serve(listener, kind, (hostile, Arc::clone(&held))));
        Ok(Self { kind, url, held, _task: task })
    }
}

async fn serve(listener: TcpListener, kind: Kind, (hostile, held): (Arc<AtomicBool>, Arc<Held>)) {
    let mut guests = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (hostile, held) = (Arc::clone(&hostile), Arc::clone(&held));
        // How a conversation with a stranger ends is no news.
        guests.spawn(async move { drop(converse(BufReader::new(stream), kind, (&hostile, &held)).await) });
        while guests.try_join_next().is_some() {}
    }
}

async fn converse(
    mut stream: BufReader<TcpStream>,
    kind: Kind,
    (hostile, held): (&AtomicBool, &Held),
) -> io::Result<()> {
    loop {
        read_request(&mut stream).await?;
        held.requests.fetch_add(1, Ordering::Relaxed);
        if hostile.load(Ordering::Relaxed) {
            let began = Instant::now();
            held.now.fetch_add(1, Ordering::Relaxed);
            // It ends when the other side has closed, or was thrown out.
            let _ = misbehave(kind, stream.into_inner()).await;
            held.now.fetch_sub(1, Ordering::Relaxed);
            let mut longest = held.longest.lock().expect("no panic");
            *longest = began.elapsed().max(*longest);
            return Ok(());
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    }
}

/// Reads a head and as much body as it announces.
async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map(drop)
}

async fn misbehave(kind: Kind, mut to: TcpStream) -> io::Result<()> {
    match kind {
        Kind::NeverAnswers => {}
        Kind::SlowHead => return slowly(&mut to, b"HTTP/1.1 200 OK\r\nx-slow: ", b'a').await,
        Kind::SlowBody => {
            to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
            return slowly(&mut to, b"", b'a').await;
        }
        Kind::EndlessBody => return endlessly(&mut to, b"HTTP/1.1 200 OK\r\n\r\n", b"a").await,
        Kind::EndlessInterim => {
            return endlessly(&mut to, b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
        }
        Kind::GiantHeader => return endlessly(&mut to, b"HTTP/1.1 200 OK\r\nx-giant: ", b"a").await,
        Kind::HeaderFlood => return endlessly(&mut to, b"HTTP/1.1 200 OK\r\n", b"x-flood: a\r\n").await,
        Kind::GzipBomb => {
            to.write_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n").await?;
            return endlessly(&mut to, &GZIP_HEAD, &GZIP_ZEROS).await;
        }
        Kind::ResetAtOnce => return reset(&to),
        Kind::ResetInBody => {
            to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await?;
            return reset(&to);
        }
        Kind::RedirectLoop => {
            let here = format!("http://{}/", to.local_addr()?);
            let answer = format!("HTTP/1.1 302 Found\r\nlocation: {here}\r\ncontent-length: 0\r\n\r\n");
            return to.write_all(answer.as_bytes()).await;
        }
        Kind::HalfClose => to.shutdown().await?,
        Kind::NoHttp => to.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").await?,
        Kind::ChunkExtension => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;";
            return endlessly(&mut to, head, b"a").await;
        }
        Kind::WrongLength => {
            to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999999999\r\n\r\nabc").await?;
        }
        Kind::AnswersTwice => {
            // It is answered: that the relay keeps the connection for a while holds none of its requests.
            return to.write_all(&b"HTTP/1.1 204 No Content\r\n\r\n".repeat(2)).await;
        }
    }
    until_closed(&mut to).await
}

/// One byte a second, for ever.
async fn slowly(to: &mut TcpStream, head: &[u8], byte: u8) -> io::Result<()> {
    to.write_all(head).await?;
    loop {
        to.write_all(&[byte]).await?;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            ended = to.readable() => return ended,
        }
    }
}

/// `again` and again, as fast as it is taken.
async fn endlessly(to: &mut TcpStream, head: &[u8], again: &[u8]) -> io::Result<()> {
    to.write_all(head).await?;
    let many = again.repeat(65_536 / again.len());
    loop {
        to.write_all(&many).await?;
    }
}

fn reset(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

async fn until_closed(from: &mut TcpStream) -> io::Result<()> {
    let mut bytes = [0; 1_024];
    while from.read(&mut bytes).await? > 0 {}
    Ok(())
}
