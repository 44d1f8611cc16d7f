//! Which providers the settings define, and how each is reached.

use std::collections::BTreeMap;

use baton_expr::nearest;
use baton_ports::models::ConsumerKey;

use super::{ModelsConfig, ProviderKind, ProviderSettings};
use crate::error::ModelsError;
use crate::providers::{ProviderApi, ProviderSite, anthropic, openai};

/// The provider of models that name none.
pub(crate) const DEFAULT: &str = "openai";
const SCRIPT: &str = "script";

/// A provider to be created.
#[derive(Clone, Debug)]
pub(crate) struct ProviderPlan {
    pub name: String,
    pub kind: ProviderKind,
    /// Where it is; `None` for files.
    pub site_settings: Option<ProviderSite>,
}

impl ModelsConfig {
    /// Whether all replies come from files: because the settings request it, or because no provider is configured.
    pub fn is_scripted(&self) -> bool {
        self.plans().is_ok_and(|plans| plans.iter().all(|plan| plan.kind == ProviderKind::Script))
    }

    /// Makes all replies come from files, whatever else is configured.
    pub fn script_only(&mut self) {
        self.provider = Some(SCRIPT.to_owned());
    }

    /// Returns the names and base URLs of the providers that are reached over the network; no URL means the public one.
    ///
    /// # Errors
    /// Those of [`ModelGateway::new`](crate::ModelGateway::new).
    pub fn remote_providers(&self) -> Result<Vec<(String, ProviderKind, Option<String>)>, ModelsError> {
        let remote = |plan: ProviderPlan| Some((plan.name, plan.kind, plan.site_settings?.base_url));
        Ok(self.plans()?.into_iter().filter_map(remote).collect())
    }

    /// Reads API keys from the environment variables that the settings name.
    pub fn fill_keys_from_env(&mut self, variable: impl Fn(&str) -> Option<String>) {
        for settings in self.providers.values_mut().filter(|settings| settings.api_key.is_none()) {
            settings.api_key = settings.api_key_env.as_deref().and_then(&variable).map(super::ProviderApiKey::new);
        }
    }

    /// Resolves references to API keys. `find` gets the setting, its text, and the address the key is for, and returns
    /// the key if the text is a reference. Not called if all replies come from files.
    ///
    /// # Errors
    /// The first error of `find`.
    pub fn resolve_keys<E>(
        &mut self,
        mut find: impl FnMut(&str, &str, &str) -> Result<Option<String>, E>,
    ) -> Result<(), E> {
        if self.uses_only_files() {
            return Ok(());
        }
        let first = self.provider.as_deref().unwrap_or(DEFAULT).to_owned();
        let short = address(&first, text(self.base_url.as_deref()), self.providers.get(&first));
        let own = self.providers.iter_mut().filter_map(|(name, settings)| {
            let to = if *name == first { short.clone() } else { address(name, None, Some(&*settings)) };
            Some((format!("models.providers.{name}.api_key"), to, settings.api_key.as_mut()?))
        });
        let own: Vec<_> = own.collect();
        let shared = self.api_key.as_mut().map(|key| ("models.api_key".to_owned(), short.clone(), key));
        for (setting, to, key) in own.into_iter().chain(shared) {
            if let Some(found) = find(&setting, key.secret(), &to)? {
                *key = super::ProviderApiKey::new(found);
            }
        }
        Ok(())
    }

    /// Whether no server is called, whatever else is configured.
    fn uses_only_files(&self) -> bool {
        self.provider.as_deref() == Some(SCRIPT) && !self.providers.contains_key(SCRIPT)
    }

    /// Returns all providers, the default one first.
    pub(crate) fn plans(&self) -> Result<Vec<ProviderPlan>, ModelsError> {
        if self.uses_only_files() {
            return Ok(vec![script(SCRIPT)]);
        }
        let asked = self.provider.as_deref();
        if let Some(name) =
            asked.filter(|name| !self.providers.contains_key(*name) && ProviderKind::of_word(name).is_none())
        {
            return Err(unknown(name, self.providers.keys().map(String::as_str)));
        }
        let mut plans = BTreeMap::new();
        for (name, settings) in self.merged_settings() {
            plans.insert(name.clone(), self.plan(&name, &settings)?);
        }
        let first = match asked {
            // A provider that is selected by name may lack a key of its own: consumers may bring theirs.
            Some(name) if !plans.contains_key(name) => {
                plans.insert(name.to_owned(), self.plan(name, &ProviderSettings::default())?);
                name.to_owned()
            }
            Some(name) => name.to_owned(),
            None if plans.contains_key(DEFAULT) => DEFAULT.to_owned(),
            None => match plans.keys().next() {
                Some(name) => name.clone(),
                None => return Ok(vec![script(SCRIPT)]),
            },
        };
        let first = plans.remove(&first);
        Ok(first.into_iter().chain(plans.into_values()).collect())
    }

