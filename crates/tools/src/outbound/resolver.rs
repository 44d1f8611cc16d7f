//! Names to addresses, and only to those a connection may go to.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::config::{Config, refusal};

/// A name that leads nowhere a connection may go.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Forbidden(String);

/// The reason, where a request failed because of one.
pub(super) fn forbidden<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Forbidden> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref() {
            return Some(forbidden);
        }
        cause = error.source();
    }
    None
}

pub(super) struct Resolver {
    /// `None` lets every address through.
    policy: Option<Arc<Config>>,
    names: Names,
}

/// Where names are looked up.
enum Names {
    System,
    #[cfg(test)]
    Fixed(std::collections::BTreeMap<&'static str, Vec<std::net::IpAddr>>),
}

impl Resolver {
    pub(super) fn new(policy: Option<Arc<Config>>) -> Self {
        Self { policy, names: Names::System }
    }

    #[cfg(test)]
    pub(super) fn fixed(
        policy: Arc<Config>,
        names: std::collections::BTreeMap<&'static str, Vec<std::net::IpAddr>>,
    ) -> Self {
        Self { policy: Some(policy), names: Names::Fixed(names) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        match &self.names {
            Names::System => Box::pin(async move {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                permitted(found.collect(), policy.as_deref())
            }),
            #[cfg(test)]
            Names::Fixed(names) => {
                let found = names.get(name.as_str()).cloned().unwrap_or_default();
                let found = found.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
                Box::pin(async move { permitted(found, policy.as_deref()) })
            }
        }
    }
}

/// The addresses that a connection may go to; it goes to these and no others.
fn permitted(found: Vec<SocketAddr>, policy: Option<&Config>) -> Result<Addrs, Box<dyn StdError + Send + Sync>> {
    let first = found.first().copied();
    let permits = |address: &SocketAddr| policy.is_none_or(|policy| policy.permits(address.ip()));
    let permitted: Vec<SocketAddr> = found.into_iter().filter(permits).collect();
    match first {
        Some(first) if permitted.is_empty() => Err(Box::new(Forbidden(refusal(first.ip())))),
        Some(_) => Ok(Box::new(permitted.into_iter())),
        None => Err("the name has no address".into()),
    }
}
