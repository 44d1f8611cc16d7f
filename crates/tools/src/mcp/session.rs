//! One connection to a server.

use std::collections::{BTreeMap, HashMap};

use baton_core::tool::{QuestionReply, ToolQuestion};
use baton_expr::{JsonContext, ParamsTemplate};
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

use super::McpSource;
use super::definition::ServerLocation;
use super::elicitation::{self, QuestionPolicy};
use super::listing::{LISTING_BYTES_MAX, McpListedTool, McpToolListing, PAGES_MAX, TOOLS_MAX};
use super::process::McpProcess;
use super::progress::ProgressTracker;
use super::questions::QuestionTracker;
use super::supervisor::cannot_start;
use crate::config::{BoundSecret, SecretString, SendableSecrets};
use crate::outbound::OutboundClient;

/// Maximum size of one message, in bytes.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Protocol versions that the client offers first; older ones are negotiated.
const VERSIONS: [ProtocolVersion; 1] = [ProtocolVersion::LATEST];

pub(super) struct McpSession {
    running: RunningService<RoleClient, McpClientHandler>,
    questions: QuestionTracker,
    progress: ProgressTracker,
    process: Option<McpProcess>,
    call_lock: RwLock<()>,
}

/// The right to make a call, until it is dropped.
pub(super) enum SessionLock<'s> {
    Exclusive(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'s, ()>),
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'s, ()>),
}

/// A request in flight. If it is dropped before the response, the server is notified of the cancellation.
struct PendingRequest {
    handle: Option<RequestHandle<RoleClient>>,
    progress: ProgressTracker,
    tool: String,
}

impl PendingRequest {
    async fn wait(mut self) -> Result<ServerResult, ServiceError> {
        let Some(handle) = &mut self.handle else { return Err(ServiceError::TransportClosed) };
        let answered = (&mut handle.rx).await.unwrap_or(Err(ServiceError::TransportClosed));
        if let Some(handle) = self.handle.take() {
            self.progress.end(&handle.progress_token);
        }
        answered
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        if let Some(last) = self.progress.end(&handle.progress_token) {
            tracing::info!(tool = self.tool, %last, "a call of an MCP server is given up; its last progress");
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // A server that is gone receives nothing more.
            runtime.spawn(async move { handle.cancel(None).await.ok() });
        }
    }
}

/// The outcome of a call.
pub(super) enum McpCallOutcome {
    Answered(CallToolResponse),
    /// The server asked for input that only a person has, and the question was cancelled for now.
    InputNeeded(ToolQuestion),
}