    /// The settings of each provider, with the short form applied to the default provider. An entry that contains only
    /// a blank key comes from an empty environment variable.
    fn merged_settings(&self) -> BTreeMap<String, ProviderSettings> {
        let is_blank = |settings: &ProviderSettings| {
            let has_key = settings.api_key.as_ref().is_some_and(|key| !key.is_blank());
            settings.api_key.is_some() && !has_key && settings.base_url.is_none()
        };
        let mut all = self.providers.clone();
        all.retain(|_, settings| !is_blank(settings));
        let key = self.api_key.as_ref().filter(|key| !key.is_blank());
        let base_url = text(self.base_url.as_deref());
        if key.is_some() || base_url.is_some() {
            let settings = all.entry(self.provider.as_deref().unwrap_or(DEFAULT).to_owned()).or_default();
            settings.base_url = base_url.map(str::to_owned).or(settings.base_url.take());
            settings.api_key = key.cloned().or(settings.api_key.take());
        }
        all
    }

    fn plan(&self, name: &str, settings: &ProviderSettings) -> Result<ProviderPlan, ModelsError> {
        let place =
            if self.providers.contains_key(name) { format!("models.providers.{name}") } else { "models".into() };
        let base_url = text(settings.base_url.as_deref());
        let kind =
            settings.kind.or(ProviderKind::of_word(name)).or(base_url.map(|_| ProviderKind::OpenAi)).ok_or_else(
                || {
                    let known = ProviderKind::ALL.map(ProviderKind::word).join(", ");
                    let problem = format!("say which API it speaks ({known}), or write its `base_url`");
                    ModelsError::Setting { setting: format!("{place}.provider"), problem }
                },
            )?;
        let api = match kind {
            ProviderKind::Script => return Ok(script(name)),
            ProviderKind::OpenAi => ProviderApi::OpenAi,
            ProviderKind::Anthropic => ProviderApi::Anthropic,
            ProviderKind::Azure => ProviderApi::Azure { api_version: settings.azure_api_version.clone() },
        };
        let key = settings.api_key.as_ref().filter(|key| !key.is_blank());
        let site = ProviderSite {
            setting_path: place,
            name: name.to_owned(),
            api,
            base_url: base_url.map(str::to_owned),
            key: key.map(|key| ConsumerKey::new(key.secret())),
            connect_timeout: self.connect_timeout,
            structured: settings.structured_output.or(self.structured_output),
        };
        Ok(ProviderPlan { name: name.to_owned(), kind, site_settings: Some(site) })
    }
}

/// The address of a provider, from the short form or its own settings.
fn address(name: &str, short: Option<&str>, settings: Option<&ProviderSettings>) -> String {
    let written = short.or(settings.and_then(|settings| text(settings.base_url.as_deref())));
    let kind = settings.and_then(|settings| settings.kind).or(ProviderKind::of_word(name));
    written.unwrap_or_else(|| public_base_url(kind)).to_owned()
}

/// The default base URL of an API; Azure has none.
fn public_base_url(kind: Option<ProviderKind>) -> &'static str {
    match kind {
        Some(ProviderKind::Anthropic) => anthropic::PUBLIC,
        Some(ProviderKind::Azure | ProviderKind::Script) => "",
        Some(ProviderKind::OpenAi) | None => openai::PUBLIC,
    }
}

fn script(name: &str) -> ProviderPlan {
    ProviderPlan { name: name.to_owned(), kind: ProviderKind::Script, site_settings: None }
}

