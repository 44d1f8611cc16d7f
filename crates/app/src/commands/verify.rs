//! `baton verify`: whether what was recorded is whole, and all that is derived of it agrees. It changes
//! nothing, the layout included, and may run beside a server.

use std::path::Path;
use std::sync::Arc;

use baton_core::audit::Break;
use baton_engine::{Library, verify};
use baton_ports::audit::Audit as _;
use baton_ports::journal::Kind;
use baton_store::sqlite::{self, Depth, Store};
use serde::Serialize;
use serde_json::json;

use crate::cli::Verify;
use crate::commands::runs::record::nothing_has_run;
use crate::project::{Project, shown};
use crate::{Exit, print};

/// Findings that are told; the others are counted.
const TOLD_MAX: usize = 200;

pub async fn run(folder: &Path, args: Verify) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    if !project.has_database() {
        return Err(nothing_has_run(&project).into());
    }
    let file = project.database();
    let mut found = Found::default();
    let path = file.clone();
    let looked = match file.exists() {
        true => tokio::task::spawn_blocking(move || sqlite::check(&path, Depth::Full)).await?,
        false => Ok(Vec::new()),
    };
    let can_be_opened = looked.is_ok();
    for damage in looked.unwrap_or_else(|error| vec![error.to_string()]) {
        found.note("database", None, damage);
    }
    // Opening says why a missing file is refused where one has been.
    if can_be_opened {
        // Not the whole project: settings that cannot be used are no finding here.
        match Store::open_to_look(&file, sqlite::Options::default()) {
            Ok(store) => found.look(&store).await,
            // Nothing is damaged: it is another program's, or of another version, and says what to do.
            Err(error) if found.count == 0 && file.exists() => return Err(error.into()),
            Err(error) => found.note("database", None, error.to_string()),
        }
    }
    let is_whole = found.count == 0;
    if args.json {
        print::pretty(
            &json!({ "ok": is_whole, "looked_at": found.looked, "found": found.count, "findings": found.told }),
        );
    } else {
        found.tell(&shown(&file));
    }
    Ok(if is_whole { Exit::Completed } else { Exit::Failed })
}

/// What was looked at, and what does not agree.
#[derive(Default)]
struct Found {
    looked: Looked,
    told: Vec<Finding>,
    count: usize,
}

#[derive(Default, Serialize)]
struct Looked {
    runs: u64,
    conversations: u64,
    desks: u64,
    entries: u64,
    audit_rows: u64,
}

#[derive(Serialize)]
struct Finding {
    /// `database`, `journal`, `audit` or `rows`.
    what: &'static str,
    /// The aggregate or the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    says: String,
}

impl Found {
    fn note(&mut self, what: &'static str, of: Option<String>, says: String) {
        self.count += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(Finding { what, of, says });
        }
    }

    async fn look(&mut self, store: &Store) {
        self.aggregates(store).await;
        match store.orphans().await {
            Ok(orphans) => {
                for (what, count) in orphans {
                    self.note("rows", None, format!("{count} {what} belong to nothing that is there"));
                }
            }
            Err(error) => self.note("rows", None, error.to_string()),
        }
        self.audit(store).await;
    }

    async fn aggregates(&mut self, store: &Store) {
        let library = Library::new(Arc::new(store.clone()));
        let mut after = 0;
        loop {
            let numbers = match store.numbers(after).await {
                Ok(numbers) => numbers,
                Err(error) => return self.note("journal", None, format!("what there is cannot be listed: {error}")),
            };
            let Some(last) = numbers.last().copied() else { return };
            after = last;
            for number in numbers {
                self.aggregate(store, &library, number).await;
            }
        }
    }

    async fn aggregate(&mut self, store: &Store, library: &Library, number: i64) {
        let stored = match store.stored(number).await {
            Ok(Some(stored)) => stored,
            // Gone since it was listed.
            Ok(None) => return,
            Err(error) => return self.note("journal", Some(format!("number {number}")), error.to_string()),
        };
        match stored.kind {
            Kind::Run => self.looked.runs += 1,
            Kind::Conversation => self.looked.conversations += 1,
            Kind::Desk => self.looked.desks += 1,
        }
        self.looked.entries += stored.seq;
        let name = || Some(stored.name.to_string());
        match verify::aggregate(library, &stored).await {
            Ok(findings) => findings.into_iter().for_each(|says| self.note("journal", name(), says)),
            Err(error) => self.note("journal", name(), error.to_string()),
        }
    }

    async fn audit(&mut self, store: &Store) {
        let tenants = match store.audited().await {
            Ok(tenants) => tenants,
            Err(error) => return self.note("audit", None, error.to_string()),
        };
        for tenant in tenants {
            let name = || Some(tenant.to_string());
            // What retention has cut off cannot be looked at.
            let cut = match store.anchor(&tenant).await {
                Ok(anchor) => anchor.map_or(0, |anchor| anchor.tip.seq),
                Err(error) => {
                    self.note("audit", name(), error.to_string());
                    continue;
                }
            };
            match store.verify(&tenant).await {
                Ok(verdict) => {
                    self.looked.audit_rows += verdict.tip.seq.saturating_sub(cut);
                    if let Some(Break { seq, why }) = verdict.broken {
                        self.note("audit", name(), format!("row {seq} is {}", why.word()));
                    }
                }
                Err(error) => self.note("audit", name(), error.to_string()),
            }
        }
    }

    fn tell(&self, file: &str) {
        for Finding { what, of, says } in &self.told {
            let of = of.as_ref().map(|of| format!(" `{of}`:")).unwrap_or_default();
            print::line(format_args!("{} {what}:{of} {says}", print::paint("31", "broken:")));
        }
        if self.count > self.told.len() {
            print::line(format_args!("and {} more", self.count - self.told.len()));
        }
        let Looked { runs, conversations, desks: _, entries, audit_rows } = &self.looked;
        let looked = format!(
            "{}, {}, {} and {} of {file}",
            print::counted(*runs, "run"),
            print::counted(*conversations, "conversation"),
            print::counted_as(*entries, "entry", "entries"),
            print::counted(*audit_rows, "audit row"),
        );
        if self.count == 0 {
            print::line(format_args!("{looked}: all whole, and all that is derived agrees"));
        } else {
            print::line(format_args!("{looked}: {}", print::counted(self.count as u64, "finding")));
            print::note(
                "hint: keep a copy of the files, and restore the newest backup that `baton verify` finds whole",
            );
        }
    }
}
