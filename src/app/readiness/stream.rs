//! Whether a process does its part of hearing the stream.

use std::time::Duration;

use super::Trouble;
use crate::intake::directory::Directory;
use crate::intake::stream::{SlotTrouble, StreamHealth};
use crate::pusher::State;

/// A connection on which nothing arrives for so long: it is pinged after ten seconds, and given up ten seconds later, unless
/// the task that reads it hangs.
const SILENT: Duration = Duration::from_mins(1);

/// Whether this process does its part of hearing: its slot's, if it has one; else it stands by for those who hear. Watched
/// channels do not count, for anybody who may write can make some; nor does a channel that no process has, for that is one
/// partner's trouble and is told of that partner.
pub(super) fn trouble(stream: &StreamHealth, silence: Duration, directory: &Directory) -> Option<Trouble> {
    match stream.state {
        _ if stream.slots.is_some() || stream.stands_by => standing_by(stream),
        Some(State::Connected { .. }) if silence > SILENT => {
            let detail =
                format!("the stream is connected, but nothing was read for {} seconds", silence.as_secs());
            Some(super::trouble("stream_silent", detail))
        }
        Some(State::Connected { .. }) => subscribing(stream, directory),
        Some(state) => Some(super::trouble("stream_down", state.to_string())),
        None => Some(super::trouble("stream_down", "the stream has not connected yet".to_owned())),
    }
}

fn standing_by(stream: &StreamHealth) -> Option<Trouble> {
    match stream.slots {
        Some(SlotTrouble::NoConnection) => {
            let detail = "Postgres has no connection left for this process to listen with: raise its max_connections, or \
                          lower RELAY_DATABASE_CONNECTIONS";
            Some(super::trouble("stream_no_connection", detail.to_owned()))
        }
        Some(SlotTrouble::Unavailable) => {
            let detail = "this process cannot ask Postgres whether it is to listen";
            Some(super::trouble("stream_slots_unavailable", detail.to_owned()))
        }
        None if stream.others.listen => None,
        None => {
            let detail = "this process stands by, and no other is known to listen";
            Some(super::trouble("stream_unheard", detail.to_owned()))
        }
    }
}

fn subscribing(stream: &StreamHealth, directory: &Directory) -> Option<Trouble> {
    let partners: Vec<&str> = directory.partner_channels().map(|channel| &**channel).collect();
    let missing: Vec<_> =
        partners.iter().filter(|channel| !stream.confirmed.contains(**channel)).copied().collect();
    let waiting = missing.iter().filter(|channel| stream.others.channels.contains(**channel)).count();
    if waiting > 0 {
        let detail = format!("{waiting} channels that other processes hear are not confirmed here yet");
        return Some(super::trouble("stream_subscribing", detail));
    }
    (!partners.is_empty() && missing.len() == partners.len()).then(|| {
        let detail =
            format!("none of the partners' {} channels is confirmed, here or elsewhere", partners.len());
        super::trouble("stream_unconfirmed", detail)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::codes;
    use super::*;
    use crate::intake::stream::Others;
    use crate::model::id::PartnerId;

    #[test]
    fn a_connected_stream_on_which_nothing_is_read_is_told() {
        let state = Some(State::Connected { since: chrono::DateTime::UNIX_EPOCH });
        let stream = StreamHealth { state, ..StreamHealth::default() };
        let directory = Directory::default();
        assert_eq!(codes(trouble(&stream, SILENT, &directory)), [""; 0]);
        let longer = SILENT + Duration::from_secs(1);
        assert_eq!(codes(trouble(&stream, longer, &directory)), ["stream_silent"]);
    }

    #[test]
    fn who_stands_by_is_ready_only_while_somebody_else_listens_and_slots_can_be_asked_for() {
        let told = |listen, slots| {
            let others = Others { listen, ..Others::default() };
            let stream = StreamHealth { stands_by: true, slots, others, ..StreamHealth::default() };
            codes(trouble(&stream, Duration::ZERO, &Directory::default()))
        };
        assert_eq!(told(true, None), [""; 0]);
        assert_eq!(told(false, None), ["stream_unheard"]);
        assert_eq!(told(true, Some(SlotTrouble::NoConnection)), ["stream_no_connection"]);
        assert_eq!(told(true, Some(SlotTrouble::Unavailable)), ["stream_slots_unavailable"]);
    }

    /// What a connected process with two partners says that hears these channels, while others hear those.
    fn connected(confirmed: &[&str], elsewhere: &[&str]) -> Vec<&'static str> {
        let mut directory = Directory::default();
        for key in ["a", "b"] {
            directory.add(PartnerId::new(), key, Vec::new());
        }
        directory.watch(PartnerId::new(), "watched");
        let channels = elsewhere.iter().map(|name| (*name).to_owned()).collect();
        let stream = StreamHealth {
            state: Some(State::Connected { since: chrono::DateTime::UNIX_EPOCH }),
            confirmed: confirmed.iter().map(|name| name.parse().unwrap()).collect(),
            others: Others { channels: Arc::new(channels), listen: true },
            ..StreamHealth::default()
        };
        codes(trouble(&stream, Duration::ZERO, &directory))
    }

    #[test]
    fn a_channel_that_another_process_hears_is_waited_for_and_one_that_nobody_has_is_not() {
        assert_eq!(connected(&["a", "b"], &["a", "b"]), [""; 0]);
        assert_eq!(connected(&["a"], &["a", "b"]), ["stream_subscribing"]);
        assert_eq!(connected(&["a"], &["a"]), [""; 0], "b is that partner's trouble");
    }

    #[test]
    fn a_process_that_hears_no_partner_is_not_ready_however_many_watches_it_hears() {
        assert_eq!(connected(&[], &[]), ["stream_unconfirmed"]);
        assert_eq!(connected(&["watched"], &[]), ["stream_unconfirmed"]);
        assert_eq!(
            connected(&["watched", "a"], &[]),
            [""; 0],
            "and a watch that is not heard does not count"
        );
    }
}
