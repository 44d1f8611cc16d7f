//! The sources that tenants added, taken into the tools of this process.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::settings::Setting;
use baton_engine::tenants::house;
use baton_ports::records::{self, Op, Records};
use baton_ports::sources::{Source, Unsupported};
use baton_tools::Registry;
use serde_json::Value;

use super::written::{Kept, Laid};

pub use super::written::Content;

/// What sources said last, by tenant, name and hash.
const SPACE: &str = "source";
/// Why a tool of a source is not called.
const SHADOWED: &str = "a tool of everybody's has this name and stands before it; add the source under another name";

/// What came of the sources of one tenant.
type OfTenant = BTreeMap<String, Stands>;

/// What came of one of them.
struct Stands {
    changes: u64,
    tools: Vec<String>,
    unsupported: Vec<Unsupported>,
    /// Why its tools are not there.
    error: Option<String>,
}

/// Takes in what tenants added, each time it is another.
pub struct Added {
    tools: Arc<Registry>,
    records: Arc<dyn Records>,
    /// The project's own tenant.
    house: TenantId,
    stands: RwLock<BTreeMap<TenantId, OfTenant>>,
}

impl Added {
    pub fn new(tools: Arc<Registry>, records: Arc<dyn Records>, house: TenantId) -> Self {
        Self { tools, records, house, stands: RwLock::default() }
    }

    /// From here on the tools of these sources are there, and those of no others. What cannot be read now is tried again.
    pub async fn take(&self, all: &[&Setting]) {
        let mut by_tenant: BTreeMap<&TenantId, Vec<&Setting>> = BTreeMap::new();
        for setting in all {
            by_tenant.entry(&setting.tenant).or_default().push(setting);
        }
        let before: BTreeMap<TenantId, Vec<(String, u64)>> = self.known();
        for gone in before.keys().filter(|tenant| !by_tenant.contains_key(tenant)) {
            self.lay(gone, BTreeMap::new(), Vec::new());
        }
        for (tenant, settings) in by_tenant {
            let now: Vec<(String, u64)> =
                settings.iter().map(|setting| (setting.name.clone(), setting.changes)).collect();
            if before.get(tenant) != Some(&now)
                && let Err(error) = self.take_one(tenant, &settings).await
            {
                tracing::warn!(%tenant, %error, "what a tenant's sources said cannot be read; it is tried again");
            }
        }
    }

    fn known(&self) -> BTreeMap<TenantId, Vec<(String, u64)>> {
        let stands = self.stands.read().unwrap_or_else(PoisonError::into_inner);
        let changes = |of: &OfTenant| of.iter().map(|(name, stand)| (name.clone(), stand.changes)).collect();
        stands.iter().map(|(tenant, of)| (tenant.clone(), changes(of))).collect()
    }

    async fn take_one(&self, tenant: &TenantId, settings: &[&Setting]) -> Result<(), records::Error> {
        let (mut stands, mut all) = (OfTenant::new(), Vec::new());
        for setting in settings {
            let kept = Kept::of((*setting).clone());
            let laid = match self.content(tenant, &kept).await? {
                Some(content) => read(kept, content).await,
                None => Err("what it said is not kept any more; refresh it, or put it anew".to_owned()),
            };
            let (laid, error) = match laid {
                Ok(laid) => (laid, None),
                Err(error) => (Laid::default(), Some(error)),
            };
            let stand = Stands {
                changes: setting.changes,
                tools: laid.tools.iter().map(|tool| tool.name().to_owned()).collect(),
                unsupported: laid.unsupported.iter().cloned().map(part).collect(),
                error,
            };
            stands.insert(setting.name.clone(), stand);
            all.push(laid);
        }
        self.lay(tenant, stands, all);
        Ok(())
    }

    fn lay(&self, tenant: &TenantId, mut stands: OfTenant, laid: Vec<Laid>) {
        let (mut tools, mut servers) = (Vec::new(), Vec::new());
        for one in laid {
            tools.extend(one.tools);
            servers.extend(one.servers);
        }
        let settings = self.tools.settings_of_added(*tenant == self.house);
        if let Err(error) = self.tools.add_own(tenant, &settings, tools, servers) {
            tracing::warn!(%tenant, %error, "a tenant's sources are not taken in; those of before stand");
            for stand in stands.values_mut() {
                stand.tools.clear();
                stand.error.get_or_insert_with(|| format!("the tools of all sources are not taken in: {error}"));
            }
        }
        let mut all = self.stands.write().unwrap_or_else(PoisonError::into_inner);
        match stands.is_empty() {
            true => drop(all.remove(tenant)),
            false => drop(all.insert(tenant.clone(), stands)),
        }
    }

    async fn content(&self, tenant: &TenantId, kept: &Kept) -> Result<Option<Value>, records::Error> {
        let Some(key) = key(tenant, kept) else { return Ok(None) };
        Ok(self.records.get(&house(), SPACE, &key).await?.map(|record| record.value))
    }

    /// One that was added, as it stands.
    pub fn shown(&self, setting: &Setting) -> Source {
        let kept = Kept::of(setting.clone());
        let address = kept.address();
        let all = self.stands.read().unwrap_or_else(PoisonError::into_inner);
        let stand = all.get(&setting.tenant).and_then(|of| of.get(&setting.name));
        let error = kept.last_error.clone().or_else(|| stand.and_then(|stand| stand.error.clone()));
        let names = stand.map(|stand| stand.tools.clone()).unwrap_or_default();
        let (shadowed, tools): (Vec<_>, _) = names.into_iter().partition(|tool| self.tools.is_everybodys(tool));
        let mut unsupported = stand.map(|stand| stand.unsupported.clone()).unwrap_or_default();
        let shadowed = shadowed.into_iter().map(|place| Unsupported { place, reason: SHADOWED.to_owned() });
        unsupported.extend(shadowed);
        Source {
            name: setting.name.clone(),
            kind: kept.kind,
            file: None,
            address: address.and_then(baton_tools::shown_address),
            is_reachable: address.map(|_| kept.last_error.is_none()),
            asked_at: address.map(|_| Time::from_ms(kept.asked_at)),
            last_error: error,
            tools,
            unsupported,
            definition: Some(Value::Object(kept.written().fields)),
            changes: Some(setting.changes),
        }
    }
}

/// The tools of what a source said, which may be long to read.
async fn read(kept: Kept, content: Value) -> Result<Laid, String> {
    let read = move || Laid::of(&kept.name, kept.kind, &kept.definition, &content);
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Keeps what a source said.
pub fn keep(tenant: &TenantId, name: &str, content: &Content) -> Op {
    let key = format!("{tenant}/{name}/{}", content.hash);
    Op::Put { space: SPACE.to_owned(), key, value: content.value.clone() }
}

/// Forgets what a source said before.
pub fn forget(tenant: &TenantId, before: &Kept) -> Option<Op> {
    Some(Op::Delete { space: SPACE.to_owned(), key: key(tenant, before)? })
}

fn key(tenant: &TenantId, kept: &Kept) -> Option<String> {
    let (name, hash) = (&kept.name, kept.content.as_ref()?);
    Some(format!("{tenant}/{name}/{hash}"))
}

pub fn part(part: baton_tools::Unsupported) -> Unsupported {
    Unsupported { place: part.place, reason: part.reason }
}
