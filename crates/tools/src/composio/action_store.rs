//! Stores the actions of toolkits in records: one record per action, and one per toolkit that names the current list.
//! A new list is written beside the old one and then replaces it atomically.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::records::{OPS_MAX, RecordError, RecordOp, RecordStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ConnectionError;
use super::action::ToolkitAction;

const TOOLKITS: &str = "composio.toolkits";
const ACTIONS: &str = "composio.actions";
const PAGE: usize = 1_000;
/// Age after which a list that never became current counts as abandoned by a stopped process.
const ABANDONED_MS: u64 = 60 * 60 * 1_000;

pub(super) struct ActionStore<'s> {
    pub(super) records: &'s dyn RecordStore,
    pub(super) clock: &'s dyn Clock,
}

/// The stored record of a toolkit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ToolkitRecord {
    /// The pinned version.
    pub(super) version: String,
    pub(super) fetched_at: Time,
    /// The number of the current list of action records. It rises with each list.
    list: u64,
    actions: usize,
}

impl ActionStore<'_> {
    pub(super) async fn toolkit(&self, tenant: &TenantId, app: &str) -> Result<Option<ToolkitRecord>, ConnectionError> {
        Ok(self.head(tenant, app).await?.1)
    }

    /// Reads the toolkit's record with its record version. A record in a format of an older Baton counts as empty.
    async fn head(
        &self,
        tenant: &TenantId,
        app: &str,
    ) -> Result<(Option<u64>, Option<ToolkitRecord>), ConnectionError> {
        let record = self.records.get(tenant, TOOLKITS, app).await?;
        let version = record.as_ref().map(|record| record.version);
        Ok((version, record.and_then(|record| serde_json::from_value(record.value).ok())))
    }

    /// Returns the actions of a toolkit's current list, ordered by slug.
    pub(super) async fn actions(&self, tenant: &TenantId, app: &str) -> Result<Vec<ToolkitAction>, ConnectionError> {
        match self.toolkit(tenant, app).await? {
            Some(kept) => {
                let all = self.list_actions(tenant, &prefix(app, kept.list)).await?;
                Ok(all.into_iter().filter_map(|(_, value)| serde_json::from_value(value).ok()).collect())
            }
            None => Ok(Vec::new()),
        }
    }

    /// Replaces the current list. If another process has just replaced it, that list stays.
    pub(super) async fn replace(
        &self,
        tenant: &TenantId,
        app: &str,
        version: &str,
        actions: &[ToolkitAction],
    ) -> Result<(), ConnectionError> {
        let now = self.clock.now();
        let (record, before) = self.head(tenant, app).await?;
        let before = before.map_or(0, |kept| kept.list);
        // Derived from the time, so that two concurrent processes do not write into the same list.
        let list = u64::try_from(now.as_ms()).unwrap_or_default().max(before + 1);
        for some in actions.chunks(OPS_MAX) {
            let put = |action: &ToolkitAction| {
                let value = serde_json::to_value(action).unwrap_or_default();
                RecordOp::Put { space: ACTIONS.to_owned(), key: format!("{}{}", prefix(app, list), action.slug), value }
            };
            self.records.commit(tenant, some.iter().map(put).collect(), now).await?;
        }
        let kept = ToolkitRecord { version: version.to_owned(), fetched_at: now, list, actions: actions.len() };
        let value = serde_json::to_value(&kept).unwrap_or_default();
        let (space, key) = (TOOLKITS.to_owned(), app.to_owned());
        let head = match record {
            Some(version) => RecordOp::CompareAndSet { space, key, version, value },
            None => RecordOp::Insert { space, key, value },
        };
        match self.records.commit(tenant, vec![head], now).await {
            Ok(()) => self.drop_lists(tenant, app, |other| other == before || other + ABANDONED_MS < list).await,
            Err(RecordError::Conflict { .. }) => {
                let held = self.toolkit(tenant, app).await?.map(|kept| kept.list);
                self.drop_lists(tenant, app, |other| other == list && held != Some(list)).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes lists of a toolkit by their numbers.
    async fn drop_lists(
        &self,
        tenant: &TenantId,
        app: &str,
        is_over: impl Fn(u64) -> bool,
    ) -> Result<(), ConnectionError> {
        let (all, within) = (self.list_actions(tenant, &format!("{app}/")).await?, app.len() + 1);
        let number = |key: &str| key.get(within..)?.split_once('/')?.0.parse().ok();
        let keys: Vec<String> =
            all.into_iter().map(|(key, _)| key).filter(|key| number(key).is_some_and(&is_over)).collect();
        for some in keys.chunks(OPS_MAX) {
            let delete = |key: &String| RecordOp::Delete { space: ACTIONS.to_owned(), key: key.clone() };
            self.records.commit(tenant, some.iter().map(delete).collect(), self.clock.now()).await?;
        }
        Ok(())
    }

    /// Returns all action records whose keys start with this prefix.
    async fn list_actions(&self, tenant: &TenantId, prefix: &str) -> Result<Vec<(String, Value)>, ConnectionError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.records.list(tenant, ACTIONS, prefix, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|record| record.key.clone());
            all.extend(page.into_iter().map(|record| (record.key, record.value)));
            if is_last {
                return Ok(all);
            }
        }
    }
}

fn prefix(app: &str, list: u64) -> String {
    format!("{app}/{list}/")
}
