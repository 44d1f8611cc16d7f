//! The tools of a project's MCP servers. The servers are asked at the start, and their lists are cached beside the
//! database, so that the tools stay available while a server is down.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use baton_tools::{ImportDiagnostic, LaunchCommand, McpSource, McpToolListing, ToolDefinition, ToolsConfig};
use serde::{Deserialize, Serialize};

use super::ProjectWarning;
use super::shape_error::tool_location;
use crate::print;

/// The cache folder.
pub const FOLDER: &str = "mcp";
/// How long a cached list is used without asking the server.
const CACHE_TTL: Duration = Duration::from_secs(5 * 60);

/// One server, and its last listing.
pub struct ProjectServer {
    /// The file that defines it.
    pub file: String,
    pub source: McpSource,
    listing: McpToolListing,
    /// Why it did not list its tools when it was last asked.
    pub last_error: Option<String>,
    /// When it was last asked.
    pub asked_at: SystemTime,
}

impl ProjectServer {
    /// Its tools, and the parts that cannot be used.
    pub fn tools(&self) -> (Vec<ToolDefinition>, Vec<ImportDiagnostic>) {
        self.source.tools(&self.listing)
    }

    /// Names in its definition that were missing from its last listing. Empty for a server that has never responded.
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

    /// The warning that it was asked and did not respond, with the error.
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

    /// The number of tools in its last listing.
    pub fn len(&self) -> usize {
        self.listing.len()
    }
}

/// A cached listing.
#[derive(Serialize, Deserialize)]
struct CachedListing {
    /// The server of the listing. A server with another command or address counts as a different server.
    of: String,
    listing: McpToolListing,
}

/// Asks all servers at once, except those that were asked recently and are not `wanted` now. Programs start in the
/// project's folder `root`. Listings are cached in `folder`.
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

/// Runs on a thread without a runtime, so it creates one.
fn fetch_listing(source: &McpSource, settings: &ToolsConfig) -> Result<McpToolListing, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(source.list(settings))
}

/// The cached listing of exactly this server, and its time.
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
