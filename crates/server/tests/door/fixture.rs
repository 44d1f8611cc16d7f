//! A test server on a free port, with scripted models and the keys of one tenant.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::model::{FinishReason, ModelReply, ModelRequest, TokenUsage};
use baton_core::money::Usd;
use baton_core::run::ModelCallError;
use baton_core::time::Time;
use baton_ports::clock::SystemClock;
use baton_ports::journal::JournalError;
use baton_ports::keys::{AccessRole, ApiKeyRecord, ApiKeyStore, KeyHash};
use baton_ports::models::{DeltaSender, ModelCaller, ModelService, ReplyDelta};
use baton_server::{AppState, ServerLimits, mint, serve};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub const BODY_BYTES: usize = 4_096;
pub const REQUESTS: usize = 3;
/// Timeout of headers and bodies: far longer than a client needs that means to send them.
pub const PATIENCE: Duration = Duration::from_millis(400);

pub fn reply(content: &str) -> ModelReply {
    ModelReply {
        content: content.to_owned(),
        tool_calls: Vec::new(),
        thinking: None,
        finish: FinishReason::Stop,
        usage: TokenUsage { input_tokens: 4, output_tokens: 5, cached_tokens: 3, ..TokenUsage::default() },
        model: "a-model".to_owned(),
        provider: "a-provider".to_owned(),
        cost: Usd::from_f64(0.000_12),
        latency_ms: 1,
    }
}

/// How the models answer every request.
pub enum ModelScript {
    Answer(ModelReply),
    Stream(Vec<ReplyDelta>, ModelReply),
    /// These replies in turn; the last one is repeated.
    InTurn(Vec<ModelReply>),
    /// Like [`Self::Stream`], by a model that enforces the reply format.
    Held(Vec<ReplyDelta>, ModelReply),
    Fail(Vec<ReplyDelta>, ModelCallError),
    /// One piece, then nothing more.
    Hang(ReplyDelta),
}

struct ScriptedGateway {
    plan: ModelScript,
    asked: Mutex<Vec<(ModelCaller, ModelRequest)>>,
    dropped: mpsc::Sender<()>,
}

/// Reports that a call was cancelled.
struct HangUpProbe(mpsc::Sender<()>);

impl Drop for HangUpProbe {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

#[async_trait]
impl ModelService for ScriptedGateway {
    async fn ask(
        &self,
        asker: &ModelCaller,
        request: &ModelRequest,
        _limit: Duration,
        pieces: Option<&DeltaSender>,
    ) -> Result<ModelReply, ModelCallError> {
        let before = {
            let mut asked = self.asked.lock().expect("a lock");
            asked.push((asker.clone(), request.clone()));
            asked.len() - 1
        };
        let (told, end) = match &self.plan {
            ModelScript::Answer(reply) => (&[][..], Ok(reply.clone())),
            ModelScript::InTurn(replies) => (&[][..], Ok(replies[before.min(replies.len() - 1)].clone())),
            ModelScript::Stream(told, reply) | ModelScript::Held(told, reply) => (told.as_slice(), Ok(reply.clone())),
            ModelScript::Fail(told, failed) => (told.as_slice(), Err(failed.clone())),
            ModelScript::Hang(piece) => {
                let _held = HangUpProbe(self.dropped.clone());
                if let Some(pieces) = pieces {
                    let _ = pieces.send(piece.clone()).await;
                }
                return std::future::pending().await;
            }
        };
        for piece in told {
            if let Some(pieces) = pieces {
                let _ = pieces.send(piece.clone()).await;
            }
        }
        // Yields, so that the pieces are sent before the end is known.
        tokio::task::yield_now().await;
        end
    }

    fn enforces_schema(&self, _asker: &ModelCaller, _request: &ModelRequest) -> bool {
        matches!(self.plan, ModelScript::Held(..))
    }

    fn names(&self) -> Vec<String> {
        vec!["balanced".to_owned()]
    }

    fn budget_notice(&self, asker: &ModelCaller) -> Option<String> {
        (asker.key_id.as_deref() == Some("key_1")).then(|| "83 % of the daily budget is spent".to_owned())
    }

    async fn explain(&self, _tenant: &TenantId, _key: &str) -> Option<Value> {
        None
    }
}

struct FixedKeyRing(Vec<(KeyHash, ApiKeyRecord)>);

#[async_trait]
impl ApiKeyStore for FixedKeyRing {
    async fn add(&self, _key: &ApiKeyRecord, _hash: &KeyHash) -> Result<(), JournalError> {
        Ok(())
    }

    async fn add_first(&self, _key: &ApiKeyRecord, _hash: &KeyHash) -> Result<bool, JournalError> {
        Ok(false)
    }

