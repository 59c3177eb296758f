//! What a PromQL expression names: metrics with their matchers, and labels it groups by. Whether it is well-formed is
//! for Prometheus to say; this only has to find the names.

use std::collections::BTreeSet;

/// A metric and its matchers: label, operator, value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    pub(crate) matchers: Vec<(String, String, String)>,
}

/// What stands in an expression.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) selectors: Vec<Selector>,
    /// In `by (…)`, `on (…)` and the like.
    pub(crate) grouped_by: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// Words that a list of labels follows.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 7] = ["and", "or", "unless", "bool", "offset", "inf", "nan"];

/// Finds the names.
pub(crate) fn names(expression: &str) -> Names {
    let tokens = tokens(expression);
    let mut names = Names::default();
    let mut at = 0;
    while at < tokens.len() {
        let Token::Word(word) = &tokens[at] else {
            at += 1;
            continue;
        };
        let next = tokens.get(at + 1);
        if BEFORE_LABELS.contains(&word.as_str()) {
            at += 1;
            while at < tokens.len() && tokens[at] != Token::Sign(')') {
                if let Token::Word(label) = &tokens[at] {
                    names.grouped_by.insert(label.clone());
                }
                at += 1;
            }
        } else if next == Some(&Token::Sign('{')) {
            let end =
                tokens[at..].iter().position(|it| *it == Token::Sign('}')).map_or(tokens.len(), |it| at + it);
            names.selectors.push(Selector { metric: word.clone(), matchers: matchers(&tokens[at + 2..end]) });
            at = end;
        } else if !is_function(next) && !OPERATORS.contains(&word.to_lowercase().as_str()) {
            names.selectors.push(Selector { metric: word.clone(), matchers: Vec::new() });
        }
        at += 1;
    }
    names
}

/// A function's arguments follow, or what an aggregation groups by.
fn is_function(next: Option<&Token>) -> bool {
    match next {
        Some(Token::Sign(sign)) => *sign == '(',
        Some(Token::Word(word)) => word == "by" || word == "without",
        _ => false,
    }
}

/// `label="value",other=~"value"`.
fn matchers(tokens: &[Token]) -> Vec<(String, String, String)> {
    let mut matchers = Vec::new();
    for matcher in tokens.split(|token| *token == Token::Sign(',')) {
        let [Token::Word(label), operator @ .., Token::Text(value)] = matcher else { continue };
        let operator =
            operator.iter().filter_map(|it| if let Token::Sign(sign) = it { Some(*sign) } else { None });
        matchers.push((label.clone(), operator.collect(), value.clone()));
    }
    matchers
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression.chars().peekable();
    while let Some(first) = rest.next() {
        let mut take_while = |wanted: fn(char) -> bool| {
            let mut taken = String::new();
            while let Some(&next) = rest.peek().filter(|&&next| wanted(next)) {
                taken.push(next);
                rest.next();
            }
            taken
        };
        match first {
            '"' => {
                tokens.push(Token::Text(take_while(|it| it != '"')));
                rest.next();
            }
            '[' => drop(take_while(|it| it != ']')), // a time
            it if it.is_ascii_digit() => drop(take_while(|it| it.is_ascii_alphanumeric() || it == '.')),
            it if it.is_ascii_alphabetic() || it == '_' => {
                tokens.push(Token::Word(format!(
                    "{it}{}",
                    take_while(|it| it.is_ascii_alphanumeric() || "_:".contains(it))
                )));
            }
            it if it.is_whitespace() => {}
            it => tokens.push(Token::Sign(it)),
        }
    }
    tokens
}

#[test]
fn names_are_found_in_all_their_places() {
    let found = names(
        r#"max by (group, le) (rate(a_b{x="1,}",y=~"z|w"}[5m])) > 0.05 or c - on (group) group_right () d > 3 * 86400 and absent(e)"#,
    );
    let plain = |metric: &str| Selector { metric: metric.into(), matchers: Vec::new() };
    let matcher = |label: &str, operator: &str, value: &str| (label.into(), operator.into(), value.into());
    let first = Selector {
        metric: "a_b".into(),
        matchers: vec![matcher("x", "=", "1,}"), matcher("y", "=~", "z|w")],
    };
    assert_eq!(found.selectors, [first, plain("c"), plain("d"), plain("e")]);
    assert_eq!(found.grouped_by, ["group", "le"].map(str::to_owned).into());
}
