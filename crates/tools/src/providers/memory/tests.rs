mod external;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_core::tool::{EffectClass, ToolInvocation, ToolOutcome};
use baton_ports::budget::{CallSpend, PendingCharge, SettlementSink, SpendAccount};
use baton_ports::index::{DocumentHeader, MemoryCollection, SourceDocument};
use baton_ports::memory::{
    AddResult, AgentExecution, CitedPassage, ContextRequest, ContextStrategy, ConversationClosing, EndedConversation,
    ForgetResult, InquiryEnd, InquiryRequest, InquiryResult, InquiryRound, MemoryContext, MessageSpeaker,
    MessageThread, OmittedCounts, ReindexResult, SearchMode, SearchRequest, SearchResult, SimilarConversation,
    SimilarExecution, SummarySource, ThreadMessage, ThreadSummary,
};
use baton_ports::models::ModelCaller;
use baton_ports::tools::{CheckResult, ToolGateway};
use serde_json::{Map, json};

use super::*;
use crate::testing::{ToolsFixture, done, not_done};

/// Records its requests, and returns scripted results.
#[derive(Default)]
struct FakeAgentMemory {
    found: Mutex<Option<Result<SearchResult, MemoryError>>>,
    searched: Mutex<Vec<SearchRequest>>,
    wanted: Mutex<Vec<ContextRequest>>,
    executions: Mutex<BTreeMap<String, AgentExecution>>,
    inquired: Mutex<Vec<(ModelCaller, InquiryRequest)>>,
    said: Mutex<Vec<(String, Option<String>, ThreadMessage)>>,
    closed: Mutex<Vec<(ModelCaller, String, ConversationClosing)>>,
    /// Whether its conversations exceed the context until they are summarised.
    is_long: AtomicBool,
    /// Whether reading fails after a summary.
    breaks: AtomicBool,
    summaries: Mutex<Vec<(ModelCaller, String, usize)>>,
}

impl FakeAgentMemory {
    fn answering(found: Result<SearchResult, MemoryError>) -> Arc<Self> {
        Arc::new(Self { found: Mutex::new(Some(found)), ..Self::default() })
    }
}

/// The cost of the judge's response.
fn judged() -> PendingCharge {
    let spend = CallSpend {
        tenant: "acme".into(),
        key_id: None,
        account: SpendAccount::default(),
        at: Time::EPOCH,
        holder: None,
        calls: 1,
        answered: 1,
        estimated: 0,
        cost: Usd::from_nanos(1_000_000),
        usage: baton_core::model::TokenUsage::default(),
        latency_ms: 1,
        saved: Usd::ZERO,
    };
    PendingCharge::new(spend, Arc::new(NullSettlement))
}

struct NullSettlement;

impl SettlementSink for NullSettlement {
    fn settle_later(&self, _: CallSpend) {}
}

fn not_asked<T>() -> Result<T, MemoryError> {
    Err(MemoryError::Invalid { what: "this test".to_owned(), reason: "it does not ask for that".to_owned() })
}

#[async_trait]
impl MemoryStore for FakeAgentMemory {
    async fn search(&self, _: &TenantId, search: &SearchRequest) -> Result<SearchResult, MemoryError> {
        self.searched.lock().unwrap().push(search.clone());
        self.found.lock().unwrap().clone().unwrap()
    }

    async fn context(&self, _: &TenantId, wanted: &ContextRequest) -> Result<MemoryContext, MemoryError> {
        self.wanted.lock().unwrap().push(wanted.clone());
        let similar = SimilarConversation {
            conversation_id: "old".into(),
            summary: "She wrote from ana@example.com".into(),
            outcome: "success".into(),
            score: 0.5,
        };
        let context = MemoryContext { similar_conversations: vec![similar], tokens: 12, ..MemoryContext::default() };
        if !self.is_long.load(Ordering::Relaxed) {
            return Ok(context);
        }
        if self.breaks.load(Ordering::Relaxed) && !self.summaries.lock().unwrap().is_empty() {
            return Err(MemoryError::Unreadable { reason: "no disk".to_owned() });
        }
        let said = |number| ThreadMessage {
            id: None,
            speaker: MessageSpeaker::Customer,
            content: format!("message {number}"),
            at: Time::from_ms(0),
        };
        let summary = self.summaries.lock().unwrap().last().map(|_| "They spoke.".to_owned());
        let left_out =
            OmittedCounts { unsummarised: if summary.is_some() { 0 } else { 9 }, ..OmittedCounts::default() };
        Ok(MemoryContext { recent_messages: (0..8).map(said).collect(), summary, left_out, ..context })
    }

