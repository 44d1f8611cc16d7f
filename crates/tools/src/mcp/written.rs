//! What a definition of `kind: mcp` says.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use baton_core::bundle::Hash;
use baton_core::canonical;
use baton_core::expr::Params;
use baton_core::tool::{Class, Compensation, Retry};
use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Parts;
use crate::catalogue::Risk;
use crate::definition::{Mistake, Profile, read as read_fields, template};
use crate::kinds::http_request::NOT_TAKEN;
use crate::rate::Rate;

const ARGUMENTS_MAX: usize = 100;
/// Bytes of what stands before a tool's own name: models take 64 of the whole.
const PREFIX_BYTES_MAX: usize = 32;

/// Where a server is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Program { command: String, arguments: Vec<String>, environment: BTreeMap<String, Params> },
    Address { url: Url, headers: Vec<(HeaderName, Params)> },
}

/// What a definition says of one tool, in place of what the server says of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Override {
    pub(crate) description: Option<String>,
    pub(crate) class: Option<Class>,
    pub(crate) risk: Option<Risk>,
    pub(crate) compensation: Option<Compensation>,
    pub(crate) irreversible: Option<String>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) retry: Option<Retry>,
    pub(crate) audit_type: Option<String>,
    pub(crate) cost_usd: Option<f64>,
    pub(crate) rate: Option<Rate>,
    pub(crate) cache_seconds: Option<u64>,
    /// It does nothing before it has the answer to what it asks, and nothing where the question is cancelled.
    pub(crate) asks_first: bool,
    pub(crate) answer_within_seconds: Option<NonZeroU64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Map<String, Value>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    trusted: bool,
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    answer_within_seconds: Option<NonZeroU64>,
    #[serde(default)]
    tools: BTreeMap<String, Override>,
}

pub(super) fn read(profile: Profile, fields: Map<String, Value>) -> Result<Parts, Mistake> {
    if let Some(name) = profile.said_of_one_tool() {
        return Err(Mistake::at(name, format!("is said of one tool: write it under `tools.NAME.{name}`")));
    }
    let written: Written = read_fields("", fields)?;
    let identity = json!({
        "command": written.command, "args": written.args, "env": written.env, "url": written.url,
        "headers": written.headers,
    });
    let place = match (written.command, written.url) {
        (Some(command), None) if written.headers.is_empty() => program(command, written.args, &written.env)?,
        (None, Some(url)) if written.args.is_empty() && written.env.is_empty() => address(&url, &written.headers)?,
        (Some(_), None) => return Err(Mistake::at("headers", "are for a server with a `url`")),
        (None, Some(_)) => return Err(Mistake::at("args", "and `env` are for a server that is started by `command`")),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Mistake::at("command", "say either `command`, a program to start, or `url`"));
        }
    };
    for (name, said) in &written.tools {
        if said.class == Some(Class::Verify) {
            let reason = "a server of this kind cannot be asked what became of a call; say `once`";
            return Err(Mistake::at(format!("tools.{name}.class"), reason));
        }
        if said.cost_usd.is_some_and(|cost| !cost.is_finite() || cost < 0.0) {
            return Err(Mistake::at(format!("tools.{name}.cost_usd"), "is a price in US dollars, zero or more"));
        }
    }
    let prefix = written.prefix.unwrap_or_else(|| profile.name.clone());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX || !prefix.bytes().all(is_plain) {
        let reason = format!("`{prefix}` is not 1 to {PREFIX_BYTES_MAX} letters, digits, `_` and `-`; say `prefix`");
        return Err(Mistake::at("prefix", reason));
    }
    Ok(Parts {
        profile,
        place,
        prefix,
        include: written.include,
        exclude: written.exclude,
        trusted: written.trusted,
        answer_within: written.answer_within_seconds.map(|seconds| Duration::from_secs(seconds.get())),
        tools: written.tools,
        identity: Hash::of(canonical::text(&identity).as_bytes()),
    })
}

fn program(command: String, arguments: Vec<String>, environment: &Map<String, Value>) -> Result<Place, Mistake> {
    if command.is_empty() || arguments.len() > ARGUMENTS_MAX {
        return Err(Mistake::at("command", format!("is a program, with at most {ARGUMENTS_MAX} `args`")));
    }
    let environment = environment.iter().map(|(name, value)| {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Mistake::at("env", format!("`{name}` is no variable's name")));
        }
        Ok((name.clone(), template(&format!("env.{name}"), value, &["secrets"])?))
    });
    Ok(Place::Program { command, arguments, environment: environment.collect::<Result<_, _>>()? })
}

fn address(url: &str, headers: &Map<String, Value>) -> Result<Place, Mistake> {
    let wrong = || Mistake::at("url", "is an address such as `https://mcp.example.com/mcp`, without user and password");
    let url: Url = url.parse().map_err(|_| wrong())?;
    let is_plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if !is_plain {
        return Err(wrong());
    }
    let headers = headers.iter().map(|(name, value)| {
        let place = format!("headers.{name}");
        let parsed: HeaderName = name.parse().map_err(|_| Mistake::at(&place, "is no header's name"))?;
        if NOT_TAKEN.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-") {
            return Err(Mistake::at(&place, "is set by the connection"));
        }
        Ok((parsed, template(&place, value, &["secrets"])?))
    });
    Ok(Place::Address { url, headers: headers.collect::<Result<_, _>>()? })
}
