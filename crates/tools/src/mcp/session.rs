//! One connection to a server.

use std::collections::{BTreeMap, HashMap};

use baton_core::expr::{Document, Params};
use baton_core::tool::{Question, Reply};
use reqwest::header::{HeaderName, HeaderValue};
use rmcp::ClientHandler;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, ClientRequest,
    ElicitRequestParams, ElicitResult, ElicitationCapability, ErrorCode, ErrorData, FormElicitationCapability,
    Implementation, JsonObject, PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion, ServerResult,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, NotificationContext, PeerRequestOptions, RequestContext, RequestHandle,
    RoleClient, RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Source;
use super::attend::cannot_start;
use super::forms::{self, Asking};
use super::listing::{LISTING_BYTES_MAX, Listed, Listing, PAGES_MAX, TOOLS_MAX};
use super::process::Process;
use super::progress::Progress;
use super::questions::Questions;
use super::written::Place;
use crate::config::{Bound, Secret, Sendable};
use crate::outbound::Outbound;

/// Bytes of one message.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Versions of the protocol in which a server is asked first; older ones are agreed on.
const VERSIONS: [ProtocolVersion; 1] = [ProtocolVersion::LATEST];

pub(super) struct Session {
    running: RunningService<RoleClient, Listener>,
    questions: Questions,
    progress: Progress,
    process: Option<Process>,
    turns: RwLock<()>,
}

/// The right to call, until it is dropped.
pub(super) enum Turn<'s> {
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'s, ()>),
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'s, ()>),
}

/// A request that is out. Dropped before it is answered, the server is told that it is cancelled.
struct Out {
    handle: Option<RequestHandle<RoleClient>>,
    progress: Progress,
    tool: String,
}

impl Out {
    async fn answered(mut self) -> Result<ServerResult, ServiceError> {
        let Some(handle) = &mut self.handle else { return Err(ServiceError::TransportClosed) };
        let answered = (&mut handle.rx).await.unwrap_or(Err(ServiceError::TransportClosed));
        if let Some(handle) = self.handle.take() {
            self.progress.end(&handle.progress_token);
        }
        answered
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        if let Some(last) = self.progress.end(&handle.progress_token) {
            tracing::info!(tool = self.tool, %last, "a call of an MCP server is given up; its last progress");
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // A server that is gone hears nothing more.
            runtime.spawn(async move { handle.cancel(None).await.ok() });
        }
    }
}

/// What became of a call.
pub(super) enum Called {
    Answered(CallToolResponse),
    /// The server asked for something only a person knows, and was told that nobody says it now.
    Wanted(Question),
}

