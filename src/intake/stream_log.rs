//! What the log says of the stream: one line for one thing that happened, however many channels it is about.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::model::seldom::Seldom;
use crate::pusher::{Channel, Notice, Reason, State};

/// A connection that comes and goes is told of no more often than this, unless somebody has to change something.
const EVERY: Duration = Duration::from_mins(1);

/// What has been said and what has not.
#[derive(Debug, Default)]
pub(super) struct StreamLog {
    /// Confirmed on this connection.
    confirmed: usize,
    /// Whether it was said that every channel is heard, since it was last said that the stream is down.
    all_told: bool,
    /// Partners' channels that were heard since then.
    known: HashSet<Channel>,
    /// Partners' channels that the server does not confirm.
    refused: HashSet<Channel>,
    lost: usize,
    /// Connections that ended since that was last said.
    ended: u64,
    connection: Option<Connection>,
    down_told: Option<Instant>,
    more: Seldom,
    fewer: Seldom,
    unconfirmed: Seldom,
}

/// How the stream stands, as it was last said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Up,
    Down(Reason),
}

/// What the log needs to know of the channels that are wanted.
pub(super) struct Wanted<F> {
    pub(super) count: usize,
    /// Whether a channel is that of a partner's API key.
    pub(super) is_partners: F,
}

impl StreamLog {
    /// Takes in what the stream told, and says what there is to say about it.
    pub(super) fn note<F: Fn(&Channel) -> bool>(
        &mut self,
        notice: &Notice,
        wanted: &Wanted<F>,
        now: Instant,
    ) {
        match notice {
            Notice::Confirmed { channel, .. } => self.confirmed(channel, wanted, now),
            // The others that were lost at the same moment follow, and then the new state.
            Notice::Lost { channel, reason, .. } => {
                self.lost += 1;
                if *reason == Reason::Refused {
                    self.withdrawn(channel, now);
                }
            }
            Notice::Refused { channel, .. } if (wanted.is_partners)(channel) => self.refused(channel, now),
            Notice::Refused { channel, .. } => {
                tracing::debug!(%channel, "the stream's server does not confirm a watched channel");
            }
            Notice::State(state) => self.state(state, now),
            Notice::Event { .. } | Notice::Unreadable { .. } | Notice::Left { .. } => {}
        }
    }

    fn confirmed<F: Fn(&Channel) -> bool>(&mut self, channel: &Channel, wanted: &Wanted<F>, now: Instant) {
        self.confirmed += 1;
        self.refused.remove(channel);
        let is_new = (wanted.is_partners)(channel) && self.known.insert(channel.clone());
        if !self.all_told && self.confirmed >= wanted.count {
            self.all_told = true;
            tracing::info!(channels = self.confirmed, "the stream hears every channel");
        } else if self.all_told
            && is_new
            && let Some(channels) = self.more.add(1, now)
        {
            tracing::info!(channels, %channel, "the stream hears more partners' channels; this is the last one");
        } else {
            tracing::debug!(%channel, "the stream hears a channel");
        }
    }

    /// The server took one back, and the connection stands.
    fn withdrawn(&mut self, channel: &Channel, now: Instant) {
        self.lost = 0;
        self.known.remove(channel);
        if let Some(channels) = self.fewer.add(1, now) {
            tracing::warn!(channels, %channel, "the stream's server withdrew channels; this is the last one");
        }
    }

    fn refused(&mut self, channel: &Channel, now: Instant) {
        if self.refused.insert(channel.clone())
            && let Some(channels) = self.unconfirmed.add(1, now)
        {
            tracing::error!(
                channels,
                %channel,
                "the stream's server does not confirm partners' channels; this is the last one"
            );
        }
    }

    fn state(&mut self, state: &State, now: Instant) {
        let lost = std::mem::take(&mut self.lost);
        match state {
            State::Connected { .. } => {
                self.confirmed = 0;
                if self.connection != Some(Connection::Up) {
                    self.connection = Some(Connection::Up);
                    tracing::info!("{state}");
                }
            }
            State::BackingOff { reason, .. } | State::Fatal { reason, .. } => {
                self.down((state, *reason), lost, now);
            }
            State::Stopped => tracing::info!(channels = lost, "{state}"),
            State::Connecting => {}
        }
    }

