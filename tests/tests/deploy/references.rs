//! What a manifest names must be there: ConfigMaps, Secrets, accounts, ports, pods that a selector means, and names in
//! certificates for every address that is connected to.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::OVERLAYS;
use crate::manifests::{Manifests, Pod};
use crate::settings::Settings;
use crate::tools::{at, documents, list, text};

/// Secrets that an operator makes; deploy/README.md tells how.
const MADE_BY_OPERATORS: [&str; 2] = ["admin-token", "object-store"];

/// Every value below `value` whose key is `key`.
fn everywhere<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.push(value);
                }
                everywhere(value, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| everywhere(item, key, found)),
        _ => {}
    }
}

/// Names in references like `configMapRef: { name }` that may not be missing.
fn names(pods: &[Pod], references: &[&str], field: &str) -> BTreeSet<String> {
    let mut found = Vec::new();
    for reference in references {
        pods.iter().for_each(|pod| everywhere(&pod.spec, reference, &mut found));
    }
    let needed = found.into_iter().filter(|it| it["optional"] != true);
    needed.filter_map(|it| it[field].as_str()).map(str::to_owned).collect()
}

fn made(manifests: &Manifests, kind: &'static str) -> BTreeSet<String> {
    manifests.kind(kind).filter_map(|it| it["metadata"]["name"].as_str()).map(str::to_owned).collect()
}

#[test]
fn config_maps_secrets_and_accounts_exist() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let pods = manifests.pods();
        let config_maps = &names(&pods, &["configMap", "configMapRef", "configMapKeyRef"], "name")
            - &made(&manifests, "ConfigMap");
        assert!(config_maps.is_empty(), "{overlay}: no ConfigMap {config_maps:?}");
        let accounts: BTreeSet<String> =
            pods.iter().filter_map(|pod| Some(pod.spec["serviceAccountName"].as_str()?.to_owned())).collect();
        assert_eq!(accounts, made(&manifests, "ServiceAccount"), "{overlay}");

        let mut secrets = names(&pods, &["secretRef", "secretKeyRef"], "name");
        secrets.extend(names(&pods, &["secret"], "secretName"));
        for certificate in manifests.kind("Certificate") {
            secrets.remove(text(certificate, &["spec", "secretName"])?);
        }
        let own = made(&manifests, "Secret");
        let missing: BTreeSet<&str> =
            secrets.iter().map(String::as_str).filter(|it| !own.contains(*it)).collect();
        if overlay.ends_with("production") {
            assert!(own.is_empty(), "secrets in the tree: {own:?}");
            assert_eq!(missing, BTreeSet::from(MADE_BY_OPERATORS));
        } else {
            assert!(missing.is_empty(), "{overlay}: no Secret {missing:?}");
        }
    }
    Ok(())
}

#[test]
fn services_and_probes_name_ports_that_exist() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let pods = manifests.pods();
        for service in manifests.kind("Service") {
            let selector = serde_json::json!({ "matchLabels": at(service, &["spec", "selector"]) });
            let pod = pods.iter().find(|pod| pod.is_selected_by(&selector));
            let pod =
                pod.with_context(|| format!("{overlay}: nobody serves {}", service["metadata"]["name"]))?;
            for port in list(service, &["spec", "ports"]) {
                check_port(pod, &port["targetPort"])?;
            }
        }
        for pod in &pods {
            for container in pod.containers() {
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    for kind in ["httpGet", "tcpSocket"] {
                        let port = at(container, &[probe, kind, "port"]);
                        if !port.is_null() {
                            check_port(pod, port)?;
                        }
                    }
                }
            }
        }
        for monitor in manifests.kind("PodMonitor") {
            let pod = pods.iter().find(|pod| pod.is_selected_by(&monitor["spec"]["selector"]));
            for endpoint in list(monitor, &["spec", "podMetricsEndpoints"]) {
                check_port(pod.context("a monitor of nobody")?, &endpoint["port"])?;
            }
        }
    }
    Ok(())
}

fn check_port(pod: &Pod, port: &Value) -> anyhow::Result<()> {
    let has = pod.containers().flat_map(|it| list(it, &["ports"])).any(|it| it["name"] == *port);
    ensure!(has, "{} has no port {port}", pod.owner);
    Ok(())
}

