//! A parameter: where a request carries an argument, and how it is serialised.

use serde_json::{Map, Value};

use super::ImportDiagnostic;
use super::cursor::DocumentCursor;
use super::schema::SchemaCollector;

#[derive(Clone, Debug)]
pub(crate) struct OperationParameter {
    /// The name of the argument.
    pub(crate) argument: String,
    /// The name that the service uses.
    pub(crate) name: String,
    pub(crate) place: ParameterPlace,
    pub(crate) style: ParameterStyle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterPlace {
    Path,
    Query,
    Header,
    Cookie,
}

/// How lists and objects are serialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterStyle {
    /// Each list item under the same name, and each object field as its own pair.
    Exploded,
    /// Joined by this character.
    Joined(char),
    /// Joined by commas, an object as `field=value`.
    Pairs,
    /// `name[field]=value`
    Deep,
    /// As JSON.
    Json,
}

/// A parameter, with the schema of its argument and whether it is required.
pub(super) struct ParsedParameter {
    pub(super) parameter: OperationParameter,
    pub(super) schema: Value,
    pub(super) required: bool,
}

/// Reads a parameter. Returns `None` for a header that HTTP itself controls.
pub(super) fn read(
    written: &DocumentCursor<'_>,
    schemas: &mut SchemaCollector<'_, '_>,
    properties: &Map<String, Value>,
) -> Result<Option<ParsedParameter>, ImportDiagnostic> {
    let parameter = written.resolved().map_err(|reason| ImportDiagnostic { place: written.place(), reason })?;
    let wrong = |reason: &str| ImportDiagnostic { place: parameter.place(), reason: reason.to_owned() };
    let name = parameter.field("name").text().ok_or_else(|| wrong("has no name"))?;
    let place = match parameter.field("in").text() {
        Some("path") => ParameterPlace::Path,
        Some("query") => ParameterPlace::Query,
        Some("header") => ParameterPlace::Header,
        Some("cookie") => ParameterPlace::Cookie,
        Some(_) | None => return Err(wrong("is in none of path, query, header and cookie")),
    };
    let decided = ["accept", "content-type", "authorization"];
    if place == ParameterPlace::Header && decided.contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(None);
    }
    let content = parameter.field("content").fields().into_iter().next();
    let (style, written_schema) = match &content {
        Some((media, content)) if media.contains("json") => (ParameterStyle::Json, content.field("schema")),
        Some(_) => return Err(wrong("is neither plain nor JSON")),
        None => (style(&parameter, place).map_err(wrong)?, parameter.field("schema")),
    };
    if parameter.field("allowReserved").is_true() {
        schemas.note(&parameter.place(), "its value is percent-encoded all the same".to_owned());
    }
    let mut schema = schemas.of(&written_schema);
    if let (Some(text), Some(fields)) = (parameter.field("description").text(), schema.as_object_mut()) {
        fields.entry("description").or_insert_with(|| text.into());
    }
    let argument = match properties.contains_key(name) {
        false => name.to_owned(),
        true => format!("{name}_{}", parameter.field("in").text().unwrap_or_default()),
    };
    let required = place == ParameterPlace::Path || parameter.field("required").is_true();
    let parameter = OperationParameter { argument, name: name.to_owned(), place, style };
    Ok(Some(ParsedParameter { parameter, schema, required }))
}

fn style(parameter: &DocumentCursor<'_>, place: ParameterPlace) -> Result<ParameterStyle, &'static str> {
    let explode = parameter.field("explode");
    let exploded = |unless_told: bool| explode.value().as_bool().unwrap_or(unless_told);
    match (place, parameter.field("style").text()) {
        (ParameterPlace::Path | ParameterPlace::Header, None | Some("simple")) => {
            Ok(if exploded(false) { ParameterStyle::Pairs } else { ParameterStyle::Joined(',') })
        }
        (ParameterPlace::Query | ParameterPlace::Cookie, None | Some("form")) => {
            Ok(if exploded(true) { ParameterStyle::Exploded } else { ParameterStyle::Joined(',') })
        }
        (ParameterPlace::Query, Some("spaceDelimited")) => {
            Ok(if exploded(false) { ParameterStyle::Exploded } else { ParameterStyle::Joined(' ') })
        }
        (ParameterPlace::Query, Some("pipeDelimited")) => {
            Ok(if exploded(false) { ParameterStyle::Exploded } else { ParameterStyle::Joined('|') })
        }
        (ParameterPlace::Query, Some("deepObject")) => Ok(ParameterStyle::Deep),
        (ParameterPlace::Path | ParameterPlace::Query | ParameterPlace::Header | ParameterPlace::Cookie, Some(_)) => {
            Err("is written in a style that is not supported")
        }
    }
}
