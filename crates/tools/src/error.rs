//! Errors in settings and definitions, found before any call.

/// An invalid setting or definition. The fix is always to correct what the error names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolSetupError {
    #[error("the settings speak of a tool `{name}` that there is not{}", did_you_mean(nearest.as_deref()))]
    NoSuchTool { name: String, nearest: Option<String> },
    #[error("the tool `{name}` is defined twice; give one of them another name")]
    DefinedTwice { name: String },
    #[error("the settings under `{place}`: {reason}")]
    Setting { place: &'static str, reason: String },
    /// `place` is a path into the definition, such as `results.0.output`; empty for the whole definition.
    #[error("the tool `{tool}`{}: {reason}", at(place))]
    Definition { tool: String, place: String, reason: String },
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(", at `{place}`") }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}
