//! Tools from an OpenAPI document, 3.0 or 3.1: each operation becomes one tool. Operations that cannot be called are
//! reported by their path in the document; the others are still imported.
//!
//! The document is given as JSON, already read from its file or address. References stay within the document. Nothing
//! is loaded when a tool is called.

mod auth;
mod cursor;
mod operation;
mod overrides;
mod parameter;
mod remote;
mod schema;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_expr::ParamsTemplate;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use auth::{CredentialPlace, RequestCredential};
pub(crate) use operation::{BodyMedia, OpenApiOperation, OperationBody, PathPart};
pub(crate) use parameter::{OperationParameter, ParameterPlace, ParameterStyle};
pub use remote::document;

use crate::check::ArgumentSchema;
use crate::definition::{DefinitionDiagnostic, ProfileDefaults, ToolDefinition, ToolKind, ToolProfile, template};
use crate::validation_warning::ValidationWarning;
use cursor::DocumentCursor;
use operation::ParsedOperation;
use overrides::OperationOverride;

/// Maximum number of tools of one document.
const OPERATIONS_MAX: usize = 10_000;
/// Maximum size of a name, in bytes; models accept 64 at most.
const NAME_BYTES_MAX: usize = 64;
const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch"];
/// A method that echoes the request, including its credentials; no caller of a tool needs it.
const UNSUPPORTED_METHOD: &str = "trace";

/// The fields of a definition of `kind: openapi` besides the common ones.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenApiFields {
    document: Value,
    /// The base URL of the service, if the document states none or another one.
    #[serde(default)]
    server: Option<String>,
    /// By the name of the security scheme: the key, the token, or `user:password`.
    #[serde(default)]
    auth: Map<String, Value>,
    /// The included operations by id; `*` matches anything. Default: all operations.
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    /// Whether a person vouches that operations do what their methods say.
    #[serde(default)]
    trusted: bool,
    /// Overrides of single operations, by id or by `METHOD /path`.
    #[serde(default)]
    operations: BTreeMap<String, Map<String, Value>>,
}

/// A part of a document that became no tool, or only a partial one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportDiagnostic {
    /// The place in the document: `paths./pets.post.requestBody`.
    pub place: String,
    pub reason: String,
}

/// The result of importing a definition of `kind: openapi`.
pub(crate) struct OpenApiImport {
    pub(crate) tools: Vec<ToolDefinition>,
    pub(crate) unsupported: Vec<ImportDiagnostic>,
    /// By the name the tool would have: why an operation is not a tool.
    pub(crate) excluded: BTreeMap<String, String>,
    pub(crate) warnings: Vec<ValidationWarning>,
}

/// Imports the tools of a document, and reports what is not among them.
pub(crate) fn read(profile: &ToolProfile, fields: Map<String, Value>) -> Result<OpenApiImport, DefinitionDiagnostic> {
    if let Some(name) = profile.per_tool_field() {
        let reason = format!("is said of one operation: write it under `operations.ID.{name}`");
        return Err(DefinitionDiagnostic::at(name, reason));
    }
    let mut written: OpenApiFields = crate::definition::read("", fields)?;
    let operations = std::mem::take(&mut written.operations);
    let version = version(&written.document)?;
    let root = DocumentCursor::new(&written.document);
    let repeated = duplicate_ids(&root);
    let source = ImportContext {
        version,
        server: written.server.as_deref(),
        auth: credentials(&written.auth)?,
        trusted: written.trusted,
        profile,
        overrides: overrides::read(&profile.name, operations, &root, &repeated)?,
        version_text: root.field("info").field("version").text().filter(|version| !version.is_empty()),
        root,
        repeated,
        written: &written,
    };
    let names = source.overrides.values().filter_map(|own| own.name.clone()).collect();
    let mut taken = ImportAccumulator { names, ..ImportAccumulator::default() };
    for (path, item) in source.root.field("paths").fields() {
        match item.resolved() {
            Ok(item) => source.import_path(path, &item, &mut taken)?,
            Err(reason) => taken.unsupported.push(ImportDiagnostic { place: item.place(), reason }),
        }
    }
    let doubts = warnings::collect(&written, &source.root, &taken);
    Ok(OpenApiImport { tools: taken.tools, unsupported: taken.unsupported, excluded: taken.excluded, warnings: doubts })
}