impl Session {
    /// Connects. `changed` hears that the list of tools is another.
    pub(super) async fn open(
        source: &Source,
        secrets: &BTreeMap<String, Bound>,
        outbound: &Outbound,
        changed: Option<Sender<()>>,
    ) -> Result<Self, String> {
        let questions = Questions::default();
        let progress = Progress::default();
        let listener = Listener { questions: questions.clone(), progress: progress.clone(), changed };
        let mode = ClientLifecycleMode::Auto { preferred_versions: VERSIONS.into(), legacy_version: None };
        match &source.0.place {
            Place::Program { command, arguments, environment } => {
                // A secret that is bound to an address goes to no program.
                let free: Vec<_> =
                    secrets.iter().filter_map(|(name, bound)| Some((name, bound.for_program()?))).collect();
                let filled = |params: &Params| filled(params, free.iter().copied());
                let environment = environment.iter().map(|(name, value)| Ok((name.clone(), filled(value)?)));
                let environment = environment.collect::<Result<BTreeMap<_, _>, String>>()?;
                let (mut process, stdout, stdin) = Process::start(command, arguments, &environment, source.1.as_ref())?;
                let transport = AsyncRwTransport::new(stdout, stdin).with_max_line_length(MESSAGE_BYTES_MAX);
                match listener.serve_with_lifecycle(transport, mode).await {
                    Ok(running) => {
                        Ok(Self { running, questions, progress, process: Some(process), turns: RwLock::default() })
                    }
                    Err(error) => {
                        let words = process.last_words_of_all().await;
                        if words.starts_with(&cannot_start(command)) {
                            return Err(words);
                        }
                        let said = if words.is_empty() { String::new() } else { format!("; it said: {words}") };
                        Err(format!("`{command}` does not speak MCP: {}{said}", plainly(&error)))
                    }
                }
            }
            Place::Address { url, headers } => {
                let sendable = Sendable { all: secrets, to: url };
                let headers = headers.iter().map(|(name, value)| {
                    let value = filled(value, sendable.iter()).map_err(|reason| match sendable.kept_back() {
                        Some(kept) => format!("{reason}; {kept}"),
                        None => reason,
                    })?;
                    let value = HeaderValue::from_str(&value)
                        .map_err(|_| format!("the value of `{name}` has characters that a header cannot carry"))?;
                    Ok((name.clone(), value))
                });
                let headers = headers.collect::<Result<HashMap<HeaderName, HeaderValue>, String>>()?;
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers)
                    .max_sse_event_size(MESSAGE_BYTES_MAX);
                let client =
                    outbound.client_for(url).map_err(|reason| format!("{}: {reason}", crate::outbound::shown(url)))?;
                let transport = StreamableHttpClientTransport::with_client(client, config);
                let running = listener.serve_with_lifecycle(transport, mode).await;
                let running =
                    running.map_err(|error| format!("{}: {}", crate::outbound::shown(url), plainly(&error)))?;
                Ok(Self { running, questions, progress, process: None, turns: RwLock::default() })
            }
        }
    }

    /// All tools, page by page, up to the limits.
    pub(super) async fn list(&self) -> Result<Listing, String> {
        let peer = self.running.peer_info();
        let version = peer.as_ref().and_then(|peer| peer.server_info.as_ref()).map(|server| server.version.as_str());
        let mut listing = Listing::of_version(version);
        let (mut cursor, mut bytes) = (None, 0);
        for _ in 0..PAGES_MAX {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = self.running.list_tools(Some(params)).await.map_err(|error| self.told(&error))?;
            for tool in page.tools {
                let listed = Listed::of(tool);
                bytes += listed.bytes();
                if listing.tools.len() >= TOOLS_MAX || bytes > LISTING_BYTES_MAX {
                    listing.truncated = true;
                    return Ok(listing);
                }
                listing.tools.push(listed);
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(listing);
            }
        }
        listing.truncated = true;
        Ok(listing)
    }

    /// One call. Dropped, the server is told that it is cancelled.
    pub(super) async fn call(
        &self,
        tool: &str,
        arguments: JsonObject,
        replies: &[Reply],
        asking: Asking,
    ) -> Result<Called, ServiceError> {
        let under_way = self.questions.begin(replies);
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let answered = self.resume(tool, params, replies).await;
        let wanted = under_way.answered();
        let is_settled = match &answered {
            // A server may do without what it asked for; where the call did nothing, a person is asked all the same.
            Ok(CallToolResponse::Complete(done)) => !asking.again && done.is_error != Some(true),
            Ok(_) | Err(ServiceError::McpError(_)) => false,
            // What became of it is not known, whatever it asked before.
            Err(_) => asking.again,
        };
        match wanted.filter(|_| !is_settled) {
            Some(question) => Ok(Called::Wanted(question)),
            None => answered.map(Called::Answered),
        }
    }

    /// Goes on where the server asked. One that does not know its own state any more, for it was started anew, refused
    /// without acting: it is called afresh, and told what was said as long as it asks the same.
    async fn resume(
        &self,
        tool: &str,
        params: CallToolRequestParams,
        replies: &[Reply],
    ) -> Result<CallToolResponse, ServiceError> {
        let resumed = self.send(tool, forms::with_replies(params.clone(), replies)).await;
        let is_forgotten =
            matches!(&resumed, Err(ServiceError::McpError(error)) if error.code == ErrorCode::INVALID_PARAMS);
        if !is_forgotten || !forms::resumes(replies) {
            return resumed;
        }
        let mut answered = self.send(tool, params.clone()).await?;
        for reply in replies {
            let CallToolResponse::InputRequired(asked) = &answered else { break };
            let Ok(question) = forms::questions(asked.clone()) else { break };
            if !question.is_same(&reply.question) {
                break;
            }
            let again = Reply { question, said: reply.said.clone() };
            answered = self.send(tool, forms::with_replies(params.clone(), &[again])).await?;
        }
        Ok(answered)
    }

    /// Waits until questions can be told whose they are, for a call that will be asked some: nothing else is under way
    /// then. Other calls share the connection.
    pub(super) async fn turn(&self, alone: bool) -> Turn<'_> {
        match alone {
            true => Turn::Alone(self.turns.write().await),
            false => Turn::Shared(self.turns.read().await),
        }
    }

    /// Whether a question could be that of a call which nobody waits for any more.
    pub(super) fn is_muddled(&self) -> bool {
        self.questions.is_muddled()
    }

    async fn send(&self, tool: &str, params: CallToolRequestParams) -> Result<CallToolResponse, ServiceError> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let handle = self.running.send_cancellable_request(request, PeerRequestOptions::no_options()).await?;
        let out = Out { handle: Some(handle), progress: self.progress.clone(), tool: tool.to_owned() };
        match out.answered().await? {
            ServerResult::CallToolResult(result) => Ok(CallToolResponse::Complete(result)),
            ServerResult::InputRequiredResult(result) => Ok(CallToolResponse::InputRequired(result)),
            ServerResult::CreateTaskResult(result) => Ok(CallToolResponse::Task(result)),
            _ => Err(ServiceError::UnexpectedResponse),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.running.is_closed() || self.running.peer().is_transport_closed()
    }

    /// What went wrong, with the last words of a program.
    pub(super) fn told(&self, error: &ServiceError) -> String {
        let words = self.process.as_ref().map(Process::last_words).filter(|words| !words.is_empty());
        match (words, error) {
            (Some(words), ServiceError::TransportClosed | ServiceError::TransportSend(_)) => {
                format!("{}; it said: {words}", plainly(error))
            }
            (_, error) => plainly(error),
        }
    }
}

