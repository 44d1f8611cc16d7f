//! Overrides: what a definition says about single operations, in place of the document.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::tool::EffectClass;
use reqwest::Method;
use reqwest::header::{self, HeaderName};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::cursor::DocumentCursor;
use super::{METHODS, NAME_BYTES_MAX, OpenApiOperation, method_and_path};
use crate::catalogue::ToolRisk;
use crate::check::ArgumentSchema;
use crate::definition::{DefinitionDiagnostic, ToolProfile, check_class};
use crate::kinds::http_request::FORBIDDEN_HEADERS;
use crate::validation_warning::suggestion;

/// Headers for authentication and for the type of the body.
const RESERVED_HEADERS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::CONTENT_TYPE];
/// Fields that only overrides of operations have.
const PER_OPERATION_FIELDS: &[&str] = &["enabled", "defaults", "idempotency_header"];

/// The override of one operation.
#[derive(Clone, Debug, Default)]
pub(super) struct OperationOverride {
    /// The place in the definition: `operations.getOrder`.
    pub(super) place: String,
    /// The tool's full name, if it is overridden.
    pub(super) name: Option<String>,
    pub(super) is_excluded: bool,
    /// The header that carries the call's idempotency key.
    pub(super) idempotency_header: Option<HeaderName>,
    profile: ToolProfile,
    /// Arguments used if the call does not set them.
    defaults: Map<String, Value>,
}

#[derive(Deserialize)]
struct OperationSettings {
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    defaults: Map<String, Value>,
    #[serde(default)]
    idempotency_header: Option<String>,
}

fn yes() -> bool {
    true
}

/// Reads the overrides, by method and path. A name that matches no operation, or several, is refused.
pub(super) fn read(
    source: &str,
    written: BTreeMap<String, Map<String, Value>>,
    document: &DocumentCursor<'_>,
    repeated: &BTreeSet<String>,
) -> Result<BTreeMap<String, OperationOverride>, DefinitionDiagnostic> {
    if written.is_empty() {
        return Ok(BTreeMap::new());
    }
    let known = OperationNames::of(document, repeated);
    let (mut owns, mut names) = (BTreeMap::<String, OperationOverride>::new(), BTreeSet::new());
    for (said, fields) in written {
        let place = format!("operations.{said}");
        let operation = known.find(&said).map_err(|reason| DefinitionDiagnostic::at(&place, reason))?;
        if let Some(other) = owns.get(&operation) {
            return Err(DefinitionDiagnostic::at(place, format!("is the same operation as `{}`", other.place)));
        }
        let own = OperationOverride::read(source, place, fields)?;
        if let Some(name) = &own.name
            && !names.insert(name.clone())
        {
            return Err(DefinitionDiagnostic::at(
                format!("{}.name", own.place),
                format!("another operation is called `{name}`"),
            ));
        }
        owns.insert(operation, own);
    }
    Ok(owns)
}

impl OperationOverride {
    fn read(source: &str, place: String, fields: Map<String, Value>) -> Result<Self, DefinitionDiagnostic> {
        let name = fields.get("name").and_then(Value::as_str).map(|name| format!("{source}.{name}"));
        if let Some(name) = name.as_ref().filter(|name| name.len() > NAME_BYTES_MAX) {
            let reason = format!("`{name}` has {} bytes; models take {NAME_BYTES_MAX} at most", name.len());
            return Err(DefinitionDiagnostic::at(format!("{place}.name"), reason));
        }
        let (profile, rest) =
            ToolProfile::read_override::<OperationSettings>(&place, "operation", fields, PER_OPERATION_FIELDS)?;
        let wrong = |reason: &str| DefinitionDiagnostic::at(format!("{place}.idempotency_header"), reason);
        let header = rest.idempotency_header.map(|header| header.parse::<HeaderName>());
        let idempotency_header = header.transpose().map_err(|_| wrong("is no header's name"))?;
        let is_another =
            |header: &HeaderName| FORBIDDEN_HEADERS.contains(&header.as_str()) || RESERVED_HEADERS.contains(header);
        if idempotency_header.as_ref().is_some_and(is_another) {
            return Err(wrong("says something else already; services have one such as `Idempotency-Key`"));
        }
        let OperationSettings { enabled, defaults, .. } = rest;
        Ok(Self { place, name, is_excluded: !enabled, idempotency_header, profile, defaults })
    }

