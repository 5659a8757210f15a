//! One connection, from the handshake to its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::hub::{Hub, Order};
use super::{Misbehaviour, wire};

/// How many frames may wait for one client.
const QUEUE: usize = 65_536;
/// How long a client may take for the handshake, for one frame, or to answer a close.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may take to answer a ping (the figure Pusher's documentation recommends).
const PONG: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<TcpStream>;

/// Why a connection ends: it has, or this is how.
enum End {
    Gone,
    Close(u16, &'static str),
    /// Nothing is said any more, but the TCP connection stays until the client drops it.
    DeadAir,
}

impl From<Error> for End {
    fn from(_: Error) -> Self {
        Self::Gone
    }
}

/// What every connection of a server has in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) hub: Hub,
    pub(super) app_key: String,
    pub(super) activity_timeout: Duration,
}

/// A connection's place in the hub, given up when it ends in whatever way.
struct Member {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.hub.leave(self.id);
    }
}

/// Serves one TCP connection until it ends.
pub(super) async fn serve(mut stream: TcpStream, id: u64, shared: Arc<Shared>) {
    let treatment = shared.hub.treatment();
    match treatment {
        Misbehaviour::Hangup => return,
        Misbehaviour::Silence => return swallow(&mut stream).await,
        _ => {}
    }
    let Ok(Some((mut socket, target))) = timeout(PATIENCE, accept(stream)).await else { return };
    let end = match open(&mut socket, &target, (&shared, treatment)).await {
        Ok(()) => Session::new(&mut socket, id, (shared, treatment)).run().await,
        Err(end) => end,
    };
    match end {
        End::Gone => {}
        End::Close(code, reason) => close(&mut socket, code, reason).await,
        End::DeadAir => swallow(socket.get_mut()).await,
    }
}

/// Reads and forgets until the peer hangs up.
async fn swallow(stream: &mut TcpStream) {
    let _read = tokio::io::copy(stream, &mut tokio::io::sink()).await;
}

async fn accept(stream: TcpStream) -> Option<(Socket, String)> {
    let mut target = String::new();
    #[expect(clippy::result_large_err, reason = "the library's callback has this type")]
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        target = request.uri().to_string();
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, note).await.ok()?;
    Some((socket, target))
}

async fn close(socket: &mut Socket, code: u16, reason: &'static str) {
    let farewell = async {
        socket.send(wire::close(code, reason)).await?;
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<_, Error>(())
    };
    let _ended = timeout(PATIENCE, farewell).await;
}

/// Everything up to `connection_established`.
async fn open(
    socket: &mut Socket,
    target: &str,
    (shared, treatment): (&Shared, Misbehaviour),
) -> Result<(), End> {
    if let Err((code, message)) = wire::check_target(target, &shared.app_key) {
        socket.send(wire::error(Some(code), &message)).await?;
        return Err(End::Close(code, "refused"));
    }
    match treatment {
        Misbehaviour::CloseAtConnect(code) => return Err(End::Close(code, "told to")),
        Misbehaviour::ErrorFirst(code) => {
            socket.send(wire::error(Some(code), "told to")).await?;
            return Err(End::DeadAir);
        }
        _ => {}
    }
    let socket_id = format!("{}.{}", fastrand::u32(1..999_999), fastrand::u32(1..99_999_999));
    socket.send(wire::established(&socket_id, shared.activity_timeout.as_secs())).await?;
    shared.hub.count(|counts| counts.established += 1);
    match treatment {
        Misbehaviour::CloseAfterEstablished(code) => Err(End::Close(code, "told to")),
        Misbehaviour::ErrorThenDrop(code) => {
            socket.send(wire::error(Some(code), "told to")).await?;
            Err(End::Gone)
        }
        _ => Ok(()),
    }
}

struct Session<'a> {
    socket: &'a mut Socket,
    inbox: mpsc::Receiver<Order>,
    member: Member,
    treatment: Misbehaviour,
    events: usize,
    complained: bool,
}

impl<'a> Session<'a> {
    fn new(socket: &'a mut Socket, id: u64, (shared, treatment): (Arc<Shared>, Misbehaviour)) -> Self {
        let (sender, inbox) = mpsc::channel(QUEUE);
        shared.hub.join(id, sender);
        Self { socket, inbox, member: Member { id, shared }, treatment, events: 0, complained: false }
    }

