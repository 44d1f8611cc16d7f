//! A local model provider that records its requests.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::captured_request::CapturedRequest;

/// Response time, so that calls overlap.
const TAKES: Duration = Duration::from_millis(20);
/// A request that contains this is rejected, with an error that repeats its key.
pub const REFUSE: &str = "refuse me";
/// A request that contains this is answered without token counts.
pub const UNCOUNTED: &str = "count nothing";
/// The response to a request that contains this is cut off in the middle.
pub const CUT: &str = "cut it off";

/// Every request below this path returns 404.
const GONE: &str = "/be%20gone/";

/// One request: its path, its key, its idempotency key, its trace context, and its body.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    pub path: String,
    pub key: String,
    pub idempotency_key: Option<String>,
    pub traceparent: Option<String>,
    pub body: Value,
}

/// The message in the response to a request.
pub type UpstreamReplyFn = dyn Fn(&Value) -> Value + Send + Sync;

/// Answers until the test ends.
pub struct UpstreamModel {
    pub url: String,
    asked: Arc<Mutex<Vec<UpstreamRequest>>>,
}

impl UpstreamModel {
    /// Starts a model that replies with a greeting.
    pub fn start() -> Self {
        Self::that_says(|_| json!({ "role": "assistant", "content": "Hola" }))
    }

    pub fn that_says(says: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        let says: Arc<UpstreamReplyFn> = Arc::new(says);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let asked = Arc::<Mutex<Vec<UpstreamRequest>>>::default();
        let all = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, says) = (all.clone(), says.clone());
                // The client may be gone.
                std::thread::spawn(move || answer(stream, &all, &*says).ok());
            }
        });
        Self { url, asked }
    }

    pub fn asked(&self) -> Vec<UpstreamRequest> {
        self.asked.lock().expect("a lock").clone()
    }
}

fn answer(stream: TcpStream, asked: &Mutex<Vec<UpstreamRequest>>, says: &UpstreamReplyFn) -> std::io::Result<()> {
    let heard = CapturedRequest::read_from(stream)?;
    let own = |name: &str| heard.header(name).map(str::to_owned);
    let (path, idempotency_key, traceparent) = (heard.path.clone(), own("idempotency-key"), own("traceparent"));
    let key = own("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
    let body: Value = serde_json::from_slice(&heard.body)?;
    let is_gone = path.starts_with(GONE);
    let embeds = path.ends_with("/embeddings");
    let one = UpstreamRequest { path, key: key.clone(), idempotency_key, traceparent, body: body.clone() };
    asked.lock().expect("a lock").push(one);
    std::thread::sleep(TAKES);
    let (status, reply) = if body.to_string().contains(REFUSE) {
        (
            "401 Unauthorized",
            json!({ "error": {"message": format!("Incorrect API key provided: {key}"), "code": "invalid_api_key"} }),
        )
    } else if embeds {
        let inputs = body["input"].as_array().map_or(0, Vec::len);
        let one = |index: usize| json!({ "index": index, "embedding": [1.0, 0.5, 0.25, 0.125] });
        let data: Vec<Value> = (0..inputs).map(one).collect();
        ("200 OK", json!({ "data": data, "usage": {"prompt_tokens": 10, "total_tokens": 10} }))
    } else if is_gone {
        ("404 Not Found", json!({ "error": "no such hook" }))
    } else {
        // As long as the request allows.
        let tokens = body["max_tokens"].as_u64().unwrap_or(10);
        let message = says(&body);
        let finish = if message.get("tool_calls").is_some() { "tool_calls" } else { "stop" };
        let choice = json!({ "index": 0, "message": message, "finish_reason": finish });
        let usage = json!({ "prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5 });
        let usage = if body.to_string().contains(UNCOUNTED) { Value::Null } else { usage };
        (
            "200 OK",
            json!({ "id": "c", "object": "chat.completion", "model": "mock", "choices": [choice], "usage": usage }),
        )
    };
    let reply = reply.to_string();
    let sent = if body.to_string().contains(CUT) { reply.len() / 2 } else { reply.len() };
    heard.answer_in_part(status, &reply, sent)
}
