//! Loads the sources that tenants added into the tools of this process.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::settings::TenantSetting;
use baton_engine::tenants::system_tenant;
use baton_ports::records::{self, RecordOp, RecordStore};
use baton_ports::sources::{SourceDiagnostic, SourceListing};
use baton_tools::ToolRegistry;
use serde_json::Value;

use super::setting::{SourceSetting, SourceTools};

pub use super::setting::SourceContent;

/// The record space of the last responses of sources, by tenant, name and hash.
const SPACE: &str = "source";
/// Why a tool of a source cannot be called.
const SHADOWED: &str = "a tool of everybody's has this name and stands before it; add the source under another name";

/// The status of each source of one tenant.
type SourceStatuses = BTreeMap<String, SourceStatus>;

/// The status of one source.
struct SourceStatus {
    changes: u64,
    tools: Vec<String>,
    unsupported: Vec<SourceDiagnostic>,
    /// Why its tools are not available.
    error: Option<String>,
}

/// Applies added sources each time they change.
pub struct TenantSources {
    tools: Arc<ToolRegistry>,
    records: Arc<dyn RecordStore>,
    /// The project's own tenant.
    own_tenant: TenantId,
    statuses: RwLock<BTreeMap<TenantId, SourceStatuses>>,
}

impl TenantSources {
    pub fn new(tools: Arc<ToolRegistry>, records: Arc<dyn RecordStore>, house: TenantId) -> Self {
        Self { tools, records, own_tenant: house, statuses: RwLock::default() }
    }

    /// Makes the tools of exactly these sources available. A source that cannot be read now is retried later.
    pub async fn apply_settings(&self, all: &[&TenantSetting]) {
        let mut by_tenant: BTreeMap<&TenantId, Vec<&TenantSetting>> = BTreeMap::new();
        for setting in all {
            by_tenant.entry(&setting.tenant).or_default().push(setting);
        }
        let before: BTreeMap<TenantId, Vec<(String, u64)>> = self.installed_sources();
        for gone in before.keys().filter(|tenant| !by_tenant.contains_key(tenant)) {
            self.install_tools(gone, BTreeMap::new(), Vec::new());
        }
        for (tenant, settings) in by_tenant {
            let now: Vec<(String, u64)> =
                settings.iter().map(|setting| (setting.name.clone(), setting.changes)).collect();
            if before.get(tenant) != Some(&now)
                && let Err(error) = self.apply_tenant(tenant, &settings).await
            {
                tracing::warn!(%tenant, %error, "what a tenant's sources said cannot be read; it is tried again");
            }
        }
    }

    fn installed_sources(&self) -> BTreeMap<TenantId, Vec<(String, u64)>> {
        let stands = self.statuses.read().unwrap_or_else(PoisonError::into_inner);
        let changes = |of: &SourceStatuses| of.iter().map(|(name, stand)| (name.clone(), stand.changes)).collect();
        stands.iter().map(|(tenant, of)| (tenant.clone(), changes(of))).collect()
    }

    async fn apply_tenant(&self, tenant: &TenantId, settings: &[&TenantSetting]) -> Result<(), records::RecordError> {
        let (mut stands, mut all) = (SourceStatuses::new(), Vec::new());
        for setting in settings {
            let kept = SourceSetting::of((*setting).clone());
            let laid = match self.content(tenant, &kept).await? {
                Some(content) => read(kept, content).await,
                None => Err("what it said is not kept any more; refresh it, or put it anew".to_owned()),
            };
            let (laid, error) = match laid {
                Ok(laid) => (laid, None),
                Err(error) => (SourceTools::default(), Some(error)),
            };
            let stand = SourceStatus {
                changes: setting.changes,
                tools: laid.tools.iter().map(|tool| tool.name().to_owned()).collect(),
                unsupported: laid.unsupported.iter().cloned().map(unsupported_part).collect(),
                error,
            };
            stands.insert(setting.name.clone(), stand);
            all.push(laid);
        }
        self.install_tools(tenant, stands, all);
        Ok(())
    }

