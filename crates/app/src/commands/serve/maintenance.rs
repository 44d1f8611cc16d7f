//! Maintenance jobs of `baton serve`: sends the weekly report, checks connected accounts, and deletes expired data.
//!
//! Several processes may serve one database. An e-mail is a call of `send_email` in a run of its own. All processes
//! derive the same run id, so only one starts it. It is sent like any other call: once, audited, and with an approval
//! if it needs one. Jobs that may safely repeat are done by the first process that claims the period ([`job_claim`]).
//!
//! The jobs run for each active tenant: for the project's own in each round, and for [`TENANTS_MAX`] others in a round.

mod budgets;
mod job_claim;
mod retention;

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use baton_core::bundle::ContentHash;
use baton_core::id::{RunId, TenantId};
use baton_core::usage::IsoWeek;
use baton_engine::{Engine, OneCall};
use baton_ports::journal::{TaskItem, TaskItemKind};
use baton_ports::read::ReadModel as _;
use baton_server::report::UsageReport;
use serde_json::{Map, Value, json};

use crate::config::ProjectSettings;
use crate::wiring::ProjectSystem;

/// Interval between rounds.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum number of e-mails of each kind that one round starts. Others wait for the next round.
const LETTERS_MAX: usize = 20;
/// Maximum number of tenants per round, in addition to the project's own. The next round continues after them.
const TENANTS_MAX: usize = 100;
/// The tool that sends e-mail.
const MAIL_TOOL: &str = "send_email";

pub struct MaintenanceJob<'s> {
    settings: &'s ProjectSettings,
    system: &'s ProjectSystem,
    engine: Engine,
    /// The last tenant that a round covered.
    last_tenant: Mutex<Option<String>>,
}

/// The maintenance of one tenant.
struct TenantMaintenance<'s> {
    settings: &'s ProjectSettings,
    system: &'s ProjectSystem,
    engine: &'s Engine,
    tenant: &'s TenantId,
    letter_counts: &'s LetterCounts,
}

/// The e-mails that a round started.
#[derive(Default)]
struct LetterCounts {
    reports: AtomicUsize,
    reconnect: AtomicUsize,
}

impl<'s> MaintenanceJob<'s> {
    pub fn new(settings: &'s ProjectSettings, system: &'s ProjectSystem, engine: &Engine) -> Self {
        Self { settings, system, engine: engine.clone(), last_tenant: Mutex::default() }
    }

