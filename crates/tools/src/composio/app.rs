//! One toolkit with its settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::tool::EffectClass;
use serde_json::{Map, Value};

use super::config::{ComposioConfig, EntitySource};
use crate::definition::ToolProfile;
use crate::openapi::is_wanted;
use crate::rate::CallRate;

#[derive(Debug)]
pub(super) struct ConfiguredApp {
    pub(super) slug: String,
    /// The pinned version, if the settings pin one.
    pub(super) version: Option<String>,
    pub(super) is_trusted: bool,
    pub(super) source: EntitySource,
    pub(super) auth_config: Option<String>,
    /// The rate limit of all its actions together.
    pub(super) rate: Option<(Arc<str>, CallRate)>,
    pub(super) timeout_ms: u64,
    include: Vec<String>,
    exclude: Vec<String>,
    action_profiles: BTreeMap<String, ToolProfile>,
}

impl ConfiguredApp {
    pub(super) fn new(config: &ComposioConfig, slug: &str) -> Result<Self, String> {
        let own = config.app.get(slug).cloned().unwrap_or_default();
        let said = own.action.iter().map(|(name, fields)| Ok((name.clone(), read_profile(slug, name, fields)?)));
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
            action_profiles: said.collect::<Result<_, String>>()?,
        })
    }

    /// Returns whether the settings include an action, by its name without the app's prefix.
    pub(super) fn includes(&self, action: &str) -> bool {
        is_wanted(&self.include, &self.exclude, action)
    }

    /// The settings of an action.
    pub(super) fn action_profile(&self, action: &str, tool: &str) -> ToolProfile {
        let mut said = self.action_profiles.get(action).cloned().unwrap_or_default();
        tool.clone_into(&mut said.name);
        said
    }
}

fn read_profile(app: &str, action: &str, fields: &Map<String, Value>) -> Result<ToolProfile, String> {
    let place = format!("`app.{app}.action.{action}`");
    let mut fields = fields.clone();
    if fields.insert("name".to_owned(), Value::from(format!("{app}.{action}"))).is_some() {
        return Err(format!("{place}: an action's name is Composio's"));
    }
    let profile = ToolProfile::extract(&mut fields).map_err(|mistake| format!("{place}: {mistake}"))?;
    if let Some(unknown) = fields.keys().next() {
        return Err(format!("{place}: unknown field `{unknown}`"));
    }
    match profile.class {
        // A retry under the same key would act again.
        Some(class @ (EffectClass::Keyed | EffectClass::Verify)) => {
            let word = if class == EffectClass::Keyed { "keyed" } else { "verify" };
            Err(format!(
                "{place}: Composio takes no idempotency key, so nothing of it is `{word}`; say `read` or `once`"
            ))
        }
        Some(EffectClass::Pure | EffectClass::Read | EffectClass::Once) | None => Ok(profile),
    }
}
