//! Where requests may go.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;
use serde::Deserialize;

use super::address::{self, IpNetwork};

/// Unsaid, requests go to any public address and to no other.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundConfig {
    /// Addresses that are not public and may be called all the same: `10.0.0.0/8`, `127.0.0.1`.
    pub allow: Vec<IpNetwork>,
    /// If any are named, `http_request` calls only these: `api.example.com`, `*.example.com`.
    pub hosts: BTreeSet<String>,
    /// Bytes of one answer.
    pub response_bytes_max: usize,
    pub redirects_max: u8,
    /// Methods that `http_request` counts as keyed although the service takes no key, because doing them twice is doing
    /// them once: `PUT`, `DELETE`.
    pub idempotent_methods: BTreeSet<String>,
    /// No address may be private for being named: whoever named it does not keep the project's files.
    #[serde(skip)]
    pub trusts_nobody: bool,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            hosts: BTreeSet::new(),
            response_bytes_max: 1 << 20,
            redirects_max: 5,
            idempotent_methods: BTreeSet::new(),
            trusts_nobody: false,
        }
    }
}

impl OutboundConfig {
    /// What can be said of a URL before its name is resolved; the error is the reason it is refused.
    pub(super) fn check(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("only http and https are called, not {}", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL does not carry credentials; use a header".to_owned());
        }
        let Some(host) = url.host_str() else { return Err("the URL has no host".to_owned()) };
        if !self.hosts.is_empty() && !self.hosts.iter().any(|known| covers(known, host)) {
            return Err("the host is not in the `outbound.hosts` setting".to_owned());
        }
        // The URL parser has turned every way to write an IPv4 address into the plain one.
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(literal) if !self.permits(literal) => Err(refusal(literal)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The same of an address that people wrote.
    ///
    /// # Errors
    /// The reason it is refused.
    pub fn check_address(&self, address: &str) -> Result<(), String> {
        let url: Url = address.parse().map_err(|error| format!("`{address}` is no address: {error}"))?;
        self.check(&url)
    }

    /// Why nothing is ever sent there, where that is known before its name is looked up.
    pub(crate) fn static_violation(&self, url: &Url) -> Option<String> {
        let is_own = url.host_str().is_some_and(|host| host == "localhost" || host.ends_with(".localhost"));
        let own = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let refused = is_own && !self.permits(own) && !self.permits(IpAddr::V6(Ipv6Addr::LOCALHOST));
        self.check(url).err().or_else(|| refused.then(|| refusal(own)))
    }

    pub(super) fn permits(&self, address: IpAddr) -> bool {
        address::is_public(address) || self.allow.iter().any(|network| network.holds(address))
    }
}

pub(super) fn refusal(address: IpAddr) -> String {
    format!("{address} is not a public address; allow it under `[tools.outbound] allow` if it is meant")
}

/// Whether a host rule, exact or `*.` with all below, covers a host.
fn covers(rule: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    match rule.strip_prefix("*.") {
        Some(parent) => {
            let below = host.len().checked_sub(parent.len() + 1).map(|at| host.split_at(at));
            below.is_some_and(|(name, rest)| {
                !name.is_empty() && rest.starts_with('.') && rest[1..].eq_ignore_ascii_case(parent)
            })
        }
        None => host.eq_ignore_ascii_case(rule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_rule_covers_itself_or_what_is_below() {
        for (rule, host, expect) in [
            ("api.example.com", "API.example.com", true),
            ("api.example.com", "api.example.com.", true),
            ("example.com", "api.example.com", false),
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "evilexample.com", false),
            ("*.example.com", "example.com.evil.org", false),
        ] {
            assert_eq!(covers(rule, host), expect, "{rule} {host}");
        }
    }
}
