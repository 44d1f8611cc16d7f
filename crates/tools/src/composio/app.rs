//! One toolkit, with what the settings say of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::tool::Class;
use serde_json::{Map, Value};

use super::config::{Config, EntitySource};
use crate::definition::Profile;
use crate::openapi::is_wanted;
use crate::rate::Rate;

#[derive(Debug)]
pub(super) struct App {
    pub(super) slug: String,
    /// The pinned version, where the settings pin one.
    pub(super) version: Option<String>,
    pub(super) is_trusted: bool,
    pub(super) source: EntitySource,
    pub(super) auth_config: Option<String>,
    /// What all its actions together may be called.
    pub(super) rate: Option<(Arc<str>, Rate)>,
    pub(super) timeout_ms: u64,
    include: Vec<String>,
    exclude: Vec<String>,
    said: BTreeMap<String, Profile>,
}

impl App {
    pub(super) fn new(config: &Config, slug: &str) -> Result<Self, String> {
        let own = config.app.get(slug).cloned().unwrap_or_default();
        let said = own.action.iter().map(|(name, fields)| Ok((name.clone(), said(slug, name, fields)?)));
        let rate = own.rate.or(config.rate);
        Ok(Self {
            slug: slug.to_owned(),
            version: own.version,
            is_trusted: own.trusted.unwrap_or(config.trusted),
            source: own.entity_id_source.unwrap_or_else(|| config.entity_id_source.clone()),
            auth_config: own.auth_config_id,
            rate: rate.map(|rate| (format!("{slug}.*").into(), rate)),
            timeout_ms: config.timeout_ms.max(1),
            include: own.include,
            exclude: own.exclude,
            said: said.collect::<Result<_, String>>()?,
        })
    }

    /// Whether the settings choose an action, by its name without the app's.
    pub(super) fn wants(&self, action: &str) -> bool {
        is_wanted(&self.include, &self.exclude, action)
    }

    /// What the settings say of an action.
    pub(super) fn said(&self, action: &str, tool: &str) -> Profile {
        let mut said = self.said.get(action).cloned().unwrap_or_default();
        tool.clone_into(&mut said.name);
        said
    }
}

fn said(app: &str, action: &str, fields: &Map<String, Value>) -> Result<Profile, String> {
    let place = format!("`app.{app}.action.{action}`");
    let mut fields = fields.clone();
    if fields.insert("name".to_owned(), Value::from(format!("{app}.{action}"))).is_some() {
        return Err(format!("{place}: an action's name is Composio's"));
    }
    let profile = Profile::take(&mut fields).map_err(|mistake| format!("{place}: {mistake}"))?;
    if let Some(unknown) = fields.keys().next() {
        return Err(format!("{place}: unknown field `{unknown}`"));
    }
    match profile.class {
        // Sent again under one key, it would act again.
        Some(class @ (Class::Keyed | Class::Verify)) => {
            let word = if class == Class::Keyed { "keyed" } else { "verify" };
            Err(format!(
                "{place}: Composio takes no idempotency key, so nothing of it is `{word}`; say `read` or `once`"
            ))
        }
        Some(Class::Pure | Class::Read | Class::Once) | None => Ok(profile),
    }
}