    /// Returns the profile, with the class determined.
    pub(super) fn profile_and_class(
        &self,
        operation: &OpenApiOperation,
    ) -> Result<(ToolProfile, EffectClass), DefinitionDiagnostic> {
        let is_keyed =
            operation.idempotency_header.is_some() || matches!(operation.method, Method::PUT | Method::DELETE);
        let class = match (self.profile.class, &operation.method) {
            (Some(class), _) => class,
            (None, &Method::GET | &Method::HEAD | &Method::OPTIONS) => EffectClass::Read,
            (None, _) if is_keyed => EffectClass::Keyed,
            (None, _) => EffectClass::Once,
        };
        let settled = check_class(class, is_keyed, false).and_then(|class| {
            let profile = self.profile.clone().with_class(class);
            profile.check_outage_policy().map(|()| (profile, class))
        });
        settled.map_err(|mistake| mistake.within(&self.place))
    }

    /// Returns the schema of the arguments: the override's in place of the document's, with the override's defaults
    /// applied.
    pub(super) fn parameters(&self, document: Value) -> Result<Value, DefinitionDiagnostic> {
        if self.profile.parameters().is_null() && self.defaults.is_empty() {
            return Ok(document);
        }
        let arguments = OperationArguments { place: &self.place, document: &document };
        let mut schema = match self.profile.parameters() {
            Value::Null => document.clone(),
            said => arguments.narrowed(said, &self.defaults)?,
        };
        self.defaults.iter().try_for_each(|(name, value)| arguments.fill(&mut schema, name, value))?;
        let wrong = |reason: String| DefinitionDiagnostic::at(format!("{}.defaults", self.place), reason);
        let of_defaults = json!({
            "type": "object", "properties": schema["properties"], "$defs": schema.get("$defs").unwrap_or(&json!({})),
        });
        ArgumentSchema::new(of_defaults).check(&Value::Object(self.defaults.clone())).map_err(wrong)?;
        let schema = ArgumentSchema::new(schema);
        let is_none = |reason: &str| {
            DefinitionDiagnostic::at(format!("{}.parameters", self.place), format!("is no schema: {reason}"))
        };
        schema.compile().map_err(is_none)?;
        Ok(schema.into_document())
    }
}

/// Returns the default risk of an operation of this class and method.
pub(super) fn risk(class: EffectClass, method: &Method, is_trusted: bool) -> ToolRisk {
    match (is_trusted, class.has_side_effects()) {
        (true, false) => ToolRisk::Low,
        (true, true) if *method == Method::DELETE => ToolRisk::High,
        (true, true) | (false, false) => ToolRisk::Medium,
        (false, true) => ToolRisk::High,
    }
}

/// The names by which the operations of a document can be selected.
struct OperationNames<'d> {
    /// Maps every name (the id, `GET /orders/{id}`, `get/orders/{id}`) to the last of these forms.
    by_name: BTreeMap<String, String>,
    /// Suggestions for an unknown name: ids, and `GET /orders/{id}`.
    offered: Vec<String>,
    repeated: &'d BTreeSet<String>,
}