    fn install_tools(&self, tenant: &TenantId, mut stands: SourceStatuses, laid: Vec<SourceTools>) {
        let (mut tools, mut servers) = (Vec::new(), Vec::new());
        for one in laid {
            tools.extend(one.tools);
            servers.extend(one.servers);
        }
        let settings = self.tools.added_source_config(*tenant == self.own_tenant);
        if let Err(error) = self.tools.set_tenant_tools(tenant, &settings, tools, servers) {
            tracing::warn!(%tenant, %error, "a tenant's sources are not taken in; those of before stand");
            for stand in stands.values_mut() {
                stand.tools.clear();
                stand.error.get_or_insert_with(|| format!("the tools of all sources are not taken in: {error}"));
            }
        }
        let mut all = self.statuses.write().unwrap_or_else(PoisonError::into_inner);
        match stands.is_empty() {
            true => drop(all.remove(tenant)),
            false => drop(all.insert(tenant.clone(), stands)),
        }
    }

    async fn content(&self, tenant: &TenantId, kept: &SourceSetting) -> Result<Option<Value>, records::RecordError> {
        let Some(key) = key(tenant, kept) else { return Ok(None) };
        Ok(self.records.get(&system_tenant(), SPACE, &key).await?.map(|record| record.value))
    }

    /// The current state of an added source.
    pub fn describe(&self, setting: &TenantSetting) -> SourceListing {
        let kept = SourceSetting::of(setting.clone());
        let address = kept.address();
        let all = self.statuses.read().unwrap_or_else(PoisonError::into_inner);
        let stand = all.get(&setting.tenant).and_then(|of| of.get(&setting.name));
        let error = kept.last_error.clone().or_else(|| stand.and_then(|stand| stand.error.clone()));
        let names = stand.map(|stand| stand.tools.clone()).unwrap_or_default();
        let (shadowed, tools): (Vec<_>, _) = names.into_iter().partition(|tool| self.tools.is_shared_tool(tool));
        let mut unsupported = stand.map(|stand| stand.unsupported.clone()).unwrap_or_default();
        let shadowed = shadowed.into_iter().map(|place| SourceDiagnostic { place, reason: SHADOWED.to_owned() });
        unsupported.extend(shadowed);
        SourceListing {
            name: setting.name.clone(),
            kind: kept.kind,
            file: None,
            address: address.and_then(baton_tools::display_address),
            is_reachable: address.map(|_| kept.last_error.is_none()),
            asked_at: address.map(|_| Time::from_ms(kept.asked_at)),
            last_error: error,
            tools,
            unsupported,
            definition: Some(Value::Object(kept.to_definition().fields)),
            changes: Some(setting.changes),
        }
    }
}

/// Parses the tools of a response. A long response takes time.
async fn read(kept: SourceSetting, content: Value) -> Result<SourceTools, String> {
    let read = move || SourceTools::of(&kept.name, kept.kind, &kept.definition, &content);
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()))
}

/// The operation that stores a response of a source.
pub fn save_content(tenant: &TenantId, name: &str, content: &SourceContent) -> RecordOp {
    let key = format!("{tenant}/{name}/{}", content.hash);
    RecordOp::Put { space: SPACE.to_owned(), key, value: content.value.clone() }
}

/// The operation that deletes the previous response of a source.
pub fn delete_content(tenant: &TenantId, before: &SourceSetting) -> Option<RecordOp> {
    Some(RecordOp::Delete { space: SPACE.to_owned(), key: key(tenant, before)? })
}

fn key(tenant: &TenantId, kept: &SourceSetting) -> Option<String> {
    let (name, hash) = (&kept.name, kept.content.as_ref()?);
    Some(format!("{tenant}/{name}/{hash}"))
}

pub fn unsupported_part(part: baton_tools::ImportDiagnostic) -> SourceDiagnostic {
    SourceDiagnostic { place: part.place, reason: part.reason }
}