#[test]
fn every_selector_means_pods_that_exist() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let pods = manifests.pods();
        for (kind, path) in [
            ("PodDisruptionBudget", &["spec", "selector"][..]),
            ("NetworkPolicy", &["spec", "podSelector"][..]),
            ("StatefulSet", &["spec", "selector"][..]),
            ("Deployment", &["spec", "selector"][..]),
        ] {
            for document in manifests.kind(kind) {
                // People start pods with this label when they need one.
                let by_hand = at(document, path).to_string().contains("buzon-admin");
                let some = by_hand || pods.iter().any(|pod| pod.is_selected_by(at(document, path)));
                ensure!(some, "{overlay}: {kind} {} means nobody", document["metadata"]["name"]);
            }
        }
        for scaler in manifests.kind("HorizontalPodAutoscaler") {
            let target = at(scaler, &["spec", "scaleTargetRef"]);
            let target = manifests.named(text(target, &["kind"])?, text(target, &["name"])?)?;
            let replicas = at(target, &["spec", "replicas"]);
            ensure!(replicas.is_null(), "{overlay}: replicas that each apply would set back");
        }
    }
    Ok(())
}

/// RFC 6125: a wildcard stands for one label, and webpki wants two more after it.
fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(rest) => rest.contains('.') && host.split_once('.').is_some_and(|(_, tail)| tail == rest),
        None => name == host,
    }
}

fn names_of(manifests: &Manifests, certificate: &str) -> anyhow::Result<Vec<String>> {
    let names = list(manifests.named("Certificate", certificate)?, &["spec", "dnsNames"]);
    Ok(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

#[test]
fn certificates_name_every_address_that_is_connected_to() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let mut addresses = vec![Settings::of(&manifests, "metad")?.text(&["cluster", "address"])?];
        addresses.extend(Settings::of(&manifests, "frontend")?.texts(&["cluster", "metads"])?);
        addresses.extend(bootstrap_addresses(&manifests)?);
        addresses.push(format!("metad-admin.{}.svc:7070", manifests.namespace()?));
        let names = names_of(&manifests, "metad")?;
        for address in addresses {
            let (host, _) = address.rsplit_once(':').with_context(|| format!("a port in {address}"))?;
            let covered = names.iter().any(|name| covers(name, host));
            ensure!(covered, "{overlay}: no name in {names:?} for {address}");
        }
        let frontend = names_of(&manifests, "frontend")?;
        for service in ["frontend-admin", "lmtp"] {
            let host = format!("{service}.{}.svc", manifests.namespace()?);
            ensure!(frontend.contains(&host), "{overlay}: {host}");
        }
        // In the pod, `buzon ctl --data-dir` calls its own process so.
        ensure!([names, frontend].iter().all(|names| names.contains(&"localhost".to_owned())), "{overlay}");
        for role in ["metad", "frontend"] {
            let certificate = manifests.named("Certificate", role)?;
            assert_eq!(at(certificate, &["spec", "uris"]), &serde_json::json!([format!("buzon:{role}")]));
            for usage in ["server auth", "client auth"] {
                ensure!(list(certificate, &["spec", "usages"]).contains(&usage.into()), "{role}: {usage}");
            }
        }
    }
    Ok(())
}

/// `--endpoint` and `--nodes` of the job that founds the cluster.
fn bootstrap_addresses(manifests: &Manifests) -> anyhow::Result<Vec<String>> {
    let arguments = Settings::environment(manifests, "bootstrap", "bootstrap")?.1;
    let of = |flag: &str| {
        let found = arguments.iter().find_map(|it| it.strip_prefix(flag).map(str::to_owned));
        found.with_context(|| format!("{flag} in {arguments:?}"))
    };
    let mut addresses = vec![of("--endpoint=https://")?];
    addresses.extend(of("--nodes=")?.split(',').map(str::to_owned));
    Ok(addresses)
}

#[test]
fn the_job_founds_the_cluster_from_all_metads() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let metads = manifests.named("StatefulSet", "metad")?;
        let replicas = at(metads, &["spec", "replicas"]).as_u64().context("a number of metads")?;
        let namespace = manifests.namespace()?;
        let expected: BTreeSet<String> =
            (0..replicas).map(|number| format!("metad-{number}.metad.{namespace}.svc:7071")).collect();
        let nodes: BTreeSet<String> = bootstrap_addresses(&manifests)?.into_iter().skip(1).collect();
        assert_eq!(nodes, expected, "{overlay}");
        let address = Settings::of(&manifests, "metad")?.text(&["cluster", "address"])?;
        ensure!(nodes.contains(&address), "{overlay}: a node calls itself {address}");
    }
    Ok(())
}

