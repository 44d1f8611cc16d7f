//! API keys: authentication and permissions. Only a key's hash is ever stored.

use std::collections::BTreeSet;

use async_trait::async_trait;
use baton_core::actor;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::journal::JournalError;

/// Maximum number of keys per page of a list.
pub const PAGE_MAX: usize = 500;
/// Maximum length of a key's name, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// Default and maximum lifetime of a key, in days.
pub const DAYS_DEFAULT: u32 = 90;
pub const DAYS_MAX: u32 = 3_650;
/// Default and maximum number of hours for which a rotated key stays valid.
pub const OVERLAP_HOURS_DEFAULT: u32 = 24;
pub const OVERLAP_HOURS_MAX: u32 = 720;

/// SHA-256 of a key. Keys are 256 random bits, so a plain hash is sufficient and nothing slower is needed.
pub type KeyHash = [u8; 32];

/// An API key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyRecord {
    /// The id used in lists and audit rows.
    pub id: String,
    pub tenant: TenantId,
    /// Display name.
    pub name: String,
    pub role: AccessRole,
    pub created_at: Time,
    pub expires_at: Option<Time>,
    pub revoked_at: Option<Time>,
    /// Requests per minute; `None` means the default of the settings, 0 means no limit.
    pub per_minute: Option<u32>,
    /// The subset of its role's permissions that it has; `None` means all.
    pub scopes: Option<BTreeSet<AccessScope>>,
}

/// The role of a key's bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessRole {
    /// Everything, including keys.
    Admin,
    /// Creates and tests workflows.
    Builder,
    /// Decides about runs.
    Operator,
    /// Answers what waits for people.
    HumanAgent,
    /// A program: asks models and runs workflows.
    Service,
}

/// The permission that an operation needs. Its word is a scope of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessScope {
    /// Read only.
    #[serde(rename = "read")]
    Look,
    /// Ask models, start runs, and submit customers' messages.
    Run,
    /// Answer what waits for people.
    Answer,
    /// Create what others run and use: workflows, agents, knowledge.
    Build,
    /// Decide about runs and models, and which version of a workflow runs.
    Operate,
    /// Manage access, and erase customers.
    Administer,
}

/// Why a key may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRefusal {
    /// Its role does not allow it.
    Role,
    /// Its scopes do not include it.
    Scope,
}

impl AccessScope {
    pub const ALL: [Self; 6] = [Self::Look, Self::Run, Self::Answer, Self::Build, Self::Operate, Self::Administer];

    pub fn word(self) -> &'static str {
        match self {
            Self::Look => "read",
            Self::Run => "run",
            Self::Answer => "answer",
            Self::Build => "build",
            Self::Operate => "operate",
            Self::Administer => "administer",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|need| need.word() == word)
    }
}

impl AccessRole {
    pub const ALL: [Self; 5] = [Self::Admin, Self::Builder, Self::Operator, Self::HumanAgent, Self::Service];

    pub fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Builder => "builder",
            Self::Operator => "operator",
            Self::HumanAgent => "human_agent",
            Self::Service => "service",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }

    /// Whether this role may undo what the other role set: its own settings, and those below. Only an admin is above
    /// others.
    pub fn covers(self, other: Self) -> bool {
        self == Self::Admin || self == other
    }

    pub fn allows(self, need: AccessScope) -> bool {
        match need {
            AccessScope::Look => true,
            AccessScope::Run => self != Self::HumanAgent,
            AccessScope::Answer => matches!(self, Self::Admin | Self::Operator | Self::HumanAgent),
            AccessScope::Build => matches!(self, Self::Admin | Self::Builder),
            AccessScope::Operate => matches!(self, Self::Admin | Self::Operator),
            AccessScope::Administer => self == Self::Admin,
        }
    }
}

