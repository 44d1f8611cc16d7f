//! Secrets: text that must not be shown, and the origins it may be sent to.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Url;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::vendor::BaseUrl;

/// The environment variable that sets a secret of `[tools.secrets]`.
pub fn secret_env_var(name: &str) -> String {
    format!("BATON_TOOLS__SECRETS__{}", name.to_uppercase())
}

/// Returns the name if a setting is exactly `{{ secrets.NAME }}`.
pub fn named_secret(setting: &str) -> Option<&str> {
    let inner = setting.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"))?;
    inner.trim().strip_prefix("secrets.")
}

/// Text that is never shown: not in logs, errors or debug output.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretString(String);

impl SecretString {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns a secret that a provider requires. `{{ secrets.NAME }}` refers to a secret under `tools.secrets` that
    /// may be sent to the provider's address. The error is the setting that is missing.
    pub(crate) fn required(
        given: Option<&Self>,
        setting: impl FnOnce() -> String,
        secrets: &BTreeMap<String, BoundSecret>,
        to: &BaseUrl,
    ) -> Result<Self, String> {
        let Some(given) = given.filter(|given| !given.0.is_empty()) else { return Err(setting()) };
        let Some(name) = named_secret(&given.0) else { return Ok(given.clone()) };
        let bound = secrets.get(name).ok_or_else(|| format!("tools.secrets.{name}"))?;
        let may_go = to.url().ok().and_then(|url| bound.for_tool(&url).cloned());
        may_go.ok_or_else(|| format!("tools.secrets.{name}.origins"))
    }

    /// Returns the secret itself, for the one call that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// A secret of `[tools.secrets]`: its text alone, or `{value, origins}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundSecret {
    secret: SecretString,
    /// The origins it may be sent to. `None` means wherever a tool of the project's own files sends it.
    origins: Option<Vec<String>>,
}

impl BoundSecret {
    /// Returns the secret itself, to compare it with another.
    pub(crate) fn expose(&self) -> &str {
        self.secret.expose()
    }

    /// Returns the secret if a tool may send it to this URL. Tools are defined in files that the owner of the secret
    /// controls too.
    pub(crate) fn for_tool(&self, url: &Url) -> Option<&SecretString> {
        let may_go = self.origins.as_ref().is_none_or(|origins| origins.contains(&origin_of(url)));
        may_go.then_some(&self.secret)
    }

    /// Returns the secret itself, for a caller that sends it to this address and nowhere else.
    pub fn for_address(&self, address: &str) -> Option<&str> {
        match address.parse() {
            Ok(url) => self.for_tool(&url).map(SecretString::expose),
            Err(_) => self.for_program().map(SecretString::expose),
        }
    }

    /// Returns the secret itself, for redacting it from a text.
    pub(crate) fn redaction_text(&self) -> &str {
        self.secret.expose()
    }

    /// Returns whether the settings bind it to origins.
    pub(crate) fn is_bound(&self) -> bool {
        self.origins.is_some()
    }

    /// Returns the secret if a program started by a tool of the project's own files may receive it.
    pub(crate) fn for_program(&self) -> Option<&SecretString> {
        self.origins.is_none().then_some(&self.secret)
    }

    /// Returns the secret if an agent's endpoint may receive it: only an endpoint it is bound to, whoever defined the
    /// agent.
    pub(crate) fn for_endpoint(&self, url: &Url) -> Option<&SecretString> {
        self.origins.as_ref()?.contains(&origin_of(url)).then_some(&self.secret)
    }
}

/// Creates a secret that any tool of the project's own files may send anywhere.
impl From<SecretString> for BoundSecret {
    fn from(secret: SecretString) -> Self {
        Self { secret, origins: None }
    }
}

impl<'de> Deserialize<'de> for BoundSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct SecretTable {
            value: SecretString,
            origins: Vec<String>,
        }
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a secret is a text, or a table with `value` and `origins`")]
        enum SecretForm {
            Text(SecretString),
            Table(SecretTable),
        }
        Ok(match SecretForm::deserialize(deserializer)? {
            SecretForm::Text(secret) => Self { secret, origins: None },
            SecretForm::Table(SecretTable { value, origins }) => {
                let origins = origins.iter().map(|written| origin(written).map_err(D::Error::custom));
                Self { secret: value, origins: Some(origins.collect::<Result<_, _>>()?) }
            }
        })
    }
}

/// Scheme, host and port, without a default port: `https://agents.example.com`.
pub(crate) fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn origin(written: &str) -> Result<String, String> {
    let wrong = || format!("`{written}` is no origin; write scheme, host and port, such as https://agents.example.com");
    let url: Url = written.parse().map_err(|_| wrong())?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match url.scheme() {
        "http" | "https" if is_bare => Ok(origin_of(&url)),
        _ => Err(wrong()),
    }
}

/// The secrets that a request to one address may carry.
#[derive(Clone, Copy)]
pub(crate) struct SendableSecrets<'s> {
    pub(crate) all: &'s BTreeMap<String, BoundSecret>,
    pub(crate) to: &'s Url,
}

impl<'s> SendableSecrets<'s> {
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'s String, &'s SecretString)> {
        self.all.iter().filter_map(move |(name, bound)| Some((name, bound.for_tool(self.to)?)))
    }

    /// The names of the secrets that may not be sent to this address, for messages. `None` if all may be sent.
    pub(crate) fn withheld_names(self) -> Option<String> {
        let kept = self.all.iter().filter(|(_, bound)| bound.for_tool(self.to).is_none());
        let names: Vec<&str> = kept.map(|(name, _)| name.as_str()).collect();
        let origin = origin_of(self.to);
        (!names.is_empty()).then(|| format!("the secrets `{}` may not go to {origin}", names.join("`, `")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn bound(written: Value) -> Result<BoundSecret, String> {
        serde_json::from_value(written).map_err(|error| error.to_string())
    }

    fn goes(bound: &BoundSecret, url: &str) -> (bool, bool) {
        let url = url.parse().unwrap();
        (bound.for_tool(&url).is_some(), bound.for_endpoint(&url).is_some())
    }

    #[test]
    fn a_secret_goes_where_it_is_bound_to_and_an_unbound_one_to_tools_alone() {
        let free = bound(json!("s3cr3t")).unwrap();
        assert_eq!(goes(&free, "https://anywhere.example.com/x"), (true, false));
        let kept = bound(json!({"value": "s3cr3t", "origins": ["https://a.example.com", "http://127.0.0.1:8900/"]}));
        let kept = kept.unwrap();
        for (url, may) in [
            ("https://a.example.com/step", true),
            ("https://a.example.com:443/step", true),
            ("http://127.0.0.1:8900/", true),
            ("http://a.example.com/", false),
            ("https://a.example.com:8443/", false),
            ("https://a.example.com.evil.org/", false),
            ("https://a.example.com@evil.org/", false),
        ] {
            assert_eq!(goes(&kept, url), (may, may), "{url}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_and_no_secret_is_shown() {
        for wrong in
            ["agents.example.com", "ftp://a.example.com", "https://a.example.com/path", "https://u@a.example.com"]
        {
            let error = bound(json!({"value": "s3cr3t", "origins": [wrong]})).unwrap_err();
            assert!(error.contains(wrong) && !error.contains("s3cr3t"), "{error}");
        }
        assert!(bound(json!({"value": "s3cr3t"})).unwrap_err().contains("`value` and `origins`"));
        assert!(!format!("{:?}", bound(json!("s3cr3t"))).contains("s3cr3t"));
    }
}
