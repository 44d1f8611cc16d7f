//! API keys: who may come in, and on whose behalf. Only a key's hash is ever stored.

use std::collections::BTreeSet;

use async_trait::async_trait;
use baton_core::actor;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::journal::JournalError;

/// Keys of one page of a list, at the most.
pub const PAGE_MAX: usize = 500;
/// Characters of a key's name.
pub const NAME_CHARS_MAX: usize = 100;
/// Days a key is good for unless told, and at most.
pub const DAYS_DEFAULT: u32 = 90;
pub const DAYS_MAX: u32 = 3_650;
/// Hours a key that was rotated is still good for unless told, and at most.
pub const OVERLAP_HOURS_DEFAULT: u32 = 24;
pub const OVERLAP_HOURS_MAX: u32 = 720;

/// SHA-256 of a key. Keys are 256 random bits, so a plain hash hides them and nothing slower is needed.
pub type KeyHash = [u8; 32];

/// An API key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyRecord {
    /// What lists and audit rows call it.
    pub id: String,
    pub tenant: TenantId,
    /// For people.
    pub name: String,
    pub role: AccessRole,
    pub created_at: Time,
    pub expires_at: Option<Time>,
    pub revoked_at: Option<Time>,
    /// Requests in a minute; nothing: as the settings have it, 0: as many as one likes.
    pub per_minute: Option<u32>,
    /// What of all that its role may it may; nothing: all of it.
    pub scopes: Option<BTreeSet<AccessScope>>,
}

/// Who a key's bearer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessRole {
    /// Everything, keys included.
    Admin,
    /// Makes workflows, and tries them.
    Builder,
    /// Decides what becomes of runs.
    Operator,
    /// Answers what waits for people.
    HumanAgent,
    /// A program: asks models and runs workflows.
    Service,
}

/// What somebody wants to do. Its word is a scope of a key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessScope {
    /// Look, and change nothing.
    #[serde(rename = "read")]
    Look,
    /// Ask models, begin runs, and say what customers say.
    Run,
    /// Answer what waits for people.
    Answer,
    /// Make what others run and know: workflows, agents, knowledge.
    Build,
    /// Decide what becomes of runs and of models, and which version of a workflow runs.
    Operate,
    /// Say who comes in, and erase customers.
    Administer,
}

/// Why a key may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRefusal {
    /// Its role may not.
    Role,
    /// Its scopes do not name it.
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

    /// Whether it undoes what this role set: its own, and what is below. Only an admin is above others.
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
    /// Whether it opens a door at `now`.
    pub fn is_valid(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether its bearer may do this: the one place that says so.
    pub fn authorize(&self, need: AccessScope) -> Result<(), AccessRefusal> {
        if !self.role.allows(need) {
            return Err(AccessRefusal::Role);
        }
        match &self.scopes {
            Some(scopes) if !scopes.contains(&need) => Err(AccessRefusal::Scope),
            _ => Ok(()),
        }
    }

    /// Its scopes in words, where it is limited to some.
    pub fn scope_words(&self) -> Option<Vec<&'static str>> {
        self.scopes.as_ref().map(|scopes| scopes.iter().map(|need| need.word()).collect())
    }

    /// A scope that `wanted` lets somebody have and this key has not: whoever is limited gives nobody more.
    pub fn missing_scope(&self, wanted: Option<&BTreeSet<AccessScope>>) -> Option<AccessScope> {
        let own = self.scopes.as_ref()?;
        AccessScope::ALL
            .into_iter()
            .find(|need| !own.contains(need) && wanted.is_none_or(|wanted| wanted.contains(need)))
    }

    /// How it stands at `now`: `good`, `expired` or `revoked`.
    pub fn status(&self, now: Time) -> &'static str {
        match (self.revoked_at, self.is_valid(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "good",
            (None, false) => "expired",
        }
    }

    /// For programs.
    pub fn as_json(&self, now: Time) -> Value {
        json!({
            "id": self.id, "name": self.name, "role": self.role, "tenant": self.tenant, "state": self.status(now),
            "created_at": self.created_at.to_string(),
            "expires_at": self.expires_at.map(|at| at.to_string()),
            "revoked_at": self.revoked_at.map(|at| at.to_string()),
            "per_minute": self.per_minute, "scopes": self.scope_words(),
        })
    }

    /// Whether a key may be called so.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn check_name(name: &str) -> Result<(), String> {
        actor::check_name(name, NAME_CHARS_MAX)
    }
}

#[async_trait]
pub trait ApiKeyStore: Send + Sync {
    /// Keeps a new key; durable when it returns.
    async fn add(&self, key: &ApiKeyRecord, hash: &KeyHash) -> Result<(), JournalError>;

    /// Keeps a key only where there is none at all, so that two processes that start at once make one.
    async fn add_first(&self, key: &ApiKeyRecord, hash: &KeyHash) -> Result<bool, JournalError>;

    /// The key of this hash, whether it is valid or not.
    async fn find(&self, hash: &KeyHash) -> Result<Option<ApiKeyRecord>, JournalError>;

    /// A tenant's keys, valid or not, newest first: at most `limit` and [`PAGE_MAX`], those made before the key `before`.
    async fn list(
        &self,
        tenant: &TenantId,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ApiKeyRecord>, JournalError>;

    /// Keeps `new` in place of its tenant's key `old`, which opens doors until `until` and no longer, or until its own end
    /// where that comes first. Both or neither: nothing is kept, and `false` said, where `old` is not that tenant's or is
    /// not valid when `new` begins.
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

    /// From here on the key opens no door. Whether the tenant has such a key that was not revoked yet.
    async fn revoke(&self, tenant: &TenantId, id: &str, now: Time) -> Result<bool, JournalError>;
}
