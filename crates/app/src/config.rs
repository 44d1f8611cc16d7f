//! `baton.toml`: settings of a project. Unknown keys are errors. Every key is also a variable: `BATON_` and its path in
//! upper case, with two underscores between tables (`BATON_MODELS__BASE_URL`).

mod maintenance;
pub mod unused_variables;
mod webhooks;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use baton_core::definition::source::SourceSpan;
use baton_core::id::TenantId;
use baton_core::time::TimeZone;
use baton_core::tool::Caller;
use baton_expr::nearest;
use serde::Deserialize;
use toml::Value;

use crate::UsageError;
use crate::project::display_path;

pub use maintenance::{MaintenanceSettings, RetentionSettings};
pub use webhooks::WebhookSettings;

/// The settings file of a project folder.
pub const FILE: &str = "baton.toml";
const PREFIX: &str = "BATON_";
/// Variables with the `BATON_` prefix that are not settings.
const NOT_SETTINGS: [&str; 5] =
    ["BATON_LOG", "BATON_LOG_FORMAT", "BATON_FUZZ_SECONDS", "BATON_FUZZ_SEED", crate::consumer_key::VARIABLE];
/// Names that other software uses for settings of ours.
const ALIASES: [(&str, &[&str]); 8] = [
    ("OPENAI_API_KEY", &["models", "providers", "openai", "api_key"]),
    ("OPENAI_API_KEY", &["memory", "api_key"]),
    ("OPENAI_BASE_URL", &["models", "providers", "openai", "base_url"]),
    ("OPENAI_BASE_URL", &["memory", "base_url"]),
    ("ANTHROPIC_API_KEY", &["models", "providers", "anthropic", "api_key"]),
    ("GOOGLE_CALENDAR_CREDENTIALS", &["tools", "calendar", "google", "credentials"]),
    ("COMPOSIO_API_KEY", &["tools", "composio", "api_key"]),
    ("TWILIO_AUTH_TOKEN", &["tools", "message", "twilio", "auth_token"]),
];

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectSettings {
    /// The tenant that commands act for by default.
    pub tenant: String,
    /// The database file, relative to the project folder.
    pub database: PathBuf,
    pub models: baton_models::ModelsConfig,
    pub tools: baton_tools::ToolsConfig,
    pub sandbox: baton_tools::sandbox::SandboxConfig,
    pub memory: baton_memory::MemoryConfig,
    pub budgets: baton_models::budget::BudgetConfig,
    pub engine: EngineSettings,
    pub agents: baton_engine::agent_registry::TierSettings,
    /// The key that seals secrets in the database.
    pub secrets: crate::vault::VaultConfig,
    /// Authentication and rate limits of the HTTP API.
    pub serve: baton_server::ServeConfig,
    /// The periodic jobs of `baton serve`.
    pub upkeep: MaintenanceSettings,
    pub workflows: WorkflowSettings,
    /// Outgoing webhooks.
    pub webhooks: WebhookSettings,
}

/// How changed workflows are activated.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkflowSettings {
    pub activate: ActivationPolicy,
    /// Whether a version that was created over the API must be activated by another person.
    pub four_eyes: bool,
}

/// When new runs use the version of a changed file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationPolicy {
    #[default]
    AtOnce,
    /// Once a person activates it.
    ByHand,
}

/// Limits of one process. A setting that is absent uses the engine's default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    pub awake_max: Option<usize>,
    pub calls_in_flight_max: Option<usize>,
    pub poll_ms: Option<u64>,
}

impl Default for ProjectSettings {
    fn default() -> Self {
        Self {
            tenant: "default".to_owned(),
            database: PathBuf::from(".baton/baton.db"),
            models: baton_models::ModelsConfig::default(),
            tools: baton_tools::ToolsConfig::default(),
            sandbox: baton_tools::sandbox::SandboxConfig::default(),
            memory: baton_memory::MemoryConfig::default(),
            budgets: baton_models::budget::BudgetConfig::default(),
            engine: EngineSettings::default(),
            agents: baton_engine::agent_registry::TierSettings::default(),
            secrets: crate::vault::VaultConfig::default(),
            serve: baton_server::ServeConfig::default(),
            upkeep: MaintenanceSettings::default(),
            workflows: WorkflowSettings::default(),
            webhooks: WebhookSettings::default(),
        }
    }
}

