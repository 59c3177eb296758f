//! Alerts and dashboard against what a live cluster tells: a real Prometheus scrapes three metadata nodes and two
//! front-ends while mail comes and is read; every expression must be accepted, and name only metrics, labels and values
//! that exist. And docs/metrics.md.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context, ensure};
use buzon_tests::cluster::{Cluster, Size};
use buzon_tests::http::get;
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;
use buzon_tests::process::Process;
use serde_json::Value;

use crate::OVERLAYS;
use crate::manifests::Manifests;
use crate::prometheus::Prometheus;
use crate::promql::{Selector, names};
use crate::rules::{alerts, dashboard, queries, spec};
use crate::tools::{list, repository, text};

const SIZE: Size = Size { metads: 3, frontends: 2, shards: 2 };
const USER: &str = "ana@example.org";
const PASSWORD: &str = "correct horse";

/// Metrics of others: Prometheus itself and kubelet.
const OF_OTHERS: [&str; 4] =
    ["up", "ALERTS", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"];
/// Labels that scraping adds, in this place or in Kubernetes.
const OF_TARGETS: [&str; 3] = ["namespace", "job", "instance"];
/// Panels that show nothing here: there is no kubelet.
const EMPTY_HERE: [&str; 1] = ["Free on the database's volume"];

/// Some of everything through one front-end: mail, sessions, things that go wrong.
fn work(cluster: &Cluster, front: usize) -> anyhow::Result<()> {
    let front = cluster.front(front)?;
    let replies =
        Lmtp::connect(front.lmtp)?.deliver("bo@example.net", &[USER], b"Subject: hello\r\n\r\nhello\r\n")?;
    ensure!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
    let login = |password: &str| Imap::login(front.imaps, &front.ca, USER, password);
    let mut imap = login(PASSWORD)?;
    ensure!(login("wrong").is_err(), "a wrong password");
    imap.ok("SELECT INBOX")?;
    for command in ["FETCH 1:* (FLAGS ENVELOPE)", "FETCH 1 (BODY.PEEK[])", "FETCH 1 (BODY.PEEK[])"] {
        imap.ok(command)?;
    }
    ensure!(!imap.command("SELECT nothing")?.is_ok(), "a mailbox that is not there");
    ensure!(!imap.command("NONSENSE")?.is_ok(), "a command that is not there");
    ensure!(cluster.ctl(0, &["tenant", "show", "nobody"]).is_err(), "a tenant that is not there");
    imap.ok("LOGOUT")?;
    Ok(())
}

fn address(process: &Process) -> anyhow::Result<SocketAddr> {
    Ok(text(&process.running()?, &["http"])?.parse()?)
}

/// A cluster that has worked under the eyes of a Prometheus with the alerts.
fn watched() -> anyhow::Result<(Cluster, Prometheus)> {
    let cluster = Cluster::start(SIZE)?;
    cluster.account(USER, PASSWORD)?;
    work(&cluster, 0)?;
    let processes = cluster.metads.iter().chain(&cluster.frontends);
    let targets: Vec<SocketAddr> = processes.map(address).collect::<Result<_, _>>()?;
    let prometheus = Prometheus::start(&targets, &spec()?["groups"])?;
    // Rates need some samples, and change between them.
    for times in [2, 4, 6, 8] {
        let asked = format!("count_over_time(up{{job=\"buzon\"}}[1m]) >= {times} and up == 1");
        let all = |it: &Prometheus| it.query(&asked).is_ok_and(|found| found.len() == targets.len());
        prometheus.wait(&asked, all)?;
        work(&cluster, times % SIZE.frontends)?;
        work(&cluster, (times + 1) % SIZE.frontends)?;
    }
    Ok((cluster, prometheus))
}

#[test]
fn alerts_dashboard_and_documentation_agree_with_a_live_cluster() -> anyhow::Result<()> {
    let (mut cluster, prometheus) = watched()?;
    every_name_is_known(&prometheus)?;
    panels_show_something(&prometheus)?;
    a_healthy_cluster_raises_no_alert(&prometheus)?;
    every_metric_is_documented_and_no_other(&cluster)?;
    a_group_that_has_lost_its_majority_is_seen(&mut cluster, &prometheus)
}

fn every_name_is_known(prometheus: &Prometheus) -> anyhow::Result<()> {
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
        if let Err(error) = check(prometheus, expression) {
            wrong.push(format!("{place}: {expression}\n    {error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
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

fn panels_show_something(prometheus: &Prometheus) -> anyhow::Result<()> {
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
    ensure!(empty.is_empty(), "nothing to be seen in\n{}", empty.join("\n"));
    Ok(())
}

fn a_healthy_cluster_raises_no_alert(prometheus: &Prometheus) -> anyhow::Result<()> {
    // Whether groups are in use or rest.
    prometheus.wait("every group has one leader", |it| {
        let leaders = it.query("sum by (group) (buzon_raft_leader) == 1");
        leaders.is_ok_and(|found| found.len() == SIZE.shards + 1)
    })?;
    let groups = prometheus.api("rules")?;
    let rules = list(&groups, &["groups"]).iter().flat_map(|group| list(group, &["rules"]));
    let rules: Vec<&Value> = rules.collect();
    assert_eq!(rules.len(), alerts(&spec()?).len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{}: {}", rule["name"], rule["lastError"]);
        // Pending is what a trend over some seconds may be; it has an hour to prove itself.
        assert_ne!(rule["state"], "firing", "{} with {}", rule["name"], rule["alerts"]);
    }
    Ok(())
}

/// Two of three nodes die: the alert must not believe the one that is left, whatever it thinks it leads.
fn a_group_that_has_lost_its_majority_is_seen(
    cluster: &mut Cluster,
    prometheus: &Prometheus,
) -> anyhow::Result<()> {
    let left = cluster.leader(1)?;
    for at in (0..SIZE.metads).filter(|at| *at != left) {
        cluster.metads[at].kill();
    }
    let spec = spec()?;
    let alert = alerts(&spec).into_iter().find(|it| it["alert"] == "BuzonGroupWithoutLeader");
    let expression = text(alert.context("the alert")?, &["expr"])?;
    let groups = SIZE.shards + 1;
    prometheus.wait("all groups are seen without a leader", |it| {
        it.query(expression).is_ok_and(|found| found.len() == groups)
    })
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

/// What the tables in docs/metrics.md say: `| metric | kind | labels | unit | meaning |`, by their headings.
fn documented() -> anyhow::Result<BTreeMap<String, Described>> {
    let page = std::fs::read_to_string(repository().join("docs/metrics.md"))?;
    let (mut sections, mut section) = (BTreeMap::<String, Described>::new(), String::new());
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut section);
        }
        if !line.starts_with("| `") {
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, unit, meaning] = cells[..] else { anyhow::bail!("five cells in {line}") };
        ensure!(!unit.is_empty() && meaning.len() > 10, "{name} has no unit or meaning");
        let labels = labels.split(',').map(|it| it.trim().trim_matches('`')).filter(|it| !it.is_empty());
        let described = (kind.to_owned(), labels.map(str::to_owned).collect());
        let section = sections.entry(section.clone()).or_default();
        ensure!(section.insert(name.trim_matches('`').to_owned(), described).is_none(), "{name} twice");
    }
    Ok(sections)
}

/// Each role tells what the page says of it, and all of the page is told by one of them.
fn every_metric_is_documented_and_no_other(cluster: &Cluster) -> anyhow::Result<()> {
    let documented = documented()?;
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for process in cluster.metads.iter().chain(&cluster.frontends) {
        let is_metad = cluster.metads.iter().any(|metad| std::ptr::eq(metad, process));
        let of_role = |section: &str| match section {
            "Any process" => true,
            "Metadata" => is_metad,
            _ => !is_metad,
        };
        let (code, metrics) = get(address(process)?, "/metrics")?;
        assert_eq!(code, 200);
        for (name, described) in &told(&metrics) {
            let sections = documented.iter().filter(|(section, _)| of_role(section));
            let found = sections.into_iter().find_map(|(_, section)| section.get(name));
            let found =
                found.with_context(|| format!("docs/metrics.md has no {name} for it: {described:?}"))?;
            let (kind, labels) = described;
            ensure!(*kind == found.0, "{name} is a {kind}");
            seen.entry(name.clone()).or_default().extend(labels.iter().cloned());
        }
    }
    for (name, (_, labels)) in documented.values().flatten() {
        let told =
            seen.get(name).with_context(|| format!("docs/metrics.md has {name}, which nobody tells"))?;
        assert_eq!(told, labels, "labels of {name}");
    }
    Ok(())
}
