//! What `baton serve` does by itself: sends the weekly report, looks after connected accounts, forgets what is old.
//!
//! Several processes may serve one database. A letter is a call of `send_email` in a run of its own, whose id is the same
//! for all of them, so one begins it and it is sent as any other: once, audited, with leave where it needs leave. What may
//! be done twice is done by whoever takes its turn first ([`turn`]).
//!
//! All of it is done for each tenant that is open: the project's own at each look, the others [`TENANTS_MAX`] at a look.

mod budgets;
mod retention;
mod turn;

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use baton_core::bundle::Hash;
use baton_core::id::{RunId, TenantId};
use baton_core::usage::Week;
use baton_engine::{Engine, OneCall};
use baton_ports::journal::{DeskItem, DeskKind};
use baton_ports::read::Read as _;
use baton_server::report::Report;
use serde_json::{Map, Value, json};

use crate::config::Settings;
use crate::wire::System;

/// How often it is looked what is due.
const LOOK: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Letters that one look begins of each kind; the others wait for the next.
const LETTERS_MAX: usize = 20;
/// Tenants that one look goes round to beside the project's own, the next one to those after them.
const TENANTS_MAX: usize = 100;
/// The tool that sends.
const MAIL: &str = "send_email";

pub struct Upkeep<'s> {
    settings: &'s Settings,
    system: &'s System,
    engine: Engine,
    /// The last tenant that was gone round to.
    last: Mutex<Option<String>>,
}

/// What is done for one tenant.
struct Tended<'s> {
    settings: &'s Settings,
    system: &'s System,
    engine: &'s Engine,
    tenant: &'s TenantId,
    begun: &'s Letters,
}

/// Letters that a look began.
#[derive(Default)]
struct Letters {
    reports: AtomicUsize,
    reconnect: AtomicUsize,
}

impl<'s> Upkeep<'s> {
    pub fn new(settings: &'s Settings, system: &'s System, engine: &Engine) -> Self {
        Self { settings, system, engine: engine.clone(), last: Mutex::default() }
    }

