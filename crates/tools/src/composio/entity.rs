//! The entity whose account an action uses.

use std::fmt;

use baton_core::id::TenantId;
use baton_core::tool::ToolInvocation;

use super::config::EntitySource;

/// Maximum size of an entity's id, in bytes.
const ID_BYTES_MAX: usize = 256;

/// The entity within a tenant that connected an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComposioEntity {
    Company,
    User(String),
    Conversation(String),
    Agent(String),
    Named(String),
}

impl ComposioEntity {
    /// Returns the entity whose account a call uses. The error states what the call lacks.
    pub(super) fn of(source: &EntitySource, call: &ToolInvocation) -> Result<Self, String> {
        let lacking = |what: &str| {
            format!(
                "`{}` uses the account of the run's {what}, and the run has none; give it in its context",
                call.tool
            )
        };
        let given = |id: &Option<String>, what| id.clone().filter(|id| !id.is_empty()).ok_or_else(|| lacking(what));
        let entity = match source {
            EntitySource::Company => Self::Company,
            EntitySource::User => Self::User(given(&call.caller.user_id, "`user_id`")?),
            EntitySource::Conversation => Self::Conversation(given(&call.caller.conversation_id, "`conversation_id`")?),
            EntitySource::Agent => Self::Agent(call.agent.clone().ok_or_else(|| {
                format!("`{}` uses the account of the agent that asks, and no agent asks here", call.tool)
            })?),
            EntitySource::Named(name) => Self::Named(name.clone()),
        };
        entity.validated()
    }

    /// Returns the entity if its id can be stored.
    pub(super) fn validated(self) -> Result<Self, String> {
        match self.id() {
            Some(id) if id.is_empty() || id.len() > ID_BYTES_MAX || id.contains(char::is_control) => {
                Err(format!("an entity's id has 1 to {ID_BYTES_MAX} bytes and no control characters"))
            }
            Some(_) | None => Ok(self),
        }
    }

    /// Parses the form that [`fmt::Display`] writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "company" {
            return Some(Self::Company);
        }
        let (kind, id) = text.split_once(':')?;
        let id = id.to_owned();
        Some(match kind {
            "user" => Self::User(id),
            "conversation" => Self::Conversation(id),
            "agent" => Self::Agent(id),
            "name" => Self::Named(id),
            _ => return None,
        })
    }

    fn id(&self) -> Option<&str> {
        match self {
            Self::Company => None,
            Self::User(id) | Self::Conversation(id) | Self::Agent(id) | Self::Named(id) => Some(id),
        }
    }

    /// The `user_id` at Composio. The tenant comes first and contains no colon, so two tenants never share one.
    pub(super) fn composio_user_id(&self, tenant: &TenantId) -> String {
        format!("{tenant}:{self}")
    }

    /// The command-line flag that names the entity.
    pub fn cli_flag(&self) -> String {
        let flag = |name: &str, id: &str| format!(" --{name} '{}'", id.replace('\'', r"'\''"));
        match self {
            Self::Company => String::new(),
            Self::User(id) => flag("user", id),
            Self::Conversation(id) => flag("conversation", id),
            Self::Agent(id) => flag("agent", id),
            Self::Named(id) => flag("name", id),
        }
    }
}

impl fmt::Display for ComposioEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Company => f.write_str("company"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Conversation(id) => write!(f, "conversation:{id}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Named(id) => write!(f, "name:{id}"),
        }
    }
}