#[test]
fn files_that_configurations_name_are_mounted() -> anyhow::Result<()> {
    const FILES: [&[&str]; 8] = [
        &["cluster", "ca"],
        &["cluster", "certificate"],
        &["cluster", "key"],
        &["admin", "token_file"],
        &["tls", "certificate"],
        &["tls", "key"],
        &["bodies", "s3", "secret_access_key_file"],
        &["data_dir"],
    ];
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        for role in ["metad", "frontend"] {
            let (pod, settings) = (manifests.pod(role)?, Settings::of(&manifests, role)?);
            let mounts = list(pod.container(role)?, &["volumeMounts"]);
            for path in FILES {
                let Ok(file) = settings.text(path) else { continue };
                let within = |mount: &&Value| {
                    mount["mountPath"]
                        .as_str()
                        .is_some_and(|folder| file == folder || file.starts_with(&format!("{folder}/")))
                };
                let mount = mounts.iter().find(within);
                let mount =
                    mount.with_context(|| format!("{overlay} {role}: nothing is mounted for {file}"))?;
                // A file that is mounted alone (subPath) is never renewed.
                ensure!(mount["subPath"].is_null(), "{overlay} {role}: {file} would stay as it is");
            }
        }
    }
    Ok(())
}

/// Nobody here runs the collector: only that its configuration hangs together, and with the manifests.
#[test]
fn the_collector_s_pipelines_are_made_of_parts_that_it_has() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let config = manifests.kind("ConfigMap").find_map(|it| it["data"]["config.yaml"].as_str());
        let config_text = config.context("the collector's configuration")?;
        let [config] = &documents(config_text)?[..] else { anyhow::bail!("one document") };
        let has =
            |kind: &str, name: &Value| name.as_str().is_some_and(|name| config[kind].get(name).is_some());
        for (signal, pipeline) in at(config, &["service", "pipelines"]).as_object().context("pipelines")? {
            for kind in ["receivers", "processors", "exporters"] {
                let parts = list(pipeline, &[kind]);
                let missing: Vec<&Value> = parts.iter().filter(|part| !has(kind, part)).collect();
                ensure!(!parts.is_empty() && missing.is_empty(), "{overlay} {signal} {kind}: {missing:?}");
            }
        }
        for extension in list(config, &["service", "extensions"]) {
            ensure!(has("extensions", extension), "{overlay}: {extension}");
        }
        let pod = manifests.pod("collector")?;
        let ports = list(pod.container("collector")?, &["ports"]);
        for (port, path) in [
            ("otlp", &["receivers", "otlp", "protocols", "grpc", "endpoint"][..]),
            ("health", &["extensions", "health_check", "endpoint"][..]),
        ] {
            let number =
                ports.iter().find(|it| it["name"] == port).and_then(|it| it["containerPort"].as_u64());
            let listens = text(config, path)?.rsplit_once(':').and_then(|(_, number)| number.parse().ok());
            assert_eq!(number, listens, "{overlay}: {port}");
        }
        let settings = manifests.named("ConfigMap", "collector-settings").ok();
        for variable in config_text.split("${env:").skip(1).filter_map(|it| it.split('}').next()) {
            let known = settings.is_some_and(|it| it["data"].get(variable).is_some());
            ensure!(known, "{overlay}: nobody sets {variable}");
        }
    }
    Ok(())
}

/// Alerts go by names that Kubernetes makes of ours.
#[test]
fn alerts_know_the_volumes_and_the_jobs() -> anyhow::Result<()> {
    let manifests = Manifests::of("overlays/production")?;
    let rules = manifests.named("PrometheusRule", "buzon")?.to_string();
    let claims = list(manifests.named("StatefulSet", "metad")?, &["spec", "volumeClaimTemplates"]);
    let claims: Vec<&str> = claims.iter().filter_map(|it| at(it, &["metadata", "name"]).as_str()).collect();
    ensure!(rules.contains(&format!("({})-metad-.*", claims.join("|"))), "claims of {claims:?}");
    let monitors: Vec<&str> =
        manifests.kind("PodMonitor").filter_map(|it| it["metadata"]["name"].as_str()).collect();
    assert_eq!(monitors, ["frontend", "metad"]);
    ensure!(rules.contains("(.*/)?(metad|frontend|buzon)"), "jobs are called namespace/monitor");
    Ok(())
}
