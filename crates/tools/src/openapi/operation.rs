//! One operation: how it is called, and the schema of its arguments.

use std::collections::BTreeMap;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use super::auth::{self, RequestCredential};
use super::cursor::DocumentCursor;
use super::parameter::{self, OperationParameter, ParameterPlace};
use super::schema::{SchemaCollector, is_file};
use super::{ImportContext, ImportDiagnostic, ImportedOperation, method, origin};
use crate::value_size::json_size;

/// Maximum nesting depth of schemas that are searched for files.
const SCHEMAS_DEEP: usize = 8;
/// The header for the call's idempotency key, unless the definition names another.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Maximum size of the output schema of one operation, in bytes; a larger one is not kept.
const ANSWER_BYTES_MAX: usize = 32 << 10;

/// An operation of a document, ready to be called.
#[derive(Clone, Debug)]
pub(crate) struct OpenApiOperation {
    pub(crate) method: Method,
    /// Scheme, host and port, which no call can change.
    pub(crate) origin: Url,
    pub(crate) path: Vec<PathPart>,
    pub(crate) parameters: Vec<OperationParameter>,
    pub(crate) body: Option<OperationBody>,
    pub(crate) credentials: Vec<RequestCredential>,
    /// Whether the project itself names the server, or vouches for the document. The address may then be private.
    pub(crate) is_trusted: bool,
    /// A header that the document declares for the call's idempotency key.
    pub(crate) idempotency_header: Option<HeaderName>,
}

/// A piece of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathPart {
    Literal(String),
    /// The parameter of this name.
    Parameter(String),
}

#[derive(Clone, Debug)]
pub(crate) struct OperationBody {
    pub(crate) argument: String,
    pub(crate) media: BodyMedia,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyMedia {
    /// Under this content type.
    Json(String),
    Form,
    /// One part per field. Maps the fields that are files to their content types.
    Multipart(BTreeMap<String, String>),
    /// Under this content type.
    Text(String),
}

/// A parsed operation.
pub(super) struct ParsedOperation {
    pub(super) operation: OpenApiOperation,
    /// JSON Schema of its arguments.
    pub(super) parameters: Value,
    /// JSON Schema of its output, if the document declares it.
    pub(super) answer: Option<Value>,
}

pub(super) fn read<'d>(
    source: &ImportContext<'d>,
    asked: &ImportedOperation<'_, 'd>,
    notes: &mut Vec<ImportDiagnostic>,
) -> Result<ParsedOperation, ImportDiagnostic> {
    let ImportedOperation { path, item, method: verb, written, operation_override: own, .. } = asked;
    let (origin, base) = server(source, item, written)?;
    let credentials = auth::read(source, written, notes)?;
    let mut schemas = SchemaCollector::new(&source.root, source.version, notes);
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut parameters = Vec::new();
    let mut idempotency_header = own.idempotency_header.clone();
    let takes_key = own.idempotency_header.as_ref().map_or(IDEMPOTENCY_KEY, HeaderName::as_str);
    for written in merged(item, written) {
        let Some(read) = parameter::read(&written, &mut schemas, &properties)? else { continue };
        if read.parameter.place == ParameterPlace::Header && read.parameter.name.eq_ignore_ascii_case(takes_key) {
            idempotency_header = read.parameter.name.parse().ok();
            continue;
        }
        if read.required {
            required.push(Value::from(read.parameter.argument.as_str()));
        }
        properties.insert(read.parameter.argument.clone(), read.schema);
        parameters.push(read.parameter);
    }
    let body = body(written, &mut schemas, &mut properties, &mut required)?;
    let path = parts(&format!("{base}{path}"));
    for part in &path {
        let is_known =
            |name: &str| parameters.iter().any(|known| known.place == ParameterPlace::Path && known.name == name);
        if let PathPart::Parameter(name) = part
            && !is_known(name)
        {
            return Err(ImportDiagnostic {
                place: written.place(),
                reason: format!("its path names `{name}`, which it does not declare"),
            });
        }
    }
    let mut schema =
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    schemas.define(&mut schema);
    let is_trusted = source.trusted || source.server.is_some();
    let method = method(verb);
    let operation =
        OpenApiOperation { method, origin, path, parameters, body, credentials, is_trusted, idempotency_header };
    Ok(ParsedOperation { operation, parameters: schema, answer: answer(source, written) })
}

