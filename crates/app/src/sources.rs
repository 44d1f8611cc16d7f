//! Tool sources, as the HTTP API shows them: those of the project's files, and those that tenants add while the system
//! runs. An added source is stored as a setting of its tenant, with its last response beside it.

mod setting;
mod tenant_sources;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::settings::{self, SettingPrecondition, SettingStore, SettingTopic, TenantSetting};
use baton_expr::nearest;
use baton_ports::clock::Clock;
use baton_ports::sources::{self, SOURCES_MAX, SourceDefinition, SourceError, SourceKind, SourceListing, TOOLS_MAX};
use baton_tools::ToolRegistry;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::project::{Project, ProjectServer};
use crate::wiring::ProjectSystem;

use setting::{CheckedSource, SourceSetting};
use tenant_sources::SourceContent;
pub use tenant_sources::TenantSources;

/// All tool sources of one process.
pub struct ToolSources {
    tenant_sources: Arc<TenantSources>,
    settings: Arc<SettingStore>,
    tools: Arc<ToolRegistry>,
    clock: Arc<dyn Clock>,
    /// The project's own tenant.
    own_tenant: TenantId,
    /// The sources of the project's files, as last read.
    project_sources: RwLock<Arc<Vec<SourceListing>>>,
    /// Requests to the reader of the project's files, handled one at a time.
    refresh_requests: mpsc::Sender<RefreshRequest>,
    /// Serializes additions. Concurrent ones could exceed the limit.
    add_lock: Mutex<()>,
}

/// A request to ask a source of the project's files now, whatever its cached copy.
pub struct RefreshRequest {
    pub name: String,
    /// Notified once its tools are loaded. Dropped if they cannot be loaded.
    pub done: oneshot::Sender<()>,
}

impl ToolSources {
    /// Creates the sources, and the receiver of refresh requests for the reader of the project's files.
    pub fn of(project: &Project, system: &ProjectSystem) -> (Self, mpsc::Receiver<RefreshRequest>) {
        let (wanted, wants) = mpsc::channel(1);
        let sources = Self {
            tenant_sources: system.tenant_sources.clone(),
            settings: system.settings.clone(),
            tools: system.tools.clone(),
            clock: system.clock.clone(),
            own_tenant: system.tenant.clone(),
            project_sources: RwLock::new(Arc::new(sources_of_project(project))),
            refresh_requests: wanted,
            add_lock: Mutex::default(),
        };
        (sources, wants)
    }

    /// Replaces the sources of the project's files.
    pub fn set_project(&self, project: &Project) {
        *self.project_sources.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sources_of_project(project));
    }

    fn project_sources(&self) -> Arc<Vec<SourceListing>> {
        self.project_sources.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A source of the files as a tenant sees it. Its address, and what a program wrote to standard error, are visible
    /// only to the project's own tenant.
    fn visible_to(&self, tenant: &TenantId, source: &SourceListing) -> SourceListing {
        if *tenant == self.own_tenant {
            return source.clone();
        }
        let hidden = || "it did not answer; the server's own tenant is told why".to_owned();
        SourceListing { address: None, last_error: source.last_error.as_ref().map(|_| hidden()), ..source.clone() }
    }

    fn project_source(&self, name: &str) -> Option<SourceListing> {
        self.project_sources().iter().find(|source| source.name == name).cloned()
    }

    async fn setting(&self, tenant: &TenantId, name: &str) -> Result<TenantSetting, SourceError> {
        if let Some(setting) = self.settings.find(tenant, SettingTopic::Source, name).await? {
            return Ok(setting);
        }
        if let Some(file) = self.project_source(name).and_then(|source| source.file) {
            return Err(SourceError::DefinedByFile { name: name.to_owned(), file });
        }
        let all = sources::SourceStore::list(self, tenant).await?;
        let near = nearest(name, all.iter().map(|source| source.name.as_str())).map(str::to_owned);
        Err(SourceError::Unknown { name: name.to_owned(), nearest: near })
    }

    /// Asks a source for its tools, and checks that they can be used.
    async fn query_source(
        &self,
        tenant: &TenantId,
        new: SourceDefinition,
    ) -> Result<(SourceSetting, SourceContent), SourceError> {
        let settings = self.tools.added_source_config(*tenant == self.own_tenant);
        let asked = CheckedSource::read(new, &settings)?;
        let content = asked.ask(&settings).await?;
        let asked_at = self.clock.now();
        // Parsing a document may take long.
        let read = tokio::task::spawn_blocking(move || {
            asked.tools(&content).map(|laid| {
                let kept = asked.to_setting(&content, laid.tools.len(), asked_at);
                (kept, content)
            })
        })
        .await;
        read.map_err(|error| SourceError::Storage { reason: error.to_string() })?
    }

    /// Checks that its tools, with those of the tenant's other sources, stay within the limit.
    async fn check_capacity(&self, tenant: &TenantId, new: &SourceSetting) -> Result<(), SourceError> {
        let all = self.settings.of(tenant, SettingTopic::Source).await?;
        let others = all.into_iter().filter(|setting| setting.name != new.name);
        let others: usize = others.map(|setting| SourceSetting::of(setting).tools).sum();
        if others + new.tools > TOOLS_MAX {
            return Err(SourceError::TooManyTools { name: new.name.clone(), tools: new.tools, others });
        }
        Ok(())
    }

    /// Stores a source with its response, and deletes the previous response, in one transaction.
    async fn save_source(
        &self,
        tenant: &TenantId,
        kept: SourceSetting,
        content: Option<&SourceContent>,
        instead_of: Option<&TenantSetting>,
    ) -> Result<SourceListing, SourceError> {
        let before =
            instead_of.map_or(SettingPrecondition::Absent, |before| SettingPrecondition::Version(before.changes));
        let old = instead_of.map(|before| SourceSetting::of(before.clone())).filter(|old| old.content != kept.content);
        let kept_now = content.map(|content| tenant_sources::save_content(tenant, &kept.name, content));
        let beside =
            kept_now.into_iter().chain(old.and_then(|old| tenant_sources::delete_content(tenant, &old))).collect();
        let (name, value) = (kept.name.clone(), kept.as_value());
        let setting = TenantSetting {
            tenant: tenant.clone(),
            topic: SettingTopic::Source,
            name,
            value,
            set_by: None,
            floor: None,
            changes: 0,
        };
        let set = self.settings.put(setting, before, beside, self.clock.now()).await.map_err(settings_error)?;
        Ok(self.tenant_sources.describe(&set))
    }
}

