//! What must not be shown, and where it may be sent.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Url;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::vendor::BaseUrl;

/// The variable of the environment that sets a secret of `[tools.secrets]`.
pub fn secret_env_var(name: &str) -> String {
    format!("BATON_TOOLS__SECRETS__{}", name.to_uppercase())
}

/// The name of a setting that is `{{ secrets.NAME }}` and no more.
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

    /// A secret that a provider cannot do without, where `{{ secrets.NAME }}` stands for one under `tools.secrets` that may
    /// go to the provider's address. The error is the setting that is not there.
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

    /// The secret itself, for the one call that needs it.
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
    /// Where it may go; nothing: wherever a tool of the project's own files sends it.
    origins: Option<Vec<String>>,
}

impl BoundSecret {
    /// The secret itself, to tell whether it is still the same.
    pub(crate) fn expose(&self) -> &str {
        self.secret.expose()
    }

    /// Whether a tool may send it there. Tools are defined in files that whoever keeps the secret keeps too.
    pub(crate) fn for_tool(&self, url: &Url) -> Option<&SecretString> {
        let may_go = self.origins.as_ref().is_none_or(|origins| origins.contains(&origin_of(url)));
        may_go.then_some(&self.secret)
    }

    /// The secret itself, for whoever sends it to this address and nowhere else.
    pub fn for_address(&self, address: &str) -> Option<&str> {
        match address.parse() {
            Ok(url) => self.for_tool(&url).map(SecretString::expose),
            Err(_) => self.for_program().map(SecretString::expose),
        }
    }

    /// For whoever takes it out of a text.
    pub(crate) fn redaction_text(&self) -> &str {
        self.secret.expose()
    }

    /// Whether the settings say where it may go.
    pub(crate) fn is_bound(&self) -> bool {
        self.origins.is_some()
    }

    /// Whether a program that a tool of the project's own files starts may be given it.
    pub(crate) fn for_program(&self) -> Option<&SecretString> {
        self.origins.is_none().then_some(&self.secret)
    }

    /// Whether an agent's endpoint may be shown it: only one it is bound to, whoever wrote the agent.
    pub(crate) fn for_endpoint(&self, url: &Url) -> Option<&SecretString> {
        self.origins.as_ref()?.contains(&origin_of(url)).then_some(&self.secret)
    }
}

/// One that may go wherever a tool of the project's own files sends it.
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

/// Scheme, host and port, the usual port left out: `https://agents.example.com`.
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

/// The secrets a request may carry to one address.
#[derive(Clone, Copy)]
pub(crate) struct SendableSecrets<'s> {
    pub(crate) all: &'s BTreeMap<String, BoundSecret>,
    pub(crate) to: &'s Url,
}

impl<'s> SendableSecrets<'s> {
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'s String, &'s SecretString)> {
        self.all.iter().filter_map(move |(name, bound)| Some((name, bound.for_tool(self.to)?)))
    }

    /// What is kept back from this address, for messages; nothing where all may go there.
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
