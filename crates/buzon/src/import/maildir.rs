//! Finds the messages of a maildir and of its Maildir++ subfolders (`.Sent`, `.Lists.rust`), with their flags.
//!
//! `:2,FS` after the name are flags; `dovecot-keywords` beside `cur` says what the letters `a`–`z` mean.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::item::Item;

/// A message file and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Planned {
    pub(super) mailbox: String,
    pub(super) path: PathBuf,
}

/// All messages: by mailbox, then in the order of their unique names, which begin with the time of delivery.
///
/// # Errors
/// If it is no maildir or cannot be listed.
pub(super) fn plan(top: &Path, mailbox: &str) -> anyhow::Result<Vec<Planned>> {
    ensure!(
        top.join("cur").is_dir() && top.join("new").is_dir(),
        "{} is no maildir: cur and new are not there",
        top.display()
    );
    let mut planned = messages(top, mailbox)?;
    for entry in fs::read_dir(top).with_context(|| format!("list {}", top.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if let Some(levels) =
            name.strip_prefix('.').filter(|rest| !rest.is_empty() && path.join("cur").is_dir())
        {
            planned.extend(messages(&path, &folder_name(levels, mailbox))?);
        }
    }
    planned.sort();
    Ok(planned)
}

/// `Lists.rust` → `Lists/rust`; below `mailbox` unless that is INBOX. Names are in modified UTF-7.
fn folder_name(levels: &str, mailbox: &str) -> String {
    let levels: Vec<String> = levels
        .split('.')
        .map(|level| buzon_imap::utf7::decode(level).unwrap_or_else(|_| level.to_owned()))
        .collect();
    let name = levels.join("/");
    if mailbox.eq_ignore_ascii_case("INBOX") { name } else { format!("{mailbox}/{name}") }
}

fn messages(folder: &Path, mailbox: &str) -> anyhow::Result<Vec<Planned>> {
    let mut found = Vec::new();
    for part in ["cur", "new"] {
        let dir = folder.join(part);
        for entry in fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
            let entry = entry?;
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !hidden && entry.file_type()?.is_file() {
                found.push(Planned { mailbox: mailbox.to_owned(), path: entry.path() });
            }
        }
    }
    Ok(found)
}

/// Reads one; `None` if it is gone since the plan was made.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read(planned: &Planned) -> anyhow::Result<Option<Item>> {
    let message = match fs::read(&planned.path) {
        Ok(message) => message,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", planned.path.display())),
    };
    let modified = fs::metadata(&planned.path)?.modified()?;
    let date = modified.duration_since(UNIX_EPOCH).ok().and_then(|age| i64::try_from(age.as_secs()).ok());
    Ok(Some(Item { mailbox: planned.mailbox.clone(), flags: flags(&planned.path), date, message }))
}

fn flags(path: &Path) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((_, letters)) = name.rsplit_once(":2,") else { return Vec::new() };
    let keywords = path.parent().and_then(Path::parent).map(keywords).unwrap_or_default();
    let flag = |letter: char| match letter {
        'D' => Some("\\Draft".to_owned()),
        'F' => Some("\\Flagged".to_owned()),
        'P' => Some("$Forwarded".to_owned()),
        'R' => Some("\\Answered".to_owned()),
        'S' => Some("\\Seen".to_owned()),
        'T' => Some("\\Deleted".to_owned()),
        'a'..='z' => keywords.get(letter as usize - 'a' as usize).filter(|name| !name.is_empty()).cloned(),
        _ => None,
    };
    letters.chars().filter_map(flag).collect()
}

/// Lines like `0 $Junk`.
fn keywords(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("dovecot-keywords")).unwrap_or_default();
    let mut names = vec![String::new(); 26];
    for (number, name) in text.lines().filter_map(|line| line.split_once(' ')) {
        if let Some(slot) = number.parse::<usize>().ok().and_then(|at| names.get_mut(at)) {
            *slot = name.trim().to_owned();
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_flags_and_keywords_are_found() {
        let top = tempfile::tempdir().unwrap();
        for folder in ["", ".Sent", ".B&APw-cher.alt"] {
            for part in ["cur", "new", "tmp"] {
                fs::create_dir_all(top.path().join(folder).join(part)).unwrap();
            }
        }
        fs::write(top.path().join("dovecot-keywords"), "0 $Junk\n1 work\n").unwrap();
        fs::write(top.path().join("cur/2.x:2,FSb"), "two").unwrap();
        fs::write(top.path().join("new/1.x"), "one").unwrap();
        fs::write(top.path().join(".Sent/cur/3.x:2,RZ"), "three").unwrap();
        fs::write(top.path().join(".B&APw-cher.alt/cur/4.x:2,"), "four").unwrap();
        let plan = plan(top.path(), "INBOX").unwrap();
        let items: Vec<Item> = plan.iter().map(|it| read(it).unwrap().unwrap()).collect();
        let seen: Vec<(&str, Vec<&str>)> = items
            .iter()
            .map(|it| (it.mailbox.as_str(), it.flags.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            seen,
            [
                ("Bücher/alt", vec![]),
                ("INBOX", vec!["\\Flagged", "\\Seen", "work"]),
                ("INBOX", vec![]),
                ("Sent", vec!["\\Answered"]),
            ]
        );
        assert!(super::plan(&top.path().join("cur"), "INBOX").is_err());
    }
}