    async fn find(&self, hash: &KeyHash) -> Result<Option<ApiKeyRecord>, JournalError> {
        Ok(self.0.iter().find(|(of, _)| of == hash).map(|(_, key)| key.clone()))
    }

    async fn list(
        &self,
        tenant: &TenantId,
        _before: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<ApiKeyRecord>, JournalError> {
        Ok(self.0.iter().map(|(_, key)| key.clone()).filter(|key| key.tenant == *tenant).collect())
    }

    async fn rotate(
        &self,
        _old: &str,
        _until: Time,
        _new: &ApiKeyRecord,
        _hash: &KeyHash,
    ) -> Result<bool, JournalError> {
        Ok(false)
    }

    async fn revoke(&self, _tenant: &TenantId, _id: &str, _now: Time) -> Result<bool, JournalError> {
        Ok(false)
    }
}

pub struct ServerFixture {
    url: String,
    client: reqwest::Client,
    models: Arc<ScriptedGateway>,
    dropped: mpsc::Receiver<()>,
    /// The header of a valid key, and of one that has expired.
    pub key: String,
    pub expired: String,
}

impl ServerFixture {
    pub async fn start(plan: ModelScript) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (good, old) = (mint(&[1; 32]), mint(&[2; 32]));
        let key = |number: u32, expires_at| ApiKeyRecord {
            id: format!("key_{number}"),
            tenant: "acme".into(),
            name: "test".to_owned(),
            role: AccessRole::Service,
            created_at: Time::EPOCH,
            expires_at,
            revoked_at: None,
            per_minute: Some(0),
            scopes: None,
        };
        let ring = FixedKeyRing(vec![(good.hash, key(1, None)), (old.hash, key(2, Some(Time::from_ms(1))))]);
        let (sender, dropped) = mpsc::channel(REQUESTS);
        let models = Arc::new(ScriptedGateway { plan, asked: Mutex::default(), dropped: sender });
        let limits = ServerLimits {
            body_bytes: BODY_BYTES,
            requests: REQUESTS,
            header_timeout: PATIENCE,
            body_timeout: PATIENCE,
            ..ServerLimits::default()
        };
        let metrics: baton_server::MetricsRenderer =
            Arc::new(|| futures::FutureExt::boxed(async { "counted 1\n".to_owned() }));
        let state = AppState::new(
            models.clone(),
            Arc::new(ring),
            Arc::new(SystemClock),
            metrics,
            limits,
            baton_server::ServeConfig::default(),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(serve(listener, state, std::future::pending()));
        let header = |secret: &str| format!("Bearer {secret}");
        let (key, expired) = (header(&good.secret), header(&old.secret));
        Self { url, client: reqwest::Client::new(), models, dropped, key, expired }
    }

    pub async fn post(&self, body: &Value) -> reqwest::Response {
        self.post_as(Some(&self.key), body).await
    }

    pub async fn post_as(&self, key: Option<&str>, body: &Value) -> reqwest::Response {
        let mut request = self.client.post(format!("{}/v1/chat/completions", self.url)).json(body);
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        request.send().await.expect("an answer")
    }

    pub async fn post_with(&self, body: &Value, name: &str, value: &str) -> reqwest::Response {
        let request = self.client.post(format!("{}/v1/chat/completions", self.url)).json(body);
        request.header("authorization", &self.key).header(name, value).send().await.expect("an answer")
    }

    /// A raw connection on which this text was sent.
    pub async fn connect(&self, said: &str) -> TcpStream {
        let address = self.url.strip_prefix("http://").expect("an address");
        let mut connection = TcpStream::connect(address).await.expect("a connection");
        connection.write_all(said.as_bytes()).await.expect("it is heard");
        connection
    }

    /// The headers of a chat request with a body of this many bytes.
    pub fn headers(&self, key: Option<&str>, bytes: usize) -> String {
        let key = key.map(|key| format!("Authorization: {key}\r\n")).unwrap_or_default();
        format!("POST /v1/chat/completions HTTP/1.1\r\nHost: baton\r\n{key}Content-Length: {bytes}\r\n\r\n")
    }

    pub async fn get(&self, path: &str, key: Option<&str>) -> reqwest::Response {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        request.send().await.expect("an answer")
    }

    pub async fn send(&self, method: reqwest::Method, path: &str) -> reqwest::Response {
        let request = self.client.request(method, format!("{}{path}", self.url));
        request.header("authorization", &self.key).send().await.expect("an answer")
    }

    /// The last request to the models.
    pub fn last_request(&self) -> (ModelCaller, ModelRequest) {
        self.models.asked.lock().expect("a lock").last().cloned().expect("somebody asked")
    }

    pub fn request_count(&self) -> usize {
        self.models.asked.lock().expect("a lock").len()
    }

    /// Completes once a hanging call was cancelled.
    pub async fn dropped(&mut self) {
        self.dropped.recv().await.expect("a call was given up");
    }
}
