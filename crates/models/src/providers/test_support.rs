//! Helpers for the tests of the providers.

use std::sync::Arc;
use std::time::Duration;

use baton_core::model::{ModelMessage, ModelProfile, ModelRequest, ModelToolCall, ToolOffer};
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::models::{ConsumerKey, DeltaSender, ModelCaller};
use serde_json::{Value, json};

use super::stub_server::{StubAnswer, StubServer};
use super::{ModelProvider, ProviderApi, ProviderError, ProviderReply, ProviderRequest, ProviderSite};
use crate::catalogue::{ModelCatalogue, ModelSpec};

pub(crate) const KEY: &str = "sk-test-0123456789";
/// Longer than any test takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// Short enough to wait for.
pub(crate) const SHORT: Duration = Duration::from_millis(60);

/// Recorded bytes.
macro_rules! testdata {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/", $name)).as_slice()
    };
}
pub(crate) use testdata;

/// Always 1994-11-06T08:49:07Z.
pub(crate) struct FixedInstantClock;

impl Clock for FixedInstantClock {
    fn now(&self) -> Time {
        Time::from_ms(784_111_747_000)
    }
}

/// A request whose messages are written as `role: text`, with role `s`, `u`, `a` or `t`.
pub(crate) fn request(agent: &str, messages: &[&str]) -> ModelRequest {
    let message = |text: &&str| {
        let (role, content) = text.split_once(": ").expect("`role: text`");
        let content = content.to_owned();
        match role {
            "s" => ModelMessage::system(content),
            "u" => ModelMessage::user(content),
            "a" => ModelMessage::Assistant { content, tool_calls: Vec::new(), thinking: None, name: None },
            "t" => ModelMessage::Tool { tool_call_id: "c1".into(), content },
            other => panic!("no role `{other}`"),
        }
    };
    ModelRequest {
        agent: agent.to_owned(),
        profile: ModelProfile::Fast,
        messages: messages.iter().map(message).collect(),
        ..ModelRequest::default()
    }
}

/// A conversation in which a tool was called.
pub(crate) fn with_tools() -> ModelRequest {
    let tool = |name: &str, description: &str, parameters| ToolOffer {
        name: name.into(),
        description: description.into(),
        parameters,
        strict: None,
    };
    let called = ModelMessage::Assistant {
        content: String::new(),
        tool_calls: vec![ModelToolCall {
            id: "call_1".into(),
            name: "shopify.get_order".into(),
            arguments: json!({"id": "12345"}),
        }],
        thinking: None,
        name: None,
    };
    let result = ModelMessage::Tool { tool_call_id: "call_1".into(), content: r#"{"status":"shipped"}"#.into() };
    let mut request = request("helper", &["s: Be kind.", "u: Where is order 12345?"]);
    request.messages.extend([called, result]);
    request.tools = vec![
        tool("shopify.get_order", "An order", json!({"type": "object", "properties": {"id": {"type": "string"}}})),
        tool("search_kb", "", Value::Null),
    ];
    request.schema = Some(json!({"type": "object", "properties": {"a": {"type": "string"}}}));
    request.max_tokens = Some(200);
    request
}

/// The caller of an attempt, counted from 1.
pub(crate) fn asker(attempt: u32) -> ModelCaller {
    ModelCaller { run: Some("r1".into()), ..ModelCaller::of("clinic".into(), format!("r1/ask/0/{}", attempt - 1)) }
}

pub(crate) fn spec(model: &str) -> Option<ModelSpec> {
    ModelCatalogue::shipped().expect("a catalogue").find(model).cloned()
}

/// One call at one site, with the parameters that tests vary.
pub(crate) struct ProviderFixture {
    pub site: ProviderSite,
    pub request: ModelRequest,
    pub model: &'static str,
    pub spec: Option<ModelSpec>,
    pub limit: Duration,
    pub first_token: Option<Duration>,
    /// The consumer's key.
    pub key: Option<ConsumerKey>,
    pub pieces: Option<DeltaSender>,
}

impl ProviderFixture {
    pub fn openai(base_url: &str) -> Self {
        Self::to(ProviderApi::OpenAi, base_url, "gpt-4-turbo")
    }

    pub fn anthropic(base_url: &str) -> Self {
        Self::to(ProviderApi::Anthropic, base_url, "claude-sonnet-4-5")
    }

    pub fn to(api: ProviderApi, base_url: &str, model: &'static str) -> Self {
        let site = ProviderSite {
            setting_path: "models".into(),
            name: "here".into(),
            api,
            base_url: Some(base_url.to_owned()),
            key: Some(ConsumerKey::new(KEY)),
            connect_timeout: LONG,
            structured: None,
        };
        Self {
            site,
            request: request("helper", &["u: Hello!"]),
            model,
            spec: spec(model),
            limit: LONG,
            first_token: None,
            key: None,
            pieces: None,
        }
    }

    pub fn streaming(self) -> Self {
        Self { first_token: Some(LONG), ..self }
    }

    pub fn of(self, request: ModelRequest) -> Self {
        Self { request, ..self }
    }

    /// Uses another model, with the catalogue's facts about it.
    pub fn model(self, model: &'static str) -> Self {
        Self { model, spec: spec(model), ..self }
    }

    pub async fn ask(&self) -> Result<ProviderReply, ProviderError> {
        let provider = self.site.build(Arc::new(FixedInstantClock)).expect("a client");
        self.ask_by(provider.as_ref()).await
    }

    /// Whether the provider enforces the schema of the reply.
    pub fn holds(&self) -> bool {
        let provider = self.site.build(Arc::new(FixedInstantClock)).expect("a client");
        provider.enforces_schema(&self.by(&asker(1)))
    }

    pub async fn ask_by(&self, provider: &dyn ModelProvider) -> Result<ProviderReply, ProviderError> {
        provider.ask(&self.by(&asker(1))).await
    }

    fn by<'a>(&'a self, asker: &'a ModelCaller) -> ProviderRequest<'a> {
        ProviderRequest {
            asker,
            request: &self.request,
            model: self.model,
            spec: self.spec.as_ref(),
            limit: self.limit,
            first_token: self.first_token,
            key: self.key.as_ref(),
            pieces: self.pieces.as_ref(),
        }
    }
}

/// Calls a server that gives this answer, and returns the body that was sent.
pub(super) async fn ask_stub(
    answer: StubAnswer,
    call: impl FnOnce(&str) -> ProviderFixture,
) -> (Result<ProviderReply, ProviderError>, Value) {
    let server = StubServer::start(vec![answer]).await;
    let outcome = call(&server.base_url).ask().await;
    (outcome, last_request_body(&server))
}

/// The body of the last request that a server has received.
pub(super) fn last_request_body(server: &StubServer) -> Value {
    let heard = server.requests();
    let body = heard.last().and_then(|request| request.split_once("\r\n\r\n"));
    body.map_or(Value::Null, |(_, body)| serde_json::from_str(body).expect("JSON"))
}
