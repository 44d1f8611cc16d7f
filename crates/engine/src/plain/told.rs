//! A conversation from outside: told something, and followed.

use std::sync::Arc;
use std::time::Duration;

use baton_core::conversation::{Command, Conversation, Entry};
use baton_core::id::TenantId;
use baton_ports::conversations::ConversationHead;
use baton_ports::journal::{AggregateId, Create, Kind};
use baton_ports::read::Read;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout};

use crate::notices::{Recorded, Watch};
use crate::{Engine, Error};

/// How often the store is asked: another process may move it, and tells nobody.
const GLANCE: Duration = Duration::from_millis(200);
/// How long it may take until what was put into its inbox is taken out.
const TAKE_MAX: Duration = Duration::from_secs(10);
/// Entries read at once.
const PAGE: usize = 500;

/// What became of something that a conversation was told.
#[derive(Debug)]
pub enum Told {
    Taken,
    Refused {
        code: &'static str,
        message: String,
    },
    /// Told before under this id.
    Again,
    /// It is durable, and nobody here has heard what became of it.
    Accepted,
}

/// A conversation, as far as it was read.
pub struct Talk {
    engine: Engine,
    read: Arc<dyn Read>,
    tenant: TenantId,
    id: AggregateId,
    watch: Watch,
    it: Conversation,
    seq: u64,
}

impl Talk {
    /// Watches from this instant on; nothing is read yet.
    pub fn new(engine: &Engine, read: Arc<dyn Read>, tenant: TenantId, id: AggregateId) -> Self {
        let (mut watch, it) = (engine.watch_some(), Conversation::new());
        watch.add(&id);
        Self { engine: engine.clone(), read, tenant, id, watch, it, seq: 0 }
    }

    /// As far as it was read.
    pub fn conversation(&self) -> &Conversation {
        &self.it
    }

    pub fn id(&self) -> &AggregateId {
        &self.id
    }

    /// What lists show of it.
    pub fn head(&self) -> Option<ConversationHead> {
        super::conversation::head(&self.it, &self.tenant, &self.id)
    }

    /// Reads what was recorded since, with its numbers: at most one page of it.
    pub async fn more(&mut self) -> Result<Vec<(u64, Entry)>, Error> {
        let mut entries = Vec::new();
        for entry in self.read.entries(&self.tenant, &self.id, self.seq, PAGE).await? {
            let entry: Entry = serde_json::from_slice(&entry)?;
            self.it.fold(&entry);
            self.seq += 1;
            entries.push((self.seq, entry));
        }
        Ok(entries)
    }

    pub async fn catch_up(&mut self) -> Result<(), Error> {
        while !self.more().await?.is_empty() {}
        Ok(())
    }

    /// Tells it something, once under this id, and waits until it was taken or refused. `Begin` brings it into being.
    pub async fn tell(&mut self, command_id: &str, command: &Command, limit: Duration) -> Result<Told, Error> {
        let creates = match command {
            Command::Begin(begun) => {
                let workflow = begun.version.workflow.clone();
                Some(Create { kind: Kind::Conversation, workflow, parent: None, owner: None })
            }
            _ => None,
        };
        // Of what people do, whoever moves it may say no where nobody here hears it.
        let mut before = None;
        if !matches!(command, Command::Begin(_) | Command::Message(_)) {
            self.catch_up().await?;
            before = Some(self.it.clone());
        }
        let (payload, to) = (serde_json::to_vec(command)?.into(), (&self.tenant, &self.id));
        let told = tell(&self.engine, &mut self.watch, to, (command_id, payload), creates, limit).await?;
        match told {
            Told::Taken => self.catch_up().await?,
            Told::Accepted => {
                let refusal = before.and_then(|mut it| it.decide(command.clone(), self.engine.clock().now()).err());
                if let Some(refusal) = refusal {
                    return Ok(Told::Refused { code: refusal.code(), message: refusal.to_string() });
                }
            }
            Told::Refused { .. } | Told::Again => {}
        }
        Ok(told)
    }

    /// Until nothing happens any more unless somebody says something.
    pub async fn until_rest(&mut self) -> Result<(), Error> {
        loop {
            self.catch_up().await?;
            if self.it.begun().is_some() && self.it.rests() {
                return Ok(());
            }
            self.glance(GLANCE).await?;
        }
    }

    /// Until it has moved, or this long.
    pub async fn glance(&mut self, limit: Duration) -> Result<(), Error> {
        glance(&mut self.watch, limit).await
    }
}

/// Until what is watched has moved, or this long.
pub(super) async fn glance(watch: &mut Watch, limit: Duration) -> Result<(), Error> {
    match timeout(limit, watch.recv()).await {
        Ok(Err(RecvError::Closed)) => Err(Error::Stopped),
        Err(_) | Ok(Ok(_) | Err(RecvError::Lagged(_))) => Ok(()),
    }
}

/// Tells a tenant's aggregate, which is watched, something once under an id, and waits until it was taken or refused.
pub(super) async fn tell(
    engine: &Engine,
    watch: &mut Watch,
    (tenant, id): (&TenantId, &AggregateId),
    (command_id, payload): (&str, Arc<[u8]>),
    creates: Option<Create>,
    limit: Duration,
) -> Result<Told, Error> {
    let Some(item) = engine.send(tenant, id, command_id, payload, creates).await? else {
        return Ok(Told::Again);
    };
    let until = Instant::now() + limit.min(TAKE_MAX);
    loop {
        let notice = match timeout(until.saturating_duration_since(Instant::now()), watch.recv()).await {
            Err(_elapsed) => return Ok(Told::Accepted),
            Ok(Err(RecvError::Closed)) => return Err(Error::Stopped),
            Ok(Err(RecvError::Lagged(_))) => return Ok(Told::Accepted),
            Ok(Ok(notice)) => notice,
        };
        if let Recorded::Plain { items, refused, .. } = notice
            && items.contains(&item)
        {
            return Ok(match refused.iter().find(|refused| refused.item == item) {
                None => Told::Taken,
                Some(refused) => Told::Refused { code: refused.code, message: refused.message.clone() },
            });
        }
    }
}
