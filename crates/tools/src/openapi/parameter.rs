//! A parameter: where a request carries an argument, and in what form.

use serde_json::{Map, Value};

use super::Unsupported;
use super::schema::Schemas;
use super::within::Within;

#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// What the argument is called.
    pub(crate) argument: String,
    /// What the service calls it.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

/// How lists and objects are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Lists one after the other under the same name, an object field by field.
    Exploded,
    /// Joined by this.
    Joined(char),
    /// Joined by commas, an object as `field=value`.
    Pairs,
    /// `name[field]=value`
    Deep,
    /// As JSON.
    Json,
}

/// A parameter, with the schema of its argument and whether it must be there.
pub(super) struct Read {
    pub(super) parameter: Parameter,
    pub(super) schema: Value,
    pub(super) required: bool,
}

/// `None` for a header that HTTP itself decides.
pub(super) fn read(
    written: &Within<'_>,
    schemas: &mut Schemas<'_, '_>,
    properties: &Map<String, Value>,
) -> Result<Option<Read>, Unsupported> {
    let parameter = written.resolved().map_err(|reason| Unsupported { place: written.place(), reason })?;
    let wrong = |reason: &str| Unsupported { place: parameter.place(), reason: reason.to_owned() };
    let name = parameter.field("name").text().ok_or_else(|| wrong("has no name"))?;
    let place = match parameter.field("in").text() {
        Some("path") => Place::Path,
        Some("query") => Place::Query,
        Some("header") => Place::Header,
        Some("cookie") => Place::Cookie,
        Some(_) | None => return Err(wrong("is in none of path, query, header and cookie")),
    };
    let decided = ["accept", "content-type", "authorization"];
    if place == Place::Header && decided.contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(None);
    }
    let content = parameter.field("content").fields().into_iter().next();
    let (style, written_schema) = match &content {
        Some((media, content)) if media.contains("json") => (Style::Json, content.field("schema")),
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
    let required = place == Place::Path || parameter.field("required").is_true();
    let parameter = Parameter { argument, name: name.to_owned(), place, style };
    Ok(Some(Read { parameter, schema, required }))
}

fn style(parameter: &Within<'_>, place: Place) -> Result<Style, &'static str> {
    let explode = parameter.field("explode");
    let exploded = |unless_told: bool| explode.value().as_bool().unwrap_or(unless_told);
    match (place, parameter.field("style").text()) {
        (Place::Path | Place::Header, None | Some("simple")) => {
            Ok(if exploded(false) { Style::Pairs } else { Style::Joined(',') })
        }
        (Place::Query | Place::Cookie, None | Some("form")) => {
            Ok(if exploded(true) { Style::Exploded } else { Style::Joined(',') })
        }
        (Place::Query, Some("spaceDelimited")) => {
            Ok(if exploded(false) { Style::Exploded } else { Style::Joined(' ') })
        }
        (Place::Query, Some("pipeDelimited")) => Ok(if exploded(false) { Style::Exploded } else { Style::Joined('|') }),
        (Place::Query, Some("deepObject")) => Ok(Style::Deep),
        (Place::Path | Place::Query | Place::Header | Place::Cookie, Some(_)) => {
            Err("is written in a style that is not supported")
        }
    }
}