    /// For as long as the process serves.
    pub async fn run(&self) -> Infallible {
        loop {
            self.look().await;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Does what is due. What cannot be done is said on the log and tried when it is due again.
    pub async fn look(&self) {
        let Self { settings, system, engine, .. } = self;
        let begun = Letters::default();
        for tenant in self.tenants().await {
            Tended { settings, system, engine, tenant: &tenant, begun: &begun }.look().await;
        }
    }

    /// The project's own, and the next of those that were made, as far as they are open.
    async fn tenants(&self) -> Vec<TenantId> {
        let (own, tenants) = (&self.system.tenant, self.system.roster.tenants());
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let made = match tenants.list(last.as_deref(), TENANTS_MAX).await {
            Ok(made) => {
                let next = made.last().filter(|_| made.len() == TENANTS_MAX).map(|tenant| tenant.id.to_string());
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = next;
                made
            }
            Err(error) => {
                tracing::warn!(%error, "which tenants there are could not be read; it is tried again from there");
                Vec::new()
            }
        };
        let is_open = tenants.is_open(own, self.system.clock.now()).await.unwrap_or(true);
        let made = made.into_iter().filter(|tenant| tenant.is_open() && tenant.id != *own).map(|tenant| tenant.id);
        is_open.then(|| own.clone()).into_iter().chain(made).collect()
    }
}

impl Tended<'_> {
    async fn look(&self) {
        let told = |what: &str, done: anyhow::Result<()>| {
            if let Err(error) = done {
                let tenant = self.tenant.as_str();
                tracing::warn!(what, tenant, error = format!("{error:#}"), "could not be done; it is tried again");
            }
        };
        told("the weekly report", self.report().await);
        told("looking after connected accounts", self.connections().await);
        told("telling of accounts to connect again", self.reconnect().await);
        told("telling of budgets", self.budgets().await);
        told("finishing erasures that were interrupted", self.finish_erasures().await);
        told("forgetting what is old", self.forget().await);
    }

    /// The last whole week, once its report is due.
    async fn report(&self) -> anyhow::Result<()> {
        let (System { store, tools, clock, .. }, tenant) = (self.system, self.tenant);
        let upkeep = &self.settings.upkeep;
        let (now, zone) = (clock.now(), self.settings.zone(tenant));
        let week = Week::before(now, &zone);
        if upkeep.report_to.is_empty() || now < week.end(&zone) + HOUR * u32::from(upkeep.report_hours) {
            return Ok(());
        }
        let run = RunId::new(format!("weekly-report-{tenant}-{week}"));
        if is_full(&self.begun.reports) || self.is_begun(&run).await? {
            return Ok(());
        }
        let report = Report::read(Some(store), &**tools, tenant.clone(), (week, zone)).await?;
        let letter = json!({
            "to": upkeep.report_to, "subject": format!("{} ({tenant})", report.title()), "body": report.markdown(),
            "html": report.html(),
        });
        self.send(run, MAIL, letter).await?;
        self.begun.reports.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Asks Composio how each account stands, and opens desk items for those that people must connect again.
    async fn connections(&self) -> anyhow::Result<()> {
        let (System { store, tools, clock, .. }, tenant) = (self.system, self.tenant);
        let Some(composio) = tools.composio() else { return Ok(()) };
        let every = Duration::from_secs(u64::from(self.settings.upkeep.connections_minutes) * 60);
        if every.is_zero() || !turn::is_ours(store, tenant, "connections", every, clock.now()).await? {
            return Ok(());
        }
        composio.check_connections(tenant).await.map(drop).map_err(|fault| anyhow::anyhow!("{fault}"))
    }

    /// One letter for each item of the desk about an account, however long it stays open.
    async fn reconnect(&self) -> anyhow::Result<()> {
        let (store, tenant, command) = (&self.system.store, self.tenant, self.command());
        let to = &self.settings.upkeep.reconnect_to;
        if to.is_empty() {
            return Ok(());
        }
        let items = store.desk(tenant, None).await?;
        for item in items.iter().filter(|item| item.kind == DeskKind::Connection) {
            let run = letter_about(item);
            if is_full(&self.begun.reconnect) || self.is_begun(&run).await? {
                continue;
            }
            let how = item.details.get("command").and_then(Value::as_str).unwrap_or_default();
            let how = format!("{}{how}", self.before_commands());
            let why = item.details.get("reason").and_then(Value::as_str).map(|why| format!("Reason: {why}\n\n"));
            let body = format!(
                "{}.\n\n{}Until then its actions fail. Connect it with:\n\n  {how}\n\nAll that waits: {command} desk list\n",
                item.title,
                why.unwrap_or_default(),
            );
            self.send(run, MAIL, json!({ "to": to, "subject": self.named(&item.title), "body": body })).await?;
            self.begun.reconnect.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// One line, in which it is said whose it is where that is another tenant than the project's own.
    fn named(&self, text: &str) -> String {
        let text = one_line(text);
        if self.is_own() { text } else { format!("{text} ({})", self.tenant) }
    }

    /// How a command line begins that speaks of this tenant.
    fn command(&self) -> String {
        format!("{}{}", self.before_commands(), self.system.command)
    }

    fn before_commands(&self) -> String {
        if self.is_own() { String::new() } else { format!("BATON_TENANT={} ", self.tenant) }
    }

    fn is_own(&self) -> bool {
        *self.tenant == self.system.tenant
    }

    async fn is_begun(&self, run: &RunId) -> anyhow::Result<bool> {
        Ok(self.system.store.run(&self.system.tenant, run).await?.is_some())
    }

    /// Begins the letter's run, unless somebody else has. It is a run of the project's own tenant, whomever it is about: who is
    /// written to is the settings' to say, and nothing that another tenant sees or sets.
    async fn send(&self, run: RunId, tool: &str, letter: Value) -> anyhow::Result<()> {
        let arguments: Map<String, Value> = letter.as_object().cloned().unwrap_or_default();
        let (context, caller) = (Value::Null, self.settings.caller(&Value::Null));
        let System { tools, store, clock, tenant, .. } = self.system;
        let call = OneCall { run, tenant: tenant.clone(), tool: tool.to_owned(), arguments, context, caller };
        let (start, _) = call.begin(&**tools, store, clock.now()).await?;
        match self.engine.start(start).await {
            Ok(()) | Err(baton_engine::Error::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_full(begun: &AtomicUsize) -> bool {
    begun.load(Ordering::Relaxed) >= LETTERS_MAX
}

/// The run of the letter about an item: another one where the item was closed and opened again.
fn letter_about(item: &DeskItem) -> RunId {
    let hash = Hash::of(format!("{}\n{}\n{}", item.tenant, item.id, item.opened_at.as_ms()).as_bytes());
    RunId::new(format!("reconnect-{}", hash.as_str()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(super) mod tests;
