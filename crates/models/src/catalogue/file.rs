//! Parses `models.yaml`. Problems are reported with their line.

use std::collections::BTreeMap;

use baton_core::definition::source::{self, SourceSpan, YamlKey, YamlMapping, YamlNode, YamlValue};
use baton_core::definition::{Diagnostic, DiagnosticCode};
use baton_core::model::ModelProfile;
use baton_expr::nearest;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::entry::{CatalogueEntry, KEYS};
use super::layer::CatalogueLayer;
use crate::profile;

/// Maximum number of models in one file.
const MODELS_MAX: usize = 10_000;
/// Maximum size of a model's name, in bytes.
const NAME_BYTES_MAX: usize = 200;
const TENANTS_MAX: usize = 10_000;

/// A file's own layer, and those of its tenants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogueFile {
    pub layer: CatalogueLayer,
    /// By tenant id.
    pub tenants: BTreeMap<String, CatalogueLayer>,
}

impl CatalogueFile {
    /// Parses a catalogue file in YAML or JSON.
    ///
    /// # Errors
    /// The first problem, with its place: invalid YAML, an unknown key, an invalid value.
    pub fn read(text: &[u8]) -> Result<Self, Diagnostic> {
        let first = |found: Vec<Diagnostic>| {
            let unread = || Diagnostic::error(DiagnosticCode::Unreadable, SourceSpan::default(), "it cannot be read");
            found.into_iter().next().unwrap_or_else(unread)
        };
        // An empty catalogue is valid: all its lines may be commented out with `#`.
        if text.split(|byte| *byte == b'\n').all(|line| matches!(line.trim_ascii().first(), None | Some(b'#'))) {
            return Ok(Self::default());
        }
        file(&source::read(text).map_err(first)?)
    }

    /// Overlays another file, key by key.
    pub fn overlay(&mut self, over: Self) {
        self.layer.overlay(&over.layer);
        for (tenant, layer) in over.tenants {
            self.tenants.entry(tenant).or_default().overlay(&layer);
        }
    }
}

fn file(tree: &YamlNode) -> Result<CatalogueFile, Diagnostic> {
    if matches!(tree.value, YamlValue::Null) {
        return Ok(CatalogueFile::default());
    }
    let mut file = CatalogueFile {
        layer: layer(map(tree, "a catalogue")?, &["models", "profiles", "tenants"])?,
        ..CatalogueFile::default()
    };
    if let Some((_, node)) = map(tree, "a catalogue")?.get("tenants") {
        for (key, node) in map(node, "`tenants`")?.iter() {
            file.tenants.insert(key.name.clone(), layer(map(node, "a tenant")?, &["models", "profiles"])?);
        }
        limit(node, "tenants", file.tenants.len(), TENANTS_MAX)?;
    }
    Ok(file)
}

fn layer(keys: &YamlMapping, known: &[&str]) -> Result<CatalogueLayer, Diagnostic> {
    for (key, _) in keys.iter() {
        is_known(key, known)?;
    }
    let mut layer = CatalogueLayer::default();
    if let Some((_, node)) = keys.get("models") {
        for (key, node) in map(node, "`models`")?.iter() {
            layer.models.insert(model_name(key)?, model(node)?);
        }
        limit(node, "models", layer.models.len(), MODELS_MAX)?;
    }
    if let Some((_, node)) = keys.get("profiles") {
        for (key, node) in map(node, "`profiles`")?.iter() {
            layer.profiles.insert(profile_of(key)?, read::<profile::ProfileEntry>(node, "a profile", &profile::KEYS)?);
        }
    }
    Ok(layer)
}

fn model(node: &YamlNode) -> Result<CatalogueEntry, Diagnostic> {
    let entry: CatalogueEntry = read(node, "a model", &KEYS)?;
    match entry.problem() {
        Some(problem) => Err(Diagnostic::error(DiagnosticCode::BadValue, node.span, problem)),
        None => Ok(entry),
    }
}

fn model_name(key: &YamlKey) -> Result<String, Diagnostic> {
    let name = key.name.trim();
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        let message = format!("a model's name has 1 to {NAME_BYTES_MAX} bytes");
        return Err(Diagnostic::error(DiagnosticCode::BadName, key.span, message));
    }
    Ok(name.to_owned())
}

fn profile_of(key: &YamlKey) -> Result<ModelProfile, Diagnostic> {
    let words = profile::ALL.map(profile::word);
    is_known(key, &words)?;
    let found = profile::ALL.into_iter().find(|profile| profile::word(*profile) == key.name);
    found.ok_or_else(|| unknown(key, &words))
}

/// Parses a mapping key by key, so that problems are reported with their line.
fn read<T: DeserializeOwned>(node: &YamlNode, what: &str, known: &[&str]) -> Result<T, Diagnostic> {
    for (key, value) in map(node, what)?.iter() {
        is_known(key, known)?;
        if let Err(error) = serde_json::from_value::<T>(json!({ key.name.as_str(): value.to_json() })) {
            return Err(Diagnostic::error(DiagnosticCode::BadValue, value.span, format!("`{}`: {error}", key.name)));
        }
    }
    serde_json::from_value(node.to_json())
        .map_err(|error| Diagnostic::error(DiagnosticCode::BadValue, node.span, error.to_string()))
}

fn map<'n>(node: &'n YamlNode, what: &str) -> Result<&'n YamlMapping, Diagnostic> {
    match &node.value {
        YamlValue::Map(map) => Ok(map),
        _ => Err(Diagnostic::error(DiagnosticCode::WrongShape, node.span, format!("{what} is a mapping"))),
    }
}

fn is_known(key: &YamlKey, known: &[&str]) -> Result<(), Diagnostic> {
    if known.contains(&key.name.as_str()) { Ok(()) } else { Err(unknown(key, known)) }
}

fn unknown(key: &YamlKey, known: &[&str]) -> Diagnostic {
    let found = Diagnostic::error(DiagnosticCode::UnknownKey, key.span, format!("`{}` means nothing here", key.name));
    match nearest(&key.name, known.iter().copied()) {
        Some(near) => found.hint(format!("did you mean `{near}`?")),
        None => found.hint(format!("there are {}", known.join(", "))),
    }
}

fn limit(node: &YamlNode, what: &str, count: usize, max: usize) -> Result<(), Diagnostic> {
    if count <= max {
        return Ok(());
    }
    let message = format!("{count} {what} are over the limit of {max}");
    Err(Diagnostic::error(DiagnosticCode::TooLarge, node.span, message))
}
