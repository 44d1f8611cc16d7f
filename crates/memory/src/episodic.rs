//! Episodic memory: earlier executions and their outcome, and ended conversations. The document of an execution has its
//! goal as text; the document of a conversation has its transcript.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{
    BODY_BYTES_MAX, DocumentFilter, MemoryCollection, NAME_BYTES_MAX, SourceDocument, TEXT_BYTES_MAX,
};
use baton_ports::memory::{
    AgentExecution, MESSAGE_BYTES_MAX, MemoryError, QUERY_BYTES_MAX, SIMILAR_MAX, SearchRequest, SimilarConversation,
    SimilarExecution, TOP_MAX, ThreadMessage, ThreadSummary,
};
use serde_json::{Map, Value, json};

use crate::long_term::LongTermMemory;
use crate::summary::line;

/// Passages examined for each requested document: several may belong to one document.
const LOOKED_AT_PER_ONE: usize = 4;

/// The field that distinguishes executions.
const SUCCESS: &str = "success";
const AGENT: &str = "agent";
const OUTCOME: &str = "outcome";
/// Marks a conversation that ended by its own journal.
const KEPT: &str = "kept";
/// When the first message of a conversation arrived.
const BEGAN: &str = "began";
/// Separates the id of a conversation from its beginning, in the names of all but the first conversation with that id.
const LATER_MARK: char = '@';
/// Names read per page.
const LATER_PAGE: usize = 50;

pub(crate) fn execution(execution: AgentExecution) -> Result<SourceDocument, MemoryError> {
    if execution.goal.trim().is_empty() {
        return Err(MemoryError::Invalid { what: "an execution's goal".to_owned(), reason: "it is empty".to_owned() });
    }
    let body = serde_json::to_value(&execution)
        .map_err(|error| MemoryError::Invalid { what: "an execution".to_owned(), reason: error.to_string() })?;
    let size = body.to_string().len();
    if size > BODY_BYTES_MAX {
        return Err(MemoryError::TooLarge { what: "an execution's plan and results", size, limit: BODY_BYTES_MAX });
    }
    let mut metadata = Map::from_iter([(SUCCESS.to_owned(), json!(execution.success))]);
    if let Some(agent) = &execution.agent {
        metadata.insert(AGENT.to_owned(), json!(agent));
    }
    let text = clip(&execution.goal, QUERY_BYTES_MAX).to_owned();
    Ok(SourceDocument { name: execution.id, title: String::new(), subject: execution.user, metadata, text, body })
}

/// The text of a conversation.
pub(crate) struct ConversationText<'a> {
    pub conversation: &'a str,
    pub customer: Option<String>,
    pub began: Time,
    pub messages: &'a [ThreadMessage],
}

/// Marks the document of a conversation that ended by its own journal and was not closed here.
pub(crate) fn mark_kept(mut document: SourceDocument) -> SourceDocument {
    document.body[KEPT] = json!(true);
    document
}

pub(crate) fn is_kept(body: &Value) -> bool {
    body.get(KEPT) == Some(&json!(true))
}

/// The document of an ended conversation. Its summary comes first, because other conversations are most likely to be
/// similar to it.
pub(crate) fn conversation(
    name: String,
    words: ConversationText<'_>,
    summary: &ThreadSummary,
    outcome: &str,
) -> SourceDocument {
    let mut text = format!("{}\n", summary.text);
    for message in words.messages {
        let line = line(message, MESSAGE_BYTES_MAX);
        if text.len() + line.len() + 2 > TEXT_BYTES_MAX {
            break;
        }
        text.push('\n');
        text.push_str(&line);
        text.push('\n');
    }
    let outcome = clip(outcome, NAME_BYTES_MAX / 2);
    SourceDocument {
        name,
        title: String::new(),
        subject: words.customer,
        metadata: Map::from_iter([(OUTCOME.to_owned(), json!(outcome))]),
        text,
        body: json!({
            "conversation": words.conversation, "began": words.began, "summary": summary, "outcome": outcome,
        }),
    }
}

/// The document name of an ended conversation: its id and, if an earlier conversation with that id exists, when it
/// began.
pub(crate) async fn name(
    long: &LongTermMemory,
    tenant: &TenantId,
    conversation: &str,
    began: Time,
) -> Result<String, MemoryError> {
    let first = long.document(tenant, MemoryCollection::Conversations, conversation).await?;
    // A document indexed by the conversation's own journal is the same conversation, whose beginning short-term memory
    // recorded later.
    let is_another =
        first.is_some_and(|stored| !is_kept(&stored.body) && stored.body.get(BEGAN) != Some(&json!(began)));
    Ok(if is_another { later_name(conversation, began.as_ms()) } else { conversation.to_owned() })
}

