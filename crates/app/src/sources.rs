//! Where tools come from, for whoever looks over HTTP: those of the project's files, and those that tenants add while the
//! system runs. What is added is kept as a setting of its tenant, with what its source said last beside it.

mod added;
mod written;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use async_trait::async_trait;
use baton_core::expr::nearest;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::settings::{self, Before, Setting, Settings, Topic};
use baton_ports::clock::Clock;
use baton_ports::sources::{self, Fault, Kind, SOURCES_MAX, Source, TOOLS_MAX, Written};
use baton_tools::Registry;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::project::{Project, Server};
use crate::wire::System;

pub use added::Added;
use added::Content;
use written::{Asked, Kept};

/// All of one process.
pub struct Sources {
    added: Arc<Added>,
    settings: Arc<Settings>,
    tools: Arc<Registry>,
    clock: Arc<dyn Clock>,
    /// The project's own tenant.
    house: TenantId,
    /// As the project's files had them when they were read last.
    of_files: RwLock<Arc<Vec<Source>>>,
    /// To who reads the project's files; one at a time.
    wanted: mpsc::Sender<Wanted>,
    /// One is added at a time, or more would be than may be.
    adding: Mutex<()>,
}

/// A source of the project's files that is to be asked now, whatever is kept of it.
pub struct Wanted {
    pub name: String,
    /// Told once its tools are taken in; dropped where they cannot be.
    pub taken: oneshot::Sender<()>,
}

impl Sources {
    /// And what they want of who reads the project's files.
    pub fn of(project: &Project, system: &System) -> (Self, mpsc::Receiver<Wanted>) {
        let (wanted, wants) = mpsc::channel(1);
        let sources = Self {
            added: system.added.clone(),
            settings: system.settings.clone(),
            tools: system.tools.clone(),
            clock: system.clock.clone(),
            house: system.tenant.clone(),
            of_files: RwLock::new(Arc::new(of_files(project))),
            wanted,
            adding: Mutex::default(),
        };
        (sources, wants)
    }

    /// From here on the files have these.
    pub fn know(&self, project: &Project) {
        *self.of_files.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(of_files(project));
    }