    async fn run(mut self) -> End {
        let quiet = self.member.shared.activity_timeout + PONG;
        let (mut deadline, mut asked) = (Instant::now() + quiet, false);
        loop {
            let step = tokio::select! {
                Some(order) = self.inbox.recv() => self.obey(order).await,
                frame = self.socket.next() => {
                    (deadline, asked) = (Instant::now() + quiet, false);
                    match frame {
                        Some(Ok(frame)) => self.hear(frame).await,
                        Some(Err(Error::Utf8(_) | Error::Capacity(_) | Error::Protocol(_))) => {
                            self.hub().count(|counts| counts.bad_frames += 1);
                            Err(End::Gone)
                        }
                        Some(Err(_)) | None => Err(End::Gone),
                    }
                }
                () = sleep_until(deadline) => {
                    if asked { return End::Close(4201, "Pong reply not received") }
                    (deadline, asked) = (Instant::now() + PONG, true);
                    self.send(Message::Ping(Vec::new().into())).await
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn hub(&self) -> &Hub {
        &self.member.shared.hub
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        let sent = timeout(PATIENCE, self.socket.send(message)).await;
        sent.map_err(|_| End::Gone)?.map_err(End::from)
    }

    async fn obey(&mut self, order: Order) -> Result<(), End> {
        match order {
            Order::Raw(frame) => return self.send(frame).await,
            Order::Close(code) => return Err(End::Close(code, "told to")),
            Order::Drop => return Err(End::Gone),
            Order::Mute => return Err(End::DeadAir),
            Order::Event(event) => {
                if self.treatment == Misbehaviour::Twice {
                    self.send(event.clone()).await?;
                }
                self.send(event).await?;
            }
        }
        self.events += 1;
        match self.treatment {
            Misbehaviour::CloseAfter { events, code } if events <= self.events => {
                Err(End::Close(code, "told to"))
            }
            _ => Ok(()),
        }
    }

    async fn hear(&mut self, frame: Message) -> Result<(), End> {
        match frame {
            Message::Text(text) => match wire::read(&text) {
                Ok(request) => self.answer(request).await,
                Err(complaint) => {
                    self.hub().count(|counts| counts.bad_frames += 1);
                    self.send(wire::error(None, &complaint)).await
                }
            },
            // The library answers it by itself at the next read.
            Message::Ping(_) => self.pinged(),
            Message::Binary(_) => {
                self.hub().count(|counts| counts.bad_frames += 1);
                self.send(wire::error(None, "Binary frames are not supported")).await
            }
            Message::Close(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    async fn answer(&mut self, request: wire::Request) -> Result<(), End> {
        match request {
            wire::Request::Subscribe(channel) => self.subscribe(&channel).await,
            wire::Request::Unsubscribe(channel) => {
                self.hub().unsubscribe(self.member.id, &channel);
                Ok(())
            }
            wire::Request::Ping => {
                self.pinged()?;
                self.send(wire::pong()).await
            }
            wire::Request::Pong | wire::Request::Other => Ok(()),
        }
    }

    fn pinged(&self) -> Result<(), End> {
        self.hub().count(|counts| counts.pings += 1);
        if self.treatment == Misbehaviour::NeverPong { Err(End::DeadAir) } else { Ok(()) }
    }

    async fn subscribe(&mut self, channel: &str) -> Result<(), End> {
        self.hub().count(|counts| counts.subscribe_requests += 1);
        if self.treatment == Misbehaviour::NeverConfirm {
            return Ok(());
        }
        if self.hub().subscribe(self.member.id, channel) {
            self.send(wire::subscribed(channel)).await?;
        } else {
            let complaint = format!("Existing subscription to channel {channel}");
            self.send(wire::error(None, &complaint)).await?;
        }
        match self.treatment {
            Misbehaviour::ErrorMidSession(code) if !self.complained => {
                self.complained = true;
                self.send(wire::error(Some(code), "told to")).await
            }
            _ => Ok(()),
        }
    }
}
