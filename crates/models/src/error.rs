//! Why a gateway cannot be created. The author of the settings, the script or the catalogue must change them.

/// Each variant names the place and the fix. No message contains an API key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelsError {
    /// A setting cannot be used.
    #[error("{setting}: {problem}")]
    Setting { setting: String, problem: String },
    /// A file of scripted replies cannot be used.
    #[error("{file}: {place}: {problem}")]
    Script { file: String, place: String, problem: String },
    /// The layers of the catalogue do not form a valid catalogue.
    #[error("the catalogue: {place}: {problem}")]
    Catalogue { place: String, problem: String },
}

impl ModelsError {
    /// Returns the stable code, which has a page in the documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "MODELS-001",
            Self::Script { .. } => "MODELS-002",
            Self::Catalogue { .. } => "MODELS-003",
        }
    }
}