/// Fixed width, so that names sort by time.
fn later_name(conversation: &str, began_ms: i64) -> String {
    format!("{conversation}{LATER_MARK}{began_ms:013}")
}

/// The summary of the latest ended conversation with this id.
pub(crate) async fn closed(
    long: &LongTermMemory,
    tenant: &TenantId,
    conversation: &str,
) -> Result<Option<ThreadSummary>, MemoryError> {
    let of = MemoryCollection::Conversations;
    let mut name = conversation.to_owned();
    let mut after = later_name(conversation, 0);
    loop {
        let page = long.documents(tenant, of, Some(&after), LATER_PAGE).await?;
        let count = page.len();
        let prefix = format!("{conversation}{LATER_MARK}");
        let later = page.into_iter().map(|head| head.name).take_while(|name| name.starts_with(&prefix));
        let later: Vec<String> = later.collect();
        if let Some(last) = later.last() {
            (name, after) = (last.clone(), last.clone());
        }
        if count < LATER_PAGE || later.len() < count {
            break;
        }
    }
    let Some(stored) = long.document(tenant, of, &name).await? else { return Ok(None) };
    let summary = serde_json::from_value(stored.body.get("summary").cloned().unwrap_or_default());
    summary.map(Some).map_err(|error| MemoryError::Unreadable { reason: format!("a conversation: {error}") })
}

pub(crate) async fn similar_executions(
    long: &LongTermMemory,
    tenant: &TenantId,
    goal: &str,
    limit: usize,
    success_only: bool,
) -> Result<Vec<SimilarExecution>, MemoryError> {
    let mut filter = DocumentFilter::default();
    if success_only {
        filter.metadata.insert(SUCCESS.to_owned(), json!(true));
    }
    let found = similar(long, tenant, MemoryCollection::Executions, goal, limit, filter, None).await?;
    let mut executions = Vec::new();
    for (_, score, body) in found.documents {
        let execution = serde_json::from_value(body);
        let execution =
            execution.map_err(|error| MemoryError::Unreadable { reason: format!("an execution: {error}") })?;
        executions.push(SimilarExecution { execution, score });
    }
    Ok(executions)
}

/// Conversations similar to a message, except the one that contains it; and why there may be more.
pub(crate) async fn similar_conversations(
    long: &LongTermMemory,
    tenant: &TenantId,
    message: &str,
    limit: usize,
    but: Option<&str>,
) -> Result<(Vec<SimilarConversation>, Option<String>), MemoryError> {
    let found =
        similar(long, tenant, MemoryCollection::Conversations, message, limit, DocumentFilter::default(), but).await?;
    let text = |body: &Value, at: &str| body.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let conversation = |(name, score, body): (String, f64, Value)| SimilarConversation {
        conversation_id: body.get("conversation").and_then(Value::as_str).unwrap_or(&name).to_owned(),
        summary: text(&body, "/summary/text"),
        outcome: text(&body, "/outcome"),
        score,
    };
    Ok((found.documents.into_iter().map(conversation).collect(), found.degraded))
}

struct SimilarDocuments {
    /// Name, score and body of each.
    documents: Vec<(String, f64, Value)>,
    degraded: Option<String>,
}

/// The documents of the best passages, without duplicates.
async fn similar(
    long: &LongTermMemory,
    tenant: &TenantId,
    collection: MemoryCollection,
    query: &str,
    limit: usize,
    filter: DocumentFilter,
    but: Option<&str>,
) -> Result<SimilarDocuments, MemoryError> {
    if limit > SIMILAR_MAX {
        return Err(MemoryError::TooLarge { what: "the number of similar ones", size: limit, limit: SIMILAR_MAX });
    }
    let top = (limit * LOOKED_AT_PER_ONE).min(TOP_MAX);
    let search = SearchRequest { collection, top, filter, ..SearchRequest::knowledge(query) };
    let found = long.search(tenant, &search).await?;
    let mut documents: Vec<(String, f64, Value)> = Vec::new();
    for passage in found.passages {
        let is_new = documents.iter().all(|(name, _, _)| *name != passage.document);
        if documents.len() == limit || !is_new || but == Some(passage.document.as_str()) {
            continue;
        }
        if let Some(stored) = long.document(tenant, collection, &passage.document).await? {
            documents.push((passage.document, passage.score, stored.body));
        }
    }
    Ok(SimilarDocuments { documents, degraded: found.degraded })
}

fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
