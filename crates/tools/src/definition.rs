//! Tools that a project defines in `tools/*.yaml`: scripts, HTTP request templates, OpenAPI documents, MCP servers. The app reads the files; here
//! they are JSON already.

mod arguments;
mod hook;
mod http;
mod profile;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::canonical::{self, Part};
use baton_core::expr::{Dialect, Params, nearest};
use baton_core::plain::plain_at;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use hook::{Form as HookForm, Hook};
pub(crate) use http::{ErrorRule, Http, Lookup, OPEN_NAMES, Segment, Template as HttpTemplate, can_be};
pub use profile::FIELDS;
pub(crate) use profile::{Profile, Said};
pub(crate) use script::{Fault as ScriptedFault, NAMES as SCRIPT_NAMES, Reply, Rule, Script, When, scripted};

use crate::doubt::Doubt;
use crate::error::Error;
use crate::mcp::Source;
use crate::openapi::{self, Operation, Unsupported};

/// Tools in one document.
const TOOLS_MAX: usize = 1_000;

/// A tool, checked as far as it can be before a call.
#[derive(Clone, Debug)]
pub struct Definition {
    pub(crate) profile: Profile,
    pub(crate) kind: Kind,
    /// SHA-256 of what defines it; nothing where that is not all in the project's files.
    pub(crate) digest: Option<[u8; 32]>,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Canned results.
    Script(Script),
    /// An HTTP request template.
    Http(Box<Http>),
    /// One of an OpenAPI document.
    Operation(Box<Operation>),
    /// One that an MCP server has, under the server's own name for it, and what that says it answers with.
    Remote { source: Source, tool: String, output: Option<Arc<Value>> },
}

/// What a document of definitions holds.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub tools: Vec<Definition>,
    /// Parts of OpenAPI documents that no tool can use, or not fully.
    pub unsupported: Vec<Unsupported>,
    /// What definitions, by their names, name that their OpenAPI documents do not have.
    pub doubts: Vec<(String, Doubt)>,
    /// MCP servers: what tools they have, they must be asked.
    pub sources: Vec<Source>,
    /// OpenAPI documents, with the names of the tools that are of each.
    pub documents: Vec<Document>,
}

/// An OpenAPI document among definitions.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The definition's name.
    pub name: String,
    pub tools: Vec<String>,
    pub unsupported: Vec<Unsupported>,
    /// By the name it would have: why an operation is no tool.
    pub left_out: BTreeMap<String, String>,
}

impl Definition {
    /// Reads one tool, a list of them, or `{tools: [...]}`.
    ///
    /// # Errors
    /// Names the tool, the place in it and what is wrong: a field there is not, an expression that does not parse, a
    /// class that the tool cannot keep.
    pub fn parse(document: Value) -> Result<Parsed, Error> {
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
        let mut parsed = Parsed::default();
        tools.into_iter().try_for_each(|tool| Self::read(tool, &mut parsed))?;
        Ok(parsed)
    }

    pub fn name(&self) -> &str {
        &self.profile.name
    }

    /// Why each call of it will be refused by its address, where that is known before anything is called: its server is
    /// one that somebody else's document names, and lies where such a server may not.
    pub fn refused(&self, outbound: &crate::outbound::Config) -> Option<String> {
        match &self.kind {
            Kind::Operation(operation) if !operation.is_trusted => outbound.never_asks(&operation.origin),
            Kind::Operation(_) | Kind::Script(_) | Kind::Http(_) | Kind::Remote { .. } => None,
        }
    }

    fn read(tool: Value, parsed: &mut Parsed) -> Result<(), Error> {
        let digest = Some(canonical::digest_of_list([Part::Value(&tool)]));
        let Value::Object(mut fields) = tool else {
            let reason = "a tool is an object with `name` and `kind`".to_owned();
            return Err(Error::Definition { tool: String::new(), place: String::new(), reason });
        };
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let wrong =
            |mistake: Mistake| Error::Definition { tool: name.clone(), place: mistake.place, reason: mistake.reason };
        let misspelt = arguments::doubts(&fields);
        parsed.doubts.extend(misspelt.into_iter().map(|doubt| (name.clone(), doubt)));
        let kind = fields.remove("kind");
        let profile = Profile::take(&mut fields).map_err(wrong)?;
        match kind.as_ref().and_then(Value::as_str) {
            Some("script") => {
                let script = Script::read(fields, &profile).map_err(wrong)?;
                let profile = script.complete(profile);
                profile.stands().map_err(wrong)?;
                parsed.tools.push(Self { profile, kind: Kind::Script(script), digest });
            }
            Some("http") => {
                let http = Http::read(fields).map_err(wrong)?;
                let profile = http.complete(profile).map_err(wrong)?;
                profile.stands().map_err(wrong)?;
                parsed.tools.push(Self { profile, kind: Kind::Http(Box::new(http)), digest });
            }
            Some("openapi") => {
                let found = openapi::read(&profile, fields).map_err(wrong)?;
                let tools = found.tools.iter().map(|tool| tool.name().to_owned()).collect();
                let unsupported = found.unsupported.clone();
                parsed.documents.push(Document { name: name.clone(), tools, unsupported, left_out: found.left_out });
                parsed.tools.extend(found.tools.into_iter().map(|tool| Self { digest, ..tool }));
                parsed.unsupported.extend(found.unsupported);
                parsed.doubts.extend(found.doubts.into_iter().map(|doubt| (name.clone(), doubt)));
            }
            Some("mcp") => parsed.sources.push(Source::read(profile, fields).map_err(wrong)?),
            Some(other) => {
                let reason = format!("`{other}` is no kind; there are `script`, `http`, `openapi` and `mcp`");
                return Err(wrong(Mistake::at("kind", reason)));
            }
            None => {
                let reason = "say `kind: script`, `kind: http`, `kind: openapi` or `kind: mcp`";
                return Err(wrong(Mistake::at("kind", reason)));
            }
        }
        Ok(())
    }
}

/// What is wrong, and where in the definition.
#[derive(Debug)]
pub(crate) struct Mistake {
    place: String,
    reason: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let between = if self.place.is_empty() { "" } else { ": " };
        write!(f, "{}{between}{}", self.place, self.reason)
    }
}

impl Mistake {
    pub(crate) fn at(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }

    pub(crate) fn within(self, place: &str) -> Self {
        let dot = if self.place.is_empty() { "" } else { "." };
        Self { place: format!("{place}{dot}{}", self.place), ..self }
    }
}

/// Reads a part of a definition; what it does not know is refused by name.
pub(crate) fn read<T: DeserializeOwned>(place: &str, fields: Map<String, Value>) -> Result<T, Mistake> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let (path, reason) = plain_at(&error.path().to_string(), &error.inner().to_string());
        let mistake = Mistake::at(path, reason);
        if place.is_empty() { mistake } else { mistake.within(place) }
    })
}

/// Compiles templates, which may name only what a call knows.
pub(crate) fn template(place: &str, source: &Value, known: &[&str]) -> Result<Params, Mistake> {
    let params = parse(place, source)?;
    check_roots(place, params.roots(), known)?;
    Ok(params)
}

fn parse(place: &str, source: &Value) -> Result<Params, Mistake> {
    Params::parse(source, Dialect::Edges).map_err(|error| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Mistake::at(place, format!("{}{hint}", error.message))
    })
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
