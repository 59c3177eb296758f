//! A dozen messages as people get them: threads, HTML, attachments, an invitation, several scripts.

use anyhow::Context;
use mail_builder::MessageBuilder;
use mail_builder::headers::raw::Raw;

/// A message and its envelope sender.
pub(super) struct Message {
    pub(super) from: String,
    pub(super) bytes: Vec<u8>,
}

const ANA: (&str, &str) = ("Ana García", "ana@example.com");
/// Seconds between two messages: half a day.
const APART: i64 = 43_200;

const WELCOME: &str = "Hello Ana,\r\n\r\nthis mailbox lives in Buzon. Connect your mail client and look around: \
    flag something, make a folder, delete this message. Whatever the server said OK to stays, also when its power \
    goes.\r\n\r\nHave fun!\r\n";
const PAGE: &str = "<html><body style=\"font-family:sans-serif\"><h1>October in the garden</h1><p>Plant garlic \
    <b>before</b> the first frost, and leave the leaves: hedgehogs sleep in them.</p><p><a \
    href=\"https://garden.example/october\">Read on</a></p></body></html>";
const PAGE_TEXT: &str = "October in the garden\r\n\r\nPlant garlic before the first frost, and leave the leaves: \
    hedgehogs sleep in them.\r\n\r\nhttps://garden.example/october\r\n";
const INVITATION: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\n\
    UID:standup-17@example.org\r\nDTSTAMP:20261101T090000Z\r\nDTSTART:20261103T090000Z\r\nDTEND:20261103T091500Z\r\n\
    SUMMARY:Stand-up\r\nORGANIZER:mailto:lena@example.org\r\nATTENDEE:mailto:ana@example.com\r\nEND:VEVENT\r\n\
    END:VCALENDAR\r\n";

/// All of them, oldest first, the last one from today.
pub(super) fn all() -> anyhow::Result<Vec<Message>> {
    let now = jiff::Timestamp::now().as_second();
    let drafts = drafts();
    let count = drafts.len() as i64;
    let dated = drafts.into_iter().enumerate().map(|(at, (from, draft))| {
        let id = format!("demo-{at}@{}", from.1.rsplit('@').next().unwrap_or("example.org"));
        let date = now - (count - 1 - at as i64) * APART;
        let draft = draft.from(from).to(vec![ANA]).date(date).message_id(id);
        let bytes = draft.write_to_vec().context("write a demo message")?;
        Ok(Message { from: from.1.to_owned(), bytes })
    });
    dated.collect()
}

type Draft = ((&'static str, &'static str), MessageBuilder<'static>);

fn drafts() -> Vec<Draft> {
    let new = MessageBuilder::new;
    vec![
        (("Buzon", "hello@example.com"), new().subject("Welcome to Buzon").text_body(WELCOME)),
        (
            ("Lena Hoffmann", "lena@example.org"),
            new().subject("Offsite in Málaga").text_body("Hi Ana,\r\n\r\nshall we take the train on Thursday?\r\n\r\nLena\r\n"),
        ),
        (
            ("Garden News", "news@garden.example"),
            new()
                .subject("October in the garden")
                .header("List-Id", Raw::new("Garden News <news.garden.example>"))
                .header("List-Unsubscribe", Raw::new("<https://garden.example/leave>"))
                .text_body(PAGE_TEXT)
                .html_body(PAGE),
        ),
        (
            ("山田太郎", "taro@example.jp"),
            new().subject("会議の資料").text_body("アナさん、\r\n\r\n来週の会議の資料をお送りします。\r\n\r\n山田\r\n"),
        ),
        (
            ("Lena Hoffmann", "lena@example.org"),
            new()
                .subject("Re: Offsite in Málaga")
                .in_reply_to("demo-1@example.org")
                .references("demo-1@example.org")
                .text_body("PS: the hotel keeps two rooms until Friday.\r\n\r\n> shall we take the train on Thursday?\r\n"),
        ),
        (
            ("Accounts", "billing@hosting.example"),
            new()
                .subject("Invoice 2026-1042")
                .text_body("Your invoice for October is attached.\r\n")
                .attachment("text/csv", "invoice-2026-1042.csv", "item;amount\r\nmailboxes;12.00\r\nstorage;3.40\r\n"),
        ),
        (
            ("Lena Hoffmann", "lena@example.org"),
            new().subject("Stand-up on Tuesday").text_body("See you at ten.\r\n").attachment(
                "text/calendar; method=REQUEST",
                "invite.ics",
                INVITATION,
            ),
        ),
        (
            ("Игорь Петров", "igor@example.net"),
            new().subject("Фотографии с конференции").text_body("Привет, Ана!\r\n\r\nФотографии во вложении.\r\n").attachment(
                "image/svg+xml",
                "stage.svg",
                "<svg xmlns='http://www.w3.org/2000/svg' width='80' height='40'><circle cx='40' cy='20' r='18'/></svg>",
            ),
        ),
        (
            ("Mail System", "postmaster@example.net"),
            new().subject("Delayed Mail (still being retried)").text_body("Your message to <no@example.net> waits.\r\n").attachment(
                "message/rfc822",
                "original.eml",
                "From: ana@example.com\r\nTo: no@example.net\r\nSubject: Hello?\r\n\r\nAnybody there?\r\n",
            ),
        ),
        (
            ("Rafael", "rafa@example.org"),
            new().subject("¿Comemos el jueves?").text_body("Hay un sitio nuevo en la plaza. 🍤\r\n\r\nRafa\r\n"),
        ),
        (
            ("Build", "ci@forge.example"),
            new()
                .subject("[shop] main is green again")
                .header("Auto-Submitted", Raw::new("auto-generated"))
                .text_body("All 1042 checks passed in 6 min 12 s.\r\n"),
        ),
        (
            ("Lena Hoffmann", "lena@example.org"),
            new()
                .subject("Re: Offsite in Málaga")
                .in_reply_to("demo-4@example.org")
                .references(vec!["demo-1@example.org", "demo-4@example.org"])
                .text_body("Booked! Seats 61 and 62.\r\n"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_are_a_dozen_and_each_has_its_headers() {
        let all = super::all().unwrap();
        assert_eq!(all.len(), 12);
        for message in all {
            let text = String::from_utf8_lossy(&message.bytes);
            for header in ["From: ", "To: ", "Subject: ", "Date: ", "Message-ID: "] {
                assert!(text.contains(header), "{header} in {text}");
            }
        }
    }
}
