//! A door on a free port, with models that do as planned and one tenant's keys.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::model::{Finish, Reply, Request, Usage};
use baton_core::money::Usd;
use baton_core::run::ModelFault;
use baton_core::time::Time;
use baton_ports::clock::SystemClock;
use baton_ports::journal::Error;
use baton_ports::keys::{Hash, Key, Keys, Role};
use baton_ports::models::{Asker, Models, Piece, Pieces};
use baton_server::{Door, Limits, mint, serve};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub const BODY_BYTES: usize = 4_096;
pub const REQUESTS: usize = 3;
/// How long headers and bodies may take: far longer than a client that means to send them needs.
pub const PATIENCE: Duration = Duration::from_millis(400);

pub fn reply(content: &str) -> Reply {
    Reply {
        content: content.to_owned(),
        tool_calls: Vec::new(),
        thinking: None,
        finish: Finish::Stop,
        usage: Usage { input_tokens: 4, output_tokens: 5, cached_tokens: 3, ..Usage::default() },
        model: "a-model".to_owned(),
        provider: "a-provider".to_owned(),
        cost: Usd::from_f64(0.000_12),
        latency_ms: 1,
    }
}

/// What the models do with every request.
pub enum Plan {
    Answer(Reply),
    Stream(Vec<Piece>, Reply),
    /// These, one after the other; the last again and again.
    InTurn(Vec<Reply>),
    /// As [`Self::Stream`], by a model that holds replies to their form.
    Held(Vec<Piece>, Reply),
    Fail(Vec<Piece>, ModelFault),
    /// One piece, then nothing more.
    Hang(Piece),
}

struct Planned {
    plan: Plan,
    asked: Mutex<Vec<(Asker, Request)>>,
    dropped: mpsc::Sender<()>,
}

/// Says so when a call is given up.
struct Held(mpsc::Sender<()>);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

#[async_trait]
impl Models for Planned {
    async fn ask(
        &self,
        asker: &Asker,
        request: &Request,
        _limit: Duration,
        pieces: Option<&Pieces>,
    ) -> Result<Reply, ModelFault> {
        let before = {
            let mut asked = self.asked.lock().expect("a lock");
            asked.push((asker.clone(), request.clone()));
            asked.len() - 1
        };
        let (told, end) = match &self.plan {
            Plan::Answer(reply) => (&[][..], Ok(reply.clone())),
            Plan::InTurn(replies) => (&[][..], Ok(replies[before.min(replies.len() - 1)].clone())),
            Plan::Stream(told, reply) | Plan::Held(told, reply) => (told.as_slice(), Ok(reply.clone())),
            Plan::Fail(told, failed) => (told.as_slice(), Err(failed.clone())),
            Plan::Hang(piece) => {
                let _held = Held(self.dropped.clone());
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
        // What was told goes out before the end is known.
        tokio::task::yield_now().await;
        end
    }

    fn holds(&self, _asker: &Asker, _request: &Request) -> bool {
        matches!(self.plan, Plan::Held(..))
    }

    fn names(&self) -> Vec<String> {
        vec!["balanced".to_owned()]
    }

    fn budget_notice(&self, asker: &Asker) -> Option<String> {
        (asker.key_id.as_deref() == Some("key_1")).then(|| "83 % of the daily budget is spent".to_owned())
    }

    async fn explain(&self, _tenant: &TenantId, _key: &str) -> Option<Value> {
        None
    }
}

struct Ring(Vec<(Hash, Key)>);

#[async_trait]
impl Keys for Ring {
    async fn add(&self, _key: &Key, _hash: &Hash) -> Result<(), Error> {
        Ok(())
    }

    async fn add_first(&self, _key: &Key, _hash: &Hash) -> Result<bool, Error> {
        Ok(false)
    }

    async fn find(&self, hash: &Hash) -> Result<Option<Key>, Error> {
        Ok(self.0.iter().find(|(of, _)| of == hash).map(|(_, key)| key.clone()))
    }

    async fn list(&self, tenant: &TenantId, _before: Option<&str>, _limit: usize) -> Result<Vec<Key>, Error> {
        Ok(self.0.iter().map(|(_, key)| key.clone()).filter(|key| key.tenant == *tenant).collect())
    }

    async fn rotate(&self, _old: &str, _until: Time, _new: &Key, _hash: &Hash) -> Result<bool, Error> {
        Ok(false)
    }

    async fn revoke(&self, _tenant: &TenantId, _id: &str, _now: Time) -> Result<bool, Error> {
        Ok(false)
    }
}

pub struct World {
    url: String,
    client: reqwest::Client,
    models: Arc<Planned>,
    dropped: mpsc::Receiver<()>,
    /// The header of a good key, and of one that has expired.
    pub key: String,
    pub expired: String,
}

impl World {
    pub async fn start(plan: Plan) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (good, old) = (mint(&[1; 32]), mint(&[2; 32]));
        let key = |number: u32, expires_at| Key {
            id: format!("key_{number}"),
            tenant: "acme".into(),
            name: "test".to_owned(),
            role: Role::Service,
            created_at: Time::EPOCH,
            expires_at,
            revoked_at: None,
            per_minute: Some(0),
            scopes: None,
        };
        let ring = Ring(vec![(good.hash, key(1, None)), (old.hash, key(2, Some(Time::from_ms(1))))]);
        let (sender, dropped) = mpsc::channel(REQUESTS);
        let models = Arc::new(Planned { plan, asked: Mutex::default(), dropped: sender });
        let limits = Limits {
            body_bytes: BODY_BYTES,
            requests: REQUESTS,
            headers: PATIENCE,
            body: PATIENCE,
            ..Limits::default()
        };
        let metrics: baton_server::Metrics = Arc::new(|| futures::FutureExt::boxed(async { "counted 1\n".to_owned() }));
        let door = Door::new(
            models.clone(),
            Arc::new(ring),
            Arc::new(SystemClock),
            metrics,
            limits,
            baton_server::Config::default(),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(serve(listener, door, std::future::pending()));
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

    /// A bare connection that has said this much.
    pub async fn connect(&self, said: &str) -> TcpStream {
        let address = self.url.strip_prefix("http://").expect("an address");
        let mut connection = TcpStream::connect(address).await.expect("a connection");
        connection.write_all(said.as_bytes()).await.expect("it is heard");
        connection
    }

    /// The headers of a chat request whose body has so many bytes.
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

    /// What was asked last.
    pub fn asked(&self) -> (Asker, Request) {
        self.models.asked.lock().expect("a lock").last().cloned().expect("somebody asked")
    }

    pub fn times_asked(&self) -> usize {
        self.models.asked.lock().expect("a lock").len()
    }

    /// Ready once a call that hung was given up.
    pub async fn dropped(&mut self) {
        self.dropped.recv().await.expect("a call was given up");
    }
}
