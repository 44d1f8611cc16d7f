//! Checks of network services: model providers, the mail server and MCP servers.

use std::sync::Arc;
use std::time::Duration;

use baton_models::ProviderKind;
use baton_ports::clock::SystemClock;
use tokio::net::TcpStream;

use super::DoctorCheck;
use crate::project::Project;
use crate::{print, wiring};

const CONNECT_MAX: Duration = Duration::from_secs(3);
const OPENAI: &str = "https://api.openai.com/v1";
const ANTHROPIC: &str = "https://api.anthropic.com";
const SMTP_PORT: u16 = 587;

/// Checks each model provider, or the files that replace them.
pub async fn models(project: &Project) -> Vec<DoctorCheck> {
    let providers = match project.settings.models.remote_providers() {
        Ok(providers) => providers,
        Err(error) => return vec![DoctorCheck::fail("models", error.to_string(), "correct it in baton.toml")],
    };
    // The settings may reference a key that does not exist.
    if let Err(error) = wiring::models(project, Arc::new(SystemClock)) {
        return vec![DoctorCheck::fail(
            "models",
            format!("{error:#}"),
            "correct it in baton.toml, or set what it names",
        )];
    }
    if providers.is_empty() {
        return vec![files(project.replies.len())];
    }
    let mut checks = Vec::new();
    for (name, kind, url) in providers {
        checks.push(provider(&name, kind, url.as_deref()).await);
    }
    checks
}

fn files(count: usize) -> DoctorCheck {
    if count == 0 {
        let hint = "set OPENAI_API_KEY or ANTHROPIC_API_KEY or `[models] base_url`, or write replies/*.yaml";
        return DoctorCheck::warn("models", "replies come from replies/*.yaml, and there is none", hint);
    }
    DoctorCheck::ok("models", format!("replies come from replies/, files: {count}; no model is set up"))
}

async fn provider(name: &str, kind: ProviderKind, url: Option<&str>) -> DoctorCheck {
    let public = if kind == ProviderKind::Anthropic { ANTHROPIC } else { OPENAI };
    let url = url.unwrap_or(public);
    let hint = "look at `base_url` under `[models]` or its provider, the network and the firewall";
    match authority(url) {
        None => DoctorCheck::fail("models", format!("{name}: `{url}` is no address"), "write it as `https://HOST/v1`"),
        Some((host, port)) => match can_connect(&host, port).await {
            Ok(()) => DoctorCheck::ok("models", format!("{name}: {host}:{port} answers")),
            Err(why) => DoctorCheck::fail("models", format!("{name}: {host}:{port} cannot be reached: {why}"), hint),
        },
    }
}

pub async fn mail(project: &Project) -> DoctorCheck {
    let email = &project.settings.tools.email;
    let Some(smtp) = &email.smtp else {
        if email.sendgrid.is_some() {
            return DoctorCheck::ok("mail", "SendGrid sends e-mails");
        }
        return DoctorCheck::ok("mail", "e-mails are kept in the outbox; set `[tools.email.smtp]` to send them");
    };
    let port = smtp.port.unwrap_or(SMTP_PORT);
    match can_connect(&smtp.host, port).await {
        Ok(()) => DoctorCheck::ok("mail", format!("{}:{port} answers", smtp.host)),
        Err(why) => {
            let says = format!("{}:{port} cannot be reached: {why}", smtp.host);
            DoctorCheck::fail("mail", says, "look at `[tools.email.smtp]`, the network and the firewall")
        }
    }
}

/// Asks each MCP server now.
pub async fn servers(project: &Project) -> Vec<DoctorCheck> {
    let mut checks = Vec::new();
    for server in &project.servers {
        let name = server.source.name();
        checks.push(match (server.source.list(&project.settings.tools).await, server.len()) {
            (Ok(listing), _) => DoctorCheck::ok("mcp", format!("{name}: {}", print::count_noun(listing.len(), "tool"))),
            (Err(why), 0) => {
                let hint = format!("look at {}; until it answers it has no tools", server.file);
                DoctorCheck::fail("mcp", format!("{name} does not answer: {why}"), hint)
            }
            (Err(why), known) => {
                let known = print::count_noun(known, "tool");
                let hint = format!("what it last listed stands, {known}; calls fail until it is back");
                DoctorCheck::warn("mcp", format!("{name} does not answer: {why}"), hint)
            }
        });
    }
    checks
}

async fn can_connect(host: &str, port: u16) -> Result<(), String> {
    match tokio::time::timeout(CONNECT_MAX, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err(format!("no answer in {} s", CONNECT_MAX.as_secs())),
    }
}

/// Host and port of a URL.
fn authority(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Ok(default), str::parse).ok()?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_its_host_and_port() {
        let found = |url: &str| authority(url).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(found("https://api.openai.com/v1").as_deref(), Some("api.openai.com 443"));
        assert_eq!(found("http://localhost:11434/v1").as_deref(), Some("localhost 11434"));
        assert_eq!(found("http://[::1]:8000").as_deref(), Some("::1 8000"));
        assert_eq!(found("https://user:word@host/").as_deref(), Some("host 443"));
        assert_eq!(found("localhost:11434"), None);
        assert_eq!(found("http://host:port/"), None);
    }
}