/// The common state of all operations of a document.
struct ImportContext<'d> {
    root: DocumentCursor<'d>,
    version: OpenApiVersion,
    server: Option<&'d str>,
    auth: Vec<(String, ParamsTemplate)>,
    trusted: bool,
    profile: &'d ToolProfile,
    /// The definition's overrides of single operations, by method and path.
    overrides: BTreeMap<String, OperationOverride>,
    /// The version of the API, as the document states it.
    version_text: Option<&'d str>,
    /// Ids that occur more than once.
    repeated: BTreeSet<String>,
    written: &'d OpenApiFields,
}

/// One operation of a document, with its override.
struct ImportedOperation<'a, 'd> {
    path: &'d str,
    item: &'a DocumentCursor<'d>,
    method: &'a str,
    id: &'a str,
    written: &'a DocumentCursor<'d>,
    operation_override: OperationOverride,
}

/// The OpenAPI version of a document, which determines its schema dialect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OpenApiVersion {
    /// With `nullable` and boolean bounds.
    V30,
    /// JSON Schema 2020-12.
    V31,
}

#[derive(Default)]
struct ImportAccumulator {
    tools: Vec<ToolDefinition>,
    names: BTreeSet<String>,
    unsupported: Vec<ImportDiagnostic>,
    excluded: BTreeMap<String, String>,
    /// Every name by which an operation can be selected.
    ids: BTreeSet<String>,
    /// Overrides of operations that the definition excludes.
    unused: Vec<String>,
}

impl<'d> ImportContext<'d> {
    /// Imports the operations of one path.
    fn import_path(
        &self,
        path: &'d str,
        item: &DocumentCursor<'d>,
        taken: &mut ImportAccumulator,
    ) -> Result<(), DefinitionDiagnostic> {
        let echo = item.field(UNSUPPORTED_METHOD);
        if !echo.is_null() {
            taken.unsupported.push(ImportDiagnostic { place: echo.place(), reason: "TRACE is not called".to_owned() });
        }
        for method in METHODS {
            let operation = item.field(method);
            if operation.is_null() {
                continue;
            }
            let said = id(&operation, method, path);
            let id = if self.repeated.contains(&said) { method_and_path(method, path) } else { said.clone() };
            let is_wanted = is_operation_wanted(self.written, &[&said, &id]);
            let own = self.overrides.get(&method_and_path(method, path)).cloned().unwrap_or_default();
            if is_wanted && said != id {
                let reason =
                    format!("`{said}` is the id of several operations; this one is called by its path, as `{id}`");
                taken.unsupported.push(ImportDiagnostic { place: operation.field("operationId").place(), reason });
            }
            taken.ids.extend([said, id.clone()]);
            if !is_wanted && !own.place.is_empty() {
                taken.unused.push(own.place.clone());
            }
            if !is_wanted || own.is_excluded {
                let why = match own.is_excluded {
                    true => format!("`{}.enabled` is false", own.place),
                    false => "it is not among those that `include` and `exclude` choose".to_owned(),
                };
                taken.excluded.insert(self.tool_name(&id, &own), why);
            } else {
                self.import_operation(
                    &ImportedOperation { path, item, method, id: &id, written: &operation, operation_override: own },
                    taken,
                )?;
            }
        }
        Ok(())
    }

    /// Returns the name of the operation's tool.
    fn tool_name(&self, id: &str, own: &OperationOverride) -> String {
        own.name.clone().unwrap_or_else(|| free_name(&self.profile.name, id, &BTreeSet::new()))
    }

