//! Well-formed mail as people get it. Strictly within the RFCs, so that every MIME library reads it alike.

use super::{Random, base64, quoted_printable};

/// Who writes to whom.
const PEOPLE: [&str; 8] = [
    "Ana P\u{e9}rez <ana@example.com>",
    "\"Bo, the builder\" <bo@example.org>",
    "carol@example.net",
    "J\u{fc}rgen Stra\u{df}e <j.strasse@example.de>",
    "\u{5c71}\u{7530}\u{592a}\u{90ce} <yamada@example.jp>",
    "Support Team <support@shop.example>",
    "dev-list@lists.example.org",
    "Zo\u{eb} \u{201c}Z\u{201d} O'Neil <zoe@example.ie>",
];

/// A plain reply, a newsletter, or a message with an attachment of up to 5 MB (mostly far less).
pub fn realistic(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    match random.below(10) {
        0..=4 => reply(seed),
        5..=7 => newsletter(seed),
        8 => with_attachment(seed, random.below(64 * 1024)),
        _ => {
            let shift = random.below(8); // sizes spread evenly over orders of magnitude
            with_attachment(seed, random.below((5 * 1024 * 1024) >> shift))
        }
    }
}

/// A few lines of plain text with a quotation and a signature.
pub fn reply(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed ^ 1);
    let mut message = header(&mut random, "Re: ");
    let references: Vec<String> = (0..random.below(6)).map(|n| format!("<{n}.{seed}@example.com>")).collect();
    if let Some(last) = references.last() {
        message += &format!("In-Reply-To: {last}\r\nReferences: {}\r\n", references.join("\r\n "));
    }
    let paragraphs = 1 + random.below(5);
    let mut text = String::new();
    for _ in 0..paragraphs {
        let count = 5 + random.below(40);
        text += &format!("{}.\n\n", random.words(count));
    }
    text += &format!("> {}\n> {}\n\n-- \nAna\n", random.words(10), random.words(8));
    message += &text_part(&mut random, "plain", &text);
    message.into_bytes()
}

/// multipart/alternative with long styled HTML, list fields, tracking links.
pub fn newsletter(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed ^ 2);
    let mut message = header(&mut random, "\u{1f389} ");
    message += "List-Id: News <news.shop.example>\r\nList-Unsubscribe: <https://shop.example/u?x=1>,\r\n <mailto:u@shop.example>\r\n";
    message +=
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nPrecedence: bulk\r\nX-Mailer: Campaigner 7\r\n";
    let boundary = format!("=_{:016x}", random.next());
    let count = 30 + random.below(200);
    let text = random.words(count);
    let rows: String = (0..1 + random.below(60))
        .map(|n| format!("<tr><td style=\"padding:{n}px\"><a href=\"https://shop.example/p/{n}?c=3D\">{}</a> &euro;&nbsp;{n}</td></tr>\n", random.words(4)))
        .collect();
    let style = "td { font: 12px sans-serif; color: #333 }\n".repeat(1 + random.below(40));
    let html = format!(
        "<html><head><title>News</title><style>{style}</style></head><body><table>{rows}</table><p>{text}</p></body></html>\n"
    );
    message += &format!(
        "Content-Type: multipart/alternative; boundary=\"{boundary}\"\r\n\r\nThis is MIME.\r\n--{boundary}\r\n"
    );
    message += &text_part(&mut random, "plain", &format!("{text}\n"));
    message +=
        &format!("\r\n--{boundary}\r\n{}\r\n--{boundary}--\r\n", text_part(&mut random, "html", &html));
    message.into_bytes()
}

/// multipart/mixed with one attachment of so many bytes (before base64).
pub fn with_attachment(seed: u64, attachment_bytes: usize) -> Vec<u8> {
    let mut random = Random::new(seed ^ 3);
    let mut message = header(&mut random, "");
    let boundary = format!("Apple-Mail-{:X}", random.next());
    let text = format!("{}\n", random.words(20));
    let (media_type, name) = *random.pick(&[
        &("application/pdf", "report 2026.pdf"),
        &("image/jpeg", "IMG_0001.JPG"),
        &("application/octet-stream", "data.bin"),
    ]);
    message +=
        &format!("Content-Type: multipart/mixed;\r\n\tboundary=\"{boundary}\"\r\n\r\n\r\n--{boundary}\r\n");
    message += &text_part(&mut random, "plain", &text);
    message += &format!("\r\n--{boundary}\r\nContent-Type: {media_type};\r\n\tname=\"{name}\"\r\n");
    message += &format!(
        "Content-Disposition: attachment;\r\n\tfilename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    );
    message += &base64(&random.bytes(attachment_bytes), "\r\n");
    message += &format!("\r\n--{boundary}--\r\n");
    message.into_bytes()
}

fn header(random: &mut Random, prefix: &str) -> String {
    let mut header = String::new();
    for _ in 0..random.below(4) {
        header +=
            &format!("Received: from mx.example.net (mx.example.net [192.0.2.{}])\r\n", random.below(255));
        header += &format!("\tby in.example.com with ESMTPS id {:x}; {}\r\n", random.next(), random.date());
    }
    let count = 2 + random.below(6);
    let subject = format!("{prefix}{}", random.words(count));
    let (from, to, date) = (person(random), people(random), random.date());
    header += &format!("Date: {date}\r\nFrom: {from}\r\nTo: {to}\r\n");
    if random.one_in(3) {
        header += &format!("Cc: {}\r\n", people(random));
    }
    header += &format!(
        "Message-ID: <{:x}@example.com>\r\nMIME-Version: 1.0\r\nSubject: {}\r\n",
        random.next(),
        word(&subject)
    );
    header
}

fn people(random: &mut Random) -> String {
    let people: Vec<String> = (0..1 + random.below(5)).map(|_| person(random)).collect();
    people.join(",\r\n ")
}

fn person(random: &mut Random) -> String {
    let person = random.pick(&PEOPLE);
    match person.split_once(" <") {
        Some((name, address)) if !name.is_ascii() => format!("{} <{address}", word(name)),
        _ => person.to_owned(),
    }
}

/// As an encoded word if it has to be; long ones in several, cut between characters.
fn word(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().collect();
    let words = characters.chunks(10).map(|piece| {
        let piece: String = piece.iter().collect();
        format!("=?UTF-8?B?{}?=", base64(piece.as_bytes(), ""))
    });
    words.collect::<Vec<_>>().join("\r\n ")
}

/// Headers and body of a text part, in one of the encodings in use.
fn text_part(random: &mut Random, subtype: &str, text: &str) -> String {
    let (label, bytes) = match random.below(3) {
        0 => ("iso-8859-1", text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()),
        _ => ("utf-8", text.as_bytes().to_vec()),
    };
    let (encoding, body) = match random.below(2) {
        0 => ("base64", base64(&bytes, "\r\n")),
        _ => ("quoted-printable", quoted_printable(&bytes, "\r\n")),
    };
    format!(
        "Content-Type: text/{subtype}; charset=\"{label}\"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"
    )
}
