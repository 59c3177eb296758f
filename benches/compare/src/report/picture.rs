//! The picture: for each row a bar of each server's processor time against the reference, on a logarithmic scale; left of the line
//! is cheaper. SVG, so that it needs no tool to be drawn and no font to be read.

use std::fmt::Write as _;

use crate::operation::Goal;
use crate::report::Report;

const WIDTH: f64 = 1040.0;
/// Where bars begin and how far a factor of ten reaches.
const LEFT: f64 = 430.0;
const MIDDLE: f64 = 720.0;
const DECADE: f64 = 140.0;
const BAR: f64 = 11.0;
const GAP: f64 = 14.0;
const TOP: f64 = 74.0;
const COLOURS: [&str; 5] = ["#1f6feb", "#2da44e", "#bf8700", "#8250df", "#b0b8c1"];

/// The whole picture.
pub(super) fn draw(report: &Report) -> String {
    let mut names: Vec<&str> = Vec::new();
    let (mut bars, mut y) = (String::new(), TOP);
    for outcome in &report.rows {
        let compared: Vec<_> = outcome
            .servers
            .iter()
            .filter_map(|it| Some((it.server.as_str(), it.ratio.as_ref()?.cpu?)))
            .collect();
        // What is opened to be held is about memory.
        let is_of_memory = outcome.row.goals.iter().any(|goal| matches!(goal, Goal::Kib(_)));
        if compared.is_empty() || is_of_memory {
            continue;
        }
        let centre = y + BAR * compared.len() as f64 / 2.0 + 4.0;
        let _ = writeln!(
            bars,
            "<text x=\"{:.0}\" y=\"{centre:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 12.0,
            escape(&outcome.row.what)
        );
        for (server, cpu) in compared {
            let at = names.iter().position(|name| *name == server).unwrap_or_else(|| {
                names.push(server);
                names.len() - 1
            });
            let end = (MIDDLE + cpu.log10() * DECADE).clamp(LEFT, WIDTH - 50.0);
            let (from, to) = (end.min(MIDDLE), end.max(MIDDLE));
            let _ = writeln!(
                bars,
                "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\" {}>{cpu:.2}</text>",
                (to - from).max(1.0),
                BAR - 2.0,
                colour(at),
                if cpu < 1.0 { from - 4.0 } else { to + 4.0 },
                y + BAR - 3.0,
                if cpu < 1.0 { "text-anchor=\"end\"" } else { "" },
            );
            y += BAR;
        }
        y += GAP;
    }
    frame(report, &names, &bars, y)
}

fn frame(report: &Report, names: &[&str], bars: &str, height: f64) -> String {
    let reference =
        report.servers.iter().map(|about| about.server.as_str()).find(|name| name.starts_with("dovecot"));
    let mut legend = String::new();
    for (at, name) in names.iter().enumerate() {
        let x = 20.0 + at as f64 * 170.0;
        let _ = write!(
            legend,
            "<rect x=\"{x}\" y=\"44\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"54\">{name}</text>",
            colour(at),
            x + 18.0
        );
    }
    let build = if report.is_release { "" } else { " · DEBUG BUILD" };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{total:.0}\" \
         viewBox=\"0 0 {WIDTH} {total:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"26\" font-size=\"16\">Processor time of the whole server for one operation, against {reference} = 1 \
         (logarithmic, left is cheaper)</text>\n{legend}\n\
         <line x1=\"{MIDDLE}\" y1=\"{TOP}\" x2=\"{MIDDLE}\" y2=\"{height:.0}\" stroke=\"black\"/>\n{bars}\
         <text x=\"20\" y=\"{foot:.0}\" font-size=\"10\">{date} · {cores} cores {processor} · {security} · scale {scale}{build}</text>\n\
         </svg>\n",
        total = height + 30.0,
        foot = height + 18.0,
        reference = reference.unwrap_or("nothing"),
        date = report.date,
        cores = report.machine.cores,
        processor = escape(&report.machine.processor),
        security = report.security,
        scale = report.scale.name,
    )
}

fn colour(at: usize) -> &'static str {
    COLOURS[at % COLOURS.len()]
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
