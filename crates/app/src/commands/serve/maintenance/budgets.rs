//! Notifies people and hooks about budgets that are nearly or fully spent.
//!
//! A notice is stored together with the spend that passed the threshold, so that a crash cannot lose it. It stays until
//! every delivery has succeeded or failed. Each delivery is a run, so it happens once and is retried as its tool
//! defines.

use std::time::Duration;

use baton_core::bundle::ContentHash;
use baton_core::id::{RunId, TenantId};
use baton_core::run::Run;
use baton_core::time::Time;
use baton_engine::one_call::envelope;
use baton_ports::budget::{BudgetNotice, NOTICES};
use baton_ports::journal::{TaskItem, TaskItemKind};
use baton_ports::read::ReadModel as _;
use baton_ports::records::{RecordOp, RecordStore as _, StoredRecord};
use baton_ports::task_inbox::TaskInbox as _;
use serde_json::{Value, json};

use super::{DAY, MAIL_TOOL, TenantMaintenance, one_line};
use crate::config;
use crate::wiring::ProjectSystem;

/// Number of notices in one read.
const PAGE: usize = 100;
/// How long a notice stays useful after its window. It is longer than an e-mail waits for its service.
const NOTICE_TTL: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// One way to deliver notices.
struct NoticeChannel {
    /// The name in messages.
    name: String,
    tool: String,
    arguments: Value,
}

impl TenantMaintenance<'_> {
    /// Delivers each notice over all configured channels, then deletes it.
    pub(super) async fn send_budget_notices(&self) -> anyhow::Result<()> {
        let (ProjectSystem { store, .. }, tenant) = (self.system, self.tenant);
        let mut after: Option<String> = None;
        loop {
            let page = store.list(tenant, NOTICES, "", after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            for record in page {
                let key = record.key.clone();
                if let Err(error) = self.settle_notice(record).await {
                    tracing::warn!("nobody was told of `{key}`, it is tried again: {error:#}");
                }
                after = Some(key);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Deletes a notice once every delivery has succeeded or failed.
    async fn settle_notice(&self, record: StoredRecord) -> anyhow::Result<()> {
        let (ProjectSystem { store, clock, .. }, tenant) = (self.system, self.tenant);
        if self.deliver_notice(&record).await? {
            let forget = RecordOp::Delete { space: NOTICES.to_owned(), key: record.key };
            store.commit(tenant, vec![forget], clock.now()).await?;
        }
        Ok(())
    }

    /// Starts missing deliveries. Returns whether nothing is left to do.
    async fn deliver_notice(&self, record: &StoredRecord) -> anyhow::Result<bool> {
        let ProjectSystem { store, clock, tenant: house, .. } = self.system;
        let Some(notice) = BudgetNotice::read(record) else { return Ok(true) };
        let now = clock.now();
        let (mut is_open, mut failed) = (false, Vec::new());
        for way in self.notice_channels(&notice) {
            let run = notice_run_id(self.tenant, record, &way);
            match store.run(house, &run).await? {
                // No process was serving while the notice was current.
                None if now >= notice.resets_at + DAY => failed.push((way.name, "nothing served meanwhile".to_owned())),
                None => {
                    self.send(run, &way.tool, way.arguments).await?;
                    is_open = true;
                }
                Some(head) if !head.state.is_end() => is_open = true,
                Some(_) => {
                    let run = self.system.recorded_run_of(house, &run).await?.run;
                    failed.extend(failure(&run).map(|why| (way.name, why)));
                }
            }
        }
        if is_open && now < notice.resets_at + NOTICE_TTL {
            return Ok(false);
        }
        if !failed.is_empty() {
            store.open_task(self.undelivered_task(record, &notice, &failed, now)).await?;
        }
        Ok(true)
    }

    fn notice_channels(&self, notice: &BudgetNotice) -> Vec<NoticeChannel> {
        let config::MaintenanceSettings { budgets_to, budget_hooks, .. } = &self.settings.upkeep;
        let command = self.command();
        let mail = (!budgets_to.is_empty()).then(|| {
            let body = format!(
                "{}.\n\nWhat becomes of calls there is no money for is the setting `on_exceeded` of the budget. How all \
                 budgets stand:\n\n  {command} budgets\n",
                notice.title
            );
            let letter = json!({ "to": budgets_to, "subject": self.with_tenant_name(&notice.title), "body": body });
            NoticeChannel { name: "e-mail".to_owned(), tool: MAIL_TOOL.to_owned(), arguments: letter }
        });
        let hooks = budget_hooks.keys().map(|name| {
            let mut arguments = json!({ "event": "budget", "text": notice.title, "tenant": self.tenant });
            if let (Some(arguments), Some(details)) = (arguments.as_object_mut(), notice.details.as_object()) {
                arguments.extend(details.clone());
            }
            NoticeChannel {
                name: format!("hook `{name}`"),
                tool: config::MaintenanceSettings::hook_tool(name),
                arguments,
            }
        });
        mail.into_iter().chain(hooks).collect()
    }

    /// The task inbox item for a notice that could not be delivered.
    fn undelivered_task(
        &self,
        record: &StoredRecord,
        notice: &BudgetNotice,
        failed: &[(String, String)],
        now: Time,
    ) -> TaskItem {
        let ways =
            failed.iter().map(|(name, why)| format!("{name} ({})", one_line(why))).collect::<Vec<_>>().join(", ");
        let reasons: Vec<Value> = failed.iter().map(|(name, why)| json!({ "by": name, "reason": why })).collect();
        TaskItem {
            id: format!("untold/{}", record.key),
            tenant: self.tenant.clone(),
            run: None,
            kind: TaskItemKind::Budget,
            title: format!("nobody could be told by {ways}: {}", notice.title),
            details: json!({ "failed": reasons }),
            opened_at: now,
            deadline: Some((notice.resets_at + NOTICE_TTL).max(now + DAY)),
        }
    }
}

/// The id of the run for one channel. It is the same in every process.
fn notice_run_id(tenant: &TenantId, record: &StoredRecord, way: &NoticeChannel) -> RunId {
    let hash = ContentHash::of(format!("{tenant}\n{}\n{}", record.key, way.tool).as_bytes());
    RunId::new(format!("budget-notice-{}", hash.as_str()))
}

/// Why a finished run did not deliver the notice. `None` if it did.
fn failure(run: &Run) -> Option<String> {
    match envelope(run) {
        Some(envelope) if envelope.success => None,
        Some(envelope) => Some(envelope.error_details.or(envelope.error).unwrap_or_default()),
        None => Some(run.fault().map_or_else(|| "it was ended".to_owned(), |fault| fault.message.clone())),
    }
}
