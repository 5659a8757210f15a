//! The head of an answer, mended where clients such as curl take what hyper does not.
//!
//! A carriage return alone in a line is a space; a length with a plus is that length; `http/1.1` is `HTTP/1.1`; what is in
//! chunks is read so under HTTP/1.0 as well. Everything else passes as it came, line by line, and all bodies do.
//! Guarantees: at most [`MOST_HELD`] bytes are held back.

/// A line or a head that is longer is not mended: it is too long for hyper too.
const MOST_HELD: usize = 64 << 10;

/// What every answer begins with, in whatever case.
const BEGIN: &[u8] = b"HTTP/";

/// Mends the heads of one connection's answers.
#[derive(Debug, Default)]
pub(super) struct Mender {
    place: Place,
    /// What has come of a line.
    line: Vec<u8>,
    /// The lines so far of a head whose first line depends on those that follow.
    held: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a body, or where nothing is expected.
    #[default]
    Over,
    /// Before the first line of a head.
    Before,
    /// Within a head.
    Within(Head),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    /// Another head follows.
    is_interim: bool,
    /// Of HTTP/1.0: it is held back.
    is_old: bool,
    is_chunked: bool,
}

impl Mender {
    /// An answer is expected.
    pub(super) fn begin(&mut self) {
        self.place = Place::Before;
    }

    /// Nothing is held back, and nothing more is looked at.
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Takes what came and gives what is read of it. Answers whether something was mended.
    pub(super) fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let mut is_mended = false;
        while !bytes.is_empty() {
            if self.is_over() {
                out.extend_from_slice(bytes);
                break;
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let (now, later) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
            self.line.extend_from_slice(now);
            bytes = later;
            if end.is_some() {
                is_mended |= self.end_line(out);
            }
            if !self.may_go_on() {
                self.end(out);
            }
        }
        is_mended
    }

    /// Gives what is held back: nothing more comes, or it is no head.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
        out.append(&mut self.line);
        self.place = Place::Over;
    }

    fn may_go_on(&self) -> bool {
        let is_begin = self.place != Place::Before || {
            let line = self.line.strip_prefix(b"\r").unwrap_or(&self.line);
            let known = line.len().min(BEGIN.len());
            line[..known].eq_ignore_ascii_case(&BEGIN[..known])
        };
        is_begin && self.line.len() + self.held.len() <= MOST_HELD
    }

    /// A line is whole. Answers whether something was mended.
    fn end_line(&mut self, out: &mut Vec<u8>) -> bool {
        let mut line = std::mem::take(&mut self.line);
        let is_empty = matches!(&line[..], b"\n" | b"\r\n");
        let mut is_mended = false;
        match &mut self.place {
            Place::Within(head) if is_empty => {
                is_mended = head.is_old && head.is_chunked;
                if is_mended {
                    self.held[..8].copy_from_slice(b"HTTP/1.1");
                }
                self.place = if head.is_interim { Place::Before } else { Place::Over };
                out.append(&mut self.held);
            }
            Place::Within(head) => {
                is_mended = mend_field(&mut line);
                head.is_chunked |= field(&line).is_some_and(|(name, value)| {
                    name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked")
                });
                if head.is_old {
                    self.held.append(&mut line);
                }
            }
            Place::Before if line.len() >= 8 && line[..5].eq_ignore_ascii_case(BEGIN) => {
                is_mended = !line.starts_with(BEGIN);
                line[..5].copy_from_slice(BEGIN);
                let code = line.get(9..12).unwrap_or_default();
                let is_interim = code.starts_with(b"1") && code != b"101";
                let head = Head { is_interim, is_old: &line[5..8] == b"1.0", is_chunked: false };
                self.place = Place::Within(head);
                if head.is_old {
                    self.held.append(&mut line);
                }
            }
            // An empty line before the first one is no part of it.
            Place::Before if is_empty => {}
            Place::Before | Place::Over => self.place = Place::Over,
        }
        out.append(&mut line);
        is_mended
    }
}

/// The name and the value of a line.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
}

/// Answers whether something was wrong.
fn mend_field(line: &mut Vec<u8>) -> bool {
    let content = line.len() - if line.ends_with(b"\r\n") { 2 } else { 1 };
    let mut is_mended = false;
    for byte in line[..content].iter_mut().filter(|byte| **byte == b'\r') {
        *byte = b' ';
        is_mended = true;
    }
    let is_plus = field(line).is_some_and(|(name, value)| {
        let digits = value.strip_prefix(b"+").unwrap_or_default();
        name.eq_ignore_ascii_case(b"content-length")
            && !digits.is_empty()
            && digits.iter().all(u8::is_ascii_digit)
    });
    if is_plus {
        line.retain(|&byte| byte != b'+');
    }
    is_mended || is_plus
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of an answer that comes in pieces of this length, and whether something was mended.
    fn read(answer: &[u8], piece: usize) -> (Vec<u8>, bool) {
        let (mut mender, mut out, mut is_mended) = (Mender::default(), Vec::new(), false);
        mender.begin();
        for piece in answer.chunks(piece) {
            is_mended |= mender.feed(piece, &mut out);
        }
        mender.end(&mut out);
        (out, is_mended)
    }

    #[test]
    fn what_curl_takes_is_mended_however_it_is_cut() {
        for (answer, mended) in [
            ("http/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
            ("HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n\r", "HTTP/1.1 200 OK\r\na: b c\r\n\r\n\r"),
            ("HTTP/1.1 200 OK\nContent-Length: +2\n\n+2", "HTTP/1.1 200 OK\nContent-Length: 2\n\n+2"),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
            ),
            (
                "HTTP/1.1 103 Hints\r\n\r\nhttp/1.1 204 No\r\n\r\n",
                "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            ),
        ] {
            for piece in 1..=answer.len() {
                assert_eq!(read(answer.as_bytes(), piece), (mended.into(), true), "{answer:?} by {piece}");
            }
        }
    }

    #[test]
    fn what_is_in_order_and_what_is_no_http_passes_as_it_came() {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhttp/1.1 200 OK\r\na\rb\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
            "HTTP/1.0 200 OK\r\n",
            "220 smtp.example ESMTP\r\n",
            "HTTP\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +\r\n\r\n",
        ] {
            for piece in 1..=answer.len() {
                assert_eq!(read(answer.as_bytes(), piece), (answer.into(), false), "{answer:?} by {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_head_is_not_held_back() {
        let (mut mender, mut out) = (Mender::default(), Vec::new());
        mender.begin();
        mender.feed(b"220 smtp", &mut out);
        assert_eq!(out, b"220 smtp");
        mender.begin();
        mender.feed(b"HTTP/1.0 200 OK\r\n", &mut out);
        mender.feed(&vec![b'a'; 2 * MOST_HELD], &mut out);
        assert!(mender.is_over() && out.len() > 2 * MOST_HELD);
    }

    proptest! {
        #[test]
        fn what_comes_in_pieces_reads_as_what_comes_at_once(
            answer in "(HTTP|http)/1[.][01] [12]0[0-9]( OK|\r|\n|\r\n|:|[+]|1|content-length|[a-z]){0,30}",
            piece in 1_usize..9,
        ) {
            prop_assert_eq!(read(answer.as_bytes(), piece), read(answer.as_bytes(), answer.len()));
        }
    }
}
