//! What a command prints: rows for people, JSON for scripts.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Rows with named columns, or one such row told top-down.
#[derive(Debug)]
pub(super) enum Output {
    /// A table.
    Rows(&'static [&'static str], Vec<Vec<Value>>),
    /// One thing.
    One(Vec<(&'static str, Value)>),
    /// It was done; for scripts `{}`.
    Done(String),
}

impl Output {
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let text = if json { serde_json::to_string_pretty(&self.json())? } else { self.text() };
        println!("{}", text.trim_end());
        Ok(())
    }

    fn json(&self) -> Value {
        match self {
            Self::Rows(columns, rows) => rows
                .iter()
                .map(|row| {
                    columns.iter().map(|it| (*it).to_owned()).zip(row.iter().cloned()).collect::<Map<_, _>>()
                })
                .map(Value::Object)
                .collect(),
            Self::One(fields) => Value::Object(
                fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            ),
            Self::Done(_) => Value::Object(Map::new()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Rows(columns, rows) => table(columns, rows),
            Self::One(fields) => {
                let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
                fields.iter().fold(String::new(), |mut text, (name, value)| {
                    let _ = writeln!(text, "{:width$} {}", format!("{name}:"), cell(value));
                    text
                })
            }
            Self::Done(text) => text.clone(),
        }
    }
}

fn table(columns: &[&str], rows: &[Vec<Value>]) -> String {
    let cells: Vec<Vec<String>> = std::iter::once(columns.iter().map(|name| name.to_uppercase()).collect())
        .chain(rows.iter().map(|row| row.iter().map(cell).collect()))
        .collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &cells {
        let mut line = String::new();
        for (at, value) in row.iter().enumerate() {
            let right = rows.first().is_some_and(|first| first[at].is_number());
            let pad = " ".repeat(widths[at] - value.chars().count());
            let _ = if right { write!(line, "{pad}{value}  ") } else { write!(line, "{value}{pad}  ") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Milliseconds since 1970 as RFC 3339.
pub(super) fn time(milliseconds: i64) -> Value {
    let time = jiff::Timestamp::from_millisecond(milliseconds).ok();
    time.map_or(Value::Null, |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_line_up_and_json_keeps_types() {
        let rows = Output::Rows(
            &["name", "size"],
            vec![vec![json!("a"), json!(5)], vec![json!("bücher"), json!(1234)]],
        );
        assert_eq!(rows.text(), "NAME    SIZE\na          5\nbücher  1234\n");
        assert_eq!(rows.json()[1], json!({"name": "bücher", "size": 1234}));
        let one = Output::One(vec![("id", json!(7)), ("aliases", json!(["x", "y"])), ("quota", Value::Null)]);
        assert_eq!(one.text(), "id:      7\naliases: x, y\nquota:   -\n");
    }
}