impl ProjectSettings {
    /// The time zone that defines a tenant's days: the tenant's own, else the project's default, else UTC.
    pub fn zone(&self, tenant: &TenantId) -> TimeZone {
        let own = self.tools.tenants.get(tenant.as_str()).and_then(|rules| rules.zone.as_ref());
        own.or(self.tools.zone.as_ref()).map_or(TimeZone::UTC, |zone| zone.zone().clone())
    }

    /// The caller that a run acts for, as its context states it. The time zone defaults to the project's.
    pub fn caller(&self, context: &serde_json::Value) -> Caller {
        Caller::of(context, self.own_zone())
    }

    /// The project's IANA time zone, if one is configured.
    pub fn own_zone(&self) -> Option<&str> {
        self.tools.zone.as_ref().map(|zone| zone.name())
    }
}

impl EngineSettings {
    pub fn options(&self) -> baton_engine::EngineOptions {
        let own = baton_engine::EngineOptions::default();
        baton_engine::EngineOptions {
            awake_max: self.awake_max.unwrap_or(own.awake_max).max(1),
            calls_in_flight_max: self.calls_in_flight_max.unwrap_or(own.calls_in_flight_max).max(1),
            poll: self.poll_ms.map_or(own.poll, Duration::from_millis),
            ..own
        }
    }
}

/// Loads the settings of the project in `folder`, or the defaults if it has no settings file.
pub fn load(folder: &Path) -> anyhow::Result<ProjectSettings> {
    let file = folder.join(FILE);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", display_path(&file))),
    };
    let document = toml::from_str(&text).map_err(|error| parse_error(&file, &text, &error))?;
    let mut settings = with_variables(document, &variables()).map_err(|of_variables| {
        // An error in the file alone has a place in the file. Any other error comes from a variable.
        toml::from_str::<ProjectSettings>(&text).err().map_or(of_variables, |error| parse_error(&file, &text, &error))
    })?;
    settings.models.fill_keys_from_env(|name| std::env::var(name).ok());
    Ok(settings)
}

/// The environment variables that are valid UTF-8. No setting has a value that is not.
fn variables() -> Vec<(String, String)> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

/// The error of a settings file, with its place.
fn parse_error(file: &Path, text: &str, error: &toml::de::Error) -> UsageError {
    let before = error.span().and_then(|span| text.get(..span.start));
    let span = before.map_or_else(SourceSpan::default, |before| {
        let line = before.rsplit('\n').next().unwrap_or_default();
        let place = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        let len = error.span().map_or(1, |span| u32::try_from(span.len()).unwrap_or(1));
        SourceSpan { line: place(before.matches('\n').count()), column: place(line.chars().count()), len }
    });
    with_suggestion(UsageError::new(error.message()).at(span, &display_path(file), text), error.message())
}

/// The settings with the variables applied on top, or an error that names the invalid variable.
fn with_variables(document: toml::Table, variables: &[(String, String)]) -> Result<ProjectSettings, UsageError> {
    let but = |left_out: Option<usize>| -> Result<ProjectSettings, toml::de::Error> {
        let mut document = document.clone();
        let rest = variables.iter().enumerate().filter(|(place, _)| Some(*place) != left_out);
        overlay(&mut document, rest.map(|(_, variable)| variable.clone()));
        Value::Table(document).try_into()
    };
    but(None).map_err(|error| {
        let culprit = (0..variables.len()).find(|place| but(Some(*place)).is_ok());
        let name = culprit.map_or("the BATON_ variables", |place| variables[place].0.as_str());
        with_suggestion(UsageError::new(format!("{name}: {}", error.message())), error.message())
    })
}

/// Adds the closest match among the names that a message lists.
fn with_suggestion(misuse: UsageError, message: &str) -> UsageError {
    let mut words = message.split('`').skip(1).step_by(2);
    let wrong = words.next().unwrap_or_default();
    match nearest(wrong, words) {
        Some(near) => misuse.hint(format!("did you mean `{near}`?")),
        None => misuse,
    }
}