#[async_trait]
impl sources::SourceStore for ToolSources {
    async fn list(&self, tenant: &TenantId) -> Result<Vec<SourceListing>, SourceError> {
        let mut all: Vec<SourceListing> =
            self.project_sources().iter().map(|source| self.visible_to(tenant, source)).collect();
        let added = self.settings.of(tenant, SettingTopic::Source).await?;
        all.extend(added.iter().map(|setting| self.tenant_sources.describe(setting)));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    async fn find(&self, tenant: &TenantId, name: &str) -> Result<SourceListing, SourceError> {
        match (self.setting(tenant, name).await, self.project_source(name)) {
            (Ok(setting), _) => Ok(self.tenant_sources.describe(&setting)),
            (Err(SourceError::DefinedByFile { .. }), Some(source)) => Ok(self.visible_to(tenant, &source)),
            (Err(fault), _) => Err(fault),
        }
    }

    async fn add(&self, tenant: &TenantId, new: SourceDefinition) -> Result<SourceListing, SourceError> {
        let name = new.name.clone();
        let taken = || SourceError::Taken { name: name.clone() };
        if self.project_source(&name).is_some()
            || self.settings.find(tenant, SettingTopic::Source, &name).await?.is_some()
        {
            return Err(taken());
        }
        let (kept, content) = self.query_source(tenant, new).await?;
        let _one = self.add_lock.lock().await;
        if self.settings.of(tenant, SettingTopic::Source).await?.len() >= SOURCES_MAX {
            return Err(SourceError::TooMany);
        }
        self.check_capacity(tenant, &kept).await?;
        match self.save_source(tenant, kept, Some(&content), None).await {
            Err(SourceError::Stale { .. }) => Err(taken()),
            put => put,
        }
    }

    async fn replace(
        &self,
        tenant: &TenantId,
        new: SourceDefinition,
        expected: Option<u64>,
    ) -> Result<SourceListing, SourceError> {
        let before = self.setting(tenant, &new.name).await?;
        if expected.is_some_and(|expected| expected != before.changes) {
            return Err(SourceError::Stale { name: new.name });
        }
        let (kept, content) = self.query_source(tenant, new).await?;
        let _one = self.add_lock.lock().await;
        self.check_capacity(tenant, &kept).await?;
        self.save_source(tenant, kept, Some(&content), Some(&before)).await
    }

    async fn refresh(&self, tenant: &TenantId, name: &str) -> Result<SourceListing, SourceError> {
        let setting = match self.setting(tenant, name).await {
            Ok(setting) => setting,
            Err(SourceError::DefinedByFile { .. }) if *tenant == self.own_tenant => {
                return self.refresh_file(name).await;
            }
            Err(fault) => return Err(fault),
        };
        let kept = SourceSetting::of(setting.clone());
        if kept.address().is_none() {
            let reason = format!("the document of `{name}` was sent, so there is nobody to ask");
            return Err(refused(reason, "PUT it with the new document"));
        }
        let asked = self.query_source(tenant, kept.to_definition()).await;
        let _one = self.add_lock.lock().await;
        let fit = match asked {
            Ok((kept, content)) => self.check_capacity(tenant, &kept).await.map(|()| (kept, content)),
            Err(fault) => Err(fault),
        };
        match fit {
            Ok((kept, content)) => self.save_source(tenant, kept, Some(&content), Some(&setting)).await,
            Err(fault) => {
                let error = match fault {
                    SourceError::Unavailable { reason, .. } => reason,
                    other => other.to_string(),
                };
                let still = SourceSetting { asked_at: self.clock.now().as_ms(), last_error: Some(error), ..kept };
                self.save_source(tenant, still, None, Some(&setting)).await
            }
        }
    }

    async fn remove(&self, tenant: &TenantId, name: &str, expected: Option<u64>) -> Result<(), SourceError> {
        let setting = self.setting(tenant, name).await?;
        let expected = expected.unwrap_or(setting.changes);
        let beside = tenant_sources::delete_content(tenant, &SourceSetting::of(setting)).into_iter().collect();
        let now = self.clock.now();
        self.settings
            .remove(tenant, (SettingTopic::Source, name), None, Some(expected), beside, now)
            .await
            .map_err(settings_error)?;
        Ok(())
    }
}

impl ToolSources {
    /// Reads the project's files again, and asks this source in them.
    async fn refresh_file(&self, name: &str) -> Result<SourceListing, SourceError> {
        let (taken, is_taken) = oneshot::channel();
        let busy = |_| SourceError::Unavailable { name: name.to_owned(), reason: "another is being asked".to_owned() };
        self.refresh_requests.try_send(RefreshRequest { name: name.to_owned(), done: taken }).map_err(busy)?;
        let hint = "the server's log and `baton validate` say why";
        is_taken.await.map_err(|_| refused("the project's files cannot be taken in", hint))?;
        self.project_source(name).ok_or_else(|| SourceError::Unknown { name: name.to_owned(), nearest: None })
    }
}

/// The servers and documents of the project's files.
fn sources_of_project(project: &Project) -> Vec<SourceListing> {
    let server = |server: &ProjectServer| {
        let (tools, unsupported) = server.tools();
        SourceListing {
            name: server.source.name().to_owned(),
            kind: SourceKind::Mcp,
            file: Some(server.file.clone()),
            address: server.source.address(),
            is_reachable: Some(server.last_error.is_none()),
            asked_at: time(server.asked_at),
            last_error: server.last_error.clone(),
            tools: tools.iter().map(|tool| tool.name().to_owned()).collect(),
            unsupported: unsupported.into_iter().map(tenant_sources::unsupported_part).collect(),
            definition: None,
            changes: None,
        }
    };
    let documents = project.documents.iter().map(|document| SourceListing {
        name: document.name.clone(),
        kind: SourceKind::Openapi,
        file: Some(document.file.clone()),
        address: document.address.as_deref().and_then(baton_tools::display_address),
        is_reachable: document.address.as_ref().map(|_| document.last_error.is_none()),
        asked_at: document.asked_at.and_then(time),
        last_error: document.last_error.clone(),
        tools: document.tools.clone(),
        unsupported: document.unsupported.iter().cloned().map(tenant_sources::unsupported_part).collect(),
        definition: None,
        changes: None,
    });
    project.servers.iter().map(server).chain(documents).collect()
}

fn time(at: SystemTime) -> Option<Time> {
    let ms = at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis();
    i64::try_from(ms).ok().map(Time::from_ms)
}

fn refused(reason: impl Into<String>, hint: &str) -> SourceError {
    SourceError::Rejected { reason: reason.into(), hint: Some(hint.to_owned()) }
}

fn settings_error(error: settings::SettingError) -> SourceError {
    match error {
        settings::SettingError::Refused(reason) => SourceError::Rejected { reason, hint: None },
        settings::SettingError::Stale { name } => SourceError::Stale { name },
        settings::SettingError::Loosened { .. } => SourceError::Rejected { reason: error.to_string(), hint: None },
        settings::SettingError::TooMany => SourceError::TooMany,
        settings::SettingError::Records(error) => error.into(),
    }
}

/// Checks that a value is a stored source.
pub fn check(value: &Value) -> Result<(), String> {
    SourceSetting::read(value).map(drop)
}
