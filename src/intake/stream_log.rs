//! What the log says of the stream: one line for one thing that happened, however many channels it is about.

use crate::pusher::{Channel, Notice, Reason, State};

/// What has not been said yet.
#[derive(Debug, Default)]
pub(super) struct StreamLog {
    /// Confirmed on this connection.
    confirmed: usize,
    /// Whether it was said that every channel is heard.
    all_told: bool,
    lost: usize,
    reason: Option<Reason>,
}

/// What the log needs to know of the channels that are wanted.
pub(super) struct Wanted<F> {
    pub(super) count: usize,
    /// Whether a channel is that of a partner's API key.
    pub(super) is_partners: F,
}

impl StreamLog {
    /// Takes in what the stream told, and says what there is to say about it.
    pub(super) fn note<F: Fn(&Channel) -> bool>(&mut self, notice: &Notice, wanted: &Wanted<F>) {
        match notice {
            Notice::Confirmed { channel, .. } => self.confirmed(channel, wanted),
            // The others that were lost at the same moment follow, and then the new state.
            Notice::Lost { reason, .. } => {
                self.lost += 1;
                self.reason = Some(*reason);
            }
            Notice::Refused { channel, .. } => {
                self.tell_losses();
                if (wanted.is_partners)(channel) {
                    tracing::error!(%channel, "the stream's server does not confirm a partner's channel");
                } else {
                    tracing::debug!(%channel, "the stream's server does not confirm a watched channel");
                }
            }
            Notice::State(state) => {
                self.tell_losses();
                if let State::Connected { .. } = state {
                    (self.confirmed, self.all_told) = (0, false);
                }
            }
            Notice::Event { .. } | Notice::Unreadable { .. } | Notice::Left { .. } => {}
        }
    }

    fn confirmed<F: Fn(&Channel) -> bool>(&mut self, channel: &Channel, wanted: &Wanted<F>) {
        self.confirmed += 1;
        if !self.all_told && self.confirmed >= wanted.count {
            self.all_told = true;
            tracing::info!(channels = self.confirmed, "the stream hears every channel");
        } else if self.all_told && (wanted.is_partners)(channel) {
            tracing::info!(%channel, "the stream hears one more partner's channel");
        } else {
            tracing::debug!(%channel, "the stream hears a channel");
        }
    }

    fn tell_losses(&mut self) {
        let channels = std::mem::take(&mut self.lost);
        if let Some(reason) = self.reason.take() {
            tracing::warn!(channels, %reason, "the stream hears these channels no more");
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
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that this thread logs meanwhile, of level `INFO` and above.
    pub(in crate::intake) fn logged(run: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, run);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// What the log says of these notices.
    fn said(notices: &[Notice], partners: usize) -> Vec<String> {
        logged(|| {
            let wanted =
                Wanted { count: partners, is_partners: |one: &Channel| one.as_str().starts_with('k') };
            let mut log = StreamLog::default();
            for notice in notices {
                log.note(notice, &wanted);
            }
        })
    }

    fn channel(number: usize) -> Channel {
        format!("k{number}").parse().unwrap()
    }

    #[test]
    fn a_thousand_channels_that_come_and_go_with_their_connection_are_two_lines() {
        let at = DateTime::UNIX_EPOCH;
        let mut notices = vec![Notice::State(State::Connected { since: at })];
        notices.extend((0..1_001).map(|one| Notice::Confirmed { channel: channel(one), at }));
        let reason = Reason::Dropped;
        notices.extend((0..1_001).map(|one| Notice::Lost { channel: channel(one), since: at, at, reason }));
        notices.push(Notice::State(State::BackingOff { until: at, reason }));
        let lines = said(&notices, 1_001);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("INFO") && lines[0].contains("channels=1001"), "{}", lines[0]);
        assert!(lines[1].contains("WARN") && lines[1].contains("channels=1001"), "{}", lines[1]);
    }

    #[test]
    fn a_partner_that_comes_later_is_told_and_a_watch_is_not() {
        let at = DateTime::UNIX_EPOCH;
        let mut notices = vec![Notice::State(State::Connected { since: at })];
        notices.push(Notice::Confirmed { channel: channel(0), at });
        notices.push(Notice::Confirmed { channel: "order-1".parse().unwrap(), at });
        notices.push(Notice::Refused { channel: "order-2".parse().unwrap(), at });
        notices.push(Notice::Confirmed { channel: channel(1), at });
        notices.push(Notice::Refused { channel: channel(2), at });
        let lines = said(&notices, 1);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].contains("k1") && lines[2].contains("ERROR"), "{lines:?}");
    }
}