impl McpSession {
    /// Connects. `changed` is notified when the list of tools changes.
    pub(super) async fn open(
        source: &McpSource,
        secrets: &BTreeMap<String, BoundSecret>,
        outbound: &OutboundClient,
        changed: Option<Sender<()>>,
    ) -> Result<Self, String> {
        let questions = QuestionTracker::default();
        let progress = ProgressTracker::default();
        let listener = McpClientHandler { questions: questions.clone(), progress: progress.clone(), changed };
        let mode = ClientLifecycleMode::Auto { preferred_versions: VERSIONS.into(), legacy_version: None };
        match &source.0.place {
            ServerLocation::Program { command, arguments, environment } => {
                // A secret that is bound to an address is not passed to a program.
                let free: Vec<_> =
                    secrets.iter().filter_map(|(name, bound)| Some((name, bound.for_program()?))).collect();
                let filled = |params: &ParamsTemplate| render_template(params, free.iter().copied());
                let environment = environment.iter().map(|(name, value)| Ok((name.clone(), filled(value)?)));
                let environment = environment.collect::<Result<BTreeMap<_, _>, String>>()?;
                let (mut process, stdout, stdin) =
                    McpProcess::start(command, arguments, &environment, source.1.as_ref())?;
                let transport = AsyncRwTransport::new(stdout, stdin).with_max_line_length(MESSAGE_BYTES_MAX);
                match listener.serve_with_lifecycle(transport, mode).await {
                    Ok(running) => {
                        Ok(Self { running, questions, progress, process: Some(process), call_lock: RwLock::default() })
                    }
                    Err(error) => {
                        let words = process.final_stderr_tail().await;
                        if words.starts_with(&cannot_start(command)) {
                            return Err(words);
                        }
                        let said = if words.is_empty() { String::new() } else { format!("; it said: {words}") };
                        Err(format!("`{command}` does not speak MCP: {}{said}", strip_type_names(&error)))
                    }
                }
            }
            ServerLocation::Address { url, headers } => {
                let sendable = SendableSecrets { all: secrets, to: url };
                let headers = headers.iter().map(|(name, value)| {
                    let value =
                        render_template(value, sendable.iter()).map_err(|reason| match sendable.withheld_names() {
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
                let client = outbound
                    .client_for(url)
                    .map_err(|reason| format!("{}: {reason}", crate::outbound::display_url(url)))?;
                let transport = StreamableHttpClientTransport::with_client(client, config);
                let running = listener.serve_with_lifecycle(transport, mode).await;
                let running = running
                    .map_err(|error| format!("{}: {}", crate::outbound::display_url(url), strip_type_names(&error)))?;
                Ok(Self { running, questions, progress, process: None, call_lock: RwLock::default() })
            }
        }
    }

    /// Lists all tools, page by page, up to the limits.
    pub(super) async fn list(&self) -> Result<McpToolListing, String> {
        let peer = self.running.peer_info();
        let version = peer.as_ref().and_then(|peer| peer.server_info.as_ref()).map(|server| server.version.as_str());
        let mut listing = McpToolListing::of_version(version);
        let (mut cursor, mut bytes) = (None, 0);
        for _ in 0..PAGES_MAX {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = self.running.list_tools(Some(params)).await.map_err(|error| self.describe_error(&error))?;
            for tool in page.tools {
                let listed = McpListedTool::from_mcp(tool);
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

    /// Performs one call. If dropped, the server is notified of the cancellation.
    pub(super) async fn call(
        &self,
        tool: &str,
        arguments: JsonObject,
        replies: &[QuestionReply],
        asking: QuestionPolicy,
    ) -> Result<McpCallOutcome, ServiceError> {
        let under_way = self.questions.begin(replies);
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let answered = self.resume(tool, params, replies).await;
        let wanted = under_way.finish();
        let is_settled = match &answered {
            // A server may continue without the input it asked for. If the call had no effect, a person is asked all
            // the same.
            Ok(CallToolResponse::Complete(done)) => !asking.resumable && done.is_error != Some(true),
            Ok(_) | Err(ServiceError::McpError(_)) => false,
            // The outcome is unknown, whatever it asked before.
            Err(_) => asking.resumable,
        };
        match wanted.filter(|_| !is_settled) {
            Some(question) => Ok(McpCallOutcome::InputNeeded(question)),
            None => answered.map(McpCallOutcome::Answered),
        }
    }

    /// Resumes a call whose server asked for input. A server that lost its state, for example after a restart,
    /// refuses without acting. The call is then started again, and earlier answers are reused as long as the server
    /// asks the same questions.
    async fn resume(
        &self,
        tool: &str,
        params: CallToolRequestParams,
        replies: &[QuestionReply],
    ) -> Result<CallToolResponse, ServiceError> {
        let resumed = self.send(tool, elicitation::with_replies(params.clone(), replies)).await;
        let is_forgotten =
            matches!(&resumed, Err(ServiceError::McpError(error)) if error.code == ErrorCode::INVALID_PARAMS);
        if !is_forgotten || !elicitation::is_resumption(replies) {
            return resumed;
        }
        let mut answered = self.send(tool, params.clone()).await?;
        for reply in replies {
            let CallToolResponse::InputRequired(asked) = &answered else { break };
            let Ok(question) = elicitation::questions(asked.clone()) else { break };
            if !question.is_same(&reply.question) {
                break;
            }
            let again = QuestionReply { question, said: reply.said.clone() };
            answered = self.send(tool, elicitation::with_replies(params.clone(), &[again])).await?;
        }
        Ok(answered)
    }

    /// Waits until questions can be attributed to a call that will be asked some: it must be the only one in flight.
    /// Other calls share the connection.
    pub(super) async fn lock(&self, alone: bool) -> SessionLock<'_> {
        match alone {
            true => SessionLock::Exclusive(self.call_lock.write().await),
            false => SessionLock::Shared(self.call_lock.read().await),
        }
    }

    /// Returns whether a question could belong to a call that was given up.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.questions.is_ambiguous()
    }

    async fn send(&self, tool: &str, params: CallToolRequestParams) -> Result<CallToolResponse, ServiceError> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let handle = self.running.send_cancellable_request(request, PeerRequestOptions::no_options()).await?;
        let out = PendingRequest { handle: Some(handle), progress: self.progress.clone(), tool: tool.to_owned() };
        match out.wait().await? {
            ServerResult::CallToolResult(result) => Ok(CallToolResponse::Complete(result)),
            ServerResult::InputRequiredResult(result) => Ok(CallToolResponse::InputRequired(result)),
            ServerResult::CreateTaskResult(result) => Ok(CallToolResponse::Task(result)),
            _ => Err(ServiceError::UnexpectedResponse),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.running.is_closed() || self.running.peer().is_transport_closed()
    }

    /// Describes an error, with the last output of a program.
    pub(super) fn describe_error(&self, error: &ServiceError) -> String {
        let words = self.process.as_ref().map(McpProcess::stderr_tail).filter(|words| !words.is_empty());
        match (words, error) {
            (Some(words), ServiceError::TransportClosed | ServiceError::TransportSend(_)) => {
                format!("{}; it said: {words}", strip_type_names(error))
            }
            (_, error) => strip_type_names(error),
        }
    }
}

/// Formats the library's message without the leading type names.
fn strip_type_names(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.split_once("] error: ").map_or_else(|| text.clone(), |(_, rest)| rest.to_owned())
}

/// Renders a template over the secrets, as text.
fn render_template<'s>(
    params: &ParamsTemplate,
    secrets: impl Iterator<Item = (&'s String, &'s SecretString)>,
) -> Result<String, String> {
    let secrets: serde_json::Map<_, _> =
        secrets.map(|(name, secret)| (name.clone(), Value::from(secret.expose()))).collect();
    let rendered = params.render(&JsonContext::timeless(&json!({"secrets": secrets})));
    let value = rendered.map_err(|error| format!("{error}; secrets are set under `[tools.secrets]`"))?;
    Ok(crate::kinds::http_request::as_text(&value))
}

/// Handles messages that a server sends on its own.
struct McpClientHandler {
    questions: QuestionTracker,
    progress: ProgressTracker,
    changed: Option<Sender<()>>,
}

impl ClientHandler for McpClientHandler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        let mut elicitation = ElicitationCapability::default();
        elicitation.form = Some(FormElicitationCapability::default());
        capabilities.elicitation = Some(elicitation);
        ClientConfig::new(capabilities, Implementation::new("baton", env!("CARGO_PKG_VERSION")))
    }

    /// No person can be asked here. A question that was answered before is answered; another one is kept, and the
    /// call is made again later with its answer.
    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        match elicitation::question(&request) {
            Ok(question) => Ok(elicitation::elicit_result(self.questions.ask(question))),
            Err(reason) => {
                tracing::warn!(%reason, "an MCP server asks a person for what nobody is asked");
                Err(ErrorData::invalid_params(format!("nobody is asked for this: {reason}"), None))
            }
        }
    }

    async fn on_progress(&self, said: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        self.progress.update(said);
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        if let Some(changed) = &self.changed {
            // One pending notice is enough.
            let _ = changed.try_send(());
        }
    }
}
