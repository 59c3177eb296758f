//! Header keys that the fields of cached summaries decide: they become sets, and what is not found is never read.

use buzon_message::search::Needle;
use buzon_types::uid_set::UidSet;

use super::compile::{All, Key, Sets};
use crate::ctx::Ctx;
use crate::rescue::CommandError;
use crate::summaries::HeaderMatches;

/// Runs of all sets together, those of the messages that are searched counted for each key: working with so many takes
/// some milliseconds. Keys beyond are decided message by message.
const RUNS_MAX: usize = 200_000;

/// The keys, with sets for as much as is known of `among`, which are the messages that are still searched. `None` if nothing
/// is.
pub(super) async fn decide(ctx: &Ctx, key: &Key, among: &UidSet) -> Result<Option<Key>, CommandError> {
    let mut leaves = Vec::new();
    collect(key, &mut leaves);
    let mailbox = ctx.selected()?.key;
    let (mut told, mut runs) = (Vec::with_capacity(leaves.len()), 0);
    for (name, needle) in leaves {
        runs += among.run_count();
        if runs > RUNS_MAX {
            break;
        }
        let matches = ctx.services.summaries.search_header(mailbox, among, name, needle).await;
        runs += matches.found.run_count() + matches.open.run_count();
        told.push(matches);
    }
    if told.iter().all(|matches| matches.open == *among) {
        return Ok(None);
    }
    let mut deciding = Deciding { told: told.into_iter(), sets: Sets { present: among.clone() } };
    Ok(Some(deciding.key(key)))
}

/// In the order in which [`Deciding::key`] comes by them.
fn collect<'a>(key: &'a Key, leaves: &mut Vec<(&'a str, &'a Needle)>) {
    match key {
        Key::And(keys) => keys.iter().for_each(|key| collect(key, leaves)),
        Key::Or(both) => [&both.0, &both.1].into_iter().for_each(|key| collect(key, leaves)),
        Key::Not(key) => collect(key, leaves),
        Key::Header(name, needle) => leaves.push((name, needle)),
        _ => {}
    }
}

struct Deciding {
    told: std::vec::IntoIter<HeaderMatches>,
    sets: Sets,
}

impl Deciding {
    fn key(&mut self, key: &Key) -> Key {
        match key {
            Key::And(keys) => {
                let mut all = All::default();
                keys.iter().for_each(|key| all.add(self.key(key)));
                all.into_key()
            }
            Key::Or(both) => {
                let (one, two) = (self.key(&both.0), self.key(&both.1));
                self.sets.either(one, two)
            }
            Key::Not(key) => {
                let key = self.key(key);
                self.sets.not(key)
            }
            Key::Header(..) => match self.told.next() {
                Some(HeaderMatches { found, open }) if open.is_empty() => Key::In(found),
                Some(HeaderMatches { found, open }) => {
                    let open = Key::And(vec![Key::In(open), key.clone()]);
                    Key::Or(Box::new((Key::In(found), open)))
                }
                None => key.clone(),
            },
            other => other.clone(),
        }
    }
}
