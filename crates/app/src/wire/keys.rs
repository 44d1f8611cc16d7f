//! Keys of models and of memory, where a setting says `{{ secrets.NAME }}` in place of one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use baton_store::sqlite::{Options, Store};
use baton_tools::{Bound, Secret, named_secret, variable_of_secret};

use crate::project::{Project, shown};
use crate::{Misuse, vault};

/// The settings that have keys, with the keys themselves in them.
pub struct Keyed {
    pub models: baton_models::Config,
    pub memory: baton_memory::Config,
}

/// All secrets of the project's tenant: those of the settings, and those that are sealed in the database behind them.
pub fn all(project: &Project, store: &Store) -> anyhow::Result<BTreeMap<String, Bound>> {
    let ring = vault::Ring::of(&project.settings.secrets, &project.root)?;
    let mut all = project.settings.tools.secrets.clone();
    for (name, secret) in vault::opened(store, &project.tenant()?, ring)? {
        // What the settings say comes first.
        all.entry(name).or_insert_with(|| Secret::new(secret).into());
    }
    Ok(all)
}

/// The names of all secrets, for who has no database open; without the sealed ones where that cannot be opened.
pub fn names_outside(project: &Project) -> BTreeSet<String> {
    let database = project.database();
    let sealed = || {
        let store = Store::open(&database, Options::default()).ok()?;
        vault::names(&store, &project.tenant().ok()?).ok()
    };
    let sealed = database.exists().then(sealed).flatten().unwrap_or_default();
    project.settings.tools.secrets.keys().cloned().chain(sealed).collect()
}

impl Keyed {
    /// By these secrets.
    ///
    /// # Errors
    /// A setting that names a secret which is not there, or may not go where the key is for.
    pub fn by(project: &Project, secrets: &BTreeMap<String, Bound>) -> anyhow::Result<Self> {
        let (mut models, mut memory) = (project.settings.models.clone(), project.settings.memory.clone());
        let find = |setting: &str, text: &str, to: &str| key(secrets, setting, text, to);
        models.keys_by(find)?;
        memory.key_by(find)?;
        Ok(Self { models, memory })
    }

    /// For who has no database open: it is looked into only where a setting names a secret that no other setting says.
    pub fn outside(project: &Project) -> anyhow::Result<Self> {
        let written = &project.settings.tools.secrets;
        let database = project.database();
        match Self::by(project, written) {
            Err(_) if database.exists() => {
                let store = Store::open(&database, Options::default());
                let store = store.with_context(|| format!("{} cannot be opened", shown(&database)))?;
                Self::by(project, &all(project, &store)?)
            }
            keyed => keyed,
        }
    }
}

/// The key that a setting stands for, where it stands for one.
fn key(secrets: &BTreeMap<String, Bound>, setting: &str, text: &str, to: &str) -> Result<Option<String>, Misuse> {
    let Some(name) = named_secret(text) else { return Ok(None) };
    let Some(bound) = secrets.get(name) else {
        let misuse = Misuse::new(format!("{setting}: there is no secret `{name}`"));
        return Err(misuse.hint(format!("`baton secrets set {name}`, or set {}", variable_of_secret(name))));
    };
    let Some(key) = bound.for_address(to) else {
        let misuse = Misuse::new(format!("{setting}: the secret `{name}` may not go to {to}"));
        return Err(misuse.hint(format!("name its scheme, host and port among `origins` of tools.secrets.{name}")));
    };
    Ok(Some(key.to_owned()))
}
