//! What the tests of this room share.

use std::sync::Arc;
use std::time::Duration;

use baton_core::model::{Message, Profile, Request, ToolCall, ToolOffer};
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::models::{ApiKey, Asker, Pieces};
use serde_json::{Value, json};

use super::server::{Answer, Server};
use super::{Answered, Api, Ask, Failure, Provider, Site};
use crate::catalogue::{Catalogue, Spec};

pub(crate) const KEY: &str = "sk-test-0123456789";
/// Longer than any test takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// Short enough to be waited for.
pub(crate) const SHORT: Duration = Duration::from_millis(60);

/// Recorded bytes.
macro_rules! testdata {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/", $name)).as_slice()
    };
}
pub(crate) use testdata;

/// 1994-11-06T08:49:07Z, for ever.
pub(crate) struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Time {
        Time::from_ms(784_111_747_000)
    }
}

/// A request whose messages are written as `role: text`, with role `s`, `u`, `a` or `t`.
pub(crate) fn request(agent: &str, messages: &[&str]) -> Request {
    let message = |text: &&str| {
        let (role, content) = text.split_once(": ").expect("`role: text`");
        let content = content.to_owned();
        match role {
            "s" => Message::system(content),
            "u" => Message::user(content),
            "a" => Message::Assistant { content, tool_calls: Vec::new(), thinking: None, name: None },
            "t" => Message::Tool { tool_call_id: "c1".into(), content },
            other => panic!("no role `{other}`"),
        }
    };
    Request {
        agent: agent.to_owned(),
        profile: Profile::Fast,
        messages: messages.iter().map(message).collect(),
        ..Request::default()
    }
}

/// A conversation in which a tool was called.
pub(crate) fn with_tools() -> Request {
    let tool = |name: &str, description: &str, parameters| ToolOffer {
        name: name.into(),
        description: description.into(),
        parameters,
        strict: None,
    };
    let called = Message::Assistant {
        content: String::new(),
        tool_calls: vec![ToolCall {
            id: "call_1".into(),
            name: "shopify.get_order".into(),
            arguments: json!({"id": "12345"}),
        }],
        thinking: None,
        name: None,
    };
    let result = Message::Tool { tool_call_id: "call_1".into(), content: r#"{"status":"shipped"}"#.into() };
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

/// The asker of an attempt, counted from 1.
pub(crate) fn asker(attempt: u32) -> Asker {
    Asker { run: Some("r1".into()), ..Asker::of("clinic".into(), format!("r1/ask/0/{}", attempt - 1)) }
}

pub(crate) fn spec(model: &str) -> Option<Spec> {
    Catalogue::shipped().expect("a catalogue").find(model).cloned()
}

/// One call at one site, and what a test varies of it.
pub(crate) struct Call {
    pub site: Site,
    pub request: Request,
    pub model: &'static str,
    pub spec: Option<Spec>,
    pub limit: Duration,
    pub first_token: Option<Duration>,
    /// The consumer's.
    pub key: Option<ApiKey>,
    pub pieces: Option<Pieces>,
}

impl Call {
    pub fn openai(base_url: &str) -> Self {
        Self::to(Api::OpenAi, base_url, "gpt-4-turbo")
    }

    pub fn anthropic(base_url: &str) -> Self {
        Self::to(Api::Anthropic, base_url, "claude-sonnet-4-5")
    }

    pub fn to(api: Api, base_url: &str, model: &'static str) -> Self {
        let site = Site {
            place: "models".into(),
            name: "here".into(),
            api,
            base_url: Some(base_url.to_owned()),
            key: Some(ApiKey::new(KEY)),
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

    pub fn of(self, request: Request) -> Self {
        Self { request, ..self }
    }

    /// Of another model, with what the catalogue knows of it.
    pub fn model(self, model: &'static str) -> Self {
        Self { model, spec: spec(model), ..self }
    }

    pub async fn ask(&self) -> Result<Answered, Failure> {
        let provider = self.site.open(Arc::new(Stopped)).expect("a client");
        self.ask_by(provider.as_ref()).await
    }

    /// Whether the provider holds the reply to its form.
    pub fn holds(&self) -> bool {
        let provider = self.site.open(Arc::new(Stopped)).expect("a client");
        provider.holds(&self.by(&asker(1)))
    }

    pub async fn ask_by(&self, provider: &dyn Provider) -> Result<Answered, Failure> {
        provider.ask(&self.by(&asker(1))).await
    }

    fn by<'a>(&'a self, asker: &'a Asker) -> Ask<'a> {
        Ask {
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

/// Asks a server that gives this answer, and shows the body it was sent.
pub(super) async fn answered(answer: Answer, call: impl FnOnce(&str) -> Call) -> (Result<Answered, Failure>, Value) {
    let server = Server::start(vec![answer]).await;
    let outcome = call(&server.base_url).ask().await;
    (outcome, sent(&server))
}

/// The body of the last request a server has heard.
pub(super) fn sent(server: &Server) -> Value {
    let heard = server.heard();
    let body = heard.last().and_then(|request| request.split_once("\r\n\r\n"));
    body.map_or(Value::Null, |(_, body)| serde_json::from_str(body).expect("JSON"))
}
