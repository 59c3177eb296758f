//! Who may speak with whom, worked out from the NetworkPolicies as their documentation says, and held against a table.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::OVERLAYS;
use crate::manifests::{Manifests, selects};
use crate::tools::{at, list};

/// One end of a connection.
struct Peer {
    name: &'static str,
    /// Outside of the cluster there are neither labels nor policies.
    place: Option<Place>,
}

struct Place {
    in_own_namespace: bool,
    namespace_labels: Value,
    labels: Value,
}

/// Everybody in the table.
fn peers(manifests: &Manifests) -> anyhow::Result<Vec<Peer>> {
    let own = json!({ "kubernetes.io/metadata.name": manifests.namespace()? });
    let within = |name: &'static str, labels: Value| {
        let place = Place { in_own_namespace: true, namespace_labels: own.clone(), labels };
        Peer { name, place: Some(place) }
    };
    let outside = |name: &'static str, namespace_labels: Value, labels: Value| {
        let place = Place { in_own_namespace: false, namespace_labels, labels };
        Peer { name, place: Some(place) }
    };
    let mut peers = vec![
        Peer { name: "internet", place: None },
        within("stranger within", json!({})),
        within("administrator", json!({ "buzon-admin": "allowed", "app.kubernetes.io/part-of": "buzon" })),
        outside("stranger", json!({ "kubernetes.io/metadata.name": "other" }), json!({})),
        outside("mta", json!({ "kubernetes.io/metadata.name": "mta", "buzon-lmtp": "allowed" }), json!({})),
        outside("prometheus", json!({ "kubernetes.io/metadata.name": "monitoring" }), json!({})),
        outside(
            "dns",
            json!({ "kubernetes.io/metadata.name": "kube-system" }),
            json!({ "k8s-app": "kube-dns" }),
        ),
    ];
    for name in ["metad", "frontend", "bootstrap", "collector", "object-store"] {
        if let Ok(pod) = manifests.pod(name) {
            peers.push(within(name, pod.labels));
        }
    }
    Ok(peers)
}

fn allows(manifests: &Manifests, from: &Peer, to: &Peer, port: u64) -> bool {
    half(manifests, from, to, port, "Egress", "egress", "to")
        && half(manifests, to, from, port, "Ingress", "ingress", "from")
}

/// Whether the policies of one end let the other through.
fn half(
    manifests: &Manifests,
    end: &Peer,
    other: &Peer,
    port: u64,
    kind: &str,
    rules: &str,
    peers: &str,
) -> bool {
    // Elsewhere are no policies of ours.
    let Some(place) = end.place.as_ref().filter(|place| place.in_own_namespace) else { return true };
    let mut policies = manifests
        .kind("NetworkPolicy")
        .filter(|it| selects(&it["spec"]["podSelector"], &place.labels))
        .filter(|it| list(it, &["spec", "policyTypes"]).contains(&kind.into()))
        .peekable();
    policies.peek().is_none()
        || policies.flat_map(|it| list(it, &["spec", rules])).any(|rule| {
            let ports = list(rule, &["ports"]);
            let peers = list(rule, &[peers]);
            (ports.is_empty() || ports.iter().any(|it| it["port"] == port))
                && (peers.is_empty() || peers.iter().any(|it| is_meant(it, other)))
        })
}

fn is_meant(peer: &Value, other: &Peer) -> bool {
    assert!(peer["ipBlock"].is_null(), "address blocks are not known here");
    let Some(place) = &other.place else { return false };
    let namespace = match &peer["namespaceSelector"] {
        Value::Null => place.in_own_namespace,
        selector => selects(selector, &place.namespace_labels),
    };
    namespace && selects(&peer["podSelector"], &place.labels)
}

/// All that is let through; everything else must be refused.
const ALLOWED: [(&str, &str, &[u64]); 18] = [
    ("metad", "metad", &[7071]),
    ("frontend", "metad", &[7071]),
    ("bootstrap", "metad", &[7070]),
    ("administrator", "metad", &[7070]),
    ("administrator", "frontend", &[7070]),
    ("prometheus", "metad", &[8080]),
    ("prometheus", "frontend", &[8080]),
    ("internet", "frontend", &[1993]),
    ("stranger", "frontend", &[1993]),
    ("prometheus", "frontend", &[1993]),
    ("dns", "frontend", &[1993]),
    ("mta", "frontend", &[1993, 2424]),
    ("metad", "collector", &[4317]),
    ("frontend", "collector", &[4317]),
    ("metad", "dns", &[53]),
    ("frontend", "dns", &[53]),
    ("bootstrap", "dns", &[53]),
    ("administrator", "dns", &[53]),
];

const ALLOWED_IN_DEMO: [(&str, &str, &[u64]); 2] =
    [("frontend", "object-store", &[3900]), ("collector", "dns", &[53])];

/// What leaves the cluster may go anywhere, in the cluster too.
const ALLOWED_IN_PRODUCTION: [(&str, &str, &[u64]); 3] =
    [("collector", "dns", &[53]), ("frontend", "internet", &[443]), ("collector", "internet", &[443, 4317])];

/// Ports of all parts, and Postgres.
const PORTS: [u64; 12] = [24, 53, 443, 993, 1993, 2424, 3900, 4317, 5432, 7070, 7071, 8080];

#[test]
fn policies_let_through_what_the_table_says_and_nothing_else() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let more: &[_] = if overlay.ends_with("demo") { &ALLOWED_IN_DEMO } else { &ALLOWED_IN_PRODUCTION };
        let table: Vec<_> = ALLOWED.iter().chain(more).collect();
        let peers = peers(&manifests)?;
        for (from, to) in peers.iter().flat_map(|from| peers.iter().map(move |to| (from, to))) {
            let is_ours = |peer: &Peer| peer.place.as_ref().is_some_and(|place| place.in_own_namespace);
            if !is_ours(from) && !is_ours(to) {
                continue;
            }
            for port in PORTS {
                // Rules without a receiver name 443 and 4317 for whole networks: what listens there in the cluster is
                // protected on its own side.
                let row = table.iter().any(|it| (it.0, it.1) == (from.name, to.name) && it.2.contains(&port));
                let anywhere = !is_ours(to)
                    && table.iter().any(|it| it.0 == from.name && it.1 == "internet" && it.2.contains(&port));
                let allowed = allows(&manifests, from, to, port);
                ensure!(
                    allowed == (row || anywhere),
                    "{overlay}: {} to {}:{port}: {allowed}",
                    from.name,
                    to.name
                );
            }
        }
    }
    Ok(())
}

#[test]
fn nobody_reaches_a_database() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let pod = manifests.pod("metad")?;
        let ports: Vec<&Value> = pod.containers().flat_map(|it| list(it, &["ports"])).collect();
        ensure!(ports.iter().all(|port| port["containerPort"] != 5432), "{overlay}: {ports:?}");
        let config = manifests.kind("ConfigMap").find_map(|it| it["data"]["postgresql.conf"].as_str());
        ensure!(config.is_some_and(|it| it.contains("\nlisten_addresses = ''\n")), "{overlay}: it listens");
        let mounts =
            pod.containers().filter(|it| at(it, &["volumeMounts"]).to_string().contains("database-socket"));
        let names: Vec<&Value> = mounts.map(|it| &it["name"]).collect();
        ensure!(names == ["database", "metad"], "{overlay}: {names:?} have the socket");
    }
    Ok(())
}
