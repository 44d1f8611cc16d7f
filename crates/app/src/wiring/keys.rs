//! Keys of models and of memory, in settings that say `{{ secrets.NAME }}` in place of a key.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use baton_store::sqlite::{SqliteStore, StoreOptions};
use baton_tools::{BoundSecret, SecretString, named_secret, secret_env_var};

use crate::project::{Project, display_path};
use crate::{UsageError, vault};

/// The settings that contain keys, with the references resolved.
pub struct KeyedConfigs {
    pub models: baton_models::ModelsConfig,
    pub memory: baton_memory::MemoryConfig,
}

/// All secrets of the project's tenant: those in the settings, then those that are sealed in the database.
pub fn all_secrets(project: &Project, store: &SqliteStore) -> anyhow::Result<BTreeMap<String, BoundSecret>> {
    let ring = vault::KeyRing::of(&project.settings.secrets, &project.root)?;
    let mut all = project.settings.tools.secrets.clone();
    for (name, secret) in vault::open_secrets(store, &project.tenant()?, ring)? {
        // A secret in the settings takes precedence.
        all.entry(name).or_insert_with(|| SecretString::new(secret).into());
    }
    Ok(all)
}

/// The names of all secrets, for callers without an open database. Omits the sealed secrets if the database cannot be
/// opened.
pub fn secret_names(project: &Project) -> BTreeSet<String> {
    let database = project.database();
    let sealed = || {
        let store = SqliteStore::open(&database, StoreOptions::default()).ok()?;
        vault::secret_names(&store, &project.tenant().ok()?).ok()
    };
    let sealed = database.exists().then(sealed).flatten().unwrap_or_default();
    project.settings.tools.secrets.keys().cloned().chain(sealed).collect()
}

impl KeyedConfigs {
    /// Resolves the references with these secrets.
    ///
    /// # Errors
    /// A setting references a secret that does not exist, or that may not be sent to the address the key is for.
    pub fn resolve_keys(project: &Project, secrets: &BTreeMap<String, BoundSecret>) -> anyhow::Result<Self> {
        let (mut models, mut memory) = (project.settings.models.clone(), project.settings.memory.clone());
        let find = |setting: &str, text: &str, to: &str| key(secrets, setting, text, to);
        models.resolve_keys(find)?;
        memory.resolve_key(find)?;
        Ok(Self { models, memory })
    }

    /// Resolves the references for callers without an open database. The database is read only if a setting references
    /// a secret that is not in the settings.
    pub fn resolve_without_store(project: &Project) -> anyhow::Result<Self> {
        let written = &project.settings.tools.secrets;
        let database = project.database();
        match Self::resolve_keys(project, written) {
            Err(_) if database.exists() => {
                let store = SqliteStore::open(&database, StoreOptions::default());
                let store = store.with_context(|| format!("{} cannot be opened", display_path(&database)))?;
                Self::resolve_keys(project, &all_secrets(project, &store)?)
            }
            keyed => keyed,
        }
    }
}

/// The key that a setting refers to, if it is a reference.
fn key(
    secrets: &BTreeMap<String, BoundSecret>,
    setting: &str,
    text: &str,
    to: &str,
) -> Result<Option<String>, UsageError> {
    let Some(name) = named_secret(text) else { return Ok(None) };
    let Some(bound) = secrets.get(name) else {
        let misuse = UsageError::new(format!("{setting}: there is no secret `{name}`"));
        return Err(misuse.hint(format!("`baton secrets set {name}`, or set {}", secret_env_var(name))));
    };
    let Some(key) = bound.for_address(to) else {
        let misuse = UsageError::new(format!("{setting}: the secret `{name}` may not go to {to}"));
        return Err(misuse.hint(format!("name its scheme, host and port among `origins` of tools.secrets.{name}")));
    };
    Ok(Some(key.to_owned()))
}
