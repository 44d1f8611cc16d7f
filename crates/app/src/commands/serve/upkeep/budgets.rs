//! Writes to people, and tells hooks, of budgets that are nearly or wholly spent.
//!
//! What is to be told was written down with the spend that passed the mark, so that no crash loses it; it stays until
//! everybody was told, or could not be. Each letter is a run, so it goes out once and is tried again as the tool says.

use std::time::Duration;

use baton_core::bundle::Hash;
use baton_core::id::{RunId, TenantId};
use baton_core::run::Run;
use baton_core::time::Time;
use baton_engine::one_call::envelope;
use baton_ports::budget::{NOTICES, Notice};
use baton_ports::desk::Desk as _;
use baton_ports::journal::{DeskItem, DeskKind};
use baton_ports::read::Read as _;
use baton_ports::records::{Op, Record, Records as _};
use serde_json::{Value, json};

use super::{DAY, MAIL, Tended, one_line};
use crate::config;
use crate::wire::System;

/// Notices that are read at once.
const PAGE: usize = 100;
/// How long after its window a notice is of use to anybody: longer than a letter waits for its service.
const KEPT: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// One way in which people are told.
struct Way {
    /// As messages name it.
    name: String,
    tool: String,
    arguments: Value,
}

impl Tended<'_> {
    /// Tells of each notice in all ways that the settings name, and forgets it then.
    pub(super) async fn budgets(&self) -> anyhow::Result<()> {
        let (System { store, .. }, tenant) = (self.system, self.tenant);
        let mut after: Option<String> = None;
        loop {
            let page = store.list(tenant, NOTICES, "", after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            for record in page {
                let key = record.key.clone();
                if let Err(error) = self.tell(record).await {
                    tracing::warn!("nobody was told of `{key}`, it is tried again: {error:#}");
                }
                after = Some(key);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Forgets what all were told of, or could not be.
    async fn tell(&self, record: Record) -> anyhow::Result<()> {
        let (System { store, clock, .. }, tenant) = (self.system, self.tenant);
        if self.is_told(&record).await? {
            let forget = Op::Delete { space: NOTICES.to_owned(), key: record.key };
            store.commit(tenant, vec![forget], clock.now()).await?;
        }
        Ok(())
    }

    /// Begins what is not begun. Whether nothing is left to do.
    async fn is_told(&self, record: &Record) -> anyhow::Result<bool> {
        let System { store, clock, tenant: house, .. } = self.system;
        let Some(notice) = Notice::read(record) else { return Ok(true) };
        let now = clock.now();
        let (mut is_open, mut failed) = (false, Vec::new());
        for way in self.ways(&notice) {
            let run = run_of(self.tenant, record, &way);
            match store.run(house, &run).await? {
                // Nobody was there to tell it while it was news.
                None if now >= notice.resets_at + DAY => failed.push((way.name, "nothing served meanwhile".to_owned())),
                None => {
                    self.send(run, &way.tool, way.arguments).await?;
                    is_open = true;
                }
                Some(head) if !head.state.is_end() => is_open = true,
                Some(_) => {
                    let run = self.system.recorded_of(house, &run).await?.run;
                    failed.extend(failure(&run).map(|why| (way.name, why)));
                }
            }
        }
        if is_open && now < notice.resets_at + KEPT {
            return Ok(false);
        }
        if !failed.is_empty() {
            store.open(self.untold(record, &notice, &failed, now)).await?;
        }
        Ok(true)
    }

    fn ways(&self, notice: &Notice) -> Vec<Way> {
        let config::Upkeep { budgets_to, budget_hooks, .. } = &self.settings.upkeep;
        let command = self.command();
        let mail = (!budgets_to.is_empty()).then(|| {
            let body = format!(
                "{}.\n\nWhat becomes of calls there is no money for is the setting `on_exceeded` of the budget. How all \
                 budgets stand:\n\n  {command} budgets\n",
                notice.title
            );
            let letter = json!({ "to": budgets_to, "subject": self.named(&notice.title), "body": body });
            Way { name: "e-mail".to_owned(), tool: MAIL.to_owned(), arguments: letter }
        });
        let hooks = budget_hooks.keys().map(|name| {
            let mut arguments = json!({ "event": "budget", "text": notice.title, "tenant": self.tenant });
            if let (Some(arguments), Some(details)) = (arguments.as_object_mut(), notice.details.as_object()) {
                arguments.extend(details.clone());
            }
            Way { name: format!("hook `{name}`"), tool: config::Upkeep::hook_tool(name), arguments }
        });
        mail.into_iter().chain(hooks).collect()
    }

    /// What the desk shows of a notice that somebody was not told.
    fn untold(&self, record: &Record, notice: &Notice, failed: &[(String, String)], now: Time) -> DeskItem {
        let ways =
            failed.iter().map(|(name, why)| format!("{name} ({})", one_line(why))).collect::<Vec<_>>().join(", ");
        let reasons: Vec<Value> = failed.iter().map(|(name, why)| json!({ "by": name, "reason": why })).collect();
        DeskItem {
            id: format!("untold/{}", record.key),
            tenant: self.tenant.clone(),
            run: None,
            kind: DeskKind::Budget,
            title: format!("nobody could be told by {ways}: {}", notice.title),
            details: json!({ "failed": reasons }),
            opened_at: now,
            deadline: Some((notice.resets_at + KEPT).max(now + DAY)),
        }
    }
}

/// The run that tells of it in this way: the same in every process.
fn run_of(tenant: &TenantId, record: &Record, way: &Way) -> RunId {
    let hash = Hash::of(format!("{tenant}\n{}\n{}", record.key, way.tool).as_bytes());
    RunId::new(format!("budget-notice-{}", hash.as_str()))
}

/// Why a run that is over told nobody; nothing where it did.
fn failure(run: &Run) -> Option<String> {
    match envelope(run) {
        Some(envelope) if envelope.success => None,
        Some(envelope) => Some(envelope.error_details.or(envelope.error).unwrap_or_default()),
        None => Some(run.fault().map_or_else(|| "it was ended".to_owned(), |fault| fault.message.clone())),
    }
}
