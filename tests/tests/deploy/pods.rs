//! Pods: locked down, bounded, placed apart, and with time to drain.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::OVERLAYS;
use crate::manifests::{Manifests, Pod};
use crate::settings::Settings;
use crate::tools::{at, list, text};

/// What the process takes after its drain: calls of administration and those of other nodes 5 s each, telemetry 10 s.
const AFTER_DRAIN_SECONDS: u64 = 20;

#[test]
fn every_container_is_locked_down() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        for pod in Manifests::of(overlay)?.pods() {
            let of_pod = &pod.spec["securityContext"];
            assert_eq!(of_pod["runAsNonRoot"], true, "{}", pod.owner);
            assert_eq!(of_pod["seccompProfile"], json!({ "type": "RuntimeDefault" }), "{}", pod.owner);
            assert_eq!(pod.spec["automountServiceAccountToken"], false, "{}", pod.owner);
            assert_eq!(
                pod.spec["enableServiceLinks"], false,
                "{}: its variables would be settings",
                pod.owner
            );
            for key in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(pod.spec[key].is_null(), "{}: {key}", pod.owner);
            }
            for container in pod.containers() {
                check_container(&pod, container).with_context(|| format!("{overlay} {}", pod.owner))?;
            }
        }
    }
    Ok(())
}

fn check_container(pod: &Pod, container: &Value) -> anyhow::Result<()> {
    let name = text(container, &["name"])?;
    let security = &container["securityContext"];
    ensure!(security["readOnlyRootFilesystem"] == true, "{name} can write to its image");
    ensure!(security["allowPrivilegeEscalation"] == false, "{name} can gain privileges");
    ensure!(security["capabilities"] == json!({ "drop": ["ALL"] }), "{name} has capabilities");
    let user = security["runAsUser"].as_u64().or(pod.spec["securityContext"]["runAsUser"].as_u64());
    ensure!(user.is_some_and(|user| user > 0), "{name} runs as {user:?}");
    let image = text(container, &["image"])?;
    let tag = image.rsplit_once(':').map(|(_, tag)| tag);
    ensure!(tag.is_some_and(|tag| tag != "latest" && !tag.contains('/')), "{name}: {image} has no version");
    Ok(())
}

#[test]
fn every_container_asks_for_what_it_needs_and_its_memory_is_bounded() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        for pod in Manifests::of(overlay)?.pods() {
            for container in pod.containers() {
                let resources = &container["resources"];
                for path in [["requests", "cpu"], ["requests", "memory"], ["limits", "memory"]] {
                    ensure!(at(resources, &path).is_string(), "{overlay} {}: {path:?}", container["name"]);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn what_the_configuration_lets_the_process_hold_fits_its_container() -> anyhow::Result<()> {
    /// Searches have a budget of their own that is no setting; binary, buffers, allocator.
    const OTHERS_BYTES: u64 = 256 << 20;
    /// DESIGN §6.
    const CONNECTION_BYTES: u64 = 50_000;
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        for (role, keys) in [
            ("metad", &["metadata_cache_bytes"][..]),
            ("frontend", &["body_cache_bytes", "incoming_bytes_max"][..]),
        ] {
            let settings = Settings::of(&manifests, role)?;
            let mut held: u64 = OTHERS_BYTES;
            for key in keys {
                held += settings.number(&["memory", key])?;
            }
            if role == "frontend" {
                held += settings.number(&["imap", "connections_max"])? * CONNECTION_BYTES;
            }
            let pod = manifests.pod(role)?;
            let limit = bytes(text(pod.container(role)?, &["resources", "limits", "memory"])?)?;
            ensure!(held <= limit, "{overlay} {role}: {held} bytes in a container of {limit}");
        }
    }
    Ok(())
}

/// `512Mi`, `4Gi`.
fn bytes(quantity: &str) -> anyhow::Result<u64> {
    let (number, shift) = match quantity.strip_suffix("Gi") {
        Some(number) => (number, 30),
        None => (quantity.strip_suffix("Mi").with_context(|| format!("{quantity} in Mi or Gi"))?, 20),
    };
    Ok(number.parse::<u64>()? << shift)
}

#[test]
fn a_pod_has_time_to_drain() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        for role in ["metad", "frontend"] {
            let pod = manifests.pod(role)?;
            let grace = pod.spec["terminationGracePeriodSeconds"].as_u64().context("a grace period")?;
            let sleep = at(pod.container(role)?, &["lifecycle", "preStop", "sleep", "seconds"]);
            let drain = Settings::of(&manifests, role)?.number(&["drain_seconds"])?;
            let needed = sleep.as_u64().unwrap_or(0) + drain + AFTER_DRAIN_SECONDS;
            ensure!(grace >= needed, "{overlay} {role}: {grace} s, but {needed} s may be needed");
        }
        let pod = manifests.pod("frontend")?;
        let sleep = at(pod.container("frontend")?, &["lifecycle", "preStop", "sleep", "seconds"]);
        ensure!(sleep.as_u64() > Some(0), "{overlay}: load balancers are not waited for");
    }
    Ok(())
}

#[test]
fn probes_ask_what_the_process_answers() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        for role in ["metad", "frontend"] {
            let pod = manifests.pod(role)?;
            let container = pod.container(role)?;
            let path = |probe: &str| at(container, &[probe, "httpGet", "path"]).clone();
            assert_eq!(path("livenessProbe"), "/livez", "{role}");
            assert_eq!(path("startupProbe"), "/livez", "{role}");
            assert_eq!(path("readinessProbe"), "/readyz", "{role}");
            let http = list(container, &["ports"]).iter().find(|port| port["name"] == "http");
            let listens = Settings::of(&manifests, role)?.text(&["listen", "http"])?;
            let port = http.and_then(|port| port["containerPort"].as_u64()).context("a port http")?;
            assert_eq!(listens.rsplit_once(':').map(|(_, port)| port), Some(port.to_string().as_str()));
        }
    }
    Ok(())
}

