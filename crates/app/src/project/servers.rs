//! What tools a project's MCP servers have: asked at the start, kept beside the database, so that they stand while a
//! server is down.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use baton_tools::{ImportDiagnostic, LaunchCommand, McpSource, McpToolListing, ToolDefinition, ToolsConfig};
use serde::{Deserialize, Serialize};

use super::ProjectWarning;
use super::shape_error::tool_location;
use crate::print;

/// The folder of what is kept.
pub const FOLDER: &str = "mcp";
/// How long a list is taken as it is, without asking.
const CACHE_TTL: Duration = Duration::from_secs(5 * 60);

/// One server, and what it last said.
pub struct ProjectServer {
    /// The file that defines it.
    pub file: String,
    pub source: McpSource,
    listing: McpToolListing,
    /// Why it did not say what tools it has, where it was asked and did not.
    pub last_error: Option<String>,
    /// When it was asked last.
    pub asked_at: SystemTime,
}

impl ProjectServer {
    /// Its tools, and what of them cannot be used.
    pub fn tools(&self) -> (Vec<ToolDefinition>, Vec<ImportDiagnostic>) {
        self.source.tools(&self.listing)
    }

    /// What its definition names that it last did not have. Of one that has never answered nobody knows.
    pub fn warnings(&self) -> Vec<ProjectWarning> {
        if self.last_error.is_some() && self.len() == 0 {
            return Vec::new();
        }
        self.source
            .warnings(&self.listing)
            .into_iter()
            .map(|doubt| ProjectWarning::for_tool(&self.file, self.source.name(), doubt))
            .collect()
    }

    /// That it was asked and did not answer, with what it said instead.
    pub fn silence_warning(&self) -> Option<ProjectWarning> {
        let (name, reason) = (self.source.name(), self.last_error.as_ref()?);
        Some(ProjectWarning {
            place: tool_location(&self.file, name, ""),
            message: format!("the MCP server `{name}` does not say what tools it has: {reason}"),
            hint: match self.len() {
                0 => format!("until it answers, `{name}` has no tools"),
                known => {
                    let known = print::count_noun(known, "tool");
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
struct CachedListing {
    /// The server it is of: another command or address is another server.
    of: String,
    listing: McpToolListing,
}

/// Asks all of them at once, except those that were asked a little while ago and are not `wanted` now. Programs are started in
/// the project's folder `root`; lists are kept in `folder`.
pub fn list_tools(
    sources: Vec<(String, McpSource)>,
    settings: &ToolsConfig,
    root: &Path,
    folder: &Path,
    wanted: Option<&str>,
) -> Vec<ProjectServer> {
    let attended = |source: McpSource| match LaunchCommand::current_exe(vec!["attend".into()]) {
        Ok(attendant) => source.with_supervisor(attendant.within(root)),
        Err(_) => source,
    };
    let sources = sources.into_iter().map(|(file, source)| (file, attended(source)));
    std::thread::scope(|scope| {
        let asked = sources.map(|(file, source)| scope.spawn(move || list_one(file, source, settings, folder, wanted)));
        let asked: Vec<_> = asked.collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
    })
}

fn list_one(
    file: String,
    source: McpSource,
    settings: &ToolsConfig,
    folder: &Path,
    wanted: Option<&str>,
) -> ProjectServer {
    let path = folder.join(format!("{}.json", source.name()));
    let (kept, now) = (read_cached(&path, &source), SystemTime::now());
    let is_fresh =
        |at: SystemTime| wanted != Some(source.name()) && now.duration_since(at).is_ok_and(|age| age < CACHE_TTL);
    match kept {
        Some((listing, asked_at)) if is_fresh(asked_at) => {
            ProjectServer { file, source, listing, last_error: None, asked_at }
        }
        older => match fetch_listing(&source, settings) {
            Ok(listing) => {
                write_cache(&path, &source, &listing);
                ProjectServer { file, source, listing, last_error: None, asked_at: now }
            }
            Err(reason) => {
                tracing::warn!(server = source.name(), reason, "an MCP server does not say what tools it has");
                let listing = older.map(|(listing, _)| listing).unwrap_or_default();
                ProjectServer { file, source, listing, last_error: Some(reason), asked_at: now }
            }
        },
    }
}

/// On a thread without a runtime, so it makes one.
fn fetch_listing(source: &McpSource, settings: &ToolsConfig) -> Result<McpToolListing, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(source.list(settings))
}

/// What is kept of this very server, and since when.
fn read_cached(path: &PathBuf, source: &McpSource) -> Option<(McpToolListing, SystemTime)> {
    let kept: CachedListing = serde_json::from_slice(&super::read(path).ok()?).ok()?;
    let at = std::fs::metadata(path).ok()?.modified().ok()?;
    (kept.of == source.identity()).then_some((kept.listing, at))
}

fn write_cache(path: &Path, source: &McpSource, listing: &McpToolListing) {
    let kept = CachedListing { of: source.identity().to_owned(), listing: listing.clone() };
    if let Ok(text) = serde_json::to_vec(&kept) {
        super::files::write_cache(path, &text);
    }
}
