//! Random commands as text, correct by construction: RFC 3501 and the extensions that imap-codec knows too.

use proptest::prelude::*;
use proptest::sample::select;

/// Something without the CRLF at its end; literals are non-synchronizing.
pub fn command() -> BoxedStrategy<String> {
    let mailbox_only =
        (select(vec!["DELETE", "SUBSCRIBE", "UNSUBSCRIBE", "CREATE", "SELECT", "EXAMINE"]), mailbox());
    let bare =
        select(vec!["CAPABILITY", "NOOP", "LOGOUT", "NAMESPACE", "CLOSE", "UNSELECT", "CHECK", "EXPUNGE"]);
    let lists = (select(vec!["LIST", "LSUB"]), mailbox(), pattern());
    let transfers = (select(vec!["COPY", "MOVE", "UID COPY", "UID MOVE"]), sequence_set(), mailbox());
    prop_oneof![
        bare.prop_map(str::to_owned),
        mailbox_only.prop_map(|(verb, mailbox)| format!("{verb} {mailbox}")),
        mailbox().prop_map(|mailbox| format!("SELECT {mailbox} (CONDSTORE)")),
        (mailbox(), mailbox()).prop_map(|(from, to)| format!("RENAME {from} {to}")),
        lists.prop_map(|(verb, reference, pattern)| format!("{verb} {reference} {pattern}")),
        (mailbox(), status_items()).prop_map(|(mailbox, items)| format!("STATUS {mailbox} ({items})")),
        transfers.prop_map(|(verb, set, mailbox)| format!("{verb} {set} {mailbox}")),
        sequence_set().prop_map(|set| format!("UID EXPUNGE {set}")),
        (select(vec!["FETCH", "UID FETCH"]), sequence_set(), fetch_items())
            .prop_map(|(verb, set, items)| format!("{verb} {set} {items}")),
        (sequence_set(), 1..99u64)
            .prop_map(|(set, modseq)| format!("UID FETCH {set} (FLAGS) (CHANGEDSINCE {modseq})")),
        store(),
        search(),
        (string(), string()).prop_map(|(name, value)| format!("ID ({name} {value})")),
    ]
    .boxed()
}

fn store() -> impl Strategy<Value = String> {
    let verb = select(vec!["STORE", "UID STORE"]);
    let since = select(vec!["", " (UNCHANGEDSINCE 12)", " (UNCHANGEDSINCE 0)"]);
    let item = select(vec!["FLAGS", "+FLAGS", "-FLAGS", "FLAGS.SILENT", "+flags.silent", "-FLAGS.SILENT"]);
    let flag = select(vec!["\\Seen", "\\Answered", "\\flagged", "\\Deleted", "\\Draft", "$Forwarded", "x-y"]);
    let flags = prop::collection::vec(flag, 0..4).prop_map(|flags| flags.join(" "));
    (verb, sequence_set(), since, item, flags)
        .prop_map(|(verb, set, since, item, flags)| format!("{verb} {set}{since} {item} ({flags})"))
}

fn search() -> impl Strategy<Value = String> {
    let charset = select(vec!["", " CHARSET UTF-8", " CHARSET US-ASCII"]);
    (select(vec!["SEARCH", "UID SEARCH"]), charset, prop::collection::vec(search_key(), 1..4))
        .prop_map(|(verb, charset, keys)| format!("{verb}{charset} {}", keys.join(" ")))
}

