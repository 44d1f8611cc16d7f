//! A source that a tenant added: validation of its definition, and the request for its tools.

use std::collections::BTreeSet;

use baton_core::bundle::ContentHash;
use baton_core::time::Time;
use baton_engine::settings::TenantSetting;
use baton_ports::records::RECORD_BYTES_MAX;
use baton_ports::sources::{SourceDefinition, SourceError, SourceKind};
use baton_tools::{McpSource, ParsedDefinitions, ToolDefinition, ToolsConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::refused;
use crate::project::{parse_value, secrets_of};

/// Maximum size of a name, in bytes. The name is a prefix of the tool names, and models accept 64 bytes for those.
const NAME_BYTES_MAX: usize = 32;
/// Maximum size of a stored response, in bytes: a document, or a list of tools.
pub const CONTENT_BYTES_MAX: usize = RECORD_BYTES_MAX - 1_024;
/// Words in the names of fields that may hold a credential, in a setting that people can read.
const CREDENTIAL_WORDS: [&str; 6] = ["auth", "key", "token", "secret", "cookie", "password"];

/// Words that may precede a reference to a secret.
const SCHEMES: [&str; 5] = ["", "bearer", "basic", "token", "apikey"];

/// The setting of a source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceSetting {
    #[serde(skip)]
    pub name: String,
    pub kind: SourceKind,
    /// The definition as it was submitted, without an inline document.
    pub definition: Map<String, Value>,
    /// The hash of the last response. `None` if there is none.
    pub content: Option<String>,
    /// The number of tools in that response.
    #[serde(default)]
    pub tools: usize,
    /// When it was last asked, in milliseconds since 1970.
    pub asked_at: i64,
    /// Why later requests failed.
    pub last_error: Option<String>,
}

impl SourceSetting {
    pub fn read(value: &Value) -> Result<Self, String> {
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())
    }

    pub fn of(setting: TenantSetting) -> Self {
        let unreadable = |_| Self {
            name: String::new(),
            kind: SourceKind::Openapi,
            definition: Map::new(),
            content: None,
            tools: 0,
            asked_at: 0,
            last_error: Some("a newer Baton wrote it, and this one cannot read it".to_owned()),
        };
        let kept = Self::read(&setting.value).unwrap_or_else(unreadable);
        Self { name: setting.name, ..kept }
    }

    pub fn as_value(&self) -> Value {
        json!(self)
    }

    /// The address that is asked. `None` for an inline document.
    pub fn address(&self) -> Option<&str> {
        ["url", "document"].into_iter().find_map(|field| self.definition.get(field)?.as_str())
    }

    /// The definition that the source was created from.
    pub fn to_definition(&self) -> SourceDefinition {
        let mut fields = self.definition.clone();
        fields.insert("kind".to_owned(), Value::from(self.kind.word()));
        SourceDefinition { name: self.name.clone(), fields }
    }
}

/// The response of a source: a document, or a list of tools.
#[derive(Clone, Debug)]
pub struct SourceContent {
    pub value: Value,
    pub hash: String,
}

impl SourceContent {
    fn of(name: &str, value: Value) -> Result<Self, SourceError> {
        let text = value.to_string();
        if text.len() > CONTENT_BYTES_MAX {
            let reason = format!(
                "what `{name}` says has {} bytes, and {CONTENT_BYTES_MAX} of a source that is added are kept",
                text.len()
            );
            return Err(refused(reason, "define it in the project's `tools/`, where a document has up to 16 MB"));
        }
        Ok(Self { hash: ContentHash::of(text.as_bytes()).as_str().to_owned(), value })
    }
}

/// A source that passed validation.
pub struct CheckedSource {
    name: String,
    kind: SourceKind,
    /// The definition without the document.
    fields: Map<String, Value>,
    place: SourceLocation,
}

enum SourceLocation {
    /// A document in the request.
    Inline(Value),
    /// The address of a document.
    Address(String),
    Server(Box<McpSource>),
}

