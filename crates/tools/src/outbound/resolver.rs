//! Resolves names, and returns only addresses that a connection may go to.

use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_of_a_cloud;
use super::config::{OutboundConfig, refusal};

/// A name whose addresses are all forbidden.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ForbiddenAddressError(String);

/// Finds this error among the causes of a failed request.
pub(super) fn forbidden<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e ForbiddenAddressError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref() {
            return Some(forbidden);
        }
        cause = error.source();
    }
    None
}

pub(super) struct GuardedResolver {
    policy: ResolverPolicy,
    names: NameSource,
}

/// Which addresses a name may resolve to.
#[derive(Clone)]
struct ResolverPolicy {
    config: Arc<OutboundConfig>,
    /// Whether the project's own settings name the host. It may then be on a private network.
    is_allowed_host: bool,
}

/// Where names are resolved.
enum NameSource {
    System,
    #[cfg(test)]
    Fixed(Arc<ScriptedLookups>),
}

/// A scripted name server for tests: each look-up returns the next response, the last one for ever.
#[cfg(test)]
#[derive(Default)]
pub(super) struct ScriptedLookups {
    pub(super) answers: std::collections::BTreeMap<&'static str, Vec<Vec<std::net::IpAddr>>>,
    pub(super) asked: std::sync::atomic::AtomicUsize,
}

#[cfg(test)]
impl ScriptedLookups {
    pub(super) fn lookup_count(&self) -> usize {
        self.asked.load(std::sync::atomic::Ordering::Acquire)
    }

    fn next(&self, name: &str) -> Vec<SocketAddr> {
        let turn = self.asked.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        let answers = self.answers.get(name).map_or(&[][..], Vec::as_slice);
        let found = answers.get(turn).or(answers.last()).into_iter().flatten();
        found.map(|address| SocketAddr::new(*address, 0)).collect()
    }
}

impl GuardedResolver {
    pub(super) fn new(config: Arc<OutboundConfig>, is_named: bool) -> Self {
        Self { policy: ResolverPolicy { config, is_allowed_host: is_named }, names: NameSource::System }
    }

    #[cfg(test)]
    pub(super) fn fixed(config: Arc<OutboundConfig>, is_named: bool, turns: Arc<ScriptedLookups>) -> Self {
        Self { policy: ResolverPolicy { config, is_allowed_host: is_named }, names: NameSource::Fixed(turns) }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        match &self.names {
            NameSource::System => Box::pin(async move {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                policy.permitted(found.collect())
            }),
            #[cfg(test)]
            NameSource::Fixed(turns) => {
                let found = turns.next(name.as_str());
                Box::pin(async move { policy.permitted(found) })
            }
        }
    }
}

impl ResolverPolicy {
    /// Returns the addresses that a connection may go to; it goes to no others.
    fn permitted(&self, found: Vec<SocketAddr>) -> Result<Addrs, Box<dyn StdError + Send + Sync>> {
        let first = found.first().copied();
        let permits = |address: &SocketAddr| self.refusal(address.ip()).is_none();
        let permitted: Vec<SocketAddr> = found.into_iter().filter(permits).collect();
        match first {
            Some(first) if permitted.is_empty() => {
                Err(Box::new(ForbiddenAddressError(self.refusal(first.ip()).unwrap_or_default())))
            }
            Some(_) => Ok(Box::new(permitted.into_iter())),
            None => Err("the name has no address".into()),
        }
    }

    /// Returns why an address is refused, or `None` if it is permitted.
    fn refusal(&self, address: IpAddr) -> Option<String> {
        if self.config.permits(address) {
            return None;
        }
        if !self.is_allowed_host {
            return Some(refusal(address));
        }
        // The owner of the name can point it there, and the data served there opens the whole account.
        is_of_a_cloud(address).then(|| {
            format!("{address} is what a cloud tells its own machines; allow it under `[tools.outbound] allow` if it is meant")
        })
    }
}
