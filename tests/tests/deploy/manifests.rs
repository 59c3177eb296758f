//! The documents of an overlay, and that they fit the schemas.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, anyhow};
use serde_json::Value;

use crate::OVERLAYS;
use crate::tools::{at, build, documents, output_of, python, text};

/// The oldest version that the manifests are meant for (sidecars, `sleep` before the end) and the newest that is known.
const KUBERNETES_VERSIONS: [&str; 2] = ["1.32", "1.37"];

/// What an overlay makes.
pub(crate) struct Manifests {
    documents: Vec<Value>,
}

/// Pods as their owner makes them.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) owner: String,
    pub(crate) labels: Value,
    pub(crate) spec: Value,
}

impl Manifests {
    /// Built once, for all tests.
    pub(crate) fn of(overlay: &'static str) -> anyhow::Result<Arc<Self>> {
        static BUILT: Mutex<BTreeMap<&str, Arc<Manifests>>> = Mutex::new(BTreeMap::new());
        let mut built = BUILT.lock().map_err(|_| anyhow!("a build panicked"))?;
        if let Some(manifests) = built.get(overlay) {
            return Ok(Arc::clone(manifests));
        }
        let manifests = Arc::new(Self { documents: documents(&build(overlay)?)? });
        built.insert(overlay, Arc::clone(&manifests));
        Ok(manifests)
    }

    pub(crate) fn kind(&self, kind: &'static str) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(move |it| it["kind"] == kind)
    }

    /// The one of that kind and name.
    pub(crate) fn named(&self, kind: &str, name: &str) -> anyhow::Result<&Value> {
        let found = self.documents.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
        found.with_context(|| format!("no {kind} {name}"))
    }

    pub(crate) fn namespace(&self) -> anyhow::Result<&str> {
        text(self.named("StatefulSet", "metad")?, &["metadata", "namespace"])
    }

    pub(crate) fn pods(&self) -> Vec<Pod> {
        let owners = ["StatefulSet", "Deployment", "Job"].into_iter().flat_map(|kind| self.kind(kind));
        let pod = |owner: &Value| {
            let template = at(owner, &["spec", "template"]);
            Pod {
                owner: owner["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
                labels: at(template, &["metadata", "labels"]).clone(),
                spec: template["spec"].clone(),
            }
        };
        owners.map(pod).collect()
    }

    pub(crate) fn pod(&self, owner: &str) -> anyhow::Result<Pod> {
        self.pods().into_iter().find(|pod| pod.owner == owner).with_context(|| format!("no pods of {owner}"))
    }
}

impl Pod {
    /// All containers, those that run first too.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Value> {
        let of = |key: &str| self.spec[key].as_array().map_or(&[][..], Vec::as_slice);
        of("initContainers").iter().chain(of("containers"))
    }

    pub(crate) fn container(&self, name: &str) -> anyhow::Result<&Value> {
        self.containers().find(|it| it["name"] == name).with_context(|| format!("no container {name}"))
    }

    /// Whether a label selector picks it. An empty one picks all.
    pub(crate) fn is_selected_by(&self, selector: &Value) -> bool {
        selects(selector, &self.labels)
    }
}

/// Whether a label selector picks what has these labels.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let sets = selector["matchExpressions"].as_array().into_iter().flatten();
    equal.into_iter().all(|(key, value)| labels[key] == *value)
        && sets.into_iter().all(|set| {
            assert_eq!(set["operator"], "In", "no other operator is known here");
            let values = set["values"].as_array().expect("values of In");
            set["key"].as_str().is_some_and(|key| values.contains(&labels[key]))
        })
}

fn problems(yaml: &str) -> anyhow::Result<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/validate.py");
    output_of(python()?.arg(script).args(KUBERNETES_VERSIONS), yaml)
}

#[test]
fn base_and_overlays_fit_the_schemas_strictly() -> anyhow::Result<()> {
    for folder in ["base"].into_iter().chain(OVERLAYS) {
        assert_eq!(problems(&build(folder)?)?, "", "{folder}");
    }
    Ok(())
}

#[test]
fn the_schemas_know_misspelt_fields_and_wrong_values() -> anyhow::Result<()> {
    let good = build("overlays/production")?;
    for (right, wrong) in [
        ("readOnlyRootFilesystem:", "readOnlyRootFileSystem:"),
        ("maxSkew: 1", "maxSkew: even"),
        ("rotationPolicy: Always", "rotationPolicy: Sometimes"),
        ("renewBefore:", "renewAfter:"),
        ("scrapeTimeout:", "scrapeTimeOut:"),
    ] {
        let broken = good.replacen(right, wrong, 1);
        assert_ne!(broken, good, "{right} is there");
        assert_ne!(problems(&broken)?, "", "{wrong} was not noticed");
    }
    Ok(())
}