/// The library's words, without the names of its types before them.
fn plainly(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.split_once("] error: ").map_or_else(|| text.clone(), |(_, rest)| rest.to_owned())
}

/// A template over the secrets, as text.
fn filled<'s>(params: &Params, secrets: impl Iterator<Item = (&'s String, &'s Secret)>) -> Result<String, String> {
    let secrets: serde_json::Map<_, _> =
        secrets.map(|(name, secret)| (name.clone(), Value::from(secret.expose()))).collect();
    let rendered = params.render(&Document::timeless(&json!({"secrets": secrets})));
    let value = rendered.map_err(|error| format!("{error}; secrets are set under `[tools.secrets]`"))?;
    Ok(crate::kinds::http_request::plain(&value))
}

/// Hears what a server says without being asked.
struct Listener {
    questions: Questions,
    progress: Progress,
    changed: Option<Sender<()>>,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        let mut elicitation = ElicitationCapability::default();
        elicitation.form = Some(FormElicitationCapability::default());
        capabilities.elicitation = Some(elicitation);
        ClientConfig::new(capabilities, Implementation::new("baton", env!("CARGO_PKG_VERSION")))
    }

    /// Nobody is here who could be asked. What was said before is told; another question is kept, and the call comes back
    /// with it.
    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        match forms::question(&request) {
            Ok(question) => Ok(forms::told(self.questions.ask(question))),
            Err(reason) => {
                tracing::warn!(%reason, "an MCP server asks a person for what nobody is asked");
                Err(ErrorData::invalid_params(format!("nobody is asked for this: {reason}"), None))
            }
        }
    }

    async fn on_progress(&self, said: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        self.progress.hear(said);
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        if let Some(changed) = &self.changed {
            // One notice that waits is as good as two.
            let _ = changed.try_send(());
        }
    }
}