/// Returns the schema of a successful response. Parts that cannot be described accept anything.
fn answer<'d>(source: &ImportContext<'d>, operation: &DocumentCursor<'d>) -> Option<Value> {
    let responses = operation.field("responses");
    let written = ["200", "201"].into_iter().find_map(|status| {
        let content = responses.field(status).resolved().ok()?.field("content").fields();
        let (_, content) = content.into_iter().find(|(kind, _)| is_json(kind) || *kind == "*/*")?;
        Some(content.field("schema")).filter(|schema| !schema.is_null())
    })?;
    let mut notes = Vec::new();
    let mut schemas = SchemaCollector::of_answers(&source.root, source.version, &mut notes);
    let mut schema = schemas.of(&written);
    schemas.define(&mut schema);
    (schema.is_object() && json_size(&schema) <= ANSWER_BYTES_MAX).then_some(schema)
}

fn is_json(kind: &str) -> bool {
    kind == "application/json" || kind.ends_with("+json") || kind.starts_with("application/json;")
}

/// Merges the parameters of the path with those of the operation, which take precedence.
fn merged<'d>(item: &DocumentCursor<'d>, operation: &DocumentCursor<'d>) -> Vec<DocumentCursor<'d>> {
    let key = |parameter: &DocumentCursor<'d>| {
        let parameter = parameter.resolved().ok()?;
        Some((parameter.field("in").text()?, parameter.field("name").text()?))
    };
    let own = operation.field("parameters").items();
    let is_own = |shared: &DocumentCursor<'d>| own.iter().any(|own| key(own).is_some() && key(own) == key(shared));
    let mut all: Vec<_> = item.field("parameters").items().into_iter().filter(|shared| !is_own(shared)).collect();
    all.extend(own);
    all
}

fn body<'d>(
    operation: &DocumentCursor<'d>,
    schemas: &mut SchemaCollector<'d, '_>,
    properties: &mut Map<String, Value>,
    required: &mut Vec<Value>,
) -> Result<Option<OperationBody>, ImportDiagnostic> {
    let written = operation.field("requestBody");
    if written.is_null() {
        return Ok(None);
    }
    let body = written.resolved().map_err(|reason| ImportDiagnostic { place: written.place(), reason })?;
    let kinds = body.field("content").fields();
    let find = |wanted: &dyn Fn(&str) -> bool| kinds.iter().find(|(kind, _)| wanted(kind));
    let found = find(&is_json)
        .or_else(|| find(&|kind| kind == "*/*"))
        .or_else(|| find(&|kind| kind.starts_with("application/x-www-form-urlencoded")))
        .or_else(|| find(&|kind| kind.starts_with("multipart/form-data")))
        .or_else(|| find(&|kind| kind.starts_with("text/")));
    let Some((kind, content)) = found else {
        let names: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
        let kinds = if names.is_empty() { "no kind that is named".to_owned() } else { names.join(" or ") };
        if !body.field("required").is_true() {
            let reason = format!("it is called without its body, which is optional: {kinds} is not supported");
            schemas.note(&body.place(), reason);
            return Ok(None);
        }
        let reason = format!("it needs a body of {kinds}, which is not supported");
        return Err(ImportDiagnostic { place: body.place(), reason });
    };
    let media = match *kind {
        "*/*" => BodyMedia::Json("application/json".to_owned()),
        kind if is_json(kind) => BodyMedia::Json(kind.to_owned()),
        kind if kind.starts_with("text/") => BodyMedia::Text(kind.to_owned()),
        kind if kind.starts_with("multipart/") => BodyMedia::Multipart(files(content)),
        _ => BodyMedia::Form,
    };
    if media == BodyMedia::Form && !content.field("encoding").is_null() {
        let reason = "lists are written as `name[]`, objects as `name[field]`, whatever is said here".to_owned();
        schemas.note(&content.field("encoding").place(), reason);
    }
    let argument = if properties.contains_key("body") { "request_body" } else { "body" };
    let mut schema = schemas.of(&content.field("schema"));
    if let (Some(text), Some(fields)) = (body.field("description").text(), schema.as_object_mut()) {
        fields.entry("description").or_insert_with(|| text.into());
    }
    properties.insert(argument.to_owned(), schema);
    if body.field("required").is_true() {
        required.push(argument.into());
    }
    Ok(Some(OperationBody { argument: argument.to_owned(), media }))
}

