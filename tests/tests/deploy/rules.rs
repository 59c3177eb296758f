//! The alerts: what promtool says of them, that each is tried, and that each tells what to do. And the dashboard's form.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::tools::{at, documents, kustomize_dir, list, output_of, text};

/// `spec` of the PrometheusRule: a rules file.
pub(crate) fn spec() -> anyhow::Result<Value> {
    let yaml = std::fs::read_to_string(kustomize_dir().join("components/monitoring/rules.yaml"))?;
    let [rules] = &documents(&yaml)?[..] else { anyhow::bail!("one document") };
    Ok(rules["spec"].clone())
}

/// The dashboard.
pub(crate) fn dashboard() -> anyhow::Result<Value> {
    let json = std::fs::read_to_string(kustomize_dir().join("components/monitoring/buzon.json"))?;
    Ok(serde_json::from_str(&json)?)
}

/// Every alert, in order.
pub(crate) fn alerts(spec: &Value) -> Vec<&Value> {
    list(spec, &["groups"]).iter().flat_map(|group| list(group, &["rules"])).collect()
}

#[test]
fn alerts_are_valid_and_fire_when_they_must_and_only_then() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("spec.yaml"), spec()?.to_string())?; // JSON is YAML
    let tests = std::fs::read_to_string(kustomize_dir().join("components/monitoring/rules.test.yaml"))?;
    std::fs::write(folder.path().join("rules.test.yaml"), &tests)?;
    let promtool = |arguments: &[&str]| {
        output_of(Command::new("promtool").args(arguments).current_dir(folder.path()), "")
            .context("promtool: run `cargo xtask test` once if it is missing")
    };
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", "spec.yaml"])?;
    promtool(&["test", "rules", "rules.test.yaml"])?;
    every_alert_is_tried_both_ways(&tests)
}

fn every_alert_is_tried_both_ways(tests: &str) -> anyhow::Result<()> {
    let [tests] = &documents(tests)?[..] else { anyhow::bail!("one document") };
    let mut tried: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for case in list(tests, &["tests"]).iter().flat_map(|test| list(test, &["promql_expr_test"])) {
        let asked = text(case, &["expr"])?;
        let fires = !list(case, &["exp_samples"]).is_empty();
        let name = asked.split('"').nth(1).with_context(|| format!("an alert in {asked}"))?;
        tried.entry(name.to_owned()).or_default().insert(fires);
    }
    for alert in alerts(&spec()?) {
        let name = text(alert, &["alert"])?;
        assert_eq!(tried.get(name), Some(&BTreeSet::from([false, true])), "{name}: fires, and does not");
    }
    Ok(())
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() -> anyhow::Result<()> {
    let spec = spec()?;
    let mut names = BTreeSet::new();
    for alert in alerts(&spec) {
        let name = text(alert, &["alert"])?;
        ensure!(names.insert(name), "{name} twice");
        ensure!(["critical", "warning"].contains(&text(alert, &["labels", "severity"])?), "{name}");
        for annotation in ["summary", "description", "runbook"] {
            let said = text(alert, &["annotations", annotation]).context(name.to_owned())?;
            ensure!(said.len() > 20, "{name}: {annotation} says {said:?}");
        }
    }
    Ok(())
}

/// Queries of a dashboard, with where they stand. Variables are those of a panel over the last minutes.
pub(crate) fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let plain = |expression: &str| expression.replace("$namespace", ".*").replace("$__rate_interval", "15s");
    let mut queries = Vec::new();
    for panel in list(dashboard, &["panels"]) {
        for target in list(panel, &["targets"]) {
            let expression = target["expr"].as_str().unwrap_or_default();
            queries.push((panel["title"].as_str().unwrap_or_default().to_owned(), plain(expression)));
        }
    }
    for annotation in list(dashboard, &["annotations", "list"]) {
        let expression = annotation["expr"].as_str().unwrap_or_default();
        queries.push((annotation["name"].as_str().unwrap_or_default().to_owned(), plain(expression)));
    }
    queries
}

#[test]
fn panels_have_names_units_places_of_their_own_and_the_chosen_data_source() -> anyhow::Result<()> {
    let dashboard = dashboard()?;
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard, &["panels"]) {
        let title = text(panel, &["title"])?;
        ensure!(ids.insert(panel["id"].as_u64().context("an id")?), "{title}: an id twice");
        let place =
            |key: &str| at(panel, &["gridPos", key]).as_u64().with_context(|| format!("{title}: {key}"));
        let (x, y, wide, high) = (place("x")?, place("y")?, place("w")?, place("h")?);
        ensure!(x + wide <= 24, "{title} is wider than the page");
        for cell in (x..x + wide).flat_map(|x| (y..y + high).map(move |y| (x, y))) {
            ensure!(taken.insert(cell), "{title} lies over another at {cell:?}");
        }
        if panel["type"] == "row" {
            continue;
        }
        ensure!(text(panel, &["description"])?.len() > 5, "{title} is not explained");
        ensure!(!text(panel, &["fieldConfig", "defaults", "unit"])?.is_empty(), "{title} has no unit");
        assert_eq!(at(panel, &["datasource", "uid"]), "${datasource}", "{title}");
        let targets = list(panel, &["targets"]);
        ensure!(!targets.is_empty(), "{title} shows nothing");
        let references: BTreeSet<&str> = targets.iter().filter_map(|it| it["refId"].as_str()).collect();
        assert_eq!(references.len(), targets.len(), "{title}: queries of one name");
    }
    for (title, expression) in queries(&dashboard) {
        ensure!(
            !expression.contains('$'),
            "{title}: a variable that the dashboard does not have: {expression}"
        );
    }
    Ok(())
}