    async fn keep_conversation(&self, _: &TenantId, _: EndedConversation) -> Result<bool, MemoryError> {
        not_asked()
    }

    async fn record_execution(&self, _: &TenantId, execution: AgentExecution) -> Result<(), MemoryError> {
        self.executions.lock().unwrap().insert(execution.id.clone(), execution);
        Ok(())
    }

    async fn similar_executions(
        &self,
        _: &TenantId,
        _: &str,
        limit: usize,
        success_only: bool,
    ) -> Result<Vec<SimilarExecution>, MemoryError> {
        let all = self.executions.lock().unwrap();
        let wanted = all.values().filter(|execution| execution.success || !success_only).take(limit);
        Ok(wanted.map(|execution| SimilarExecution { execution: execution.clone(), score: 1.0 }).collect())
    }

    async fn add(&self, _: &TenantId, _: MemoryCollection, _: SourceDocument) -> Result<AddResult, MemoryError> {
        not_asked()
    }

    async fn remove(&self, _: &TenantId, _: MemoryCollection, _: &str) -> Result<bool, MemoryError> {
        not_asked()
    }

    async fn documents(
        &self,
        _: &TenantId,
        _: MemoryCollection,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<DocumentHeader>, MemoryError> {
        not_asked()
    }

    async fn reindex(&self, _: &TenantId, _: MemoryCollection) -> Result<ReindexResult, MemoryError> {
        not_asked()
    }

    async fn inquire(&self, asker: &ModelCaller, inquiry: &InquiryRequest) -> Result<InquiryResult, MemoryError> {
        self.inquired.lock().unwrap().push((asker.clone(), inquiry.clone()));
        asker.charges.as_ref().unwrap().put(judged());
        let round =
            InquiryRound { query: "refunds".into(), new: 1, sufficient: Some(false), missing: Some("dates".into()) };
        Ok(InquiryResult {
            passages: vec![passage("In five days.")],
            rounds: vec![round],
            stopped: InquiryEnd::Rounds,
            degraded: None,
            cost: Usd::from_nanos(1_000_000),
        })
    }

    async fn add_message(
        &self,
        _: &TenantId,
        conversation: &str,
        customer: Option<&str>,
        message: ThreadMessage,
    ) -> Result<(), MemoryError> {
        self.said.lock().unwrap().push((conversation.to_owned(), customer.map(str::to_owned), message));
        Ok(())
    }

    async fn thread(&self, _: &TenantId, _: &str) -> Result<Option<MessageThread>, MemoryError> {
        not_asked()
    }

    async fn recent(&self, _: &TenantId, _: &str, _: usize) -> Result<Vec<ThreadMessage>, MemoryError> {
        not_asked()
    }

    async fn set_session(&self, _: &TenantId, _: &str, _: &Map<String, Value>) -> Result<(), MemoryError> {
        not_asked()
    }

    async fn summarise(
        &self,
        asker: &ModelCaller,
        conversation: &str,
        but: usize,
    ) -> Result<Option<ThreadSummary>, MemoryError> {
        asker.charges.as_ref().unwrap().put(judged());
        self.summaries.lock().unwrap().push((asker.clone(), conversation.to_owned(), but));
        Ok(Some(ThreadSummary { text: "They spoke.".into(), covers: 9, by: SummarySource::Model, why: None }))
    }

    async fn close(
        &self,
        asker: &ModelCaller,
        conversation: &str,
        closing: ConversationClosing,
    ) -> Result<ThreadSummary, MemoryError> {
        let why = Some("BUDGET_EXCEEDED: the hourly budget is spent".to_owned());
        let summary = ThreadSummary { text: "All is well.".into(), covers: 2, by: SummarySource::Excerpt, why };
        asker.charges.as_ref().unwrap().put(judged());
        self.closed.lock().unwrap().push((asker.clone(), conversation.to_owned(), closing));
        Ok(summary)
    }

    async fn forget(&self, _: &TenantId, _: &str) -> Result<ForgetResult, MemoryError> {
        not_asked()
    }
}

fn passage(content: &str) -> CitedPassage {
    CitedPassage {
        content: content.to_owned(),
        score: 0.9,
        document: "returns.md".into(),
        title: "Returns".into(),
        about: Some("ana".into()),
        heading: "Returns > Refunds".into(),
        chunk: 1,
        begins: 10,
        ends: 30,
        metadata: Map::new(),
    }
}

#[tokio::test]
async fn passages_come_numbered_with_where_they_are_from() {
    let found = SearchResult { passages: vec![passage("In five days."), passage("By card.")], degraded: None };
    let memory = FakeAgentMemory::answering(Ok(found));
    let world = ToolsFixture::with_memory(memory.clone());
    let output = world.done("k", "search_kb", json!({"query": "refunds", "filters": {"lang": "en"}})).await;
    assert_eq!((&output["count"], &output["degraded"]), (&json!(2), &json!(false)));
    assert_eq!(output["results"][1]["citation"], 2);
    assert!(!output.to_string().contains("ana"), "whom a document is about is told to no model: {output}");
    assert_eq!(output["results"][0]["content"], "In five days.");
    assert_eq!((&output["results"][0]["begins"], &output["results"][0]["ends"]), (&json!(10), &json!(30)));
    let search = memory.searched.lock().unwrap()[0].clone();
    assert_eq!((search.query.as_str(), search.top, search.mode), ("refunds", 5, SearchMode::Hybrid));
    assert_eq!(search.filter.metadata["lang"], json!("en"));
    world.done("k", "knowledge_base", json!({"query": "refunds", "top_k": 9, "mode": "text"})).await;
    let search = memory.searched.lock().unwrap()[1].clone();
    assert_eq!((search.top, search.mode), (9, SearchMode::Text));
}

#[tokio::test]
async fn bug_tl_001_a_tenant_asks_the_knowledge_base_200_times_a_minute() {
    let world = ToolsFixture::with_memory(FakeAgentMemory::answering(Ok(SearchResult::default())));
    let call = |key: usize| world.call(&key.to_string(), "knowledge_base", json!({"query": "refunds"}));
    for key in 0..200 {
        assert!(matches!(world.registry.check(&call(key), None).await, CheckResult::Permitted(_)), "{key}");
    }
    let held = world.registry.check(&call(200), None).await;
    assert!(matches!(held, CheckResult::RateLimited { retry_after } if retry_after.as_secs() == 60));
    let salon = ToolInvocation { tenant: "salon".into(), ..call(200) };
    assert!(matches!(world.registry.check(&salon, None).await, CheckResult::Permitted(_)), "each tenant has its own");
}

#[tokio::test]
async fn what_is_about_others_is_not_shown() {
    let memory = FakeAgentMemory::answering(Ok(SearchResult::default()));
    let world = ToolsFixture::with_memory(memory.clone());
    let mut call = world.call("k", "knowledge_base", json!({"query": "my address"}));
    world.send(&call).await;
    call.caller.user_id = Some("ana".to_owned());
    world.send(&call).await;
    let whose: Vec<SubjectFilter> =
        memory.searched.lock().unwrap().iter().map(|search| search.filter.subject.clone()).collect();
    assert_eq!(whose, [SubjectFilter::SharedWith(None), SubjectFilter::SharedWith(Some("ana".to_owned()))]);
}

#[tokio::test]
async fn a_knowledge_base_that_cannot_be_read_is_empty_and_says_so() {
    let memory = FakeAgentMemory::answering(Err(MemoryError::Unreadable { reason: "no disk".to_owned() }));
    let output = ToolsFixture::with_memory(memory).done("k", "knowledge_base", json!({"query": "refunds"})).await;
    assert_eq!((&output["count"], &output["degraded"]), (&json!(0), &json!(true)));
    assert_eq!(output["degraded_reason"], "memory cannot be read: no disk");
    let invalid = MemoryError::TooLarge { what: "x", size: 2, limit: 1 };
    let refused = ToolsFixture::with_memory(FakeAgentMemory::answering(Err(invalid)));
    assert_eq!(refused.refused("k", "knowledge_base", json!({"query": "q"})).await.0, "INVALID_PARAMETERS");
}

#[tokio::test]
async fn a_context_is_that_of_the_runs_conversation_and_names_nobody_else() {
    let memory = Arc::new(FakeAgentMemory::default());
    let world = ToolsFixture::with_memory(memory.clone());
    let mut call =
        world.call("k", "get_context", json!({"current_message": "hello", "strategy": "short_only", "recent": 7}));
    call.caller.conversation_id = Some("now".to_owned());
    let output = done(world.send(&call).await.outcome);
    assert_eq!((&output["conversation_id"], &output["tokens"]), (&json!("now"), &json!(12)));
    assert_eq!(output["similar_conversations"][0]["summary"], "She wrote from [REDACTED_EMAIL]");
    let wanted = memory.wanted.lock().unwrap()[0].clone();
    assert_eq!((wanted.conversation.as_deref(), wanted.message.as_str()), (Some("now"), "hello"));
    assert_eq!(
        (wanted.strategy, wanted.recent, wanted.documents, wanted.conversations),
        (ContextStrategy::ShortOnly, 7, 5, 3)
    );
}

#[tokio::test]
async fn what_no_longer_fits_is_summarised_at_the_runs_expense_and_told() {
    let memory = Arc::new(FakeAgentMemory::default());
    memory.is_long.store(true, Ordering::Relaxed);
    let world = ToolsFixture::with_memory(memory.clone());
    let mut call = world.call("k", "get_context", json!({}));
    call.caller.conversation_id = Some("now".to_owned());
    let performed = world.send(&call).await;
    assert!(matches!(performed.outcome, ToolOutcome::Done { cost, .. } if cost == Usd::from_nanos(1_000_000)));
    assert_eq!(performed.charges.take().len(), 1);
    let output = done(performed.outcome);
    assert_eq!((&output["summary"], &output["left_out"]["unsummarised"]), (&json!("They spoke."), &json!(0)));
    let (asker, conversation, but) = memory.summaries.lock().unwrap()[0].clone();
    // Half of the messages that fit stay verbatim.
    assert_eq!((asker.key.as_str(), conversation.as_str(), but), ("k", "now", 4));
    done(world.send(&call).await.outcome);
    assert_eq!(memory.summaries.lock().unwrap().len(), 1, "there is nothing left to tell");
}

#[tokio::test]
async fn what_was_gathered_is_answered_where_it_cannot_be_gathered_again_after_a_summary() {
    let memory = Arc::new(FakeAgentMemory::default());
    memory.is_long.store(true, Ordering::Relaxed);
    memory.breaks.store(true, Ordering::Relaxed);
    let world = ToolsFixture::with_memory(memory.clone());
    let mut call = world.call("k", "get_context", json!({}));
    call.caller.conversation_id = Some("now".to_owned());
    let output = done(world.send(&call).await.outcome);
    assert_eq!(
        (output["recent_messages"].as_array().map(Vec::len), memory.summaries.lock().unwrap().len()),
        (Some(8), 1)
    );
}

#[tokio::test]
async fn who_wants_no_messages_needs_no_summary_of_them() {
    let memory = Arc::new(FakeAgentMemory::default());
    memory.is_long.store(true, Ordering::Relaxed);
    let world = ToolsFixture::with_memory(memory.clone());
    let mut call = world.call("k", "get_context", json!({"recent": 0}));
    call.caller.conversation_id = Some("now".to_owned());
    done(world.send(&call).await.outcome);
    assert!(memory.summaries.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_question_is_asked_in_rounds_on_the_runs_behalf() {
    let memory = Arc::new(FakeAgentMemory::default());
    let world = ToolsFixture::with_memory(memory.clone());
    let mut call = world.call("k", "rag_query", json!({"query": "When?", "max_rounds": 2}));
    (call.caller.key_id, call.caller.own_key) = (Some("key-1".to_owned()), true);
    let performed = world.send(&call).await;
    assert!(matches!(performed.outcome, ToolOutcome::Done { cost, .. } if cost == Usd::from_nanos(1_000_000)));
    assert_eq!(performed.audit.cost, Usd::ZERO, "the tool's own; the judge's is among the costs");
    assert_eq!(performed.charges.take().len(), 1);
    let output = done(performed.outcome);
    assert_eq!((&output["count"], &output["results"][0]["citation"]), (&json!(1), &json!(1)));
    assert_eq!((&output["sufficient"], &output["stopped"]), (&json!(false), &json!("rounds")));
    assert_eq!((&output["missing"], &output["cost_usd"]), (&json!("dates"), &json!(0.001)));
    assert_eq!(output["rounds"][0], json!({"query": "refunds", "new": 1, "sufficient": false, "missing": "dates"}));
    let (asker, inquiry) = memory.inquired.lock().unwrap()[0].clone();
    assert_eq!((asker.run.as_ref().map(ToString::to_string), asker.key.as_str()), (Some("run-1".to_owned()), "k"));
    // The consumer's own key is not available here, and no other key pays instead.
    assert_eq!((asker.key_id.as_deref(), asker.key_is_missing), (Some("key-1"), true));
    assert_eq!((inquiry.question.as_str(), inquiry.top, inquiry.rounds), ("When?", 5, 2));
    assert_eq!(inquiry.filter.subject, SubjectFilter::SharedWith(None));
}

#[tokio::test]
async fn what_is_said_is_kept_once_under_its_key_and_a_conversation_ends_with_an_outcome() {
    let memory = Arc::new(FakeAgentMemory::default());
    let world = ToolsFixture::with_memory(memory.clone());
    let mut call = world.call("k", "remember_message", json!({"content": "My kettle leaks"}));
    assert_eq!(call.class, EffectClass::Keyed);
    assert!(not_done(world.send(&call).await.outcome).1.contains("`conversation_id`"));
    (call.caller.conversation_id, call.caller.user_id) = (Some("c1".to_owned()), Some("ana".to_owned()));
    let first = done(world.send(&call).await.outcome);
    assert_eq!(done(world.send(&call).await.outcome)["message_id"], first["message_id"]);
    let said = memory.said.lock().unwrap().clone();
    let (conversation, customer, message) = &said[0];
    assert_eq!((conversation.as_str(), customer.as_deref()), ("c1", Some("ana")));
    assert_eq!((message.speaker, message.content.as_str()), (MessageSpeaker::Customer, "My kettle leaks"));
    assert!(message.id.is_some() && said.iter().all(|(_, _, same)| same.id == message.id));

    let mut call = world.call("k2", "close_conversation", json!({"outcome": "success", "summary": "It was replaced"}));
    call.caller.conversation_id = Some("c1".to_owned());
    call.caller.key_id = Some("key-1".to_owned());
    let performed = world.send(&call).await;
    assert_eq!(performed.charges.take().len(), 1, "what the summary cost is the run's");
    let output = done(performed.outcome);
    assert_eq!((&output["summary"], &output["summarised_by"]), (&json!("All is well."), &json!("excerpt")));
    assert_eq!(output["degraded"], true);
    assert_eq!(output["degraded_reason"], "BUDGET_EXCEEDED: the hourly budget is spent");
    let (asker, conversation, closing) = memory.closed.lock().unwrap()[0].clone();
    assert_eq!((conversation.as_str(), closing.outcome.as_str()), ("c1", "success"));
    assert_eq!(closing.summary.as_deref(), Some("It was replaced"));
    assert_eq!((asker.run.as_ref().map(ToString::to_string), asker.key.as_str()), (Some("run-1".to_owned()), "k2"));
    assert_eq!(asker.key_id.as_deref(), Some("key-1"));
}

#[tokio::test]
async fn an_agent_cannot_be_talked_into_another_conversation() {
    let world = ToolsFixture::with_memory(Arc::new(FakeAgentMemory::default()));
    let mut call = world.call("k", "get_context", json!({"conversation_id": "theirs", "message": "x"}));
    call.caller.conversation_id = Some("own".to_owned());
    done(world.send(&call).await.outcome);
    call.agent = Some("support".to_owned());
    let (code, message) = not_done(world.send(&call).await.outcome);
    assert_eq!(code, "TOOL_NOT_ALLOWED");
    assert!(message.contains("`theirs`"), "{message}");
}

#[tokio::test]
async fn an_execution_is_recorded_once_under_its_key_and_found_without_personal_data() {
    let memory = Arc::new(FakeAgentMemory::default());
    let world = ToolsFixture::with_memory(memory.clone());
    let arguments = json!({
        "goal": "Return the order of ana@example.com", "plan": {"steps": []}, "results": [{"mail": "ana@example.com"}],
        "success": true, "iterations": 2,
    });
    let mut call = world.call("k", "record_execution", arguments);
    assert_eq!(call.class, EffectClass::Keyed);
    (call.agent, call.caller.user_id) = (Some("code".to_owned()), Some("ana".to_owned()));
    let first = done(world.send(&call).await.outcome);
    assert_eq!(done(world.send(&call).await.outcome), first);
    let kept: Vec<AgentExecution> = memory.executions.lock().unwrap().values().cloned().collect();
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!((kept.agent.as_deref(), kept.user.as_deref(), kept.iterations), (Some("code"), Some("ana"), Some(2)));
    assert!(kept.goal.contains("ana@example.com") && kept.at > Time::from_ms(0));

    let output = world.done("k2", "similar_executions", json!({"goal": "return an order", "success_only": true})).await;
    assert_eq!((&output["count"], &output["executions"][0]["success"]), (&json!(1), &json!(true)));
    assert!(!output["executions"].to_string().contains("ana@example.com"), "{output}");
}

#[tokio::test]
async fn without_a_memory_its_tools_are_not_there() {
    let names = ToolsFixture::new().registry.names();
    assert!(!names.iter().any(|name| ["knowledge_base", "search_kb", "get_context"].contains(&name.as_str())));
    let names = ToolsFixture::with_memory(Arc::new(FakeAgentMemory::default())).registry.names();
    for name in [
        "knowledge_base",
        "search_kb",
        "rag_query",
        "get_context",
        "remember_message",
        "close_conversation",
        "similar_executions",
        "record_execution",
    ] {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}