impl CheckedSource {
    /// Checks a source that was submitted over HTTP as far as possible without a request to the source.
    pub fn read(new: SourceDefinition, settings: &ToolsConfig) -> Result<Self, SourceError> {
        let SourceDefinition { name, mut fields } = new;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
            let reason = format!("`{name}` is no name of a source: 1 to {NAME_BYTES_MAX} letters, digits, `_` and `-`");
            return Err(SourceError::Rejected { reason, hint: None });
        }
        if let Some(program) = ["command", "args", "env"].into_iter().find(|field| fields.contains_key(*field)) {
            let reason = format!("`{program}`: no program is started for who asks over HTTP");
            return Err(refused(reason, "define the server in a file of the project's `tools/`, or give its `url`"));
        }
        for (field, why) in
            [("prefix", "tools of a source that is added begin with its name"), ("name", "a name is kept")]
        {
            if fields.contains_key(field) {
                return Err(SourceError::Rejected { reason: format!("`{field}`: {why}"), hint: None });
            }
        }
        check_secret_references(&fields)?;
        check_secrets_exist(&fields, settings)?;
        let kind = fields.remove("kind");
        let (kind, place) = match kind.as_ref().and_then(Value::as_str) {
            Some("mcp") => {
                let source = server(&name, &fields)?;
                check_address("url", fields.get("url").and_then(Value::as_str).unwrap_or_default(), settings)?;
                (SourceKind::Mcp, SourceLocation::Server(Box::new(source)))
            }
            Some("openapi") => (SourceKind::Openapi, document(&mut fields, settings)?),
            Some(other) => {
                let reason =
                    format!("`kind`: `{other}` is none that is added over HTTP; there are `openapi` and `mcp`");
                return Err(refused(reason, "other tools are defined in files of the project's `tools/`"));
            }
            None => {
                return Err(SourceError::Rejected { reason: "`kind` is `openapi` or `mcp`".to_owned(), hint: None });
            }
        };
        Ok(Self { name, kind, fields, place })
    }

    /// Asks the source for its document or its tools.
    pub async fn ask(&self, settings: &ToolsConfig) -> Result<SourceContent, SourceError> {
        let unavailable = |reason: String| SourceError::Unavailable { name: self.name.clone(), reason };
        let value = match &self.place {
            SourceLocation::Inline(document) => document.clone(),
            SourceLocation::Address(address) => {
                let text = baton_tools::document(address, settings).await.map_err(unavailable)?;
                match serde_json::from_slice(&text) {
                    Ok(document) => document,
                    Err(_) => parse_value(&text, address).map_err(|error| unavailable(format!("{error:#}")))?,
                }
            }
            SourceLocation::Server(source) => {
                let listing = source.list(settings).await.map_err(unavailable)?;
                serde_json::to_value(listing).map_err(|error| unavailable(error.to_string()))?
            }
        };
        SourceContent::of(&self.name, value)
    }

    /// The tools in a response.
    pub fn tools(&self, content: &SourceContent) -> Result<SourceTools, SourceError> {
        SourceTools::of(&self.name, self.kind, &self.fields, &content.value)
            .map_err(|reason| SourceError::Rejected { reason, hint: None })
    }

    pub fn to_setting(&self, content: &SourceContent, tools: usize, asked_at: Time) -> SourceSetting {
        SourceSetting {
            name: self.name.clone(),
            kind: self.kind,
            definition: self.fields.clone(),
            content: Some(content.hash.clone()),
            tools,
            asked_at: asked_at.as_ms(),
            last_error: None,
        }
    }
}

/// The tools of a source, and the connection to it.
#[derive(Default)]
pub struct SourceTools {
    pub tools: Vec<ToolDefinition>,
    pub servers: Vec<McpSource>,
    pub unsupported: Vec<baton_tools::ImportDiagnostic>,
}

impl SourceTools {
    pub fn of(name: &str, kind: SourceKind, fields: &Map<String, Value>, content: &Value) -> Result<Self, String> {
        let mut definition = fields.clone();
        definition.insert("name".to_owned(), name.into());
        definition.insert("kind".to_owned(), kind.word().into());
        if kind == SourceKind::Openapi {
            definition.insert("document".to_owned(), content.clone());
        }
        let ParsedDefinitions { mut tools, mut unsupported, sources, .. } =
            ToolDefinition::parse(Value::Object(definition)).map_err(|error| error.to_string())?;
        if let Some(server) = sources.first() {
            let listing = serde_json::from_value(content.clone()).map_err(|error| error.to_string())?;
            let (theirs, not) = server.tools(&listing);
            tools.extend(theirs);
            unsupported.extend(not);
        }
        Ok(Self { tools, servers: sources, unsupported })
    }
}

