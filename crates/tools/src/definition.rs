//! Tools that a project defines in `tools/*.yaml`: scripts and HTTP request templates. The app reads the files; here
//! they are JSON already.

mod http;
mod profile;
mod script;

use std::collections::BTreeSet;

use baton_core::expr::{Dialect, Params, nearest};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(crate) use http::{ErrorRule, Http, Lookup, OPEN_NAMES, Segment, Template as HttpTemplate};
pub(crate) use profile::Profile;
pub(crate) use script::{Fault as ScriptedFault, NAMES as SCRIPT_NAMES, Reply, Rule, Script, When};

use crate::error::Error;

/// Tools in one document.
const TOOLS_MAX: usize = 1_000;

/// A tool, checked as far as it can be before a call.
#[derive(Clone, Debug)]
pub struct Definition {
    pub(crate) profile: Profile,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Canned results.
    Script(Script),
    /// An HTTP request template.
    Http(Box<Http>),
}

impl Definition {
    /// Reads one tool, a list of them, or `{tools: [...]}`.
    ///
    /// # Errors
    /// Names the tool, the place in it and what is wrong: a field there is not, an expression that does not parse, a
    /// class that the tool cannot keep.
    pub fn parse(document: Value) -> Result<Vec<Self>, Error> {
        let tools = match document {
            Value::Array(tools) => tools,
            Value::Object(mut fields) if fields.len() == 1 && fields.get("tools").is_some_and(Value::is_array) => {
                match fields.remove("tools") {
                    Some(Value::Array(tools)) => tools,
                    _ => Vec::new(),
                }
            }
            one => vec![one],
        };
        if tools.len() > TOOLS_MAX {
            let reason = format!("a document holds {} tools and may hold {TOOLS_MAX}", tools.len());
            return Err(Error::Definition { tool: String::new(), place: "tools".to_owned(), reason });
        }
        tools.into_iter().map(Self::one).collect()
    }

    pub fn name(&self) -> &str {
        &self.profile.name
    }

    fn one(tool: Value) -> Result<Self, Error> {
        let Value::Object(mut fields) = tool else {
            let reason = "a tool is an object with `name` and `kind`".to_owned();
            return Err(Error::Definition { tool: String::new(), place: String::new(), reason });
        };
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let wrong =
            |mistake: Mistake| Error::Definition { tool: name.clone(), place: mistake.place, reason: mistake.reason };
        let kind = fields.remove("kind");
        let profile = Profile::take(&mut fields).map_err(wrong)?;
        match kind.as_ref().and_then(Value::as_str) {
            Some("script") => {
                let script = Script::read(fields, &profile).map_err(wrong)?;
                let profile = script.complete(profile);
                Ok(Self { profile, kind: Kind::Script(script) })
            }
            Some("http") => {
                let http = Http::read(fields).map_err(wrong)?;
                let profile = http.complete(profile).map_err(wrong)?;
                Ok(Self { profile, kind: Kind::Http(Box::new(http)) })
            }
            Some(other) => {
                Err(wrong(Mistake::at("kind", format!("`{other}` is no kind; there are `script` and `http`"))))
            }
            None => Err(wrong(Mistake::at("kind", "say `kind: script` or `kind: http`"))),
        }
    }
}

/// What is wrong, and where in the definition.
#[derive(Debug)]
pub(crate) struct Mistake {
    place: String,
    reason: String,
}

impl Mistake {
    pub(crate) fn at(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }

    fn within(self, place: &str) -> Self {
        let dot = if self.place.is_empty() { "" } else { "." };
        Self { place: format!("{place}{dot}{}", self.place), ..self }
    }
}

/// Reads a part of a definition; what it does not know is refused by name.
fn read<T: DeserializeOwned>(place: &str, fields: Map<String, Value>) -> Result<T, Mistake> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| Mistake::at(place, error.to_string()))
}

/// Compiles templates, which may name only what a call knows.
fn template(place: &str, source: &Value, known: &[&str]) -> Result<Params, Mistake> {
    let params = Params::parse(source, Dialect::Edges).map_err(|error| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Mistake::at(place, format!("{}{hint}", error.message))
    })?;
    check_roots(place, params.roots(), known)?;
    Ok(params)
}

fn check_roots(place: &str, roots: &BTreeSet<String>, known: &[&str]) -> Result<(), Mistake> {
    let Some(unknown) = roots.iter().find(|root| !known.contains(&root.as_str())) else { return Ok(()) };
    let hint = match nearest(unknown, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are `{}`", known.join("`, `")),
    };
    Err(Mistake::at(place, format!("unknown name `{unknown}`; {hint}")))
}

#[cfg(test)]
mod tests;
