//! The configuration of a role as its process gets it: the TOML file of its ConfigMap and the environment of its
//! container, as kubelet makes it. The real binary reads it.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use buzon_tests::server::binary;
use serde_json::Value;
use tempfile::TempDir;

use crate::OVERLAYS;
use crate::manifests::Manifests;
use crate::tools::{at, list, text};

type Environment = BTreeMap<String, String>;

/// What a role's process is set to.
pub(crate) struct Settings {
    folder: TempDir,
    environment: Environment,
    shown: Value,
}

impl Settings {
    /// Of the first pod of that role.
    ///
    /// # Errors
    /// If the binary refuses the file or the environment.
    pub(crate) fn of(manifests: &Manifests, role: &str) -> anyhow::Result<Self> {
        let (environment, arguments) = Self::environment(manifests, role, role)?;
        ensure!(arguments == [role, "--config", "/etc/buzon/buzon.toml"], "{arguments:?}");
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("buzon.toml"), config_file(manifests, role)?)?;
        let mut this = Self { folder, environment, shown: Value::Null };
        let shown = this.run(&["show", "--config"], &[])?;
        this.shown = serde_json::to_value(toml::from_str::<toml::Table>(&shown)?)?;
        Ok(this)
    }

    /// `buzon config …` on the file, with nothing else in its environment.
    fn run(&self, before: &[&str], after: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(binary()?);
        command.arg("config").args(before).arg(self.folder.path().join("buzon.toml")).args(after);
        let output = command.env_clear().envs(&self.environment).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?}: {error}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A setting.
    pub(crate) fn text(&self, path: &[&str]) -> anyhow::Result<String> {
        text(&self.shown, path).map(str::to_owned)
    }

    /// A list of texts.
    pub(crate) fn texts(&self, path: &[&str]) -> anyhow::Result<Vec<String>> {
        let items = list(&self.shown, path).iter();
        items.map(|it| it.as_str().map(str::to_owned).context("a text")).collect()
    }

    /// A number.
    pub(crate) fn number(&self, path: &[&str]) -> anyhow::Result<u64> {
        at(&self.shown, path).as_u64().with_context(|| format!("no number at {}", path.join(".")))
    }

    /// Variables and arguments of a container, all references resolved as kubelet does: `envFrom` first, and `$(NAME)`
    /// only for variables that were defined before.
    pub(crate) fn environment(
        manifests: &Manifests,
        owner: &str,
        container: &str,
    ) -> anyhow::Result<(Environment, Vec<String>)> {
        let pod = manifests.pod(owner)?;
        let container = pod.container(container)?;
        let mut environment = Environment::new();
        for source in list(container, &["envFrom"]) {
            if let Some(name) = at(source, &["configMapRef", "name"]).as_str() {
                let data = &manifests.named("ConfigMap", name)?["data"];
                for (key, value) in data.as_object().into_iter().flatten() {
                    environment.insert(key.clone(), value.as_str().context("a text")?.to_owned());
                }
            }
        }
        for variable in list(container, &["env"]) {
            let value = match variable["value"].as_str() {
                Some(value) => expand(value, &environment),
                None => from_elsewhere(manifests, owner, &variable["valueFrom"])?,
            };
            environment.insert(text(variable, &["name"])?.to_owned(), value);
        }
        let arguments = list(container, &["args"]).iter().filter_map(Value::as_str);
        let arguments: Vec<String> = arguments.map(|it| expand(it, &environment)).collect();
        for value in environment.values().chain(&arguments) {
            ensure!(!value.contains("$("), "{owner}: `{value}` refers to what is not defined before it");
        }
        Ok((environment, arguments))
    }
}

fn expand(value: &str, environment: &Environment) -> String {
    let mut value = value.to_owned();
    for (name, known) in environment {
        value = value.replace(&format!("$({name})"), known);
    }
    value
}

/// `valueFrom`, for the first pod of its owner.
fn from_elsewhere(manifests: &Manifests, owner: &str, source: &Value) -> anyhow::Result<String> {
    if let Some(field) = at(source, &["fieldRef", "fieldPath"]).as_str() {
        return Ok(match field {
            "metadata.name" => format!("{owner}-0"),
            "metadata.namespace" => manifests.namespace()?.to_owned(),
            "spec.nodeName" => "node-1".to_owned(),
            "metadata.labels['topology.kubernetes.io/zone']" => format!("zone-of-{owner}-0"),
            _ => bail!("a field that is not known here: {field}"),
        });
    }
    let (name, key) = (text(source, &["secretKeyRef", "name"])?, text(source, &["secretKeyRef", "key"])?);
    match manifests.named("Secret", name) {
        Ok(secret) => text(secret, &["data", key]).map(str::to_owned), // base64, which is as good
        Err(_) => Ok(format!("{key}-of-{name}")),                      // an operator makes it
    }
}

/// The file in the ConfigMap that the pod mounts.
fn config_file(manifests: &Manifests, role: &str) -> anyhow::Result<String> {
    let pod = manifests.pod(role)?;
    let volume = list(&pod.spec, &["volumes"]).iter().find(|it| it["name"] == "config");
    let name = text(volume.context("a volume config")?, &["configMap", "name"])?;
    Ok(text(manifests.named("ConfigMap", name)?, &["data", "buzon.toml"])?.to_owned())
}

#[test]
fn the_binary_accepts_every_configuration() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        for role in ["metad", "frontend"] {
            let settings = Settings::of(&manifests, role)?;
            settings.run(&["check"], &["--role", role]).with_context(|| overlay.to_owned())?;
            // What a role needs is asked for: the file alone does not have it.
            let bare = Settings { environment: Environment::new(), ..settings };
            let refused = bare.run(&["check"], &["--role", role]);
            ensure!(refused.is_err(), "{overlay} {role}: accepted without its address");
        }
    }
    Ok(())
}

#[test]
fn what_differs_between_pods_comes_from_the_pod() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let namespace = manifests.namespace()?;
        let metad = Settings::of(&manifests, "metad")?;
        assert_eq!(metad.text(&["host_name"])?, "metad-0");
        assert_eq!(metad.text(&["cluster", "address"])?, format!("metad-0.metad.{namespace}.svc:7071"));
        assert_eq!(metad.text(&["log", "format"])?, "json");
        let frontend = Settings::of(&manifests, "frontend")?;
        assert_eq!(frontend.texts(&["cluster", "metads"])?, [format!("metad.{namespace}.svc:7071")]);
        assert_eq!(frontend.text(&["listen", "imap"])?, "off", "plaintext is for loopback");
        let (environment, _) = Settings::environment(&manifests, "frontend", "frontend")?;
        assert_eq!(environment["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://collector:4317");
        let attributes = &environment["OTEL_RESOURCE_ATTRIBUTES"];
        assert!(attributes.contains("k8s.pod.name=frontend-0"), "{attributes}");
    }
    Ok(())
}
