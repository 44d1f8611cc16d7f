//! Why a gateway cannot be made: the person who wrote the settings, the script or the catalogue must change them.

/// Each kind names the place and what to write instead. No message holds a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelsError {
    /// A setting cannot be used.
    #[error("{setting}: {problem}")]
    Setting { setting: String, problem: String },
    /// A file of scripted replies cannot be used.
    #[error("{file}: {place}: {problem}")]
    Script { file: String, place: String, problem: String },
    /// The layers of the catalogue do not make a whole.
    #[error("the catalogue: {place}: {problem}")]
    Catalogue { place: String, problem: String },
}

impl ModelsError {
    /// The stable code, with a page in the documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "MODELS-001",
            Self::Script { .. } => "MODELS-002",
            Self::Catalogue { .. } => "MODELS-003",
        }
    }
}
