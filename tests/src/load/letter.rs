//! A message that is known by its subject: its bytes follow from that and its size, so nothing else is remembered.

use rand::Rng;
use rand::rngs::StdRng;

/// Over the size of a part in multipart uploads to object stores.
const HUGE_BYTES: std::ops::Range<usize> = (5 << 20) + 1..7 << 20;
/// One message in so many is huge.
const HUGE_ONE_IN: u32 = 200;
/// Sizes of all others.
const SMALLEST_BYTES: f64 = 200.0;
/// See [`SMALLEST_BYTES`].
const LARGEST_BYTES: f64 = 1e6;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letter {
    /// Its subject, which no other message has.
    pub token: String,
    /// How long its body is, about.
    pub body_bytes: usize,
}

impl Letter {
    /// With a random size: many small ones, some large, few huge.
    pub fn random(token: String, random: &mut StdRng) -> Self {
        if random.random_ratio(1, HUGE_ONE_IN) {
            return Self { token, body_bytes: random.random_range(HUGE_BYTES) };
        }
        let skewed = random.random::<f64>().powi(2); // otherwise the large ones are all that takes time
        let bytes = SMALLEST_BYTES * (LARGEST_BYTES / SMALLEST_BYTES).powf(skewed);
        Self { token, body_bytes: bytes as usize }
    }

    /// Its bytes; all of them depend on the token.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "From: Load <load@example.net>\r\nTo: test@example.org\r\nSubject: {}\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n\r\n",
            self.token
        )
        .into_bytes();
        let end = text.len() + self.body_bytes;
        text.reserve(self.body_bytes + 80);
        let mut state = self.token.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        while text.len() < end {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.extend_from_slice(format!("{state:016x}").repeat(4).as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text
    }
}

/// Whether `stored` is `sent` with exactly the two fields in front that LMTP adds (RFC 5321 §4.4).
pub fn is_delivered(stored: &[u8], sent: &[u8]) -> bool {
    let Some(added) = stored.strip_suffix(sent) else { return false };
    let added = String::from_utf8_lossy(added);
    let mut fields = added.split_inclusive("\r\n").filter(|line| !line.starts_with(['\t', ' ']));
    fields.next().is_some_and(|line| line.starts_with("Return-Path: <"))
        && fields.next().is_some_and(|line| line.starts_with("Received: from "))
        && fields.next().is_none()
        && added.ends_with("\r\n")
}
