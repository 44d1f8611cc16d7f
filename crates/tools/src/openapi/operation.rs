//! One operation: what it is asked with, and the schema of its arguments.

use reqwest::header::HeaderName;
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use super::auth::{self, Credential};
use super::parameter::{self, Parameter, Place};
use super::schema::Schemas;
use super::within::Within;
use super::{Source, Unsupported, method, origin};

/// An operation of a document, ready to be called.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// Scheme, host and port, which no call can change.
    pub(crate) origin: Url,
    pub(crate) path: Vec<Part>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Option<Body>,
    pub(crate) credentials: Vec<Credential>,
    /// Whether the project itself names the server, or vouches for the document: it may then be a private address.
    pub(crate) is_trusted: bool,
    /// A header of the document's own that takes the call's key.
    pub(crate) idempotency_header: Option<HeaderName>,
}

/// A piece of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(String),
    /// The parameter of this name.
    Parameter(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) argument: String,
    pub(crate) media: Media,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// Under this content type.
    Json(String),
    Form,
    /// Under this content type.
    Text(String),
}

/// The operation, and the JSON Schema of its arguments.
pub(super) fn read(
    source: &Source<'_>,
    path: &str,
    item: &Within<'_>,
    verb: &str,
    written: &Within<'_>,
    notes: &mut Vec<Unsupported>,
) -> Result<(Operation, Value), Unsupported> {
    let (origin, base) = server(source, item, written)?;
    let credentials = auth::read(source, written, notes)?;
    let mut schemas = Schemas::new(&source.root, source.version, notes);
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut parameters = Vec::new();
    let mut idempotency_header = None;
    for written in merged(item, written) {
        let Some(read) = parameter::read(&written, &mut schemas, &properties)? else { continue };
        if read.parameter.place == Place::Header && read.parameter.name.eq_ignore_ascii_case("idempotency-key") {
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
        let is_known = |name: &str| parameters.iter().any(|known| known.place == Place::Path && known.name == name);
        if let Part::Parameter(name) = part
            && !is_known(name)
        {
            return Err(Unsupported {
                place: written.place(),
                reason: format!("its path names `{name}`, which it does not declare"),
            });
        }
    }
    let mut schema =
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let definitions = schemas.definitions();
    if !definitions.is_empty() {
        schema["$defs"] = Value::Object(definitions);
    }
    let is_trusted = source.trusted || source.server.is_some();
    let method = method(verb);
    let operation = Operation { method, origin, path, parameters, body, credentials, is_trusted, idempotency_header };
    Ok((operation, schema))
}

/// Parameters of the path, in whose place those of the operation stand.
fn merged<'d>(item: &Within<'d>, operation: &Within<'d>) -> Vec<Within<'d>> {
    let key = |parameter: &Within<'d>| {
        let parameter = parameter.resolved().ok()?;
        Some((parameter.field("in").text()?, parameter.field("name").text()?))
    };
    let own = operation.field("parameters").items();
    let is_own = |shared: &Within<'d>| own.iter().any(|own| key(own).is_some() && key(own) == key(shared));
    let mut all: Vec<_> = item.field("parameters").items().into_iter().filter(|shared| !is_own(shared)).collect();
    all.extend(own);
    all
}

fn body<'d>(
    operation: &Within<'d>,
    schemas: &mut Schemas<'d, '_>,
    properties: &mut Map<String, Value>,
    required: &mut Vec<Value>,
) -> Result<Option<Body>, Unsupported> {
    let written = operation.field("requestBody");
    if written.is_null() {
        return Ok(None);
    }
    let body = written.resolved().map_err(|reason| Unsupported { place: written.place(), reason })?;
    let kinds = body.field("content").fields();
    let json =
        |kind: &str| kind == "application/json" || kind.ends_with("+json") || kind.starts_with("application/json;");
    let find = |wanted: &dyn Fn(&str) -> bool| kinds.iter().find(|(kind, _)| wanted(kind));
    let found = find(&json)
        .or_else(|| find(&|kind| kind == "*/*"))
        .or_else(|| find(&|kind| kind.starts_with("application/x-www-form-urlencoded")))
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
        return Err(Unsupported { place: body.place(), reason });
    };
    let media = match *kind {
        "*/*" => Media::Json("application/json".to_owned()),
        kind if json(kind) => Media::Json(kind.to_owned()),
        kind if kind.starts_with("text/") => Media::Text(kind.to_owned()),
        _ => Media::Form,
    };
    if media == Media::Form && !content.field("encoding").is_null() {
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
    Ok(Some(Body { argument: argument.to_owned(), media }))
}

/// The nearest server that is named: the definition's, the operation's, its path's, the document's.
fn server(source: &Source<'_>, item: &Within<'_>, operation: &Within<'_>) -> Result<(Url, String), Unsupported> {
    let named =
        [operation, item, &source.root].into_iter().find_map(|at| at.field("servers").items().into_iter().next());
    let address = match (source.server, &named) {
        (Some(server), _) => server.to_owned(),
        (None, Some(named)) => filled(named),
        (None, None) => String::new(),
    };
    origin(&address).ok_or_else(|| Unsupported {
        place: named.map_or_else(|| operation.place(), |named| named.place()),
        reason: format!("`{address}` is no address to call; say `server: https://…` in the definition"),
    })
}

/// A server's address with the defaults of its variables.
fn filled(server: &Within<'_>) -> String {
    let mut address = server.field("url").text().unwrap_or_default().to_owned();
    for (name, variable) in server.field("variables").fields() {
        if let Some(default) = variable.field("default").text() {
            address = address.replace(&format!("{{{name}}}"), default);
        }
    }
    address
}

fn parts(path: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else { break };
        if !before.is_empty() {
            parts.push(Part::Literal(before.to_owned()));
        }
        parts.push(Part::Parameter(name.to_owned()));
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    parts
}
