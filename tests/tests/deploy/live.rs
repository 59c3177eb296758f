//! Alerts and dashboard against what a live server tells: a real Prometheus scrapes it while mail comes and is read;
//! every expression must be accepted, and name only metrics, labels and values that exist. And docs/metrics.md.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;
use buzon_tests::server::{Server, Start};
use serde_json::Value;

use crate::OVERLAYS;
use crate::manifests::Manifests;
use crate::prometheus::Prometheus;
use crate::promql::{Selector, names};
use crate::rules::{alerts, dashboard, queries, spec};
use crate::tools::{list, repository, text};

const USER: &str = "ana@example.org";
const PASSWORD: &str = "correct horse";

/// Metrics of others: Prometheus itself and kubelet.
const OF_OTHERS: [&str; 4] =
    ["up", "ALERTS", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"];
/// Labels that scraping adds, in this place or in Kubernetes.
const OF_TARGETS: [&str; 3] = ["namespace", "job", "instance"];
/// Metrics that no server tells yet: the quarantine of replicas is not built. An alert and a panel wait for it.
const NOT_YET: [&str; 1] = ["buzon_raft_quarantined"];
/// Panels that show nothing here: there is no kubelet.
const EMPTY_HERE: [&str; 2] = ["Free on the database's volume", "Quarantined"];

/// Some of everything: mail, sessions, things that go wrong.
fn work(server: &Server) -> anyhow::Result<()> {
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    let replies = lmtp.deliver("bo@example.net", &[USER], b"Subject: hello\r\n\r\nhello\r\n")?;
    ensure!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
    let login = |password: &str| Imap::login(server.address("imaps"), &server.ca(), USER, password);
    let mut imap = login(PASSWORD)?;
    ensure!(login("wrong").is_err(), "a wrong password");
    imap.ok("SELECT INBOX")?;
    for command in ["FETCH 1:* (FLAGS ENVELOPE)", "FETCH 1 (BODY.PEEK[])", "FETCH 1 (BODY.PEEK[])"] {
        imap.ok(command)?;
    }
    ensure!(!imap.command("SELECT nothing")?.is_ok(), "a mailbox that is not there");
    ensure!(!imap.command("NONSENSE")?.is_ok(), "a command that is not there");
    ensure!(server.ctl(&["tenant", "show", "nobody"]).is_err(), "a tenant that is not there");
    imap.ok("LOGOUT")?;
    Ok(())
}

/// A server that has worked under the eyes of a Prometheus with the alerts.
fn watched() -> anyhow::Result<(Server, Prometheus)> {
    let server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    work(&server)?;
    let prometheus = Prometheus::start(&[server.address("http")], &spec()?["groups"])?;
    let scraped = |times: usize| format!("count_over_time(up{{job=\"buzon\"}}[1m]) >= {times} and up == 1");
    // Rates need some samples, and change between them.
    for times in [2, 4, 6] {
        let asked = scraped(times);
        prometheus.wait(&asked, |it| it.query(&asked).is_ok_and(|found| !found.is_empty()))?;
        work(&server)?;
    }
    let asked = scraped(8);
    prometheus.wait(&asked, |it| it.query(&asked).is_ok_and(|found| !found.is_empty()))?;
    Ok((server, prometheus))
}

#[test]
fn alerts_and_dashboard_name_only_what_a_live_server_tells() -> anyhow::Result<()> {
    let (server, prometheus) = watched()?;
    let spec = spec()?;
    let mut all: Vec<(String, String)> = queries(&dashboard()?);
    for alert in alerts(&spec) {
        all.push((text(alert, &["alert"])?.to_owned(), text(alert, &["expr"])?.to_owned()));
    }
    for overlay in OVERLAYS {
        all.push((format!("autoscaler of {overlay}"), autoscaled_by(overlay)?));
    }
    let mut wrong = Vec::new();
    for (place, expression) in &all {
        if let Err(error) = check(&prometheus, expression) {
            wrong.push(format!("{place}: {expression}\n    {error:#}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    drop(server);
    Ok(())
}

/// The metric that decides how many front-ends there are.
fn autoscaled_by(overlay: &'static str) -> anyhow::Result<String> {
    let manifests = Manifests::of(overlay)?;
    let scaler = manifests.named("HorizontalPodAutoscaler", "frontend")?;
    let metric = list(scaler, &["spec", "metrics"]).iter().find(|it| it["type"] == "Pods");
    Ok(text(metric.context("a metric of pods")?, &["pods", "metric", "name"])?.to_owned())
}

/// Prometheus takes it, and each of its names is known.
fn check(prometheus: &Prometheus, expression: &str) -> anyhow::Result<()> {
    prometheus.query(expression)?;
    let names = names(expression);
    ensure!(!names.selectors.is_empty(), "it asks for nothing");
    let mut labels: BTreeSet<String> = OF_TARGETS.map(str::to_owned).into();
    for selector in &names.selectors {
        if OF_OTHERS.contains(&selector.metric.as_str()) {
            continue;
        }
        labels.extend(labels_of(prometheus, selector)?);
    }
    let unknown: Vec<&String> = names.grouped_by.difference(&labels).collect();
    ensure!(unknown.is_empty(), "nothing has the labels {unknown:?}");
    Ok(())
}

/// The labels of a metric's series; its matchers name some of them, and values that occur.
fn labels_of(prometheus: &Prometheus, selector: &Selector) -> anyhow::Result<BTreeSet<String>> {
    let metric = &selector.metric;
    let series = prometheus.query(metric)?;
    if NOT_YET.contains(&metric.as_str()) {
        ensure!(series.is_empty(), "{metric} is there: strike it from NOT_YET and document it");
        return Ok(selector.matchers.iter().map(|(label, _, _)| label.clone()).collect());
    }
    ensure!(!series.is_empty(), "no metric {metric}");
    let labels: BTreeSet<String> =
        series.iter().filter_map(|it| it["metric"].as_object()).flat_map(|it| it.keys().cloned()).collect();
    for (label, operator, value) in &selector.matchers {
        ensure!(
            labels.contains(label) || OF_TARGETS.contains(&label.as_str()),
            "{metric} has no label {label}, only {labels:?}"
        );
        if operator == "=" {
            ensure!(
                series.iter().any(|it| it["metric"][label] == **value),
                "{metric} never has {label}={value:?}"
            );
        }
    }
    Ok(labels)
}

#[test]
fn panels_show_something_and_a_healthy_server_raises_no_alert() -> anyhow::Result<()> {
    let (_server, prometheus) = watched()?;
    let mut empty = Vec::new();
    for (title, expression) in queries(&dashboard()?) {
        let is_annotation = title == "Restarts"; // there was none
        if prometheus.query(&expression)?.is_empty()
            && !is_annotation
            && !EMPTY_HERE.contains(&title.as_str())
        {
            empty.push(format!("{title}: {expression}"));
        }
    }
    assert!(empty.is_empty(), "nothing to be seen in\n{}", empty.join("\n"));
    let groups = prometheus.api("rules")?;
    let rules: Vec<&Value> =
        list(&groups, &["groups"]).iter().flat_map(|group| list(group, &["rules"])).collect();
    assert_eq!(rules.len(), alerts(&spec()?).len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{}: {}", rule["name"], rule["lastError"]);
        assert_eq!(rule["state"], "inactive", "{} with {}", rule["name"], rule["alerts"]);
    }
    Ok(())
}

/// Name, kind and labels of a metric.
type Described = BTreeMap<String, (String, BTreeSet<String>)>;

/// What `/metrics` tells.
fn told(metrics: &str) -> Described {
    let mut told = Described::new();
    for line in metrics.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' ')) {
            told.entry(name.to_owned()).or_default().0 = kind.to_owned();
        } else if !line.starts_with('#') {
            let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
            let found = names(series).selectors;
            let Some(selector) = found.first() else { continue };
            let parts = ["_bucket", "_sum", "_count"];
            let family = parts
                .iter()
                .find_map(|part| selector.metric.strip_suffix(part).filter(|it| told.contains_key(*it)));
            let family = family.unwrap_or(&selector.metric).to_owned();
            let labels = selector.matchers.iter().map(|(label, _, _)| label.clone()).filter(|it| it != "le");
            told.entry(family).or_default().1.extend(labels);
        }
    }
    told
}

/// What the table in docs/metrics.md says: `| metric | kind | labels | unit | meaning |`.
fn documented() -> anyhow::Result<Described> {
    let page = std::fs::read_to_string(repository().join("docs/metrics.md"))?;
    let mut documented = Described::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, unit, meaning] = cells[..] else { anyhow::bail!("five cells in {line}") };
        ensure!(!unit.is_empty() && meaning.len() > 10, "{name} has no unit or meaning");
        let labels = labels.split(',').map(|it| it.trim().trim_matches('`')).filter(|it| !it.is_empty());
        let described = (kind.to_owned(), labels.map(str::to_owned).collect());
        ensure!(documented.insert(name.trim_matches('`').to_owned(), described).is_none(), "{name} twice");
    }
    Ok(documented)
}

#[test]
fn every_metric_of_a_live_server_is_documented_and_no_other() -> anyhow::Result<()> {
    let server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    work(&server)?;
    let (code, metrics) = server.http("/metrics")?;
    assert_eq!(code, 200);
    let (told, documented) = (told(&metrics), documented()?);
    for (name, described) in &told {
        let found =
            documented.get(name).with_context(|| format!("docs/metrics.md has no {name}: {described:?}"))?;
        assert_eq!(found, described, "{name}");
    }
    let gone: Vec<&String> = documented.keys().filter(|name| !told.contains_key(*name)).collect();
    assert!(gone.is_empty(), "docs/metrics.md has what no server tells: {gone:?}");
    Ok(())
}