fn text(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn unknown<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> ModelsError {
    let known: Vec<&str> = known.chain(ProviderKind::ALL.map(ProviderKind::word)).collect();
    let way = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write [models.providers.{name}], or one of {}", known.join(", ")),
    };
    ModelsError::Setting {
        setting: "models.provider".into(),
        problem: format!("no provider `{name}` is set up; {way}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(settings: Value) -> ModelsConfig {
        serde_json::from_value(settings).expect("settings")
    }

    /// The providers as `name kind`, the default first; `*` marks one with a key.
    fn planned(settings: Value) -> Vec<String> {
        let shown = |plan: &ProviderPlan| {
            let has_key = plan.site_settings.as_ref().is_some_and(|site| site.key.is_some());
            format!("{} {}{}", plan.name, plan.kind.word(), if has_key { "*" } else { "" })
        };
        config(settings).plans().expect("plans").iter().map(shown).collect()
    }

    fn refused(settings: Value) -> String {
        config(settings).plans().expect_err("it is refused").to_string()
    }

    #[test]
    fn a_key_or_a_base_url_means_a_server_and_nothing_means_the_script() {
        assert_eq!(planned(json!({})), ["script script"]);
        assert_eq!(planned(json!({"api_key": ""})), ["script script"]);
        assert_eq!(planned(json!({"api_key": "sk-1"})), ["openai openai*"]);
        assert_eq!(planned(json!({"base_url": "http://localhost:11434/v1"})), ["openai openai"]);
        assert_eq!(planned(json!({"api_key": "sk-1", "provider": "script"})), ["script script"]);
        assert_eq!(planned(json!({"provider": "openai"})), ["openai openai"]);
    }

    #[test]
    fn several_providers_stand_beside_each_other() {
        let both = json!({"api_key": "sk-1", "providers": {"anthropic": {"api_key": "sk-ant-1"}}});
        assert_eq!(planned(both), ["openai openai*", "anthropic anthropic*"]);
        let other = json!({"providers": {"anthropic": {"api_key": "k"}, "house": {"base_url": "http://h/v1"}},
            "provider": "house"});
        assert_eq!(planned(other), ["house openai", "anthropic anthropic*"]);
        let alone = json!({"providers": {"anthropic": {"api_key": "k"}}});
        assert_eq!(planned(alone), ["anthropic anthropic*"]);
        let empty_variable = json!({"api_key": "k", "providers": {"anthropic": {"api_key": " "}}});
        assert_eq!(planned(empty_variable), ["openai openai*"]);
    }

    #[test]
    fn the_short_form_is_for_the_provider_that_is_asked_first() {
        let azure = json!({"provider": "azure", "api_key": "k", "base_url": "https://mine.openai.azure.com",
            "providers": {"openai": {"api_key": "sk-1"}}});
        assert_eq!(planned(azure), ["azure azure*", "openai openai*"]);
        let settings = json!({"api_key": "sk-1", "base_url": "http://a/v1",
            "providers": {"openai": {"base_url": "http://b/v1", "structured_output": "prompt"}}});
        let plans = config(settings).plans().expect("plans");
        let site = plans[0].site_settings.as_ref().expect("a site");
        assert_eq!((site.base_url.as_deref(), site.key.is_some()), (Some("http://a/v1"), true));
        assert!(site.structured.is_some());
    }

    #[test]
    fn a_key_may_be_named_by_its_variable() {
        let house = json!({"base_url": "http://h/v1", "api_key_env": "HOUSE_KEY"});
        let mut config = config(json!({"providers": {"house": house, "anthropic": {"api_key_env": "NOT_SET"}}}));
        config.fill_keys_from_env(|name| (name == "HOUSE_KEY").then(|| "k".to_owned()));
        let plans = config.plans().expect("plans");
        let has_key = |plan: &ProviderPlan| plan.site_settings.as_ref().is_some_and(|site| site.key.is_some());
        let keys: Vec<_> = plans.iter().map(|plan| (plan.name.as_str(), has_key(plan))).collect();
        assert_eq!(keys, [("anthropic", false), ("house", true)]);
    }

    #[test]
    fn what_stands_for_a_key_is_asked_for_with_its_setting_and_where_it_goes() {
        let asked = |settings: Value| {
            let (mut config, mut asked) = (config(settings), Vec::new());
            let found = config.resolve_keys(|setting, text, to| {
                asked.push(format!("{setting} {text} {to}"));
                Ok::<_, ()>((text == "named").then(|| "k".to_owned()))
            });
            found.expect("nothing is missing");
            (asked, config)
        };
        let (told, config) = asked(json!({"api_key": "named", "providers": {
            "anthropic": {"api_key": "own"}, "house": {"base_url": "http://h/v1", "api_key": "named"}}}));
        assert_eq!(
            told,
            [
                "models.providers.anthropic.api_key own https://api.anthropic.com",
                "models.providers.house.api_key named http://h/v1",
                "models.api_key named https://api.openai.com/v1",
            ]
        );
        assert_eq!(config.api_key, Some(super::super::ProviderApiKey::new("k")));
        assert_eq!(config.providers["anthropic"].api_key, Some(super::super::ProviderApiKey::new("own")));
        assert_eq!(asked(json!({"provider": "script", "api_key": "named"})).0, [] as [&str; 0]);
    }

    #[test]
    fn what_cannot_be_a_provider_is_said_with_its_place() {
        assert!(refused(json!({"provider": "opnai", "api_key": "k"})).contains("did you mean `openai`?"));
        let vague = refused(json!({"providers": {"house": {"api_key": "k"}}}));
        assert!(vague.contains("models.providers.house.provider") && vague.contains("base_url"), "{vague}");
    }
}
