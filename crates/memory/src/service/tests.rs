use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use baton_core::model::{ModelReply, ModelRequest};
use baton_core::run::ModelCallError;
use baton_core::time::Time;
use baton_ports::embed::{self, Embedder, EmbeddingRole, VectorSpace};
use baton_ports::index::{DocumentFilter, SubjectFilter};
use baton_ports::memory::{
    ContextStrategy, InquiryEnd, MemoryStore as _, MessageSpeaker, ROUNDS_MAX, SearchMode, SummarySource,
};
use baton_ports::models::{DeltaSender, ModelCaller};
use baton_sim::conformance::fixtures::{other_tenant, tenant};
use baton_sim::fake;
use serde_json::json;

use super::*;
use crate::embed::BuiltinEmbedder;

mod closing;
mod forgetting;
mod living;

const KNOWLEDGE: MemoryCollection = MemoryCollection::Knowledge;

struct TickingClock(AtomicUsize);

impl Clock for TickingClock {
    fn now(&self) -> Time {
        Time::from_ms(1_700_000_000_000 + i64::try_from(self.0.fetch_add(1, Ordering::Relaxed)).unwrap())
    }
}

/// Answers with the texts in `first` in turn, then always with `words` (fails if it is `None`), and records the
/// requests.
#[derive(Default)]
struct ScriptedReplies {
    first: Mutex<VecDeque<&'static str>>,
    words: Option<&'static str>,
    asked: Mutex<Vec<ModelRequest>>,
    askers: Mutex<Vec<ModelCaller>>,
}

#[async_trait]
impl ModelService for ScriptedReplies {
    async fn ask(
        &self,
        asker: &ModelCaller,
        request: &ModelRequest,
        _: Duration,
        _: Option<&DeltaSender>,
    ) -> Result<ModelReply, ModelCallError> {
        self.askers.lock().unwrap().push(asker.clone());
        self.asked.lock().unwrap().push(request.clone());
        let words = self.first.lock().unwrap().pop_front().or(self.words);
        let reply = words.map(|words| {
            json!({
                "content": words, "finish": "stop", "usage": {}, "model": "m", "provider": "script", "cost": 1_000,
                "latency_ms": 1,
            })
        });
        let fault = baton_core::fault::Fault::new("MODEL_UNAVAILABLE", "not now");
        match reply {
            Some(reply) => Ok(serde_json::from_value(reply).unwrap()),
            None => Err(ModelCallError::permanent(fault)),
        }
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn explain(&self, _: &TenantId, _: &str) -> Option<Value> {
        None
    }
}

/// The built-in embedder under another name; it may fail.
struct RenamedEmbedder {
    space: VectorSpace,
    fails: Arc<AtomicBool>,
}

#[async_trait]
impl Embedder for RenamedEmbedder {
    fn space(&self) -> &VectorSpace {
        &self.space
    }

    async fn embed(
        &self,
        payer: &embed::EmbeddingPayer,
        texts: &[String],
        role: EmbeddingRole,
    ) -> Result<Vec<Vec<f32>>, embed::EmbeddingError> {
        if self.fails.load(Ordering::Relaxed) {
            let (space, reason) = (self.space.name.clone(), "down".to_owned());
            return Err(embed::EmbeddingError::Unavailable { space, reason, retry_after: None });
        }
        BuiltinEmbedder::new().embed(payer, texts, role).await
    }
}

struct MemoryFixture {
    index: fake::FakeIndex,
    records: fake::FakeStore,
    models: Arc<ScriptedReplies>,
    fails: Arc<AtomicBool>,
}

impl MemoryFixture {
    fn new() -> Self {
        Self {
            index: fake::FakeIndex::new(),
            records: fake::FakeStore::new(),
            models: Arc::default(),
            fails: Arc::default(),
        }
    }

    fn memory(&self) -> MemoryService {
        self.by(&MemoryConfig::default(), None)
    }

    fn by(&self, config: &MemoryConfig, embedder: Option<&str>) -> MemoryService {
        self.on(Arc::new(self.records.clone()), config, embedder)
    }