#[test]
fn ports_of_containers_are_those_that_the_process_listens_on() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        for (role, listeners) in [
            ("metad", &["internal", "admin", "http"][..]),
            ("frontend", &["imaps", "lmtp", "admin", "http"][..]),
        ] {
            let (pod, settings) = (manifests.pod(role)?, Settings::of(&manifests, role)?);
            let declared: BTreeSet<(String, u64)> = list(pod.container(role)?, &["ports"])
                .iter()
                .filter_map(|port| Some((port["name"].as_str()?.to_owned(), port["containerPort"].as_u64()?)))
                .collect();
            let mut listened = BTreeSet::new();
            for listener in listeners {
                let address: std::net::SocketAddr = settings.text(&["listen", listener])?.parse()?;
                ensure!(address.ip().is_unspecified(), "{role} listens to {address} only");
                listened.insert(((*listener).to_owned(), u64::from(address.port())));
            }
            assert_eq!(declared, listened, "{overlay} {role}");
        }
    }
    Ok(())
}

#[test]
fn in_production_no_two_metads_share_a_machine_and_zones_are_even() -> anyhow::Result<()> {
    let manifests = Manifests::of("overlays/production")?;
    let pod = manifests.pod("metad")?;
    let apart =
        list(&pod.spec, &["affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
    let [rule] = apart else { anyhow::bail!("one rule that keeps them apart: {apart:?}") };
    assert_eq!(rule["topologyKey"], "kubernetes.io/hostname");
    assert!(pod.is_selected_by(&rule["labelSelector"]));
    let [spread] = list(&pod.spec, &["topologySpreadConstraints"]) else {
        anyhow::bail!("one rule for zones")
    };
    assert_eq!(spread["topologyKey"], "topology.kubernetes.io/zone");
    assert_eq!(spread["whenUnsatisfiable"], "DoNotSchedule");
    assert!(pod.is_selected_by(&spread["labelSelector"]));
    assert_eq!(Settings::of(&manifests, "metad")?.text(&["cluster", "zone"])?, "zone-of-metad-0");
    Ok(())
}

#[test]
fn a_statefulset_of_metads_can_come_up_and_loses_nothing() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let metads = manifests.named("StatefulSet", "metad")?;
        // None is ready before all are up, and each must be found before it is ready.
        assert_eq!(at(metads, &["spec", "podManagementPolicy"]), "Parallel");
        let service = manifests.named("Service", text(metads, &["spec", "serviceName"])?)?;
        assert_eq!(at(service, &["spec", "clusterIP"]), "None");
        assert_eq!(at(service, &["spec", "publishNotReadyAddresses"]), true);
        let retention = at(metads, &["spec", "persistentVolumeClaimRetentionPolicy"]);
        assert_eq!(*retention, json!({ "whenDeleted": "Retain", "whenScaled": "Retain" }));
        let budget = manifests.named("PodDisruptionBudget", "metad")?;
        assert_eq!(at(budget, &["spec", "maxUnavailable"]), 1, "a majority of three must stay");
        assert!(at(metads, &["spec", "replicas"]).as_u64() >= Some(3));
        check_database_sidecar(&manifests.pod("metad")?)?;
    }
    Ok(())
}

/// Up before the node and down after it; its data and the log on volumes of their own.
fn check_database_sidecar(pod: &Pod) -> anyhow::Result<()> {
    let database = pod.container("database")?;
    ensure!(database["restartPolicy"] == "Always", "the database is no sidecar");
    let places = |name: &str| -> anyhow::Result<Vec<(String, String)>> {
        let mounts = list(pod.container(name)?, &["volumeMounts"]).iter();
        mounts.map(|it| Ok((text(it, &["name"])?.into(), text(it, &["mountPath"])?.into()))).collect()
    };
    let has =
        |places: &[(String, String)], name: &str, path: &str| places.contains(&(name.into(), path.into()));
    let (of_database, of_metad) = (places("database")?, places("metad")?);
    ensure!(has(&of_database, "database", "/var/lib/postgresql"), "database: {of_database:?}");
    ensure!(has(&of_metad, "log", "/var/lib/buzon"), "metad: {of_metad:?}");
    for (name, places) in [("database", &of_database), ("metad", &of_metad)] {
        ensure!(has(places, "database-socket", "/run/postgresql"), "{name}: {places:?}");
    }
    Ok(())
}

#[test]
fn the_autoscaler_grows_before_front_ends_are_full() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let scaler = manifests.named("HorizontalPodAutoscaler", "frontend")?;
        let metrics = list(scaler, &["spec", "metrics"]);
        let connections = metrics.iter().find(|it| it["type"] == "Pods").context("a metric of pods")?;
        let mean: u64 = text(connections, &["pods", "target", "averageValue"])?.parse()?;
        let most = Settings::of(&manifests, "frontend")?.number(&["imap", "connections_max"])?;
        ensure!(mean * 10 <= most * 6, "{overlay}: grows at {mean} of {most}");
        ensure!(
            metrics.iter().any(|it| it["resource"]["name"] == "cpu"),
            "{overlay}: nothing but connections"
        );
    }
    Ok(())
}