/// Returns the fields of a form that are files, with their content types in the document.
fn files(form: &DocumentCursor<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    gather(&form.field("schema"), form, SCHEMAS_DEEP, &mut found);
    found
}

/// Collects the file fields of a form's schema, and of the schemas that it is composed of.
fn gather(schema: &DocumentCursor<'_>, form: &DocumentCursor<'_>, deep: usize, found: &mut BTreeMap<String, String>) {
    let Ok(schema) = schema.resolved() else { return };
    for (name, written) in schema.field("properties").fields() {
        let Some(own) = file(&written, deep) else { continue };
        let said = form.field("encoding").field(name).field("contentType");
        let kind = said.text().map_or(own, str::to_owned);
        let is_one = HeaderValue::from_str(&kind).is_ok() && kind.contains('/') && !kind.contains([',', '*']);
        found.insert(name.to_owned(), if is_one { kind } else { "application/octet-stream".to_owned() });
    }
    if let Some(deep) = deep.checked_sub(1) {
        schema.field("allOf").items().iter().for_each(|part| gather(part, form, deep, found));
    }
}

/// Returns the content type of a field that is a file, may be one, or is a list of them.
fn file(written: &DocumentCursor<'_>, deep: usize) -> Option<String> {
    let field = written.resolved().ok()?;
    if is_file(field.value()) {
        return Some(field.field("contentMediaType").text().unwrap_or_default().to_owned());
    }
    let deep = deep.checked_sub(1)?;
    let parts = ["anyOf", "oneOf", "allOf"].map(|key| field.field(key).items());
    let items = Some(field.field("items")).filter(|items| !items.is_null());
    parts.into_iter().flatten().chain(items).find_map(|one| file(&one, deep))
}

/// Returns the closest server that is named: in the definition, the operation, its path, or the document.
fn server(
    source: &ImportContext<'_>,
    item: &DocumentCursor<'_>,
    operation: &DocumentCursor<'_>,
) -> Result<(Url, String), ImportDiagnostic> {
    let named =
        [operation, item, &source.root].into_iter().find_map(|at| at.field("servers").items().into_iter().next());
    let address = match (source.server, &named) {
        (Some(server), _) => server.to_owned(),
        (None, Some(named)) => filled(named),
        (None, None) => String::new(),
    };
    origin(&address).ok_or_else(|| ImportDiagnostic {
        place: named.map_or_else(|| operation.place(), |named| named.place()),
        reason: format!("`{address}` is no address to call; say `server: https://…` in the definition"),
    })
}

/// Returns a server's address with its variables set to their defaults.
fn filled(server: &DocumentCursor<'_>) -> String {
    let mut address = server.field("url").text().unwrap_or_default().to_owned();
    for (name, variable) in server.field("variables").fields() {
        if let Some(default) = variable.field("default").text() {
            address = address.replace(&format!("{{{name}}}"), default);
        }
    }
    address
}

fn parts(path: &str) -> Vec<PathPart> {
    let mut parts = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else { break };
        if !before.is_empty() {
            parts.push(PathPart::Literal(before.to_owned()));
        }
        parts.push(PathPart::Parameter(name.to_owned()));
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(PathPart::Literal(rest.to_owned()));
    }
    parts
}