    fn import_operation(
        &self,
        asked: &ImportedOperation<'_, 'd>,
        taken: &mut ImportAccumulator,
    ) -> Result<(), DefinitionDiagnostic> {
        if taken.tools.len() >= OPERATIONS_MAX {
            let reason = format!("has more than {OPERATIONS_MAX} operations; choose among them with `include`");
            return Err(DefinitionDiagnostic::at("document", reason));
        }
        let ImportedOperation { path, method, written, operation_override: own, .. } = asked;
        let read = operation::read(self, asked, &mut taken.unsupported);
        let ParsedOperation { operation, parameters, answer } = match read.and_then(|read| compiled(written, read)) {
            Ok(read) => read,
            Err(unsupported) => {
                let why = format!("{}: {}", unsupported.place, unsupported.reason);
                taken.excluded.insert(self.tool_name(asked.id, own), why);
                taken.unsupported.push(unsupported);
                return Ok(());
            }
        };
        let (profile, class) = own.profile_and_class(&operation)?;
        let name = match (&own.name, self.name_conflict(asked)) {
            (Some(name), _) => name.clone(),
            (None, None) => free_name(&self.profile.name, asked.id, &taken.names),
            (None, Some(reason)) => {
                taken.unsupported.push(ImportDiagnostic { place: written.place(), reason });
                return Ok(());
            }
        };
        taken.names.insert(name.clone());
        let parameters = own.parameters(parameters)?;
        let profile =
            profile.with_name(name).with_parameters(parameters).with_source_fallback(self.profile).with_defaults(
                ProfileDefaults {
                    description: description(written, method, path),
                    category: None,
                    class,
                    risk: overrides::risk(class, &operation.method, self.trusted),
                    parameters: Value::Null,
                    output_schema: answer.map(Arc::new),
                    version: self.version_text.map(str::to_owned),
                    timeout_ms: None,
                    irreversible: "its document does not say how it is undone",
                },
            );
        taken.tools.push(ToolDefinition { profile, kind: ToolKind::Operation(Box::new(operation)), digest: None });
        Ok(())
    }
}

impl ImportContext<'_> {
    /// Returns why an operation without an explicit name cannot have its natural one, if another operation was
    /// explicitly given that name. A newer document may have introduced the conflict, so only this operation is
    /// excluded.
    fn name_conflict(&self, asked: &ImportedOperation<'_, '_>) -> Option<String> {
        let natural = free_name(&self.profile.name, asked.id, &BTreeSet::new());
        let other = self.overrides.values().find(|own| own.name.as_ref() == Some(&natural))?;
        Some(format!(
            "`{natural}` is what `{}.name` calls another operation; say `operations.{}.name`",
            other.place, asked.id
        ))
    }
}

/// Checks that the schema of the arguments compiles, so that an invalid one is reported now and not by every call.
fn compiled(written: &DocumentCursor<'_>, read: ParsedOperation) -> Result<ParsedOperation, ImportDiagnostic> {
    let schema = ArgumentSchema::new(read.parameters);
    match schema.compile() {
        Ok(()) => Ok(ParsedOperation { parameters: schema.into_document(), ..read }),
        Err(reason) => {
            let reason = format!("its arguments cannot be checked, for their schema is none: {reason}");
            Err(ImportDiagnostic { place: written.place(), reason })
        }
    }
}

fn version(document: &Value) -> Result<OpenApiVersion, DefinitionDiagnostic> {
    let says = document.get("openapi").and_then(Value::as_str);
    match says {
        Some(version) if version.starts_with("3.0") => Ok(OpenApiVersion::V30),
        Some(version) if version.starts_with("3.1") => Ok(OpenApiVersion::V31),
        Some(version) => {
            Err(DefinitionDiagnostic::at("document", format!("speaks OpenAPI {version}; 3.0 and 3.1 are understood")))
        }
        None if document.get("swagger").is_some() => {
            Err(DefinitionDiagnostic::at("document", "speaks Swagger 2.0; convert it to OpenAPI 3 first"))
        }
        None => Err(DefinitionDiagnostic::at("document", "is no OpenAPI document: it has no `openapi` with a version")),
    }
}

fn credentials(auth: &Map<String, Value>) -> Result<Vec<(String, ParamsTemplate)>, DefinitionDiagnostic> {
    let read = |(scheme, value): (&String, &Value)| {
        Ok((scheme.clone(), template(&format!("auth.{scheme}"), value, &["secrets", "tenant"])?))
    };
    auth.iter().map(read).collect()
}