impl<'d> OperationNames<'d> {
    fn of(document: &DocumentCursor<'_>, repeated: &'d BTreeSet<String>) -> Self {
        let (mut by_name, mut offered) = (BTreeMap::new(), Vec::new());
        for (path, item) in document.field("paths").fields() {
            let Ok(item) = item.resolved() else { continue };
            for method in METHODS {
                let operation = item.field(method);
                if operation.is_null() {
                    continue;
                }
                let own = method_and_path(method, path);
                let in_words = format!("{} {path}", method.to_ascii_uppercase());
                if let Some(id) = operation.field("operationId").text().filter(|id| !repeated.contains(*id)) {
                    by_name.insert(id.to_owned(), own.clone());
                    offered.push(id.to_owned());
                }
                offered.push(in_words.clone());
                by_name.insert(in_words, own.clone());
                by_name.insert(own.clone(), own);
            }
        }
        Self { by_name, offered, repeated }
    }

    fn find(&self, said: &str) -> Result<String, String> {
        let by_method = said.split_once(' ').map(|(method, path)| format!("{} {path}", method.to_ascii_uppercase()));
        if let Some(own) = self.by_name.get(said).or_else(|| self.by_name.get(&by_method?)) {
            return Ok(own.clone());
        }
        if self.repeated.contains(said) {
            return Err("is the id of several operations; say `METHOD /path`".to_owned());
        }
        let offered = self.offered.iter().map(String::as_str);
        Err(format!("the document has no such operation; {}", suggestion(said, offered)))
    }
}

/// The arguments of an operation, as its document declares them.
struct OperationArguments<'s> {
    place: &'s str,
    document: &'s Value,
}

impl OperationArguments<'_> {
    fn known(&self, place: impl FnOnce() -> String, name: &str) -> Result<&Value, DefinitionDiagnostic> {
        let properties = self.document["properties"].as_object();
        properties.and_then(|properties| properties.get(name)).ok_or_else(|| {
            let names = properties.into_iter().flatten().map(|(name, _)| name.as_str());
            DefinitionDiagnostic::at(
                place(),
                format!("the operation has no argument `{name}`; {}", suggestion(name, names)),
            )
        })
    }

    /// Applies a schema from the override, which may use the references of the document's schema.
    fn narrowed(&self, whole: &Value, defaults: &Map<String, Value>) -> Result<Value, DefinitionDiagnostic> {
        let place = || format!("{}.parameters", self.place);
        let Some(mut schema) = whole.as_object().cloned() else {
            return Err(DefinitionDiagnostic::at(place(), "is the schema of an object"));
        };
        let said = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        for name in said.keys() {
            self.known(|| format!("{}.properties.{name}", place()), name)?;
        }
        let needed = required(self.document).filter(|name| !defaults.contains_key(*name));
        let needed: BTreeSet<&str> = needed.collect();
        if let Some(left_out) = needed.iter().find(|name| !said.contains_key(**name)) {
            let reason =
                format!("leaves out `{left_out}`, which the service asks for; take it in, or say it in `defaults`");
            return Err(DefinitionDiagnostic::at(place(), reason));
        }
        // Arguments that the service requires stay required, and arguments that it does not know would not be sent.
        let all: BTreeSet<&str> = required(whole).chain(needed).collect();
        schema.insert("required".to_owned(), json!(all));
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        schema.entry("type").or_insert_with(|| json!("object"));
        schema.entry("properties").or_insert_with(|| json!({}));
        if let Some(shared) = self.document.get("$defs").and_then(Value::as_object) {
            let own = schema.entry("$defs").or_insert_with(|| json!({}));
            for (name, definition) in shared {
                if let Value::Object(own) = own {
                    own.entry(name.clone()).or_insert_with(|| definition.clone());
                }
            }
        }
        Ok(Value::Object(schema))
    }

    /// Makes one argument optional.
    fn fill(&self, schema: &mut Value, name: &str, value: &Value) -> Result<(), DefinitionDiagnostic> {
        let of_document = self.known(|| format!("{}.defaults.{name}", self.place), name)?;
        if let Some(properties) = schema["properties"].as_object_mut() {
            let property = properties.entry(name).or_insert_with(|| of_document.clone());
            if !property.is_object() {
                *property = json!({});
            }
            property["default"] = value.clone();
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|required| required != name);
        }
        Ok(())
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
}
