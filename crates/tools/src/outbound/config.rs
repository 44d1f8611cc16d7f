//! Settings that control where requests may go.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;
use serde::Deserialize;

use super::address::{self, IpNetwork};

/// The settings. By default, requests may go to any public address and to no other.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundConfig {
    /// Addresses that are not public but may be called: `10.0.0.0/8`, `127.0.0.1`.
    pub allow: Vec<IpNetwork>,
    /// If not empty, `http_request` calls only these hosts: `api.example.com`, `*.example.com`.
    pub hosts: BTreeSet<String>,
    /// Maximum size of one response, in bytes.
    pub response_bytes_max: usize,
    pub redirects_max: u8,
    /// Methods that `http_request` counts as keyed although the service accepts no key, because repeating them has no
    /// further effect: `PUT`, `DELETE`.
    pub idempotent_methods: BTreeSet<String>,
    /// If set, naming an address never makes a private one permitted, because the author does not control the
    /// project's files.
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
    /// Checks a URL before its name is resolved. The error is the reason why it is refused.
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
        // The URL parser has already normalised every notation of an IPv4 address.
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(literal) if !self.permits(literal) => Err(refusal(literal)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Checks an address that a person wrote.
    ///
    /// # Errors
    /// The reason why it is refused.
    pub fn check_address(&self, address: &str) -> Result<(), String> {
        let url: Url = address.parse().map_err(|error| format!("`{address}` is no address: {error}"))?;
        self.check(&url)
    }

    /// Returns why a URL is always refused, if that is known before its name is resolved.
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

/// Returns whether a host rule covers a host: an exact name, or `*.` with all subdomains.
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
