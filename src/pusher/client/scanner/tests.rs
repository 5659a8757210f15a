//! Frames written by hand, fed whole and byte by byte.

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n";

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(u8::try_from(len).unwrap()),
        len @ 126..=65535 => frame.extend([&[126], &u16::try_from(len).unwrap().to_be_bytes()[..]].concat()),
        len => frame.extend([&[127], &(len as u64).to_be_bytes()[..]].concat()),
    }
    frame.extend_from_slice(payload);
    frame
}

/// A frame whose length is written in the longest form, as the scanner writes a cut one.
fn long_form(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 127][..], &(payload.len() as u64).to_be_bytes(), payload].concat()
}

/// What is read after the HTTP answer, and the kinds, whatever the sizes of the reads.
fn scan(limit: usize, frames: &[Vec<u8>]) -> (Vec<u8>, Vec<Kind>) {
    let input = [ANSWER, &frames.concat()].concat();
    let mut results = [1, 7, usize::MAX].map(|size| {
        let (mut scanner, mut output) = (Scanner::new(limit), Vec::new());
        for chunk in input.chunks(size.min(input.len())) {
            scanner.feed(chunk, &mut output).unwrap();
        }
        let rest = output.strip_prefix(ANSWER).expect("the answer is passed on").to_vec();
        (rest, scanner.kinds.into_iter().collect::<Vec<_>>())
    });
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "the size of the reads matters");
    std::mem::take(&mut results[0])
}

#[test]
fn text_becomes_binary_and_everything_else_stays() {
    let frames = [frame(0x81, b"text"), frame(0x82, b"bin"), frame(0x89, b"ping"), frame(0x88, b"\x0f\xa1")];
    let expected =
        [frame(0x82, b"text"), frame(0x82, b"bin"), frame(0x89, b"ping"), frame(0x88, b"\x0f\xa1")];
    assert_eq!(scan(100, &frames), (expected.concat(), vec![Kind::Text, Kind::Binary]));
}

#[test]
fn all_three_length_forms_are_understood() {
    for len in [0, 125, 126, 65_535, 65_536, 100_000] {
        let payload = vec![0xff; len];
        let (output, kinds) = scan(100_000, &[frame(0x81, &payload), frame(0x81, b"next")]);
        assert_eq!(output, [frame(0x82, &payload), frame(0x82, b"next")].concat());
        assert_eq!(kinds, [Kind::Text, Kind::Text]);
    }
}

#[test]
fn a_fragmented_message_keeps_its_fragments_around_a_ping() {
    let frames =
        [frame(0x01, b"ab"), frame(0x89, b""), frame(0x00, b"c"), frame(0x80, b"d"), frame(0x81, b"e")];
    let expected =
        [frame(0x02, b"ab"), frame(0x89, b""), frame(0x00, b"c"), frame(0x80, b"d"), frame(0x82, b"e")];
    assert_eq!(scan(4, &frames), (expected.concat(), vec![Kind::Text, Kind::Text]));
}

#[test]
fn a_long_frame_is_cut_at_the_limit() {
    let frames = [frame(0x81, &[b'x'; 300]), frame(0x81, b"next")];
    let expected = [long_form(0x82, &[b'x'; 10]), frame(0x82, b"next")];
    assert_eq!(scan(10, &frames), (expected.concat(), vec![Kind::Cut, Kind::Text]));
}

#[test]
fn a_long_message_of_many_fragments_is_cut_and_ended_at_the_limit() {
    let frames =
        [frame(0x01, b"abc"), frame(0x00, b"def"), frame(0x00, b"x"), frame(0x89, b"p"), frame(0x80, b"y")];
    let expected = [frame(0x02, b"abc"), long_form(0x80, b"d"), frame(0x89, b"p"), frame(0x82, b"next")];
    let frames = [&frames[..], &[frame(0x81, b"next")]].concat();
    assert_eq!(scan(4, &frames), (expected.concat(), vec![Kind::Cut, Kind::Text]));
}

#[test]
fn a_frame_without_end_is_an_error() {
    let mut scanner = Scanner::new(10);
    let endless = [ANSWER, &[0x81, 127], &(SKIP_LIMIT + 11).to_be_bytes()[..]].concat();
    assert!(scanner.feed(&endless, &mut Vec::new()).is_err());
}

#[test]
fn a_masked_frame_is_passed_on_to_be_refused() {
    let masked = vec![0x81, 0x82, 1, 2, 3, 4, 5, 6];
    let (output, _) = scan(1, &[masked.clone(), frame(0x89, b"")]);
    assert_eq!(output, [masked, frame(0x89, b"")].concat());
}