    fn on(&self, records: Arc<dyn RecordStore>, config: &MemoryConfig, embedder: Option<&str>) -> MemoryService {
        let clock: Arc<dyn Clock> = Arc::new(TickingClock(AtomicUsize::new(0)));
        let parts =
            MemoryPorts { index: Arc::new(self.index.clone()), records, models: Some(self.models.clone()), clock };
        let mut memory = MemoryService::new(config, parts).unwrap();
        if let Some(name) = embedder {
            let space = VectorSpace { name: name.to_owned(), dimensions: BuiltinEmbedder::new().space().dimensions };
            memory.long_term.use_embedder(Arc::new(RenamedEmbedder { space, fails: self.fails.clone() }));
        }
        memory
    }
}

fn page(name: &str, text: &str) -> SourceDocument {
    SourceDocument {
        name: name.to_owned(),
        title: String::new(),
        subject: None,
        metadata: Map::new(),
        text: text.to_owned(),
        body: Value::Null,
    }
}

const RETURNS: &str =
    "# Returns\n\nYou may return shoes within thirty days.\n\n## Refunds\n\nMoney is back in five days.\n";
const TIDES: &str = "# Tides\n\nThe moon pulls the sea and makes high water.\n";

async fn add(memory: &MemoryService, name: &str, text: &str) -> AddResult {
    memory.add(&tenant(), KNOWLEDGE, page(name, text)).await.unwrap()
}

async fn find(memory: &MemoryService, query: &str) -> Vec<String> {
    let found = memory.search(&tenant(), &SearchRequest::knowledge(query)).await.unwrap();
    found.passages.into_iter().map(|passage| passage.content).collect()
}

#[tokio::test]
async fn a_document_is_found_in_pieces_that_say_where_they_are_from() {
    let memory = MemoryFixture::new().memory();
    assert_eq!(find(&memory, "anything").await, [] as [&str; 0]);
    assert_eq!(add(&memory, "returns", RETURNS).await, AddResult { revision: 1, pieces: 2, unchanged: false });
    add(&memory, "tides", TIDES).await;
    for mode in [SearchMode::Hybrid, SearchMode::Vector, SearchMode::Text] {
        let search = SearchRequest { mode, ..SearchRequest::knowledge("when is my money back?") };
        let found = memory.search(&tenant(), &search).await.unwrap();
        let best = &found.passages[0];
        assert_eq!(best.content, "Money is back in five days.", "{mode:?}");
        assert_eq!((best.document.as_str(), best.heading.as_str(), best.chunk), ("returns", "Returns > Refunds", 1));
        assert_eq!(&RETURNS[best.begins as usize..best.ends as usize], best.content);
        assert_eq!(found.degraded, None);
    }
}

#[tokio::test]
async fn the_same_document_again_does_nothing_and_a_changed_one_takes_its_place() {
    let memory = MemoryFixture::new().memory();
    add(&memory, "returns", RETURNS).await;
    assert_eq!(add(&memory, "returns", RETURNS).await, AddResult { revision: 1, pieces: 0, unchanged: true });
    add(&memory, "returns", "Money is never given back.").await;
    assert_eq!(find(&memory, "money back").await, ["Money is never given back."]);
}

#[tokio::test]
async fn a_long_document_is_laid_in_many_parts_and_gone_on_with() {
    let world = MemoryFixture::new();
    let memory = world.by(&MemoryConfig::default(), Some("model-1"));
    let paragraphs: Vec<String> =
        (0..300).map(|number| format!("# H{number}\n\nParagraph {number} is about it.")).collect();
    let text = paragraphs.join("\n\n");
    world.fails.store(true, Ordering::Relaxed);
    memory.add(&tenant(), KNOWLEDGE, page("long", &text)).await.unwrap_err();
    world.fails.store(false, Ordering::Relaxed);
    // The document was stored, and adding it again indexes it.
    assert_eq!(add(&memory, "long", &text).await.pieces, 300);
    assert_eq!(find(&memory, "paragraph 277").await[0], "Paragraph 277 is about it.");
}

#[tokio::test]
async fn while_the_embedder_is_down_words_answer_alone_and_say_so() {
    let world = MemoryFixture::new();
    let memory = world.by(&MemoryConfig::default(), Some("model-1"));
    add(&memory, "tides", TIDES).await;
    world.fails.store(true, Ordering::Relaxed);
    let found = memory.search(&tenant(), &SearchRequest::knowledge("moon")).await.unwrap();
    assert_eq!(found.passages.len(), 1);
    assert!(found.degraded.is_some_and(|why| why.contains("words alone") && why.contains("model-1")));
    let vector = SearchRequest { mode: SearchMode::Vector, ..SearchRequest::knowledge("moon") };
    assert!(matches!(memory.search(&tenant(), &vector).await, Err(MemoryError::Embedding(_))));
}

#[tokio::test]
async fn another_embedder_in_the_settings_waits_for_a_reindex() {
    let world = MemoryFixture::new();
    add(&world.by(&MemoryConfig::default(), Some("model-1")), "tides", TIDES).await;
    let after = world.by(&MemoryConfig::default(), Some("model-2"));
    let found = after.search(&tenant(), &SearchRequest::knowledge("moon")).await.unwrap();
    assert!(found.degraded.is_some_and(|why| why.contains("`model-1") && why.contains("baton knowledge reindex")));
    let refused = after.add(&tenant(), KNOWLEDGE, page("returns", RETURNS)).await.unwrap_err();
    assert!(matches!(refused, MemoryError::OtherEmbedder { .. }), "{refused:?}");
    assert_eq!(after.documents(&tenant(), KNOWLEDGE, None, 9).await.unwrap().len(), 1);

    let reindexed = after.reindex(&tenant(), KNOWLEDGE).await.unwrap();
    assert_eq!((reindexed.documents, reindexed.pieces), (1, 1));
    assert!(reindexed.embedder.contains("model-2"));
    let found = after.search(&tenant(), &SearchRequest::knowledge("moon")).await.unwrap();
    assert_eq!((found.passages.len(), found.degraded), (1, None));
    add(&after, "returns", RETURNS).await;
}

#[tokio::test]
async fn what_was_made_by_the_built_in_embedder_is_always_searched_by_both_ways() {
    let world = MemoryFixture::new();
    add(&world.memory(), "tides", TIDES).await;
    let after = world.by(&MemoryConfig::default(), Some("model-1"));
    let found = after.search(&tenant(), &SearchRequest::knowledge("tidal")).await.unwrap();
    assert_eq!((found.passages.len(), found.degraded), (1, None));
}

#[tokio::test]
async fn a_reindex_cuts_anew_and_answers_meanwhile() {
    let world = MemoryFixture::new();
    let text: String = (0..60).map(|number| format!("Sentence number {number} says a few words more. ")).collect();
    let memory = world.memory();
    add(&memory, "long", &text).await;
    let small = world.by(&MemoryConfig { chunk_tokens: 40, chunk_overlap: 0, ..MemoryConfig::default() }, None);
    let generations = async || world.index.generations(&tenant(), KNOWLEDGE).await.unwrap();
    let before = generations().await[0].pieces;
    // Added with the recipe of the live generation, whatever the settings say.
    add(&small, "tides", TIDES).await;
    assert_eq!(generations().await[0].pieces, before + 1);
    let reindexed = small.reindex(&tenant(), KNOWLEDGE).await.unwrap();
    assert!(reindexed.pieces > before + 5, "{reindexed:?} and {before}");
    assert_eq!(reindexed.documents, 2);
    assert_eq!(small.reindex(&tenant(), KNOWLEDGE).await.unwrap(), reindexed);
}

#[tokio::test]
async fn too_much_is_refused_with_its_limit() {
    let memory = MemoryFixture::new().memory();
    add(&memory, "tides", TIDES).await;
    let search = SearchRequest { top: 51, ..SearchRequest::knowledge("moon") };
    let refused = memory.search(&tenant(), &search).await.unwrap_err().to_string();
    assert!(refused.contains("51, over the limit of 50"), "{refused}");
    for empty in ["", " \n", "?!"] {
        assert_eq!(find(&memory, empty).await, [] as [&str; 0]);
    }
}

fn message(speaker: MessageSpeaker, content: &str) -> ThreadMessage {
    ThreadMessage { id: None, speaker, content: content.to_owned(), at: Time::from_ms(5) }
}

async fn talk(memory: &MemoryService, conversation: &str, customer: Option<&str>, said: &[&str]) {
    for (number, words) in said.iter().enumerate() {
        let speaker = if number % 2 == 0 { MessageSpeaker::Customer } else { MessageSpeaker::Agent };
        memory.add_message(&tenant(), conversation, customer, message(speaker, words)).await.unwrap();
    }
}

async fn close(memory: &MemoryService, conversation: &str, outcome: &str, summary: Option<&str>) -> ThreadSummary {
    let closing = ConversationClosing { outcome: outcome.to_owned(), summary: summary.map(str::to_owned) };
    memory.close(&asker(), conversation, closing).await.unwrap()
}

#[tokio::test]
async fn a_closed_conversation_is_found_by_what_was_said_and_leaves_short_term_memory() {
    let memory = MemoryFixture::new().memory();
    talk(&memory, "c1", Some("ana"), &["My kettle leaks", "We send you another", "Thanks"]).await;
    talk(&memory, "c2", Some("ben"), &["Where is my parcel?", "It comes tomorrow"]).await;
    assert_eq!(close(&memory, "c1", "success", Some("A leaking kettle was replaced")).await.by, SummarySource::Caller);
    close(&memory, "c2", "success", None).await;
    assert_eq!(memory.thread(&tenant(), "c1").await.unwrap(), None);
    let context =
        memory.context(&tenant(), &ContextRequest::new(Some("c3".into()), "the kettle is leaking")).await.unwrap();
    let like = &context.similar_conversations[0];
    assert_eq!((like.conversation_id.as_str(), like.outcome.as_str()), ("c1", "success"));
    assert_eq!(like.summary, "A leaking kettle was replaced");
    let again = ConversationClosing { outcome: "x".into(), summary: None };
    let same = memory.close(&asker(), "c1", again.clone()).await.unwrap();
    assert_eq!((same.text.as_str(), same.by), ("A leaking kettle was replaced", SummarySource::Caller));
    let never = memory.close(&asker(), "c9", again).await.unwrap_err();
    assert_eq!(never.to_string(), "there is no conversation `c9`");
}

#[tokio::test]
async fn summaries_are_a_models_or_an_excerpt() {
    let mut world = MemoryFixture::new();
    talk(&world.memory(), "c1", None, &["My kettle leaks", "We send you another", "Thanks"]).await;
    let closing = ConversationClosing { outcome: "success".into(), summary: None };
    let excerpt = world.memory().close(&asker(), "c1", closing).await.unwrap();
    assert_eq!((excerpt.text.as_str(), excerpt.covers), ("customer: My kettle leaks\ncustomer: Thanks", 3));
    assert_eq!(excerpt.by, SummarySource::Excerpt);

    world.models = Arc::new(ScriptedReplies { words: Some("A kettle leaks."), ..ScriptedReplies::default() });
    let memory = world.memory();
    let said: Vec<String> = (0..250).map(|number| format!("message {number}")).collect();
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    talk(&memory, "c2", None, &said).await;
    let summary = memory.summarise(&asker(), "c2", 20).await.unwrap().unwrap();
    assert_eq!((summary.text.as_str(), summary.covers, summary.by), ("A kettle leaks.", 230, SummarySource::Model));
    // A hundred messages at a time, each with the summary before; and nothing twice.
    assert_eq!(world.models.asked.lock().unwrap().len(), 3);
    memory.summarise(&asker(), "c2", 20).await.unwrap();
    assert_eq!(world.models.asked.lock().unwrap().len(), 3);
}

fn execution(id: &str, goal: &str, success: bool) -> AgentExecution {
    AgentExecution {
        id: id.to_owned(),
        goal: goal.to_owned(),
        plan: json!({"steps": [{"id": 1, "tool": "shopify.get_order"}]}),
        results: json!([{"ok": success}]),
        success,
        agent: Some("code".to_owned()),
        user: Some("ana".to_owned()),
        cost_usd: Some(0.25),
        duration_ms: Some(1_200),
        iterations: Some(2),
        at: Time::from_ms(7),
    }
}

#[tokio::test]
async fn executions_are_found_by_goals_like_theirs() {
    let memory = MemoryFixture::new().memory();
    let goals = [
        ("e1", "Return an order of shoes", true),
        ("e2", "Return the order of a hat", false),
        ("e3", "Water the plants", true),
    ];
    for (id, goal, success) in goals {
        memory.record_execution(&tenant(), execution(id, goal, success)).await.unwrap();
    }
    let similar = async |success_only| {
        let found = memory.similar_executions(&tenant(), "returning an order", 2, success_only).await.unwrap();
        found.into_iter().map(|one| one.execution.id).collect::<Vec<_>>()
    };
    let mut both = similar(false).await;
    both.sort();
    assert_eq!(both, ["e1", "e2"]);
    assert_eq!(similar(true).await[0], "e1");
    let found = memory.similar_executions(&tenant(), "Return an order of shoes", 1, true).await.unwrap();
    assert_eq!(found[0].execution, execution("e1", "Return an order of shoes", true));
    let refused = memory.record_execution(&tenant(), execution("e4", " ", true)).await.unwrap_err().to_string();
    assert_eq!(refused, "an execution's goal: it is empty");
    let large = AgentExecution { results: json!("x".repeat(300_000)), ..execution("e5", "Anything", true) };
    let refused = memory.record_execution(&tenant(), large).await.unwrap_err().to_string();
    assert!(refused.starts_with("an execution's plan and results is 300"), "{refused}");
}

#[tokio::test]
async fn a_context_is_made_of_what_its_strategy_says() {
    let memory = MemoryFixture::new().memory();
    add(&memory, "returns", RETURNS).await;
    talk(&memory, "old", None, &["I want to return shoes", "Done"]).await;
    close(&memory, "old", "success", None).await;
    talk(&memory, "now", None, &["Hello", "How can I help?"]).await;
    let parts = async |strategy| {
        let wanted = ContextRequest { strategy, ..ContextRequest::new(Some("now".into()), "return my shoes") };
        let context = memory.context(&tenant(), &wanted).await.unwrap();
        assert!(context.tokens > 0 && context.degraded.is_none());
        [context.recent_messages.len(), context.relevant_documents.len(), context.similar_conversations.len()]
    };
    assert_eq!(parts(ContextStrategy::ShortOnly).await, [2, 0, 0]);
    assert_eq!(parts(ContextStrategy::LongOnly).await, [0, 2, 1]);
    assert_eq!(parts(ContextStrategy::Hybrid).await, [2, 2, 1]);
    let none = ContextRequest {
        recent: 0,
        documents: 0,
        conversations: 0,
        ..ContextRequest::new(Some("now".into()), "return")
    };
    let context = memory.context(&tenant(), &none).await.unwrap();
    assert_eq!((context.recent_messages.len(), context.relevant_documents.len()), (0, 0));
    let filter = DocumentFilter { metadata: [("kind".to_owned(), json!("none"))].into(), ..DocumentFilter::default() };
    let filtered = ContextRequest { filter, ..ContextRequest::new(None, "return my shoes") };
    assert_eq!(memory.context(&tenant(), &filtered).await.unwrap().relevant_documents.len(), 0);
}

#[tokio::test]
async fn everything_about_a_person_is_forgotten_and_nothing_else() {
    let memory = MemoryFixture::new().memory();
    let about =
        |name: &str, subject: Option<&str>| SourceDocument { subject: subject.map(str::to_owned), ..page(name, TIDES) };
    memory.add(&tenant(), KNOWLEDGE, about("hers", Some("ana"))).await.unwrap();
    memory.add(&tenant(), KNOWLEDGE, about("ours", None)).await.unwrap();
    talk(&memory, "c1", Some("ana"), &["one", "two"]).await;
    close(&memory, "c1", "success", None).await;
    talk(&memory, "c2", Some("ana"), &["three"]).await;
    talk(&memory, "c3", Some("ben"), &["four"]).await;
    memory.record_execution(&tenant(), execution("e1", "Find her parcel", true)).await.unwrap();
    memory.add(&other_tenant(), KNOWLEDGE, about("theirs", Some("ana"))).await.unwrap();

    let forgotten = memory.forget(&tenant(), "ana").await.unwrap();
    assert_eq!(forgotten, ForgetResult { threads: 1, messages: 1, knowledge: 1, conversations: 1, executions: 1 });
    assert_eq!(memory.forget(&tenant(), "ana").await.unwrap(), ForgetResult::default());
    let names = async |of| {
        let all = memory.documents(&tenant(), of, None, 9).await.unwrap();
        all.into_iter().map(|head| head.name).collect::<Vec<_>>()
    };
    assert_eq!(names(KNOWLEDGE).await, ["ours"]);
    assert_eq!(names(MemoryCollection::Executions).await, [] as [&str; 0]);
    assert!(memory.thread(&tenant(), "c3").await.unwrap().is_some());
    assert_eq!(memory.documents(&other_tenant(), KNOWLEDGE, None, 9).await.unwrap().len(), 1);
}

fn asker() -> ModelCaller {
    ModelCaller::of(tenant(), "k")
}

fn inquiry(question: &str) -> InquiryRequest {
    InquiryRequest { question: question.to_owned(), top: 1, rounds: ROUNDS_MAX, filter: DocumentFilter::default() }
}

async fn inquired(said: &[&'static str]) -> (InquiryResult, Vec<ModelRequest>) {
    let mut world = MemoryFixture::new();
    world.models =
        Arc::new(ScriptedReplies { first: Mutex::new(said.iter().copied().collect()), ..ScriptedReplies::default() });
    let memory = world.memory();
    add(&memory, "returns", RETURNS).await;
    add(&memory, "tides", TIDES).await;
    let inquired = memory.inquire(&asker(), &inquiry("how many days to return shoes")).await.unwrap();
    let asked = world.models.asked.lock().unwrap().clone();
    (inquired, asked)
}

#[tokio::test]
async fn an_inquiry_goes_on_with_the_judges_words_until_it_has_enough() {
    let (inquired, asked) = inquired(&[
        r#"{"sufficient": false, "missing": "when the money is back", "query": "refunds money"}"#,
        r#"{"sufficient": true, "missing": null, "query": null}"#,
    ])
    .await;
    let found: Vec<&str> = inquired.passages.iter().map(|passage| passage.content.as_str()).collect();
    assert_eq!(found, ["You may return shoes within thirty days.", "Money is back in five days."]);
    assert_eq!((inquired.stopped, inquired.cost), (InquiryEnd::Sufficient, baton_core::money::Usd::from_nanos(2_000)));
    let rounds: Vec<(&str, usize, Option<bool>)> =
        inquired.rounds.iter().map(|round| (round.query.as_str(), round.new, round.sufficient)).collect();
    assert_eq!(rounds, [("how many days to return shoes", 1, Some(false)), ("refunds money", 1, Some(true))]);
    assert_eq!(inquired.rounds[0].missing.as_deref(), Some("when the money is back"));
    let baton_core::model::ModelMessage::User { content, .. } = &asked[1].messages[1] else { panic!("{asked:?}") };
    assert!(content.contains("[1] Returns\nYou may") && content.contains("[2] Returns > Refunds\nMoney"), "{content}");
    assert!(content.contains("- refunds money"), "{content}");
}

#[tokio::test]
async fn an_inquiry_stops_where_nothing_new_comes_or_nobody_judges() {
    let again = r#"{"sufficient": false, "missing": "x", "query": "return shoes days"}"#;
    let (same, asked) = inquired(&[again, again]).await;
    assert_eq!((same.stopped, same.passages.len(), same.rounds.len(), asked.len()), (InquiryEnd::NothingNew, 1, 2, 1));
    let (unjudged, _) = inquired(&["I would rather not"]).await;
    assert_eq!((unjudged.stopped, unjudged.passages.len()), (InquiryEnd::Unjudged, 1));
    assert_eq!(unjudged.rounds[0].sufficient, None);
    let (given_up, _) = inquired(&[r#"{"sufficient": false, "missing": "x", "query": " "}"#]).await;
    assert_eq!((given_up.stopped, given_up.rounds[0].sufficient), (InquiryEnd::NothingNew, Some(false)));
    let (out_of_rounds, asked) = inquired(&[
        r#"{"sufficient": false, "missing": "x", "query": "refunds money"}"#,
        r#"{"sufficient": false, "missing": "x", "query": "moon sea"}"#,
        r#"{"sufficient": false, "missing": "x", "query": "more"}"#,
    ])
    .await;
    assert_eq!((out_of_rounds.stopped, out_of_rounds.passages.len(), asked.len()), (InquiryEnd::Rounds, 3, 3));
    let many = InquiryRequest { rounds: 4, ..inquiry("q") };
    let refused = MemoryFixture::new().memory().inquire(&asker(), &many).await.unwrap_err();
    assert_eq!(refused.to_string(), "an inquiry's rounds is 4, over the limit of 3");
}

/// The same call, repeated by another process.
#[tokio::test]
async fn a_verdict_that_was_recorded_is_not_asked_for_again() {
    let verdicts = [
        r#"{"sufficient": false, "missing": "the money", "query": "refunds money"}"#,
        r#"{"sufficient": true, "missing": null, "query": null}"#,
    ];
    for begun in [false, true] {
        let mut world = MemoryFixture::new();
        world.models = Arc::new(ScriptedReplies { first: Mutex::new(verdicts.into()), ..ScriptedReplies::default() });
        add(&world.memory(), "returns", RETURNS).await;
        let question = inquiry("how many days to return shoes");
        // Its first round was answered and recorded; then the process died.
        let first = InquiryRequest { rounds: 1, ..question.clone() };
        if begun {
            world.memory().inquire(&asker(), &first).await.unwrap();
        }
        let inquired = world.memory().inquire(&asker(), &question).await.unwrap();
        assert_eq!((inquired.stopped, inquired.passages.len()), (InquiryEnd::Sufficient, 2));
        assert_eq!(inquired.cost, baton_core::money::Usd::from_nanos(2_000), "what was paid before is told too");
        assert_eq!(world.models.asked.lock().unwrap().len(), 2);
        // Repeating the whole calls no model.
        let again = world.memory().inquire(&asker(), &question).await.unwrap();
        assert_eq!(again, inquired);
        assert_eq!(world.models.asked.lock().unwrap().len(), 2);
        // Another call has its own verdicts, even for the same question.
        let other = ModelCaller { key: "other".to_owned(), ..asker() };
        world.memory().inquire(&other, &question).await.unwrap();
        assert!(world.models.asked.lock().unwrap().len() > 2);
    }
}

#[tokio::test]
async fn verdicts_are_cleared_away_in_time_and_with_the_person_who_asked() {
    let mut world = MemoryFixture::new();
    let verdict = Some(r#"{"sufficient": true, "missing": null, "query": null}"#);
    world.models = Arc::new(ScriptedReplies { words: verdict, ..ScriptedReplies::default() });
    let memory = world.memory();
    add(&memory, "returns", RETURNS).await;
    let kept = async || {
        let mut kept = 0;
        for space in ["memory.inquiries", "memory.inquiry_days"] {
            kept += world.records.list(&tenant(), space, "", None, 1_000).await.unwrap().len();
        }
        kept
    };
    let hers =
        DocumentFilter { subject: SubjectFilter::SharedWith(Some("ana".to_owned())), ..DocumentFilter::default() };
    for number in 0..60 {
        let asker = ModelCaller { key: format!("k{number}"), ..asker() };
        let filter = if number % 2 == 0 { hers.clone() } else { DocumentFilter::default() };
        memory.inquire(&asker, &InquiryRequest { filter, ..inquiry("return shoes") }).await.unwrap();
    }
    assert_eq!(kept().await, 120);
    memory.forget(&tenant(), "ana").await.unwrap();
    assert_eq!(kept().await, 60);
    // A month later.
    let later = TickingClock(AtomicUsize::new(31 * 86_400_000));
    let parts = MemoryPorts {
        index: Arc::new(world.index.clone()),
        records: Arc::new(world.records.clone()),
        models: Some(world.models.clone()),
        clock: Arc::new(later),
    };
    let memory = MemoryService::new(&MemoryConfig::default(), parts).unwrap();
    for number in 0..3 {
        let asker = ModelCaller { key: format!("later{number}"), ..asker() };
        memory.inquire(&asker, &inquiry("return shoes")).await.unwrap();
    }
    assert_eq!(kept().await, 6);
}