    fn down(&mut self, (state, reason): (&State, Reason), channels: usize, now: Instant) {
        self.ended += 1;
        let (down, is_fatal) = (Some(Connection::Down(reason)), matches!(state, State::Fatal { .. }));
        let is_time = self.down_told.is_none_or(|told| now.saturating_duration_since(told) >= EVERY);
        if self.connection == down || !(is_time || is_fatal) {
            return;
        }
        (self.connection, self.down_told) = (down, Some(now));
        (self.all_told, self.known) = (false, HashSet::new());
        let times = std::mem::take(&mut self.ended);
        if is_fatal {
            tracing::error!(channels, times, "{state}");
        } else {
            tracing::warn!(channels, times, "{state}");
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use chrono::DateTime;

    use super::*;

    #[derive(Clone, Default)]
    pub(in crate::intake) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        pub(in crate::intake) fn all(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    /// What this thread logs from now on until the guard is dropped, of level `INFO` and above.
    pub(in crate::intake) fn logging() -> (Lines, tracing::subscriber::DefaultGuard) {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// The lines that this thread logs meanwhile.
    pub(in crate::intake) fn logged(run: impl FnOnce()) -> Vec<String> {
        let (lines, _guard) = logging();
        run();
        lines.all()
    }

    /// What the log says of these notices, a second apart.
    fn said(notices: &[Notice], partners: usize) -> Vec<String> {
        said_at(notices, partners, 0..)
    }

    /// The same, when they come at these seconds.
    fn said_at(notices: &[Notice], partners: usize, seconds: impl IntoIterator<Item = u64>) -> Vec<String> {
        logged(|| {
            let wanted =
                Wanted { count: partners, is_partners: |one: &Channel| one.as_str().starts_with('k') };
            let mut log = StreamLog::default();
            let began = Instant::now();
            for (notice, seconds) in notices.iter().zip(seconds) {
                log.note(notice, &wanted, began + Duration::from_secs(seconds));
            }
        })
    }

    fn connected() -> Notice {
        Notice::State(State::Connected { since: DateTime::UNIX_EPOCH })
    }

    fn confirmed(channel: &str) -> Notice {
        Notice::Confirmed { channel: channel.parse().unwrap(), at: DateTime::UNIX_EPOCH }
    }

    fn refused(channel: &str) -> Notice {
        Notice::Refused { channel: channel.parse().unwrap(), at: DateTime::UNIX_EPOCH }
    }

    fn lost(channel: &str, reason: Reason) -> Notice {
        let at = DateTime::UNIX_EPOCH;
        Notice::Lost { channel: channel.parse().unwrap(), since: at, at, reason }
    }

    fn down(reason: Reason) -> Notice {
        Notice::State(State::BackingOff { until: DateTime::UNIX_EPOCH, reason })
    }

    #[test]
    fn a_thousand_channels_that_come_and_go_with_their_connection_are_three_lines() {
        let mut notices = vec![connected()];
        notices.extend((0..1_001).map(|one| confirmed(&format!("k{one}"))));
        notices.extend((0..1_001).map(|one| lost(&format!("k{one}"), Reason::Dropped)));
        notices.push(down(Reason::Dropped));
        let lines = said(&notices, 1_001);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("INFO") && lines[0].contains("connected"), "{}", lines[0]);
        assert!(lines[1].contains("INFO") && lines[1].contains("channels=1001"), "{}", lines[1]);
        assert!(lines[2].contains("WARN") && lines[2].contains("channels=1001"), "{}", lines[2]);
    }

    #[test]
    fn a_connection_that_comes_and_goes_in_a_loop_is_told_twice_a_minute() {
        let round = [connected(), confirmed("k0"), lost("k0", Reason::Dropped), down(Reason::Dropped)];
        let notices: Vec<_> = std::iter::repeat_n(round, 100).flatten().collect();
        // One round a second.
        let lines = said_at(&notices, 1, (0..400).map(|one| one / 4));
        let levels: Vec<_> = lines.iter().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        assert_eq!(levels, ["INFO", "INFO", "WARN", "INFO", "INFO", "WARN", "INFO", "INFO"], "{lines:?}");
        assert!(lines[5].contains("times=60"), "{}", lines[5]);
    }

    #[test]
    fn a_server_that_refuses_is_told_once_and_at_once_and_so_is_another_reason() {
        let fatal = |code| {
            let until = DateTime::UNIX_EPOCH;
            Notice::State(State::Fatal { code, reason: Reason::Code(code), until })
        };
        let notices = [down(Reason::Dropped), fatal(4001), fatal(4001), fatal(4001), fatal(4004)];
        let lines = said_at(&notices, 1, [0, 1, 100, 200, 201]);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].contains("4001") && lines[2].contains("4004"), "{lines:?}");
    }

    #[test]
    fn partners_that_come_later_are_told_with_their_number_and_a_watch_is_not() {
        let mut notices = vec![connected(), confirmed("k0"), confirmed("order-1"), refused("order-2")];
        notices.extend((1..=50).map(|one| confirmed(&format!("k{one}"))));
        let lines = said(&notices, 1);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[2].contains("channels=1 ") && lines[2].contains("k1"), "{lines:?}");
    }

    #[test]
    fn a_channel_that_is_never_confirmed_is_told_once() {
        let notices: Vec<_> = std::iter::repeat_n(refused("k7"), 10).collect();
        let lines = said_at(&notices, 1, (0..10).map(|one| one * 100));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let again = [refused("k7"), confirmed("k7"), refused("k7")];
        assert_eq!(said_at(&again, 5, [0, 100, 200]).len(), 2);
    }
}