/// Returns the operation's id, or its method and path if it has none.
fn id(operation: &DocumentCursor<'_>, method: &str, path: &str) -> String {
    operation.field("operationId").text().map_or_else(|| method_and_path(method, path), str::to_owned)
}

fn method_and_path(method: &str, path: &str) -> String {
    format!("{method}{path}")
}

/// Returns the ids that occur more than once. No operation is known by such an id: the choice would be arbitrary, and
/// could change with the next version of the document.
fn duplicate_ids(root: &DocumentCursor<'_>) -> BTreeSet<String> {
    let (mut seen, mut repeated) = (BTreeSet::new(), BTreeSet::new());
    for (_, item) in root.field("paths").fields() {
        let Ok(item) = item.resolved() else { continue };
        for method in METHODS {
            if let Some(id) = item.field(method).field("operationId").text()
                && !seen.insert(id)
            {
                repeated.insert(id.to_owned());
            }
        }
    }
    repeated
}

/// Returns whether an operation is included, by any of its names.
fn is_operation_wanted(written: &OpenApiFields, names: &[&str]) -> bool {
    names.iter().any(|name| is_wanted(&written.include, &[], name))
        && names.iter().all(|name| is_wanted(&[], &written.exclude, name))
}

/// Returns whether a name is included and not excluded. An empty `include` includes all names.
pub(crate) fn is_wanted(include: &[String], exclude: &[String], id: &str) -> bool {
    let among = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, id));
    (include.is_empty() || among(include)) && !among(exclude)
}

/// Returns whether a text matches a pattern, in which `*` matches anything.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for piece in pieces {
        if let Some(between) = last.replace(piece) {
            let Some((_, after)) = rest.split_once(between) else { return false };
            rest = after;
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

/// Returns `NAME.ID`, reduced to the characters of tool names, short enough and not taken.
pub(crate) fn free_name(source: &str, id: &str, taken: &BTreeSet<String>) -> String {
    let mut name = format!("{source}.");
    for char in id.chars() {
        let plain = char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        if plain {
            name.push(char);
        } else if !name.ends_with(['_', '.']) {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_');
    let shortened = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
    if !taken.contains(shortened) {
        return shortened.to_owned();
    }
    let numbered = (2_usize..).map(|number| {
        let number = format!("_{number}");
        format!("{}{number}", &name[..name.floor_char_boundary(NAME_BYTES_MAX - number.len())])
    });
    numbered.into_iter().find(|name| !taken.contains(name)).unwrap_or_default()
}

/// Returns the description in the document; if there is none, the words of the id, or the method and path.
fn description(operation: &DocumentCursor<'_>, method: &str, path: &str) -> String {
    let text = |field: &str| operation.field(field).text().map(str::trim).filter(|text| !text.is_empty());
    match (text("summary"), text("description")) {
        (Some(summary), Some(whole)) if !whole.starts_with(summary) => format!("{summary}\n{whole}"),
        (_, Some(whole)) => whole.to_owned(),
        (Some(summary), None) => summary.to_owned(),
        (None, None) => {
            let asked = format!("{} {path}", method.to_ascii_uppercase());
            operation.field("operationId").text().map_or(asked.clone(), |id| format!("{} ({asked})", words_of_id(id)))
        }
    }
}

/// Turns `listOpenOrders` and `list_open-orders` into `List open orders`.
fn words_of_id(id: &str) -> String {
    let mut words = String::new();
    let mut before_is_small = false;
    for char in id.chars() {
        if !char.is_alphanumeric() {
            words.push(' ');
        } else if char.is_uppercase() && before_is_small {
            words.push(' ');
            words.extend(char.to_lowercase());
        } else if words.is_empty() {
            words.extend(char.to_uppercase());
        } else {
            words.push(char);
        }
        before_is_small = char.is_lowercase() || char.is_ascii_digit();
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Splits a server's address into scheme, host and port, and the path that precedes every operation's.
fn origin(server: &str) -> Option<(Url, String)> {
    let mut url: Url = server.parse().ok()?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    Some((url, base))
}

fn method(name: &str) -> Method {
    Method::from_bytes(name.to_ascii_uppercase().as_bytes()).unwrap_or(Method::GET)
}

#[cfg(test)]
mod tests;
