//! What tools a project's MCP servers have: asked at the start, kept beside the database, so that they stand while a
//! server is down.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use baton_tools::{Config, Definition, Launch, Listing, McpSource, Unsupported};
use serde::{Deserialize, Serialize};

use super::Doubt;
use super::misfit::place_of_tool;
use crate::print;

/// The folder of what is kept.
pub const FOLDER: &str = "mcp";
/// How long a list is taken as it is, without asking.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// One server, and what it last said.
pub struct Server {
    /// The file that defines it.
    pub file: String,
    pub source: McpSource,
    listing: Listing,
    /// Why it did not say what tools it has, where it was asked and did not.
    pub silent: Option<String>,
    /// When it was asked last.
    pub asked_at: SystemTime,
}

impl Server {
    /// Its tools, and what of them cannot be used.
    pub fn tools(&self) -> (Vec<Definition>, Vec<Unsupported>) {
        self.source.tools(&self.listing)
    }

    /// What its definition names that it last did not have. Of one that has never answered nobody knows.
    pub fn doubts(&self) -> Vec<Doubt> {
        if self.silent.is_some() && self.len() == 0 {
            return Vec::new();
        }
        self.source
            .doubts(&self.listing)
            .into_iter()
            .map(|doubt| Doubt::of_tool(&self.file, self.source.name(), doubt))
            .collect()
    }

    /// That it was asked and did not answer, with what it said instead.
    pub fn silence(&self) -> Option<Doubt> {
        let (name, reason) = (self.source.name(), self.silent.as_ref()?);
        Some(Doubt {
            place: place_of_tool(&self.file, name, ""),
            message: format!("the MCP server `{name}` does not say what tools it has: {reason}"),
            hint: match self.len() {
                0 => format!("until it answers, `{name}` has no tools"),
                known => {
                    let known = print::counted(known, "tool");
                    format!("what it last listed stands, {known}; calls fail until it is back")
                }
            },
        })
    }

    /// How many tools it last said it has.
    pub fn len(&self) -> usize {
        self.listing.len()
    }
}

/// A list as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The server it is of: another command or address is another server.
    of: String,
    listing: Listing,
}

/// Asks all of them at once, except those that were asked a little while ago and are not `wanted` now. Programs are started in
/// the project's folder `root`; lists are kept in `folder`.
pub fn ask(
    sources: Vec<(String, McpSource)>,
    settings: &Config,
    root: &Path,
    folder: &Path,
    wanted: Option<&str>,
) -> Vec<Server> {
    let attended = |source: McpSource| match Launch::own(vec!["attend".into()]) {
        Ok(attendant) => source.attended(attendant.within(root)),
        Err(_) => source,
    };
    let sources = sources.into_iter().map(|(file, source)| (file, attended(source)));
    std::thread::scope(|scope| {
        let asked = sources.map(|(file, source)| scope.spawn(move || one(file, source, settings, folder, wanted)));
        let asked: Vec<_> = asked.collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
    })
}

fn one(file: String, source: McpSource, settings: &Config, folder: &Path, wanted: Option<&str>) -> Server {
    let path = folder.join(format!("{}.json", source.name()));
    let (kept, now) = (kept(&path, &source), SystemTime::now());
    let is_fresh =
        |at: SystemTime| wanted != Some(source.name()) && now.duration_since(at).is_ok_and(|age| age < FRESH);
    match kept {
        Some((listing, asked_at)) if is_fresh(asked_at) => Server { file, source, listing, silent: None, asked_at },
        older => match list(&source, settings) {
            Ok(listing) => {
                keep(&path, &source, &listing);
                Server { file, source, listing, silent: None, asked_at: now }
            }
            Err(reason) => {
                tracing::warn!(server = source.name(), reason, "an MCP server does not say what tools it has");
                let listing = older.map(|(listing, _)| listing).unwrap_or_default();
                Server { file, source, listing, silent: Some(reason), asked_at: now }
            }
        },
    }
}

/// On a thread without a runtime, so it makes one.
fn list(source: &McpSource, settings: &Config) -> Result<Listing, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(source.list(settings))
}

/// What is kept of this very server, and since when.
fn kept(path: &PathBuf, source: &McpSource) -> Option<(Listing, SystemTime)> {
    let kept: Kept = serde_json::from_slice(&super::read(path).ok()?).ok()?;
    let at = std::fs::metadata(path).ok()?.modified().ok()?;
    (kept.of == source.identity()).then_some((kept.listing, at))
}

fn keep(path: &Path, source: &McpSource, listing: &Listing) {
    let kept = Kept { of: source.identity().to_owned(), listing: listing.clone() };
    if let Ok(text) = serde_json::to_vec(&kept) {
        super::files::keep(path, &text);
    }
}