impl ApiKeyRecord {
    /// Whether the key is valid at `now`.
    pub fn is_valid(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether the bearer has this permission: the only place that decides it.
    pub fn authorize(&self, need: AccessScope) -> Result<(), AccessRefusal> {
        if !self.role.allows(need) {
            return Err(AccessRefusal::Role);
        }
        match &self.scopes {
            Some(scopes) if !scopes.contains(&need) => Err(AccessRefusal::Scope),
            _ => Ok(()),
        }
    }

    /// The names of its scopes, if it is limited to some.
    pub fn scope_words(&self) -> Option<Vec<&'static str>> {
        self.scopes.as_ref().map(|scopes| scopes.iter().map(|need| need.word()).collect())
    }

    /// A scope that `wanted` grants and this key lacks: a limited key cannot grant more than it has.
    pub fn missing_scope(&self, wanted: Option<&BTreeSet<AccessScope>>) -> Option<AccessScope> {
        let own = self.scopes.as_ref()?;
        AccessScope::ALL
            .into_iter()
            .find(|need| !own.contains(need) && wanted.is_none_or(|wanted| wanted.contains(need)))
    }

    /// The status at `now`: `good`, `expired` or `revoked`.
    pub fn status(&self, now: Time) -> &'static str {
        match (self.revoked_at, self.is_valid(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "good",
            (None, false) => "expired",
        }
    }

    /// The key as JSON.
    pub fn as_json(&self, now: Time) -> Value {
        json!({
            "id": self.id, "name": self.name, "role": self.role, "tenant": self.tenant, "state": self.status(now),
            "created_at": self.created_at.to_string(),
            "expires_at": self.expires_at.map(|at| at.to_string()),
            "revoked_at": self.revoked_at.map(|at| at.to_string()),
            "per_minute": self.per_minute, "scopes": self.scope_words(),
        })
    }

    /// Checks the name of a key.
    ///
    /// # Errors
    /// The reason why it is invalid.
    pub fn check_name(name: &str) -> Result<(), String> {
        actor::check_name(name, NAME_CHARS_MAX)
    }
}

#[async_trait]
pub trait ApiKeyStore: Send + Sync {
    /// Stores a new key; durable when it returns.
    async fn add(&self, key: &ApiKeyRecord, hash: &KeyHash) -> Result<(), JournalError>;

    /// Stores a key only if there is none at all, so that two processes that start at once create one.
    async fn add_first(&self, key: &ApiKeyRecord, hash: &KeyHash) -> Result<bool, JournalError>;

    /// The key with this hash, valid or not.
    async fn find(&self, hash: &KeyHash) -> Result<Option<ApiKeyRecord>, JournalError>;

    /// A tenant's keys, valid or not, newest first: at most `limit` and [`PAGE_MAX`], those created before the key
    /// `before`.
    async fn list(
        &self,
        tenant: &TenantId,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ApiKeyRecord>, JournalError>;

    /// Stores `new` as the replacement of the same tenant's key `old`, which stays valid until `until`, or until its
    /// own end if that is earlier. Both changes or neither: returns `false` and stores nothing if `old` does not belong
    /// to that tenant or is not valid when `new` starts.
    async fn rotate(&self, old: &str, until: Time, new: &ApiKeyRecord, hash: &KeyHash) -> Result<bool, JournalError>;

    /// All of a tenant's keys, valid or not, newest first.
    async fn all(&self, tenant: &TenantId) -> Result<Vec<ApiKeyRecord>, JournalError> {
        let mut keys: Vec<ApiKeyRecord> = Vec::new();
        loop {
            let before = keys.last().map(|key| key.id.clone());
            let page = self.list(tenant, before.as_deref(), PAGE_MAX).await?;
            let is_last = page.len() < PAGE_MAX;
            keys.extend(page);
            if is_last {
                return Ok(keys);
            }
        }
    }

    /// Revokes the key from now on. Returns whether the tenant has such a key that was not revoked yet.
    async fn revoke(&self, tenant: &TenantId, id: &str, now: Time) -> Result<bool, JournalError>;
}
