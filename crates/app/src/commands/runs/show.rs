//! `baton runs show`: all facts about one run, and how to continue it.

use baton_core::id::RunId;
use baton_core::run::{NodeRow, OpenWait, RunEntry, detail};
use baton_core::time::Time;
use baton_ports::audit::{AuditFilter, AuditTrail};
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::TaskItem;
use baton_ports::read::{ReadModel, RunHead};
use baton_ports::registry::WorkflowRegistry;
use serde_json::{Value, json};

use super::record::{self, RecordedRun};
use crate::cli::RunSelectorArgs;
use crate::progress;
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, call_failure, print};

/// Maximum number of audit rows to count. Larger counts are shown as "or more".
const AUDIT_MAX: usize = 10_000;

pub async fn run(project: &Project, args: &RunSelectorArgs) -> anyhow::Result<CommandExit> {
    let system = record::system(project)?;
    let head = record::head(&system, &args.run).await?;
    if let Some(at) = head.erased_at {
        print_erased(&head, at, args.json);
        return Ok(CommandExit::Completed);
    }
    let seen = RunDetails::read(&system, &args.run).await?;
    if args.json {
        print::pretty(&seen.as_json());
    } else {
        seen.print_run();
    }
    Ok(CommandExit::Completed)
}

/// Prints the remainder of a run that was erased.
fn print_erased(head: &RunHead, at: Time, as_json: bool) {
    if as_json {
        let mut shown = head.as_json();
        shown["runs_on"] = json!({ "workflow": head.workflow, "bundle": head.erased_version });
        return print::pretty(&shown);
    }
    print::line(format_args!("run {} of {}", head.run, head.workflow));
    print::line(format_args!("  state     {}", head.state.word()));
    print::line(format_args!("  cost      {}", head.cost));
    print::line(format_args!("  erased    {at}: its inputs, results and journal are gone for good"));
}

struct RunDetails {
    record: RecordedRun,
    /// The revision number, or the short hash of the bundle if the registry no longer has the version.
    version: String,
    open: Vec<OpenWait>,
    command: String,
    desk: Vec<TaskItem>,
    audit: usize,
}

impl RunDetails {
    async fn read(system: &ProjectSystem, run: &str) -> anyhow::Result<Self> {
        let record = RecordedRun::read(system, run).await?;
        let open = record.open(system).await?;
        let desk = system.store.open_tasks(&system.tenant, Some(&record.head.run)).await?;
        let filter = AuditFilter { run: Some(record.head.run.clone()), limit: AUDIT_MAX, ..AuditFilter::default() };
        let audit = system.store.trail(&system.tenant, filter).await?.len();
        let (version, command) = (version(system, &record).await?, system.command.clone());
        Ok(Self { version, record, open, command, desk, audit })
    }

    fn as_json(&self) -> Value {
        let mut shown = self.record.head.merge_into(detail(self.record.run(), &self.open));
        shown["version"] = json!(self.version);
        shown["desk"] = json!(self.desk);
        shown["audit_rows"] = json!(self.audit);
        shown
    }

    fn print_run(&self) {
        self.print_head();
        heading("nodes");
        self.record.run().nodes().iter().for_each(print_node);
        let outputs = self.record.run().outputs();
        if !outputs.is_empty() {
            heading("outputs");
            print::pretty(&Value::Object(outputs));
        }
        if !self.open.is_empty() {
            heading("open");
            for open in &self.open {
                let is_own = open.run == self.record.head.run;
                let entries: &[RunEntry] = if is_own { &self.record.followed.entries } else { &[] };
                print::line(format_args!("  {}", progress::next_command(open, &self.command, entries)));
            }
        }
        if !self.desk.is_empty() {
            heading("desk");
            self.desk.iter().for_each(print_task);
        }
        self.print_saga();
    }

