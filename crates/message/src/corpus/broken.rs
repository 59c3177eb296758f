//! Damage as it is seen in the wild: wrong line ends, NULs, cut ends, raw 8-bit headers, lost boundaries.

use super::Random;

/// Damages a message in one to three ways.
pub(super) fn damage(random: &mut Random, message: &mut Vec<u8>) {
    for _ in 0..1 + random.below(3) {
        match random.below(10) {
            0 => message.retain(|&byte| byte != b'\r'),
            1 => mixed_line_ends(random, message),
            2 => insert(random, message, b"\0"),
            3 => message.truncate(random.below(message.len() + 1)),
            4 => insert(random, message, &[b'x'; 5000]),
            5 => prepend(message, b"Subject: raw \xe9\xff 8-bit\r\nFrom: \xc3\xa9 <\xf1@example.com>\r\n"),
            6 => replace_first(message, b"boundary=", b"bundary="),
            7 => prepend(
                message,
                b"From a@example.com Mon Jan  1 00:00:00 2001\r\nno colon here\r\n: no name\r\n",
            ),
            8 => prepend(
                message,
                random.pick(&[
                    &b"Content-Type: text\r\n"[..],
                    b"Content-Type: multipart/mixed\r\n",
                    b"Content-Type: ;;=\r\n",
                ]),
            ),
            _ => {
                let count = random.below(20);
                let bytes = random.bytes(count);
                insert(random, message, &bytes);
            }
        }
    }
}

fn mixed_line_ends(random: &mut Random, message: &mut Vec<u8>) {
    let mut kept = Vec::with_capacity(message.len());
    for &byte in message.iter() {
        if byte != b'\r' || !random.one_in(3) {
            kept.push(byte);
        }
    }
    *message = kept;
}

fn insert(random: &mut Random, message: &mut Vec<u8>, bytes: &[u8]) {
    let at = random.below(message.len() + 1);
    message.splice(at..at, bytes.iter().copied());
}

fn prepend(message: &mut Vec<u8>, bytes: &[u8]) {
    message.splice(0..0, bytes.iter().copied());
}

fn replace_first(message: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    if let Some(at) = memchr::memmem::find(message, from) {
        message.splice(at..at + from.len(), to.iter().copied());
    }
}
