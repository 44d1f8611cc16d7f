//! `baton knowledge search`.

use baton_ports::index::Filter;
use baton_ports::memory::{self, Cited, Memory as _, Search};
use serde_json::json;

use crate::cli::{KnowledgeSearch, Mode};
use crate::commands::json;
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, print};

/// Characters of a passage that are shown.
const SHOWN_CHARS_MAX: usize = 240;

pub async fn run(project: &Project, args: &KnowledgeSearch) -> anyhow::Result<Exit> {
    let metadata = json::pairs(&args.filters)?.into_iter().collect();
    let search = Search {
        top: usize::from(args.top),
        mode: args.mode.into(),
        filter: Filter { metadata, ..Filter::default() },
        ..Search::knowledge(&args.query)
    };
    let system = System::open(project)?;
    let search = async { Ok(system.memory.search(&system.tenant, &search).await?) };
    let found = system.paying(search).await?;
    let outdated = super::outdated(&system).await?;
    if args.json {
        print::pretty(&json!({
            "query": args.query, "degraded_reason": found.degraded,
            "results": found.passages.iter().map(Cited::as_json).collect::<Vec<_>>(),
            "outdated": outdated,
        }));
        return Ok(Exit::Completed);
    }
    if found.passages.is_empty() {
        print::line("nothing was found");
    }
    for (number, passage) in (1..).zip(&found.passages) {
        show(number, passage);
    }
    if let Some(reason) = found.degraded {
        print::note(format_args!("note: {reason}"));
    }
    if let Some(outdated) = outdated {
        print::note(format_args!("note: {outdated}\n  hint: `{} knowledge reindex` builds it anew", system.command));
    }
    Ok(Exit::Completed)
}

fn show(number: usize, passage: &Cited) {
    let Cited { score, document, heading, begins, ends, about, .. } = passage;
    let about = about.as_ref().map(|person| super::about(person)).unwrap_or_default();
    let place = print::paint("2", &format!("{document} {begins}..{ends}  {score:.3}{about}"));
    print::line(format_args!("[{number}] {}  {place}", print::paint("1", heading)));
    let words = passage.content.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = words.chars().take(SHOWN_CHARS_MAX).collect();
    let mark = if shown.len() < words.len() { "…" } else { "" };
    print::line(format_args!("    {shown}{mark}"));
}

impl From<Mode> for memory::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Hybrid => Self::Hybrid,
            Mode::Vector => Self::Vector,
            Mode::Text => Self::Text,
        }
    }
}