/// The location of the document. An inline document is removed from the fields.
fn document(fields: &mut Map<String, Value>, settings: &ToolsConfig) -> Result<SourceLocation, SourceError> {
    match fields.get("document") {
        Some(Value::String(address)) if address.starts_with("https://") || address.starts_with("http://") => {
            check_address("document", address, settings)?;
            Ok(SourceLocation::Address(address.clone()))
        }
        Some(Value::Object(_)) => Ok(SourceLocation::Inline(fields.remove("document").unwrap_or_default())),
        Some(_) | None => Err(SourceError::Rejected {
            reason: "`document` is an OpenAPI document, or its address".to_owned(),
            hint: None,
        }),
    }
}

fn server(name: &str, fields: &Map<String, Value>) -> Result<McpSource, SourceError> {
    if !fields.get("url").is_some_and(Value::is_string) {
        let reason = "`url` is where the server speaks streamable HTTP".to_owned();
        return Err(refused(reason, "a server that is a program is defined in a file of the project's `tools/`"));
    }
    let mut definition = fields.clone();
    definition.insert("name".to_owned(), name.into());
    definition.insert("kind".to_owned(), SourceKind::Mcp.word().into());
    let parsed = ToolDefinition::parse(Value::Object(definition));
    let parsed = parsed.map_err(|error| SourceError::Rejected { reason: error.to_string(), hint: None })?;
    parsed
        .sources
        .into_iter()
        .next()
        .ok_or_else(|| SourceError::Rejected { reason: "it is no server".to_owned(), hint: None })
}

/// Checks an address before its name is resolved.
fn check_address(field: &str, address: &str, settings: &ToolsConfig) -> Result<(), SourceError> {
    settings
        .outbound
        .check_address(address)
        .map_err(|reason| SourceError::Rejected { reason: format!("`{field}`: {reason}"), hint: None })
}

/// Rejects credentials in plain text, because a tenant's people can read the setting.
fn check_secret_references(fields: &Map<String, Value>) -> Result<(), SourceError> {
    let is_of_key = |name: &str| CREDENTIAL_WORDS.iter().any(|word| name.to_lowercase().contains(word));
    let within = |field: &'static str, is_key: &dyn Fn(&str) -> bool| {
        let values = fields.get(field).and_then(Value::as_object).into_iter().flatten();
        let mut plain = values.filter(|(name, value)| is_key(name) && !is_secret_reference(value));
        plain.next().map(|(name, _)| format!("{field}.{name}"))
    };
    let in_address = |field: &&&str| {
        let address = fields.get(**field).and_then(Value::as_str).and_then(|address| address.split_once('?'));
        address.is_some_and(|(_, query)| {
            query.split('&').any(|pair| is_of_key(pair.split('=').next().unwrap_or_default()))
        })
    };
    let written = within("auth", &|_| true).or_else(|| within("headers", &is_of_key));
    match written.or_else(|| ["url", "document", "server"].iter().find(in_address).map(ToString::to_string)) {
        Some(place) => Err(refused(
            format!("`{place}` has a key that would be kept in the clear, and read by all who look at the source"),
            "write `{{ secrets.NAME }}` under `auth` or `headers`",
        )),
        None => Ok(()),
    }
}

/// Whether a value is a reference to a secret, with at most the word of its scheme before it: `Bearer {{ secrets.shop
/// }}`.
fn is_secret_reference(value: &Value) -> bool {
    let Some((scheme, named)) = value.as_str().and_then(|text| text.split_once("{{")) else { return false };
    let Some((name, behind)) = named.split_once("}}") else { return false };
    let name = name.trim().strip_prefix("secrets.");
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    name.is_some_and(|name| !name.is_empty() && is_word(name))
        && behind.trim().is_empty()
        && SCHEMES.contains(&scheme.trim().to_lowercase().as_str())
}

/// Checks that the settings have each secret that is referenced and allow it for added sources.
fn check_secrets_exist(fields: &Map<String, Value>, settings: &ToolsConfig) -> Result<(), SourceError> {
    let mut named = BTreeSet::new();
    // A document was written by a third party, so it is not searched.
    let said = fields.iter().filter(|(name, _)| *name != "document");
    said.for_each(|(_, value)| secrets_of(value, &mut named));
    match named.into_iter().find(|name| !settings.secrets.contains_key(name)) {
        Some(name) => Err(refused(
            format!("there is no secret `{name}` for sources that are added"),
            "a source of the server's own tenant has those under [tools.secrets] that say their `origins`; others have none",
        )),
        None => Ok(()),
    }
}
