//! Messages that poke at corners: deep and odd MIME, odd charsets, odd headers; and then, in half of them, damage.

use super::{Random, base64, broken, quoted_printable};

/// A varied message: half of them well-formed if unusual, half damaged.
pub fn message(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed ^ 4);
    let mut message = header(&mut random);
    entity(&mut random, 0, &mut message);
    if seed % 2 == 1 {
        broken::damage(&mut random, &mut message);
    }
    message
}

fn header(random: &mut Random) -> Vec<u8> {
    let mut header = Vec::new();
    let subject_words = 1 + random.below(8);
    let subject = random.ascii_words(subject_words);
    let date = random.date();
    let from = random.pick(&[
        "a@example.com",
        "A <a@example.com>",
        "\"A \\\"B\\\" C\" <a.b@example.com>",
        "a@example.com (A Comment (nested))",
        "=?iso-8859-1?Q?Andr=E9?= <andre@example.com>",
        "=?utf-8?b?5bGx55Sw?= <y@example.jp>",
        "<a@[192.0.2.1]>",
        "\"quoted local\"@example.com",
    ]);
    let to = random.pick(&[
        "b@example.com",
        "Team: b@example.com, C <c@example.com>;",
        "undisclosed-recipients:;",
        "b@example.com,\r\n\tC <c@example.com>,\r\n d@example.com",
        "",
    ]);
    for (name, value) in [("From", from), ("To", to), ("Subject", subject.as_str()), ("Date", date.as_str())]
    {
        if !random.one_in(8) {
            header.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    header.extend_from_slice(format!("Message-ID: <{:x}@example.com>\r\n", random.next()).as_bytes());
    for _ in 0..random.below(4) {
        let field = random.pick(&[
            "X-Long: 0123456789 0123456789\r\n 0123456789\r\n",
            "References: <1@example.com>\r\n <2@example.com>\r\n",
            "X-Priority: 1 (Highest)\r\n",
            "Sender: s@example.com\r\n",
            "Reply-To: Group: r@example.com;\r\n",
            "In-Reply-To: <1@example.com>\r\n",
            "Return-Path: <bounce@example.com>\r\n",
            "Autocrypt: addr=a@example.com; keydata=\r\n AAAA\r\n",
            "Bcc: hidden@example.com\r\n",
        ]);
        header.extend_from_slice(field.as_bytes());
    }
    header
}

/// MIME fields, a blank line and content.
fn entity(random: &mut Random, depth: usize, out: &mut Vec<u8>) {
    match random.below(if depth < 5 { 10 } else { 6 }) {
        0..=3 => text(random, out),
        4..=5 => binary(random, out),
        6..=8 => multipart(random, depth, out),
        _ => {
            out.extend_from_slice(b"Content-Type: message/rfc822\r\n\r\n");
            out.extend(header(random));
            entity(random, depth + 1, out);
        }
    }
}

fn multipart(random: &mut Random, depth: usize, out: &mut Vec<u8>) {
    let subtype = random.pick(&["mixed", "alternative", "related", "report", "signed", "x-odd"]);
    let boundary = match random.below(4) {
        0 => format!("b{depth}"), // one is a prefix of another's, on purpose
        1 => format!("b{depth}{:x}", random.next()),
        2 => format!("----=_Part {depth}.{:x}", random.next()),
        _ => format!("'()+_,-./:=?{depth}{:x}", random.next() % 9),
    };
    out.extend_from_slice(
        format!("Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\r\n\r\n").as_bytes(),
    );
    if random.one_in(2) {
        out.extend_from_slice(b"preamble\r\n");
    }
    for _ in 0..1 + random.below(4) {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        entity(random, depth + 1, out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    if random.one_in(3) {
        out.extend_from_slice(b"epilogue\r\n");
    }
}

fn text(random: &mut Random, out: &mut Vec<u8>) {
    let (label, sample): (&str, &[u8]) = *random.pick(&[
        &("utf-8", "ma\u{f1}ana \u{20ac} \u{5c71}".as_bytes()),
        &("iso-8859-1", b"ma\xf1ana"),
        &("windows-1252", b"\x93quoted\x94 \x80"),
        &("koi8-r", b"\xf0\xd2\xc9\xd7\xc5\xd4"),
        &("iso-2022-jp", b"\x1b$B;3ED\x1b(B"),
        &("shift_jis", b"\x8eR\x93c"),
        &("gb18030", b"\xc4\xe3\xba\xc3"),
        &("big5", b"\xa4s"),
        &("euc-kr", b"\xbe\xc8\xb3\xe7"),
        &("utf-7", b"ma+APE-ana"),
        &("us-ascii", b"plain"),
        &("x-unknown", b"\xff\xfe"),
    ]);
    let lines = 1 + random.below(12);
    let mut content = Vec::new();
    for _ in 0..lines {
        let count = random.below(16);
        content.extend_from_slice(random.ascii_words(count).as_bytes());
        content.extend_from_slice(b" ");
        content.extend_from_slice(sample);
        content.push(b'\n');
    }
    let subtype = random.pick(&["plain", "html", "calendar", "plain; format=flowed"]);
    let fields = match random.below(4) {
        0 if label == "us-ascii" => String::new(),
        0 => format!("Content-Type: text/{subtype}; charset={label}\r\nContent-Transfer-Encoding: 8bit\r\n"),
        1 => format!(
            "Content-Type: text/{subtype};\r\n\tcharset=\"{label}\"\r\nContent-Transfer-Encoding: BASE64\r\n"
        ),
        2 => format!(
            "Content-Type: text/{subtype}; charset={label}\r\nContent-Transfer-Encoding: Quoted-Printable\r\n"
        ),
        _ => format!(
            "Content-Transfer-Encoding: binary\r\nContent-Type: TEXT/{subtype}; charset={label}\r\nContent-Language: en, de\r\n"
        ),
    };
    let encoded = if fields.contains("BASE64") {
        base64(&content, "\r\n").into_bytes()
    } else if fields.contains("Quoted") {
        quoted_printable(&content, "\r\n").into_bytes()
    } else {
        content.split(|&byte| byte == b'\n').flat_map(|line| [line, b"\r\n"].concat()).collect()
    };
    out.extend_from_slice(fields.as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend(encoded);
}

fn binary(random: &mut Random, out: &mut Vec<u8>) {
    let fields = random.pick(&[
        "Content-Type: image/png; name=x.png\r\nContent-Disposition: inline; filename=x.png\r\nContent-ID: <i1@x>\r\n",
        "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename*=utf-8''ma%C3%B1ana.pdf\r\n",
        "Content-Type: application/zip\r\nContent-Disposition: attachment;\r\n filename*0=\"long \";\r\n filename*1=\"name.zip\"\r\n",
        "Content-Type: application/octet-stream\r\nContent-Description: some data\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n",
        "Content-Type: application/pgp-signature\r\nContent-Location: http://example.com/x\r\n",
    ]);
    let count = random.below(3000);
    out.extend_from_slice(fields.as_bytes());
    out.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
    out.extend_from_slice(base64(&random.bytes(count), "\r\n").as_bytes());
}
