//! `baton verify`: checks that recorded data is intact and that all derived data agrees with it. It changes nothing,
//! not even the schema, and may run beside a server.

use std::path::Path;
use std::sync::Arc;

use baton_core::audit::ChainBreak;
use baton_engine::{WorkflowCache, verify};
use baton_ports::audit::AuditTrail as _;
use baton_ports::journal::AggregateKind;
use baton_store::sqlite::{self, CheckDepth, SqliteStore};
use serde::Serialize;
use serde_json::json;

use crate::cli::VerifyArgs;
use crate::commands::runs::record::no_runs_error;
use crate::project::{Project, display_path};
use crate::{CommandExit, print};

/// Maximum number of findings to print. The others are counted.
const FINDINGS_SHOWN_MAX: usize = 200;

pub async fn run(folder: &Path, args: VerifyArgs) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    if !project.has_database() {
        return Err(no_runs_error(&project).into());
    }
    let file = project.database();
    let mut found = VerifyReport::default();
    let path = file.clone();
    let looked = match file.exists() {
        true => tokio::task::spawn_blocking(move || sqlite::check(&path, CheckDepth::Full)).await?,
        false => Ok(Vec::new()),
    };
    let can_be_opened = looked.is_ok();
    for damage in looked.unwrap_or_else(|error| vec![error.to_string()]) {
        found.add_finding("database", None, damage);
    }
    // If a database existed and its file is missing, opening it explains the error.
    if can_be_opened {
        // Open only the store: invalid settings are not a finding here.
        match SqliteStore::open_read_only(&file, sqlite::StoreOptions::default()) {
            Ok(store) => found.verify_store(&store).await,
            // Nothing is damaged: the file belongs to another program or another version, and the error says what to
            // do.
            Err(error) if found.count == 0 && file.exists() => return Err(error.into()),
            Err(error) => found.add_finding("database", None, error.to_string()),
        }
    }
    let is_whole = found.count == 0;
    if args.json {
        print::pretty(
            &json!({ "ok": is_whole, "looked_at": found.counts, "found": found.count, "findings": found.findings }),
        );
    } else {
        found.print_report(&display_path(&file));
    }
    Ok(if is_whole { CommandExit::Completed } else { CommandExit::Failed })
}

/// What was checked, and the inconsistencies that were found.
#[derive(Default)]
struct VerifyReport {
    counts: VerifyCounts,
    findings: Vec<VerifyFinding>,
    count: usize,
}

#[derive(Default, Serialize)]
struct VerifyCounts {
    runs: u64,
    conversations: u64,
    desks: u64,
    entries: u64,
    audit_rows: u64,
}

#[derive(Serialize)]
struct VerifyFinding {
    /// `database`, `journal`, `audit` or `rows`.
    what: &'static str,
    /// The aggregate or the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    says: String,
}

impl VerifyReport {
    fn add_finding(&mut self, what: &'static str, of: Option<String>, says: String) {
        self.count += 1;
        if self.findings.len() < FINDINGS_SHOWN_MAX {
            self.findings.push(VerifyFinding { what, of, says });
        }
    }

    async fn verify_store(&mut self, store: &SqliteStore) {
        self.verify_aggregates(store).await;
        match store.orphans().await {
            Ok(orphans) => {
                for (what, count) in orphans {
                    self.add_finding("rows", None, format!("{count} {what} belong to nothing that is there"));
                }
            }
            Err(error) => self.add_finding("rows", None, error.to_string()),
        }
        self.verify_audit(store).await;
    }

    async fn verify_aggregates(&mut self, store: &SqliteStore) {
        let library = WorkflowCache::new(Arc::new(store.clone()));
        let mut after = 0;
        loop {
            let numbers = match store.aggregate_numbers(after).await {
                Ok(numbers) => numbers,
                Err(error) => {
                    return self.add_finding("journal", None, format!("what there is cannot be listed: {error}"));
                }
            };
            let Some(last) = numbers.last().copied() else { return };
            after = last;
            for number in numbers {
                self.verify_aggregate(store, &library, number).await;
            }
        }
    }

    async fn verify_aggregate(&mut self, store: &SqliteStore, library: &WorkflowCache, number: i64) {
        let stored = match store.stored(number).await {
            Ok(Some(stored)) => stored,
            // Deleted since it was listed.
            Ok(None) => return,
            Err(error) => return self.add_finding("journal", Some(format!("number {number}")), error.to_string()),
        };
        match stored.kind {
            AggregateKind::Run => self.counts.runs += 1,
            AggregateKind::Conversation => self.counts.conversations += 1,
            AggregateKind::Desk => self.counts.desks += 1,
        }
        self.counts.entries += stored.seq;
        let name = || Some(stored.name.to_string());
        match verify::aggregate(library, &stored).await {
            Ok(findings) => findings.into_iter().for_each(|says| self.add_finding("journal", name(), says)),
            Err(error) => self.add_finding("journal", name(), error.to_string()),
        }
    }

    async fn verify_audit(&mut self, store: &SqliteStore) {
        let tenants = match store.audited_tenants().await {
            Ok(tenants) => tenants,
            Err(error) => return self.add_finding("audit", None, error.to_string()),
        };
        for tenant in tenants {
            let name = || Some(tenant.to_string());
            // Rows that retention has deleted cannot be checked.
            let cut = match store.anchor(&tenant).await {
                Ok(anchor) => anchor.map_or(0, |anchor| anchor.tip.seq),
                Err(error) => {
                    self.add_finding("audit", name(), error.to_string());
                    continue;
                }
            };
            match store.verify(&tenant).await {
                Ok(verdict) => {
                    self.counts.audit_rows += verdict.tip.seq.saturating_sub(cut);
                    if let Some(ChainBreak { seq, reason: why }) = verdict.broken {
                        self.add_finding("audit", name(), format!("row {seq} is {}", why.word()));
                    }
                }
                Err(error) => self.add_finding("audit", name(), error.to_string()),
            }
        }
    }

    fn print_report(&self, file: &str) {
        for VerifyFinding { what, of, says } in &self.findings {
            let of = of.as_ref().map(|of| format!(" `{of}`:")).unwrap_or_default();
            print::line(format_args!("{} {what}:{of} {says}", print::paint("31", "broken:")));
        }
        if self.count > self.findings.len() {
            print::line(format_args!("and {} more", self.count - self.findings.len()));
        }
        let VerifyCounts { runs, conversations, desks: _, entries, audit_rows } = &self.counts;
        let looked = format!(
            "{}, {}, {} and {} of {file}",
            print::count_noun(*runs, "run"),
            print::count_noun(*conversations, "conversation"),
            print::count_words(*entries, "entry", "entries"),
            print::count_noun(*audit_rows, "audit row"),
        );
        if self.count == 0 {
            print::line(format_args!("{looked}: all whole, and all that is derived agrees"));
        } else {
            print::line(format_args!("{looked}: {}", print::count_noun(self.count as u64, "finding")));
            print::note(
                "hint: keep a copy of the files, and restore the newest backup that `baton verify` finds whole",
            );
        }
    }
}