/// Overrides values of the file with variables.
fn overlay(document: &mut toml::Table, variables: impl Iterator<Item = (String, String)>) {
    for (name, text) in variables {
        for (_, path) in ALIASES.iter().filter(|(alias, _)| *alias == name) {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            if !has(document, &path) {
                set(document, &path, Value::String(text.clone()));
            }
        }
        if let Some(key) = name.strip_prefix(PREFIX)
            && !NOT_SETTINGS.contains(&name.as_str())
        {
            let path: Vec<String> = key.split("__").map(str::to_lowercase).collect();
            set(document, &path, typed(&text));
        }
    }
}

/// Parses a number, a boolean or a list in TOML syntax. Anything else is a string.
fn typed(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<toml::Table>().ok();
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn has(document: &toml::Table, path: &[String]) -> bool {
    match path {
        [] => true,
        [last] => document.contains_key(last),
        [first, rest @ ..] => document.get(first).and_then(Value::as_table).is_some_and(|table| has(table, rest)),
    }
}

fn set(document: &mut toml::Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            document.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let table = document.entry(first.clone()).or_insert_with(|| Value::Table(toml::Table::new()));
            if let Some(table) = table.as_table_mut() {
                set(table, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(file: &str, variables: &[(&str, &str)]) -> Result<ProjectSettings, String> {
        let document = file.parse::<toml::Table>().map_err(|error| error.to_string())?;
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<_> = variables.iter().map(owned).collect();
        with_variables(document, &variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_lies_over_the_file() {
        let found = settings("tenant = \"a\"", &[("BATON_TENANT", "b"), ("BATON_ENGINE__POLL_MS", "20")]);
        let found = found.expect("valid");
        assert_eq!((found.tenant.as_str(), found.engine.poll_ms), ("b", Some(20)));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        for found in [settings("tennant = \"a\"", &[]), settings("", &[("BATON_TENNANT", "b")])] {
            assert!(found.expect_err("unknown").contains("tennant"));
        }
    }

    #[test]
    fn a_variable_that_is_wrong_is_named_among_those_that_are_not() {
        let good = ("BATON_TOOLS__EMAIL__SMTP__HOST", "h");
        let from = ("BATON_TOOLS__EMAIL__SMTP__FROM", "a@example.com");
        assert!(settings("", &[good, from]).is_ok());
        let found = settings("", &[good, ("BATON_TENNANT", "b"), from]).expect_err("unknown");
        assert!(found.starts_with("BATON_TENNANT: unknown field `tennant`"), "{found}");
        assert!(found.ends_with("hint: did you mean `tenant`?"), "{found}");
    }

    #[test]
    fn variables_of_others_are_the_keys_of_their_providers() {
        let variables = [("OPENAI_API_KEY", "sk-1"), ("OPENAI_BASE_URL", "http://localhost:1/v1")];
        let openai = |file: &str| {
            let found = settings(file, &variables).expect("valid").models;
            found.providers.get("openai").cloned().expect("set up")
        };
        assert_eq!(openai("").base_url.as_deref(), Some("http://localhost:1/v1"));
        assert_eq!(openai("").api_key.as_ref().map(|key| format!("{key:?}")).as_deref(), Some("***"));
        let own = openai("[models.providers.openai]\nbase_url = \"http://own/v1\"");
        assert_eq!(own.base_url.as_deref(), Some("http://own/v1"), "what the project says comes first");
        let google =
            settings("", &[("GOOGLE_CALENDAR_CREDENTIALS", "{\"type\": \"service_account\"}")]).expect("valid");
        let calendar = google.tools.calendar;
        assert!(calendar.google.is_some_and(|google| google.credentials.is_some()));
        assert_eq!(
            calendar.provider,
            baton_tools::settings::CalendarProviderKind::Internal,
            "a secret chooses nothing"
        );
        let twilio = settings("", &[("TWILIO_AUTH_TOKEN", "t")]).expect("valid").tools.message.twilio;
        assert!(twilio.expect("set").auth_token.is_some());
        let anthropic = settings("", &[("ANTHROPIC_API_KEY", "sk-ant-1")]).expect("valid").models;
        assert!(anthropic.providers["anthropic"].api_key.is_some());
    }
}