    /// Runs as long as the process serves.
    pub async fn run(&self) -> Infallible {
        loop {
            self.run_once().await;
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    /// Runs the jobs that are due. A failure is logged, and the job is retried when it is due again.
    pub async fn run_once(&self) {
        let Self { settings, system, engine, .. } = self;
        let begun = LetterCounts::default();
        for tenant in self.tenants().await {
            TenantMaintenance { settings, system, engine, tenant: &tenant, letter_counts: &begun }.run_jobs().await;
        }
    }

    /// The project's own tenant and the next of the other tenants, as far as they are active.
    async fn tenants(&self) -> Vec<TenantId> {
        let (own, tenants) = (&self.system.tenant, self.system.agent_registry.tenants());
        let last = self.last_tenant.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let made = match tenants.list(last.as_deref(), TENANTS_MAX).await {
            Ok(made) => {
                let next = made.last().filter(|_| made.len() == TENANTS_MAX).map(|tenant| tenant.id.to_string());
                *self.last_tenant.lock().unwrap_or_else(PoisonError::into_inner) = next;
                made
            }
            Err(error) => {
                tracing::warn!(%error, "which tenants there are could not be read; it is tried again from there");
                Vec::new()
            }
        };
        let is_open = tenants.is_enabled(own, self.system.clock.now()).await.unwrap_or(true);
        let made = made.into_iter().filter(|tenant| tenant.is_enabled() && tenant.id != *own).map(|tenant| tenant.id);
        is_open.then(|| own.clone()).into_iter().chain(made).collect()
    }
}

impl TenantMaintenance<'_> {
    async fn run_jobs(&self) {
        let told = |what: &str, done: anyhow::Result<()>| {
            if let Err(error) = done {
                let tenant = self.tenant.as_str();
                tracing::warn!(what, tenant, error = format!("{error:#}"), "could not be done; it is tried again");
            }
        };
        told("the weekly report", self.send_report().await);
        told("looking after connected accounts", self.check_connections().await);
        told("telling of accounts to connect again", self.send_reconnect_letters().await);
        told("telling of budgets", self.send_budget_notices().await);
        told("finishing erasures that were interrupted", self.finish_erasures().await);
        told("forgetting what is old", self.apply_retention().await);
    }

    /// Sends the report of the last whole week, once it is due.
    async fn send_report(&self) -> anyhow::Result<()> {
        let (ProjectSystem { store, tools, clock, .. }, tenant) = (self.system, self.tenant);
        let upkeep = &self.settings.upkeep;
        let (now, zone) = (clock.now(), self.settings.zone(tenant));
        let week = IsoWeek::previous(now, &zone);
        if upkeep.report_to.is_empty() || now < week.end(&zone) + HOUR * u32::from(upkeep.report_hours) {
            return Ok(());
        }
        let run = RunId::new(format!("weekly-report-{tenant}-{week}"));
        if is_full(&self.letter_counts.reports) || self.is_started(&run).await? {
            return Ok(());
        }
        let report = UsageReport::read(Some(store), &**tools, tenant.clone(), (week, zone)).await?;
        let letter = json!({
            "to": upkeep.report_to, "subject": format!("{} ({tenant})", report.title()), "body": report.markdown(),
            "html": report.html(),
        });
        self.send(run, MAIL_TOOL, letter).await?;
        self.letter_counts.reports.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Asks Composio for the status of each account, and opens task inbox items for accounts that must be reconnected.
    async fn check_connections(&self) -> anyhow::Result<()> {
        let (ProjectSystem { store, tools, clock, .. }, tenant) = (self.system, self.tenant);
        let Some(composio) = tools.composio() else { return Ok(()) };
        let every = Duration::from_secs(u64::from(self.settings.upkeep.connections_minutes) * 60);
        if every.is_zero() || !job_claim::claim_period(store, tenant, "connections", every, clock.now()).await? {
            return Ok(());
        }
        composio.check_connections(tenant).await.map(drop).map_err(|fault| anyhow::anyhow!("{fault}"))
    }

    /// Sends one e-mail for each task inbox item about an account, however long the item stays open.
    async fn send_reconnect_letters(&self) -> anyhow::Result<()> {
        let (store, tenant, command) = (&self.system.store, self.tenant, self.command());
        let to = &self.settings.upkeep.reconnect_to;
        if to.is_empty() {
            return Ok(());
        }
        let items = store.open_tasks(tenant, None).await?;
        for item in items.iter().filter(|item| item.kind == TaskItemKind::Connection) {
            let run = letter_run_id(item);
            if is_full(&self.letter_counts.reconnect) || self.is_started(&run).await? {
                continue;
            }
            let how = item.details.get("command").and_then(Value::as_str).unwrap_or_default();
            let how = format!("{}{how}", self.command_prefix());
            let why = item.details.get("reason").and_then(Value::as_str).map(|why| format!("Reason: {why}\n\n"));
            let body = format!(
                "{}.\n\n{}Until then its actions fail. Connect it with:\n\n  {how}\n\nAll that waits: {command} desk list\n",
                item.title,
                why.unwrap_or_default(),
            );
            self.send(run, MAIL_TOOL, json!({ "to": to, "subject": self.with_tenant_name(&item.title), "body": body }))
                .await?;
            self.letter_counts.reconnect.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The text on one line. It names the tenant if that is not the project's own.
    fn with_tenant_name(&self, text: &str) -> String {
        let text = one_line(text);
        if self.is_own() { text } else { format!("{text} ({})", self.tenant) }
    }

    /// How a command line for this tenant begins.
    fn command(&self) -> String {
        format!("{}{}", self.command_prefix(), self.system.command)
    }

    fn command_prefix(&self) -> String {
        if self.is_own() { String::new() } else { format!("BATON_TENANT={} ", self.tenant) }
    }

    fn is_own(&self) -> bool {
        *self.tenant == self.system.tenant
    }

    async fn is_started(&self, run: &RunId) -> anyhow::Result<bool> {
        Ok(self.system.store.run(&self.system.tenant, run).await?.is_some())
    }

    /// Starts the e-mail's run, unless another process has. It is a run of the project's own tenant, whatever tenant
    /// the e-mail is about: the settings determine the recipients, and other tenants cannot see or change them.
    async fn send(&self, run: RunId, tool: &str, letter: Value) -> anyhow::Result<()> {
        let arguments: Map<String, Value> = letter.as_object().cloned().unwrap_or_default();
        let (context, caller) = (Value::Null, self.settings.caller(&Value::Null));
        let ProjectSystem { tools, store, clock, tenant, .. } = self.system;
        let call = OneCall { run, tenant: tenant.clone(), tool: tool.to_owned(), arguments, context, caller };
        let (start, _) = call.begin(&**tools, store, clock.now()).await?;
        match self.engine.start(start).await {
            Ok(()) | Err(baton_engine::EngineError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_full(begun: &AtomicUsize) -> bool {
    begun.load(Ordering::Relaxed) >= LETTERS_MAX
}

/// The id of the run for an item's e-mail. An item that was closed and opened again gets another run.
fn letter_run_id(item: &TaskItem) -> RunId {
    let hash = ContentHash::of(format!("{}\n{}\n{}", item.tenant, item.id, item.opened_at.as_ms()).as_bytes());
    RunId::new(format!("reconnect-{}", hash.as_str()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(super) mod tests;
