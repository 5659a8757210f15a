//! Connections to the addresses of a name, as RFC 8305 ("Happy Eyeballs") makes them.
//!
//! Guarantees: all addresses get their chance, up to [`MOST_DIALLED`], the families in turns; one that does not answer
//! costs the next [`ATTEMPT_DELAY`], one that refuses costs it nothing; the first connection wins and the others are
//! dropped.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::outcome::{SendError, Stage};
use super::progress::Progress;
use super::shortage::is_shortage;

/// When the next address is tried beside those that have not answered: RFC 8305, section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Most addresses that are dialled for one callback. All of a name's addresses are judged; who has more than these has
/// them to make the relay knock at doors.
pub(super) const MOST_DIALLED: usize = 32;

/// Dials until one address answers, has the attempt's own deadline, and says which one it was.
pub(super) async fn dial(addresses: &[SocketAddr], progress: &mut Progress) -> Result<TcpStream, SendError> {
    progress.stage = Stage::Connect;
    let since = Instant::now();
    let mut waiting = in_turns(addresses).into_iter().take(MOST_DIALLED).peekable();
    let mut under_way = FuturesUnordered::new();
    let mut failure = SendError::Connect("nobody answered");
    loop {
        if let Some(address) = waiting.next() {
            progress.remote(address.ip());
            under_way.push(async move { (address, TcpStream::connect(address).await) });
        }
        let next_is_due = async {
            if waiting.peek().is_some() {
                sleep(ATTEMPT_DELAY).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            ended = under_way.next() => match ended {
                Some((address, Ok(stream))) => {
                    progress.connect(since);
                    progress.remote(address.ip());
                    // A small request must not wait for the acknowledgement of the one before.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Some((address, Err(error))) => {
                    progress.remote(address.ip());
                    failure = if is_shortage(&error) { SendError::Shortage } else { SendError::Connect(sentence(&error)) };
                }
                None => break,
            },
            () = next_is_due => {}
        }
    }
    progress.connect(since);
    Err(failure)
}

/// The addresses with their families in turns, that of the first one first (RFC 8305, section 4). An IPv4-mapped address
/// is dialled as the IPv4 address it was judged to be.
fn in_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let canonical = addresses.iter().map(|one| SocketAddr::new(one.ip().to_canonical(), one.port()));
    let first_is_v6 = addresses.first().is_some_and(|first| first.ip().to_canonical().is_ipv6());
    let (preferred, others): (Vec<_>, Vec<_>) = canonical.partition(|one| one.is_ipv6() == first_is_v6);
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    let mut order = Vec::with_capacity(addresses.len());
    loop {
        let turn = [preferred.next(), others.next()];
        if turn == [None, None] {
            return order;
        }
        order.extend(turn.into_iter().flatten());
    }
}

fn sentence(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "it was refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => "it was reset",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "the host cannot be reached",
        io::ErrorKind::TimedOut => "nobody answered",
        _ => "the system could not open it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(addresses: &[&str]) -> Vec<String> {
        let parsed: Vec<SocketAddr> =
            addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 9)).collect();
        in_turns(&parsed).iter().map(|one| one.ip().to_string()).collect()
    }

    #[test]
    fn families_take_turns_and_the_first_one_begins() {
        assert_eq!(
            order(&["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"]),
            ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"]
        );
        assert_eq!(
            order(&["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
            ["192.0.2.1", "2001:db8::1", "192.0.2.2"]
        );
        assert_eq!(order(&["::ffff:192.0.2.1", "192.0.2.2"]), ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(order(&[]), [""; 0]);
    }
}
