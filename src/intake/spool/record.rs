//! What stands in the file, record after record. A message: a mark, the length, a checksum, and the message as JSON. A
//! note: another mark, the offset before which everything is settled, and a checksum.
//!
//! The marks are what makes a damaged file readable again: after a record that does not check, reading goes on at the
//! next mark whose record does. A record that was cut off by a crash is simply not there. Inside of a message no record
//! can begin: JSON has no bytes of zero, and the head of each record has.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::intake::{Form, Heard};
use crate::model::event::Source;
use crate::model::hops::Hops;
use crate::model::id::PartnerId;
use crate::trace::Span;

const MARK: [u8; 4] = *b"TRs1";
const HEAD: usize = 12;

const NOTE_MARK: [u8; 4] = *b"TRd1";
const NOTE: usize = 16;

/// Longer records are not written: a length beyond this is damage.
pub(super) const LONGEST: usize = 16 << 20;

#[derive(Serialize, Deserialize)]
struct Stored {
    partner_id: Option<PartnerId>,
    source: Source,
    form: String,
    channel: Option<String>,
    event: Option<String>,
    data: String,
    at: DateTime<Utc>,
    /// Absent in records of versions before.
    #[serde(default)]
    hops: i16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

/// What came of reading one record.
#[derive(Debug)]
pub(super) enum Read {
    /// A message, and where the next record begins.
    Message(Box<Heard>, usize),
    /// Everything before this offset of the file is settled; and where the next record begins.
    Settled(u64, usize),
    /// Bytes that are no record, and where the next one begins.
    Damaged(usize),
    /// There is no further record.
    End,
}

/// Appends a message to `out`.
pub(super) fn write(heard: &Heard, out: &mut Vec<u8>) {
    let stored = Stored {
        partner_id: heard.partner_id,
        source: heard.source,
        form: heard.form.as_str().to_owned(),
        channel: heard.channel.as_deref().map(str::to_owned),
        event: heard.event.clone(),
        data: STANDARD.encode(&heard.data),
        at: heard.at,
        hops: heard.hops.count(),
        traceparent: heard.trace.as_ref().and_then(Span::context).map(|place| place.to_string()),
    };
    let body = serde_json::to_vec(&stored).expect("texts and times always serialise");
    let length = u32::try_from(body.len()).expect("messages are bounded far below 4 GiB");
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    out.extend_from_slice(&body);
}

/// Appends to `out` the note that everything before `end` is settled.
pub(super) fn write_settled(end: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&NOTE_MARK);
    out.extend_from_slice(&end.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&end.to_le_bytes()).to_le_bytes());
}

/// Reads the record at `from`.
pub(super) fn read(file: &[u8], from: usize) -> Read {
    let Some(rest) = file.get(from..).filter(|rest| !rest.is_empty()) else { return Read::End };
    if let Some((end, length)) = note(rest) {
        return Read::Settled(end, from + length);
    }
    if let Some((heard, length)) = intact(rest) {
        return Read::Message(Box::new(heard), from + length);
    }
    let is_record = |at: usize| {
        let rest = &file[at..];
        (rest.starts_with(&MARK) && intact(rest).is_some()) || note(rest).is_some()
    };
    (from + 1..file.len()).find(|&at| is_record(at)).map_or(Read::End, Read::Damaged)
}

fn note(bytes: &[u8]) -> Option<(u64, usize)> {
    let bytes = bytes.get(..NOTE).filter(|bytes| bytes.starts_with(&NOTE_MARK))?;
    let end = bytes.get(4..12)?;
    let sum = u32::from_le_bytes(bytes.get(12..)?.try_into().ok()?);
    (crc32fast::hash(end) == sum).then_some((u64::from_le_bytes(end.try_into().ok()?), NOTE))
}