    /// Prints the result of a rollback, or what a rollback would do.
    fn print_saga(&self) {
        let run = self.record.run();
        let is_over = run.finished().is_some_and(|end| end.undone.is_some());
        // Read the current state: a person may have undone by hand what the rollback left.
        let report = run.saga().report();
        if let Some(undone) = report.as_array().filter(|_| is_over) {
            heading("rolled back, newest first");
            let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
            for row in undone {
                let reason = row["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
                let (node, tool, state) = (text(row, "node"), text(row, "tool"), text(row, "state"));
                print::line(format_args!("  {node:<24} {tool} {}{reason}", state.replace('_', " ")));
            }
            return;
        }
        let plan = run.saga().plan();
        if !plan.is_empty() {
            heading("if rolled back now, newest first");
            for (node, tool, undo) in plan {
                print::line(format_args!("  {:<24} {tool}: {undo}", node.to_string()));
            }
        }
    }

    fn print_head(&self) {
        let (head, run) = (&self.record.head, self.record.run());
        let fact = |name: &str, value: &str| {
            if !value.is_empty() {
                print::line(format_args!("  {name:<9} {value}"));
            }
        };
        print::line(format_args!("run {} of {}", head.run, head.workflow));
        fact("state", run.state().word());
        let waits_for: Vec<String> = self.open.iter().filter_map(progress::describe_open).collect();
        fact("waits for", &waits_for.join(", "));
        let failed = baton_engine::one_call::failure(run);
        let call = failed.as_ref().map(|failed| format!("failed: {}", call_failure::failure_reason(failed)));
        fact("call", call.as_deref().unwrap_or_default());
        fact("version", &self.version);
        fact("began", &run.started_at().to_string());
        let (word, until) = match run.state().is_end() {
            true => ("took", run.now()),
            false => ("age", SystemClock.now()),
        };
        fact(word, &print::format_duration(until.since(run.started_at())));
        fact("cost", &run.cost().to_string());
        fact("parent", head.parent.as_ref().map(RunId::as_str).unwrap_or_default());
        // For a run of a single call, the fault equals the failure of the call.
        let fault = run.fault().filter(|_| failed.is_none());
        fact("error", &fault.map(ToString::to_string).unwrap_or_default());
        let wakes = head.wake_at.filter(|_| !run.state().is_end()).map(|at| at.to_string());
        fact("wakes", &wakes.unwrap_or_default());
        let audit = match self.audit {
            1 => "1 row".to_owned(),
            AUDIT_MAX => format!("{AUDIT_MAX} rows or more"),
            rows => format!("{rows} rows"),
        };
        fact("audit", &audit);
        if let Some(output) = run.finished().map(|end| &end.output).filter(|output| !output.is_null()) {
            fact("output", &output.to_string());
        }
    }
}

fn heading(text: &str) {
    print::line(format_args!("\n{}", print::paint("1", text)));
}

fn print_node(row: &NodeRow) {
    let took = row.duration_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
    let cost = if row.cost_usd > 0.0 { format!("${:.6}", row.cost_usd) } else { String::new() };
    let error = row.error.as_deref().unwrap_or_default();
    let text = format!("  {:<24} {:<12} {:<10} {took:>9}  {cost}  {error}", row.node.to_string(), row.kind, row.status);
    print::line(text.trim_end());
}

fn print_task(item: &TaskItem) {
    let kind = json!(item.kind);
    let deadline = item.deadline.map(|at| format!(", until {at}")).unwrap_or_default();
    print::line(format_args!("  {:<14} {}{deadline}", kind.as_str().unwrap_or_default(), item.title));
}

async fn version(system: &ProjectSystem, record: &RecordedRun) -> anyhow::Result<String> {
    let Some(hash) = record.run().bundle() else { return Ok(String::new()) };
    let name = record.run().workflow().map_or(record.head.workflow.as_str(), |workflow| workflow.name.as_str());
    let versions = system.store.versions(&system.tenant, name).await?;
    let found = versions.iter().find(|version| version.bundle == *hash);
    Ok(found.map_or_else(
        || hash.short().to_owned(),
        |version| format!("{} (revision {}, {})", version.label, version.revision, hash.short()).trim().to_owned(),
    ))
}
