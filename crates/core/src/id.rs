//! Identifiers. Ids are generated outside this crate (UUID v7) or chosen by a caller; here they are only checked.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Maximum size of an id chosen by a caller, in bytes. Derived ids (`parent/path`) may be longer, up to
/// [`DERIVED_ID_BYTES_MAX`].
pub const ID_BYTES_MAX: usize = 128;
/// Maximum size of a derived id, in bytes.
pub const DERIVED_ID_BYTES_MAX: usize = 1_024;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a name without a check; use [`Self::parse`] for one from outside.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// Checks a name that a caller chose: 1 to [`ID_BYTES_MAX`] bytes of letters, digits, `.`, `_` and `-`.
            pub fn parse(name: &str) -> Result<Self, IdError> {
                check(name).map(|()| Self(name.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(name.into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(
    /// One execution of a workflow version; `execution_id` on the API. A subworkflow's run is `parent/path`.
    RunId
);
id!(
    /// One company; `company_id` and `tenant_id` to programs.
    TenantId
);
id!(
    /// A person who takes conversations over; `human_agents.id` of the seed.
    PersonId
);
id!(
    /// A node of a graph, unique within its graph.
    NodeId
);

/// An id that was refused, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: `{shown}`")]
pub struct IdError {
    shown: String,
    reason: &'static str,
}

fn check(name: &str) -> Result<(), IdError> {
    let refuse = |reason| Err(IdError { shown: name.chars().take(40).collect(), reason });
    if name.is_empty() {
        return refuse("an id cannot be empty");
    }
    if name.len() > ID_BYTES_MAX {
        return refuse("an id has at most 128 bytes");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return refuse("an id has only letters, digits, `.`, `_` and `-`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_id_is_checked() {
        assert!(RunId::parse("workflow-123").is_ok());
        for bad in ["", "a/b", "a b", "é", &"x".repeat(129)] {
            assert!(RunId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
