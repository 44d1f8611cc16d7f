//! Discovers the actions of the configured toolkits.

use std::collections::BTreeSet;

use baton_core::id::TenantId;
use serde::Serialize;
use serde_json::Value;

use super::action::{ActionDiagnostic, ToolkitAction};
use super::app::ConfiguredApp;
use super::{ComposioSource, ConnectionError};
use crate::openapi::free_name;

/// Maximum number of actions of one toolkit.
const ACTIONS_MAX: usize = 5_000;
/// Maximum number of pages of one toolkit, so that an endless list is cut off.
const PAGES_MAX: usize = 200;

/// The result of discovering one toolkit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiscoveryReport {
    pub toolkit: String,
    /// The version that is pinned from now on.
    pub version: String,
    pub actions: usize,
    /// Actions that became no tool, or only a partial one.
    pub doubts: Vec<ActionDiagnostic>,
}

/// Which version of a toolkit is discovered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum VersionChoice {
    /// The pinned version, if there is one.
    Pinned,
    /// The latest version, which is then pinned.
    Newest,
}

impl ComposioSource {
    /// Discovers toolkits that have no stored actions or outdated ones, and checks accounts that are being connected
    /// to replace others. Returns the error of each toolkit that could not be discovered; its stored actions stay in
    /// use.
    pub async fn refresh_toolkits(&self, tenant: &TenantId) -> Result<Vec<(String, ConnectionError)>, ConnectionError> {
        let mut faults = Vec::new();
        for app in self.apps.values() {
            let kept = self.action_store().toolkit(tenant, &app.slug).await?;
            let (now, is_kept) = (self.clock.now(), kept.is_some());
            let is_fresh = kept.is_some_and(|kept| {
                kept.fetched_at + self.refresh_after > now
                    && app.version.as_ref().is_none_or(|pin| *pin == kept.version)
            });
            // Without an API key nothing can be discovered, and the stored actions stay in use.
            if is_fresh || (is_kept && !self.has_key()) {
                continue;
            }
            match self.discover_toolkit(tenant, app, VersionChoice::Pinned).await {
                Ok(_) => {}
                Err(fault @ ConnectionError::Storage { .. }) => return Err(fault),
                Err(fault @ (ConnectionError::Rejected { .. } | ConnectionError::Unavailable { .. })) => {
                    faults.push((app.slug.clone(), fault));
                }
            }
        }
        self.check_pending_accounts(tenant).await?;
        Ok(faults)
    }

    /// Discovers every configured toolkit now. With `newest`, the latest version is pinned for toolkits whose version
    /// the settings do not fix.
    ///
    /// # Errors
    /// The first toolkit that cannot be discovered; those before it are stored.
    pub async fn discover(&self, tenant: &TenantId, newest: bool) -> Result<Vec<DiscoveryReport>, ConnectionError> {
        let wanted = if newest { VersionChoice::Newest } else { VersionChoice::Pinned };
        let mut all = Vec::new();
        for app in self.apps.values() {
            all.push(self.discover_toolkit(tenant, app, wanted).await?);
        }
        Ok(all)
    }

    /// Returns tools that Composio finds for these words, best match first, alternating between toolkits.
    pub(crate) async fn search(&self, words: &str, limit: usize) -> Result<Vec<String>, ConnectionError> {
        let mut ranked = Vec::new();
        for app in self.apps.values() {
            let page = self.api.search(&app.slug, words, limit).await?;
            let name = |item: &Value| Some(self.name_of(item.get("slug")?.as_str()?)?.to_string());
            ranked.extend(page.items.iter().filter_map(name).enumerate());
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        Ok(ranked.into_iter().map(|(_, name)| name).take(limit).collect())
    }

    async fn discover_toolkit(
        &self,
        tenant: &TenantId,
        app: &ConfiguredApp,
        wanted: VersionChoice,
    ) -> Result<DiscoveryReport, ConnectionError> {
        let kept = match wanted {
            VersionChoice::Pinned => self.action_store().toolkit(tenant, &app.slug).await?.map(|kept| kept.version),
            VersionChoice::Newest => None,
        };
        let pinned = app.version.clone().or(kept).filter(|version| !version.is_empty());
        let (mut actions, doubts) = self.pages(app, pinned.as_deref()).await?;
        if actions.is_empty() {
            let which =
                pinned.map_or_else(|| "its newest version".to_owned(), |version| format!("version `{version}`"));
            let reason = format!("the toolkit `{}` has no actions in {which}; look at `tools.composio`", app.slug);
            return Err(ConnectionError::Rejected { reason });
        }
        // Each action states its own version. The exact version is pinned for each action, never `latest`.
        let version = pinned.or_else(|| actions.iter().map(|action| action.version.clone()).max()).unwrap_or_default();
        for action in &mut actions {
            if action.version.is_empty() {
                action.version.clone_from(&version);
            }
        }
        self.action_store().replace(tenant, &app.slug, &version, &actions).await?;
        Ok(DiscoveryReport { toolkit: app.slug.clone(), version, actions: actions.len(), doubts })
    }

    async fn pages(
        &self,
        app: &ConfiguredApp,
        version: Option<&str>,
    ) -> Result<(Vec<ToolkitAction>, Vec<ActionDiagnostic>), ConnectionError> {
        let (mut actions, mut doubts): (Vec<ToolkitAction>, Vec<ActionDiagnostic>) = Default::default();
        let (mut slugs, mut names) = (BTreeSet::new(), BTreeSet::new());
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self.api.page(&app.slug, version, cursor.as_deref()).await?;
            for item in page.items {
                let (action, doubt) = ToolkitAction::read(item);
                doubts.extend(doubt);
                let Some(mut action) = action.filter(|action| slugs.insert(action.slug.clone())) else { continue };
                let bare = ToolkitAction::local_name(&action.slug, &app.slug).to_ascii_lowercase();
                action.name = free_name(&app.slug, &bare, &names);
                names.insert(action.name.clone());
                actions.push(action);
            }
            if actions.len() > ACTIONS_MAX {
                let reason = format!("the toolkit `{}` has more than {ACTIONS_MAX} actions", app.slug);
                return Err(ConnectionError::Rejected { reason });
            }
            match page.next_cursor.filter(|next| !next.is_empty()) {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                Some(_) | None => return Ok((actions, doubts)),
            }
        }
        let reason = format!("the list of actions of `{}` has more than {PAGES_MAX} pages", app.slug);
        Err(ConnectionError::Rejected { reason })
    }
}
