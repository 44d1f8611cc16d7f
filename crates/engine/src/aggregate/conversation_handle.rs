//! A client's handle on one conversation: submits commands and follows the journal.

use std::sync::Arc;
use std::time::Duration;

use baton_core::conversation::{Conversation, ConversationCommand, ConversationEntry};
use baton_core::id::TenantId;
use baton_ports::conversations::ConversationHead;
use baton_ports::journal::{AggregateId, AggregateKind, NewAggregate};
use baton_ports::read::ReadModel;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout};

use crate::event_bus::{Notification, RunSubscription};
use crate::{Engine, EngineError};

/// Poll interval of the store: another process may move the conversation, and sends no notification.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How long an inbox item may take to be consumed.
const CONSUME_TIMEOUT: Duration = Duration::from_secs(10);
/// Entries per read.
const PAGE: usize = 500;

/// The result of submitting a command to a conversation.
#[derive(Debug)]
pub enum SubmitResult {
    Applied,
    Refused {
        code: &'static str,
        message: String,
    },
    /// A command with this id was submitted before.
    Duplicate,
    /// The command is durable; this process has not learned its result.
    Accepted,
}

/// A conversation, as far as it was read.
pub struct ConversationHandle {
    engine: Engine,
    read: Arc<dyn ReadModel>,
    tenant: TenantId,
    id: AggregateId,
    watch: RunSubscription,
    state: Conversation,
    seq: u64,
}

impl ConversationHandle {
    /// Subscribes from now on; reads nothing yet.
    pub fn new(engine: &Engine, read: Arc<dyn ReadModel>, tenant: TenantId, id: AggregateId) -> Self {
        let (mut watch, it) = (engine.subscribe_runs(), Conversation::new());
        watch.add(&id);
        Self { engine: engine.clone(), read, tenant, id, watch, state: it, seq: 0 }
    }

    /// The conversation, as far as it was read.
    pub fn conversation(&self) -> &Conversation {
        &self.state
    }

    pub fn id(&self) -> &AggregateId {
        &self.id
    }

    /// The conversation as lists show it.
    pub fn head(&self) -> Option<ConversationHead> {
        super::conversation::conversation_head(&self.state, &self.tenant, &self.id)
    }

    /// Reads the entries recorded since the last call, with their sequence numbers: at most one page.
    pub async fn next_entries(&mut self) -> Result<Vec<(u64, ConversationEntry)>, EngineError> {
        let mut entries = Vec::new();
        for entry in self.read.entries(&self.tenant, &self.id, self.seq, PAGE).await? {
            let entry: ConversationEntry = serde_json::from_slice(&entry)?;
            self.state.fold(&entry);
            self.seq += 1;
            entries.push((self.seq, entry));
        }
        Ok(entries)
    }

    pub async fn catch_up(&mut self) -> Result<(), EngineError> {
        while !self.next_entries().await?.is_empty() {}
        Ok(())
    }

    /// Submits a command once under this id, and waits for the result for up to `limit`. `Begin` creates the
    /// conversation.
    pub async fn submit(
        &mut self,
        command_id: &str,
        command: &ConversationCommand,
        limit: Duration,
    ) -> Result<SubmitResult, EngineError> {
        let creates = match command {
            ConversationCommand::Begin(begun) => {
                let workflow = begun.version.workflow.clone();
                Some(NewAggregate { kind: AggregateKind::Conversation, workflow, parent: None, owner: None })
            }
            _ => None,
        };
        // If another process moves the conversation, this one is not notified of a refusal. It is derived from the
        // state before the command, for commands that people give.
        let mut before = None;
        if !matches!(command, ConversationCommand::Begin(_) | ConversationCommand::Message(_)) {
            self.catch_up().await?;
            before = Some(self.state.clone());
        }
        let (payload, to) = (serde_json::to_vec(command)?.into(), (&self.tenant, &self.id));
        let told = submit_and_wait(&self.engine, &mut self.watch, to, (command_id, payload), creates, limit).await?;
        match told {
            SubmitResult::Applied => self.catch_up().await?,
            SubmitResult::Accepted => {
                let refusal = before.and_then(|mut it| it.decide(command.clone(), self.engine.clock().now()).err());
                if let Some(refusal) = refusal {
                    return Ok(SubmitResult::Refused { code: refusal.code(), message: refusal.to_string() });
                }
            }
            SubmitResult::Refused { .. } | SubmitResult::Duplicate => {}
        }
        Ok(told)
    }

    /// Waits until the conversation is idle: nothing happens until it receives another command.
    pub async fn wait_idle(&mut self) -> Result<(), EngineError> {
        loop {
            self.catch_up().await?;
            if self.state.begun().is_some() && self.state.is_idle() {
                return Ok(());
            }
            self.wait_for_change(POLL_INTERVAL).await?;
        }
    }

    /// Waits until the conversation has changed, or until `limit` has passed.
    pub async fn wait_for_change(&mut self, limit: Duration) -> Result<(), EngineError> {
        wait_for_notification(&mut self.watch, limit).await
    }
}

/// Waits for a notification about a watched aggregate, or until `limit` has passed.
pub(super) async fn wait_for_notification(watch: &mut RunSubscription, limit: Duration) -> Result<(), EngineError> {
    match timeout(limit, watch.recv()).await {
        Ok(Err(RecvError::Closed)) => Err(EngineError::Stopped),
        Err(_) | Ok(Ok(_) | Err(RecvError::Lagged(_))) => Ok(()),
    }
}

/// Submits a command to a watched aggregate of a tenant once under an id, and waits for the result for up to a limit.
pub(super) async fn submit_and_wait(
    engine: &Engine,
    watch: &mut RunSubscription,
    (tenant, id): (&TenantId, &AggregateId),
    (command_id, payload): (&str, Arc<[u8]>),
    creates: Option<NewAggregate>,
    limit: Duration,
) -> Result<SubmitResult, EngineError> {
    let Some(item) = engine.submit_payload(tenant, id, command_id, payload, creates).await? else {
        return Ok(SubmitResult::Duplicate);
    };
    let until = Instant::now() + limit.min(CONSUME_TIMEOUT);
    loop {
        let notice = match timeout(until.saturating_duration_since(Instant::now()), watch.recv()).await {
            Err(_elapsed) => return Ok(SubmitResult::Accepted),
            Ok(Err(RecvError::Closed)) => return Err(EngineError::Stopped),
            Ok(Err(RecvError::Lagged(_))) => return Ok(SubmitResult::Accepted),
            Ok(Ok(notice)) => notice,
        };
        if let Notification::Aggregate { items, refused, .. } = notice
            && items.contains(&item)
        {
            return Ok(match refused.iter().find(|refused| refused.item == item) {
                None => SubmitResult::Applied,
                Some(refused) => SubmitResult::Refused { code: refused.code, message: refused.message.clone() },
            });
        }
    }
}
