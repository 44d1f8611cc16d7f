//! The room's answer to the port: choose a model, ask its provider.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::model::{Reply, Request};
use baton_core::run::ModelFault;
use baton_ports::clock::Clock;
use baton_ports::models::{ApiKey, Asker, Models, Pieces};
use serde_json::Value;

use crate::catalogue::{Catalogue, Layer};
use crate::choose::choose;
use crate::config::{self, Config, Tiers};
use crate::error::Error;
use crate::providers::script::{Script, ScriptFile};
use crate::providers::{Api, Ask, Provider, Site};

/// One attempt at one model, whoever serves it. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Gateway {
    tiers: Tiers,
    catalogue: Catalogue,
    provider: Box<dyn Provider>,
    is_scripted: bool,
    first_token: Option<Duration>,
}

impl Gateway {
    /// Checks the settings and the scripts, all of them, whichever provider will answer. Connects to nothing.
    ///
    /// # Errors
    /// A setting or a script that cannot be used, with its place.
    pub fn new(config: &Config, scripts: &[ScriptFile], clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let script = Script::new(scripts)?;
        let settings = Layer { models: config.catalogue.clone(), ..Layer::default() };
        let catalogue = Catalogue::with([&settings])?;
        let is_scripted = config.provider() == config::Provider::Script;
        let provider: Box<dyn Provider> = if is_scripted { Box::new(script) } else { site(config).open(clock)? };
        if !is_scripted {
            for model in config.models.all().iter().filter(|model| catalogue.find(model).is_none()) {
                tracing::warn!(
                    model,
                    "no price is known for this model: its calls count as free until models.catalogue has it"
                );
            }
        }
        Ok(Self {
            tiers: config.models.clone(),
            catalogue,
            provider,
            is_scripted,
            first_token: config.first_token_timeout_ms.map(Duration::from_millis),
        })
    }

    /// Whether replies come from files: whoever shows them should say so.
    pub fn is_scripted(&self) -> bool {
        self.is_scripted
    }
}

fn site(config: &Config) -> Site {
    let (name, api) = match config.provider() {
        config::Provider::Anthropic => ("anthropic", Api::Anthropic),
        config::Provider::Azure => ("azure", Api::Azure { api_version: config.azure_api_version.clone() }),
        config::Provider::OpenAi | config::Provider::Script => ("openai", Api::OpenAi),
    };
    Site {
        place: "models".to_owned(),
        name: name.to_owned(),
        api,
        base_url: config.base_url().map(str::to_owned),
        key: config.api_key().map(|key| ApiKey::new(key.secret())),
        connect_timeout: config.connect_timeout,
        structured: config.structured_output,
    }
}

#[async_trait]
impl Models for Gateway {
    async fn ask(
        &self,
        asker: &Asker,
        request: &Request,
        limit: Duration,
        pieces: Option<&Pieces>,
    ) -> Result<Reply, ModelFault> {
        let choice = choose(request, &self.tiers, &self.catalogue);
        let ask = Ask {
            asker,
            request,
            model: &choice.model,
            spec: choice.spec,
            limit,
            first_token: self.first_token,
            key: asker.api_key.as_ref(),
            pieces,
        };
        self.provider.ask(&ask).await.map(|answered| answered.reply).map_err(|failure| failure.fault)
    }

    fn names(&self) -> Vec<String> {
        self.catalogue.names().map(str::to_owned).collect()
    }

    async fn explain(&self, _tenant: &TenantId, _key: &str) -> Option<Value> {
        None
    }
}

#[cfg(test)]
mod tests {
    use baton_ports::clock::SystemClock;
    use serde_json::json;

    use super::*;
    use crate::providers::rehearsal::{asker, request};

    fn gateway(config: serde_json::Value) -> Result<Gateway, Error> {
        let config: Config = serde_json::from_value(config).expect("settings");
        let scripts = [ScriptFile {
            name: "replies/a.yaml".into(),
            document: json!({"replies": [{"agent": "a", "content": "Hola"}]}),
        }];
        Gateway::new(&config, &scripts, Arc::new(SystemClock))
    }

    #[tokio::test]
    async fn without_a_key_the_script_answers() {
        let gateway = gateway(json!({"models": {"fast": "mine"}})).expect("a gateway");
        assert!(gateway.is_scripted());
        let models: &dyn Models = &gateway;
        let reply =
            models.ask(&asker(1), &request("a", &["u: hi"]), Duration::from_secs(1), None).await.expect("a reply");
        assert_eq!((reply.content.as_str(), reply.model.as_str()), ("Hola", "mine"));
    }

    #[test]
    fn with_a_key_a_server_answers_and_no_key_is_shown() {
        let gateway = gateway(json!({"api_key": "sk-secret"})).expect("a gateway");
        assert!(!gateway.is_scripted());
        assert!(!format!("{gateway:?}").contains("secret"));
    }

    #[test]
    fn each_provider_is_one_word_of_the_settings() {
        for provider in ["openai", "anthropic"] {
            let gateway = gateway(json!({"provider": provider, "api_key": "sk-secret"})).expect(provider);
            assert!(!gateway.is_scripted());
        }
        let azure = json!({"provider": "azure", "api_key": "k", "base_url": "https://mine.openai.azure.com"});
        assert!(gateway(azure).is_ok());
        assert_eq!(
            gateway(json!({"provider": "azure", "api_key": "k"})).expect_err("no resource").code(),
            "MODELS-001"
        );
    }

    #[test]
    fn a_setting_that_cannot_be_used_is_an_error() {
        assert_eq!(gateway(json!({"base_url": "nonsense"})).expect_err("an error").code(), "MODELS-001");
    }
}
