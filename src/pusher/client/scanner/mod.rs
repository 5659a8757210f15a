//! Makes a byte stream of WebSocket frames harmless for a strict reader.
//!
//! A strict WebSocket implementation ends the connection when a text message is not UTF-8 or is too long, and the
//! bytes are gone. Here a reconnection costs whatever is published meanwhile, so such a message had better be handed
//! over and the connection kept. This scanner sits below the WebSocket implementation and changes frame headers only:
//! text becomes binary (we check the encoding ourselves), and a message is cut at a limit.
//!
//! Guarantees: payload bytes are never changed, only left out beyond the limit; what is not a sound frame is passed on
//! as it is, for the WebSocket implementation to refuse.
//! Does not guarantee: to skip anything however long; a frame of more than [`SKIP_LIMIT`] ends the connection, because
//! everything behind it would be as good as lost.

use std::collections::VecDeque;
use std::io;

/// The longest frame that is read to its end in order to be left out, in bytes: some seconds of a slow line.
pub(super) const SKIP_LIMIT: u64 = 64 << 20;

/// What a message was before its header was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Binary,
    /// Longer than the limit; only its beginning is there.
    Cut,
}

enum Part {
    /// The HTTP answer before the first frame; so much of its end mark has been seen.
    Answer { seen: usize },
    /// A frame header, of which so much is here.
    Header { bytes: [u8; 10], have: usize },
    /// A payload: so much to pass on, then so much to leave out.
    Payload { pass: u64, skip: u64 },
}

const NEW_HEADER: Part = Part::Header { bytes: [0; 10], have: 0 };
const END_OF_ANSWER: &[u8] = b"\r\n\r\n";
const FIN: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

pub(super) struct Scanner {
    part: Part,
    limit: u64,
    /// Payload bytes of the present message that were passed on.
    passed: u64,
    /// The present message was cut: its further frames are left out.
    cut: bool,
    kinds: VecDeque<Kind>,
}

impl Scanner {
    /// Starts before the HTTP answer. `limit`: the longest message in bytes.
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit as u64;
        Self { part: Part::Answer { seen: 0 }, limit, passed: 0, cut: false, kinds: VecDeque::new() }
    }

    /// What the oldest data message not asked about yet was. Messages are answered in the order they began.
    pub(super) fn next_kind(&mut self) -> Kind {
        self.kinds.pop_front().unwrap_or(Kind::Binary)
    }

    /// Takes in what was received and appends what is to be read instead.
    ///
    /// # Errors
    /// A frame longer than [`SKIP_LIMIT`].
    pub(super) fn feed(&mut self, mut input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        while !input.is_empty() {
            let taken = match &mut self.part {
                Part::Answer { seen } => {
                    let taken = end_of_answer(input, seen);
                    output.extend_from_slice(&input[..taken]);
                    if *seen == END_OF_ANSWER.len() {
                        self.part = NEW_HEADER;
                    }
                    taken
                }
                Part::Header { bytes, have } => {
                    bytes[*have] = input[0];
                    *have += 1;
                    if *have == header_len(bytes, *have) {
                        let header = (*bytes, *have);
                        self.part = self.begin(&header.0[..header.1], output)?;
                    }
                    1
                }
                Part::Payload { pass, skip } => {
                    let taken = payload(input, pass, skip, output);
                    if (*pass, *skip) == (0, 0) {
                        self.part = NEW_HEADER;
                    }
                    taken
                }
            };
            input = &input[taken..];
        }
        Ok(())
    }

    /// Decides about a frame by its header.
    fn begin(&mut self, header: &[u8], output: &mut Vec<u8>) -> io::Result<Part> {
        let length = payload_len(header);
        let (first, masked) = (header[0], header[1] & 0x80 != 0);
        match first & OPCODE {
            // A masked frame is refused by the reader whatever it holds; its mask counts as payload here.
            _ if masked => {
                output.extend_from_slice(header);
                Ok(part(length.saturating_add(4), 0))
            }
            TEXT | BINARY => {
                self.kinds.push_back(if first & OPCODE == TEXT { Kind::Text } else { Kind::Binary });
                (self.passed, self.cut) = (0, false);
                self.data(header, length, output)
            }
            CONTINUATION if self.cut => {
                self.cut = first & FIN == 0;
                skippable(length).map(|length| part(0, length))
            }
            CONTINUATION => self.data(header, length, output),
            _ => {
                output.extend_from_slice(header);
                Ok(part(length, 0))
            }
        }
    }

    fn data(&mut self, header: &[u8], length: u64, output: &mut Vec<u8>) -> io::Result<Part> {
        let room = self.limit.saturating_sub(self.passed);
        let first = if header[0] & OPCODE == TEXT { header[0] & !OPCODE | BINARY } else { header[0] };
        if length <= room {
            self.passed += length;
            output.push(first);
            output.extend_from_slice(&header[1..]);
            return Ok(part(length, 0));
        }
        let skip = skippable(length - room)?;
        if let Some(kind) = self.kinds.back_mut() {
            *kind = Kind::Cut;
        }
        self.passed += room;
        self.cut = first & FIN == 0;
        output.extend_from_slice(&[first | FIN, 127]);
        output.extend_from_slice(&room.to_be_bytes());
        Ok(part(room, skip))
    }
}

fn part(pass: u64, skip: u64) -> Part {
    if pass == 0 && skip == 0 { NEW_HEADER } else { Part::Payload { pass, skip } }
}

fn skippable(length: u64) -> io::Result<u64> {
    if length <= SKIP_LIMIT {
        return Ok(length);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long even to be left out"))
}

/// How much of the input belongs to the HTTP answer.
fn end_of_answer(input: &[u8], seen: &mut usize) -> usize {
    for (position, byte) in input.iter().enumerate() {
        *seen =
            if *byte == END_OF_ANSWER[*seen] { *seen + 1 } else { usize::from(*byte == END_OF_ANSWER[0]) };
        if *seen == END_OF_ANSWER.len() {
            return position + 1;
        }
    }
    input.len()
}

/// The length of the header without a mask, as far as its first bytes tell.
fn header_len(bytes: &[u8; 10], have: usize) -> usize {
    match bytes[1] & 0x7f {
        _ if have < 2 => 2,
        126 => 4,
        127 => 10,
        _ => 2,
    }
}

fn payload_len(header: &[u8]) -> u64 {
    match header {
        [_, _] => u64::from(header[1] & 0x7f),
        _ => header[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    }
}

/// Passes on and leaves out as much of a payload as is there; answers how much that was.
fn payload(input: &[u8], pass: &mut u64, skip: &mut u64, output: &mut Vec<u8>) -> usize {
    let (passed, rest) = input.split_at(clamp(*pass, input.len()));
    output.extend_from_slice(passed);
    let skipped = clamp(*skip, rest.len());
    *pass -= passed.len() as u64;
    *skip -= skipped as u64;
    passed.len() + skipped
}

fn clamp(wish: u64, available: usize) -> usize {
    usize::try_from(wish).map_or(available, |wish| wish.min(available))
}

#[cfg(test)]
mod tests;