fn intact(bytes: &[u8]) -> Option<(Heard, usize)> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let word = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let length = usize::try_from(word(4)?).ok().filter(|&length| length <= LONGEST)?;
    let body = rest.get(..length)?;
    if head[..4] != MARK || crc32fast::hash(body) != word(8)? {
        return None;
    }
    let stored: Stored = serde_json::from_slice(body).ok()?;
    Some((heard(stored)?, HEAD + length))
}

fn heard(stored: Stored) -> Option<Heard> {
    Some(Heard {
        partner_id: stored.partner_id,
        source: stored.source,
        form: Form::named(&stored.form),
        channel: stored.channel.map(Into::into),
        event: stored.event,
        data: Bytes::from(STANDARD.decode(stored.data).ok()?),
        at: stored.at,
        hops: Hops::from_stored(stored.hops),
        trace: stored.traceparent.and_then(|place| Span::ended(place.parse().ok()?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: &[u8]) -> Heard {
        Heard {
            partner_id: Some(PartnerId::new()),
            source: Source::Webhook,
            form: Form::Signed,
            channel: Some("KEY".into()),
            event: None,
            data: Bytes::copy_from_slice(data),
            at: Utc::now(),
            hops: Hops::default(),
            trace: None,
        }
    }

    fn file(messages: &[Heard]) -> Vec<u8> {
        let mut out = Vec::new();
        for heard in messages {
            write(heard, &mut out);
        }
        out
    }

    fn read_all(file: &[u8]) -> (Vec<Bytes>, usize) {
        let (mut read_back, mut damaged, mut at) = (Vec::new(), 0, 0);
        loop {
            match read(file, at) {
                Read::Message(heard, next) => {
                    read_back.push(heard.data);
                    at = next;
                }
                Read::Settled(_, next) => at = next,
                Read::Damaged(next) => {
                    damaged += 1;
                    at = next;
                }
                Read::End => return (read_back, damaged),
            }
        }
    }

    #[test]
    fn messages_come_back_in_order_and_whole() {
        let (messages, damaged) = read_all(&file(&[message(b"one"), message(&[0, 255, 10]), message(b"")]));
        assert_eq!(messages, [&b"one"[..], &[0, 255, 10], b""]);
        assert_eq!(damaged, 0);
    }

    #[test]
    fn the_count_of_relays_comes_back_and_is_0_in_records_of_versions_before() {
        let mut file = Vec::new();
        write(&Heard { hops: Hops::from_stored(3), ..message(b"one") }, &mut file);
        let mut body: serde_json::Value = serde_json::from_slice(&file[HEAD..]).unwrap();
        assert_eq!(intact(&file).unwrap().0.hops, Hops::from_stored(3));
        body.as_object_mut().unwrap().remove("hops").unwrap();
        let body = body.to_string().into_bytes();
        let mut before = MARK.to_vec();
        before.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        before.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        before.extend_from_slice(&body);
        assert_eq!(intact(&before).unwrap().0.hops, Hops::default());
    }

    #[test]
    fn a_torn_tail_costs_only_the_torn_record() {
        let whole = file(&[message(b"one"), message(b"two")]);
        let first = file(&[message(b"one")]).len();
        for length in first..whole.len() {
            assert_eq!(read_all(&whole[..length]).0, [&b"one"[..]], "cut at {length}");
        }
    }

    #[test]
    fn a_flipped_bit_costs_at_most_its_own_record() {
        let mut whole = file(&[message(b"one"), message(b"two")]);
        write_settled(7, &mut whole);
        write(&message(b"three"), &mut whole);
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0x40;
            let (messages, _) = read_all(&bent);
            assert!(messages.len() >= 2, "byte {at}: {messages:?}");
        }
    }

    #[test]
    fn a_note_that_is_damaged_settles_nothing() {
        let mut whole = Vec::new();
        write_settled(0x0102_0304, &mut whole);
        assert!(matches!(read(&whole, 0), Read::Settled(0x0102_0304, NOTE)));
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 1;
            assert!(matches!(read(&bent, 0), Read::End), "byte {at}");
        }
    }
}