fn search_key() -> impl Strategy<Value = String> {
    let flags = select(vec![
        "ALL",
        "ANSWERED",
        "DELETED",
        "DRAFT",
        "FLAGGED",
        "NEW",
        "OLD",
        "RECENT",
        "SEEN",
        "UNANSWERED",
        "UNDELETED",
        "UNDRAFT",
        "UNFLAGGED",
        "unseen",
    ]);
    let texts = select(vec!["BCC", "BODY", "CC", "FROM", "SUBJECT", "TEXT", "TO", "HEADER x-y"]);
    let dates = select(vec!["BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE"]);
    let date = select(vec!["1-Feb-1994", "28-feb-1994", "\"31-Dec-2030\""]);
    let numbers = select(vec!["LARGER", "SMALLER", "OLDER", "YOUNGER", "MODSEQ"]);
    let leaf = prop_oneof![
        flags.prop_map(str::to_owned),
        (texts, astring()).prop_map(|(key, text)| format!("{key} {text}")),
        (dates, date).prop_map(|(key, date)| format!("{key} {date}")),
        (numbers, 1..u32::MAX).prop_map(|(key, number)| format!("{key} {number}")),
        sequence_set(),
        sequence_set().prop_map(|set| format!("UID {set}")),
        select(vec!["KEYWORD $x", "UNKEYWORD y"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |key| {
        prop_oneof![
            key.clone().prop_map(|key| format!("NOT {key}")),
            (key.clone(), key.clone()).prop_map(|(a, b)| format!("OR {a} {b}")),
            // One key alone in parentheses is the same as without them, to imap-codec.
            prop::collection::vec(key, 2..4).prop_map(|keys| format!("({})", keys.join(" "))),
        ]
    })
}

fn fetch_items() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["ALL", "FAST", "full"]).prop_map(str::to_owned),
        fetch_item(),
        prop::collection::vec(fetch_item(), 1..5).prop_map(|items| format!("({})", items.join(" "))),
    ]
}

fn fetch_item() -> impl Strategy<Value = String> {
    let simple = select(vec![
        "ENVELOPE",
        "FLAGS",
        "INTERNALDATE",
        "RFC822",
        "RFC822.HEADER",
        "RFC822.SIZE",
        "RFC822.TEXT",
        "BODY",
        "BODYSTRUCTURE",
        "uid",
        "MODSEQ",
        "BINARY.SIZE[1.2]",
        "BINARY[]",
        "BINARY.PEEK[3]<7.8>",
    ]);
    let section = select(vec![
        "",
        "TEXT",
        "HEADER",
        "1",
        "1.2.3",
        "1.MIME",
        "2.TEXT",
        "2.HEADER",
        "HEADER.FIELDS (Date \"From\")",
        "3.HEADER.FIELDS.NOT (x)",
    ]);
    let name = select(vec!["BODY", "BODY.PEEK", "body.peek"]);
    prop_oneof![
        simple.prop_map(str::to_owned),
        (name, section, select(vec!["", "<0.1>", "<5.65536>"]))
            .prop_map(|(name, section, partial)| format!("{name}[{section}]{partial}")),
    ]
}

fn status_items() -> impl Strategy<Value = String> {
    let items =
        vec!["MESSAGES", "RECENT", "UIDNEXT", "uidvalidity", "UNSEEN", "DELETED", "SIZE", "HIGHESTMODSEQ"];
    prop::sample::subsequence(items, 1..8).prop_map(|items| items.join(" "))
}

/// Ascending, with gaps: imap-codec would put it so anyway.
fn sequence_set() -> impl Strategy<Value = String> {
    (prop::collection::vec((1u32..50, 0u32..9), 1..4), any::<bool>()).prop_map(|(steps, open)| {
        let mut at = 0;
        let mut set = Vec::new();
        for (gap, length) in steps {
            let first = at + 1 + gap;
            at = first + length;
            set.push(if length == 0 { first.to_string() } else { format!("{first}:{at}") });
        }
        if open {
            set.push(format!("{}:*", at + 2));
        }
        set.join(",")
    })
}

fn mailbox() -> impl Strategy<Value = String> {
    prop_oneof![Just("INBOX".to_owned()), Just("\"Entw&APw-rfe\"".to_owned()), astring()]
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z*%/]{1,9}", "[a-z*% /]{0,9}".prop_map(|text| format!("\"{text}\""))]
}

fn astring() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9/.~!#$'+-]{1,12}", string()]
}

fn string() -> impl Strategy<Value = String> {
    let quoted =
        "[ -~]{0,12}".prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    let literal = "[ -~\r\n]{0,12}".prop_map(|text| format!("{{{}+}}\r\n{text}", text.len()));
    prop_oneof![3 => quoted, 1 => literal]
}