    fn in_files(&self) -> Arc<Vec<Source>> {
        self.of_files.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One of the files', as a tenant sees it: where it is, and what a program said on standard error, is for those who keep
    /// the files.
    fn seen_by(&self, tenant: &TenantId, source: &Source) -> Source {
        if *tenant == self.house {
            return source.clone();
        }
        let hidden = || "it did not answer; the server's own tenant is told why".to_owned();
        Source { address: None, last_error: source.last_error.as_ref().map(|_| hidden()), ..source.clone() }
    }

    fn in_file(&self, name: &str) -> Option<Source> {
        self.in_files().iter().find(|source| source.name == name).cloned()
    }

    async fn setting(&self, tenant: &TenantId, name: &str) -> Result<Setting, Fault> {
        if let Some(setting) = self.settings.find(tenant, Topic::Source, name).await? {
            return Ok(setting);
        }
        if let Some(file) = self.in_file(name).and_then(|source| source.file) {
            return Err(Fault::OfFile { name: name.to_owned(), file });
        }
        let all = sources::Sources::list(self, tenant).await?;
        let near = nearest(name, all.iter().map(|source| source.name.as_str())).map(str::to_owned);
        Err(Fault::Unknown { name: name.to_owned(), nearest: near })
    }

    /// Asks it for its tools, which can be used.
    async fn asked(&self, tenant: &TenantId, new: Written) -> Result<(Kept, Content), Fault> {
        let settings = self.tools.settings_of_added(*tenant == self.house);
        let asked = Asked::read(new, &settings)?;
        let content = asked.ask(&settings).await?;
        let asked_at = self.clock.now();
        // A document may be long to read.
        let read = tokio::task::spawn_blocking(move || {
            asked.tools(&content).map(|laid| {
                let kept = asked.kept(&content, laid.tools.len(), asked_at);
                (kept, content)
            })
        })
        .await;
        read.map_err(|error| Fault::Storage { reason: error.to_string() })?
    }

    /// Whether its tools and those of the tenant's other sources are no more than there may be.
    async fn has_room(&self, tenant: &TenantId, new: &Kept) -> Result<(), Fault> {
        let all = self.settings.of(tenant, Topic::Source).await?;
        let others = all.into_iter().filter(|setting| setting.name != new.name);
        let others: usize = others.map(|setting| Kept::of(setting).tools).sum();
        if others + new.tools > TOOLS_MAX {
            return Err(Fault::TooManyTools { name: new.name.clone(), tools: new.tools, others });
        }
        Ok(())
    }

    /// Keeps it, with what it said, and no more what the one before it said: all of it or nothing.
    async fn put(
        &self,
        tenant: &TenantId,
        kept: Kept,
        content: Option<&Content>,
        instead_of: Option<&Setting>,
    ) -> Result<Source, Fault> {
        let before = instead_of.map_or(Before::Absent, |before| Before::At(before.changes));
        let old = instead_of.map(|before| Kept::of(before.clone())).filter(|old| old.content != kept.content);
        let kept_now = content.map(|content| added::keep(tenant, &kept.name, content));
        let beside = kept_now.into_iter().chain(old.and_then(|old| added::forget(tenant, &old))).collect();
        let (name, value) = (kept.name.clone(), kept.as_value());
        let setting = Setting {
            tenant: tenant.clone(),
            topic: Topic::Source,
            name,
            value,
            set_by: None,
            floor: None,
            changes: 0,
        };
        let set = self.settings.put(setting, before, beside, self.clock.now()).await.map_err(told)?;
        Ok(self.added.shown(&set))
    }
}

#[async_trait]
impl sources::Sources for Sources {
    async fn list(&self, tenant: &TenantId) -> Result<Vec<Source>, Fault> {
        let mut all: Vec<Source> = self.in_files().iter().map(|source| self.seen_by(tenant, source)).collect();
        let added = self.settings.of(tenant, Topic::Source).await?;
        all.extend(added.iter().map(|setting| self.added.shown(setting)));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    async fn find(&self, tenant: &TenantId, name: &str) -> Result<Source, Fault> {
        match (self.setting(tenant, name).await, self.in_file(name)) {
            (Ok(setting), _) => Ok(self.added.shown(&setting)),
            (Err(Fault::OfFile { .. }), Some(source)) => Ok(self.seen_by(tenant, &source)),
            (Err(fault), _) => Err(fault),
        }
    }

    async fn add(&self, tenant: &TenantId, new: Written) -> Result<Source, Fault> {
        let name = new.name.clone();
        let taken = || Fault::Taken { name: name.clone() };
        if self.in_file(&name).is_some() || self.settings.find(tenant, Topic::Source, &name).await?.is_some() {
            return Err(taken());
        }
        let (kept, content) = self.asked(tenant, new).await?;
        let _one = self.adding.lock().await;
        if self.settings.of(tenant, Topic::Source).await?.len() >= SOURCES_MAX {
            return Err(Fault::TooMany);
        }
        self.has_room(tenant, &kept).await?;
        match self.put(tenant, kept, Some(&content), None).await {
            Err(Fault::Stale { .. }) => Err(taken()),
            put => put,
        }
    }

    async fn replace(&self, tenant: &TenantId, new: Written, expected: Option<u64>) -> Result<Source, Fault> {
        let before = self.setting(tenant, &new.name).await?;
        if expected.is_some_and(|expected| expected != before.changes) {
            return Err(Fault::Stale { name: new.name });
        }
        let (kept, content) = self.asked(tenant, new).await?;
        let _one = self.adding.lock().await;
        self.has_room(tenant, &kept).await?;
        self.put(tenant, kept, Some(&content), Some(&before)).await
    }

    async fn refresh(&self, tenant: &TenantId, name: &str) -> Result<Source, Fault> {
        let setting = match self.setting(tenant, name).await {
            Ok(setting) => setting,
            Err(Fault::OfFile { .. }) if *tenant == self.house => return self.refresh_file(name).await,
            Err(fault) => return Err(fault),
        };
        let kept = Kept::of(setting.clone());
        if kept.address().is_none() {
            let reason = format!("the document of `{name}` was sent, so there is nobody to ask");
            return Err(refused(reason, "PUT it with the new document"));
        }
        let asked = self.asked(tenant, kept.written()).await;
        let _one = self.adding.lock().await;
        let fit = match asked {
            Ok((kept, content)) => self.has_room(tenant, &kept).await.map(|()| (kept, content)),
            Err(fault) => Err(fault),
        };
        match fit {
            Ok((kept, content)) => self.put(tenant, kept, Some(&content), Some(&setting)).await,
            Err(fault) => {
                let error = match fault {
                    Fault::Unavailable { reason, .. } => reason,
                    other => other.to_string(),
                };
                let still = Kept { asked_at: self.clock.now().as_ms(), last_error: Some(error), ..kept };
                self.put(tenant, still, None, Some(&setting)).await
            }
        }
    }

    async fn remove(&self, tenant: &TenantId, name: &str, expected: Option<u64>) -> Result<(), Fault> {
        let setting = self.setting(tenant, name).await?;
        let expected = expected.unwrap_or(setting.changes);
        let beside = added::forget(tenant, &Kept::of(setting)).into_iter().collect();
        let now = self.clock.now();
        self.settings.remove(tenant, (Topic::Source, name), None, Some(expected), beside, now).await.map_err(told)?;
        Ok(())
    }
}

impl Sources {
    /// Has the project's files read again, and this one of them asked.
    async fn refresh_file(&self, name: &str) -> Result<Source, Fault> {
        let (taken, is_taken) = oneshot::channel();
        let busy = |_| Fault::Unavailable { name: name.to_owned(), reason: "another is being asked".to_owned() };
        self.wanted.try_send(Wanted { name: name.to_owned(), taken }).map_err(busy)?;
        let hint = "the server's log and `baton validate` say why";
        is_taken.await.map_err(|_| refused("the project's files cannot be taken in", hint))?;
        self.in_file(name).ok_or_else(|| Fault::Unknown { name: name.to_owned(), nearest: None })
    }
}

/// Those of the files: servers, and documents.
fn of_files(project: &Project) -> Vec<Source> {
    let server = |server: &Server| {
        let (tools, unsupported) = server.tools();
        Source {
            name: server.source.name().to_owned(),
            kind: Kind::Mcp,
            file: Some(server.file.clone()),
            address: server.source.address(),
            is_reachable: Some(server.silent.is_none()),
            asked_at: time(server.asked_at),
            last_error: server.silent.clone(),
            tools: tools.iter().map(|tool| tool.name().to_owned()).collect(),
            unsupported: unsupported.into_iter().map(added::part).collect(),
            definition: None,
            changes: None,
        }
    };
    let documents = project.documents.iter().map(|document| Source {
        name: document.name.clone(),
        kind: Kind::Openapi,
        file: Some(document.file.clone()),
        address: document.address.as_deref().and_then(baton_tools::shown_address),
        is_reachable: document.address.as_ref().map(|_| document.silent.is_none()),
        asked_at: document.asked_at.and_then(time),
        last_error: document.silent.clone(),
        tools: document.tools.clone(),
        unsupported: document.unsupported.iter().cloned().map(added::part).collect(),
        definition: None,
        changes: None,
    });
    project.servers.iter().map(server).chain(documents).collect()
}

fn time(at: SystemTime) -> Option<Time> {
    let ms = at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis();
    i64::try_from(ms).ok().map(Time::from_ms)
}

fn refused(reason: impl Into<String>, hint: &str) -> Fault {
    Fault::Refused { reason: reason.into(), hint: Some(hint.to_owned()) }
}

fn told(error: settings::Error) -> Fault {
    match error {
        settings::Error::Refused(reason) => Fault::Refused { reason, hint: None },
        settings::Error::Stale { name } => Fault::Stale { name },
        settings::Error::Loosened { .. } => Fault::Refused { reason: error.to_string(), hint: None },
        settings::Error::TooMany => Fault::TooMany,
        settings::Error::Records(error) => error.into(),
    }
}

/// Whether a value is a source as it is kept.
pub fn check(value: &Value) -> Result<(), String> {
    Kept::read(value).map(drop)
}
