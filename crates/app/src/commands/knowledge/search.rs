//! `baton knowledge search`.

use baton_ports::index::DocumentFilter;
use baton_ports::memory::{self, CitedPassage, MemoryStore as _, SearchRequest};
use serde_json::json;

use crate::cli::{KnowledgeSearchArgs, SearchModeArg};
use crate::commands::json;
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, print};

/// Maximum number of characters of a passage to print.
const SHOWN_CHARS_MAX: usize = 240;

pub async fn run(project: &Project, args: &KnowledgeSearchArgs) -> anyhow::Result<CommandExit> {
    let metadata = json::pairs(&args.filters)?.into_iter().collect();
    let search = SearchRequest {
        top: usize::from(args.top),
        mode: args.mode.into(),
        filter: DocumentFilter { metadata, ..DocumentFilter::default() },
        ..SearchRequest::knowledge(&args.query)
    };
    let system = ProjectSystem::open(project)?;
    let search = async { Ok(system.memory.search(&system.tenant, &search).await?) };
    let found = system.settle_after(search).await?;
    let outdated = super::outdated(&system).await?;
    if args.json {
        print::pretty(&json!({
            "query": args.query, "degraded_reason": found.degraded,
            "results": found.passages.iter().map(CitedPassage::as_json).collect::<Vec<_>>(),
            "outdated": outdated,
        }));
        return Ok(CommandExit::Completed);
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
    Ok(CommandExit::Completed)
}

fn show(number: usize, passage: &CitedPassage) {
    let CitedPassage { score, document, heading, begins, ends, about, .. } = passage;
    let about = about.as_ref().map(|person| super::subject_label(person)).unwrap_or_default();
    let place = print::paint("2", &format!("{document} {begins}..{ends}  {score:.3}{about}"));
    print::line(format_args!("[{number}] {}  {place}", print::paint("1", heading)));
    let words = passage.content.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = words.chars().take(SHOWN_CHARS_MAX).collect();
    let mark = if shown.len() < words.len() { "…" } else { "" };
    print::line(format_args!("    {shown}{mark}"));
}

impl From<SearchModeArg> for memory::SearchMode {
    fn from(mode: SearchModeArg) -> Self {
        match mode {
            SearchModeArg::Hybrid => Self::Hybrid,
            SearchModeArg::Vector => Self::Vector,
            SearchModeArg::Text => Self::Text,
        }
    }
}
