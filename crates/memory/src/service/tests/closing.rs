//! Closing a conversation: no message is lost, whatever happens in the meantime.

use baton_ports::records::{self, RecordOp, StoredRecord};

use super::*;

/// Records that accept a number of commits and then none, as if the process had died.
struct DyingRecords {
    records: fake::FakeStore,
    left: Mutex<usize>,
}

impl DyingRecords {
    fn after(commits: usize, world: &MemoryFixture) -> Self {
        Self { records: world.records.clone(), left: Mutex::new(commits) }
    }
}

#[async_trait]
impl RecordStore for DyingRecords {
    async fn commit(&self, tenant: &TenantId, ops: Vec<RecordOp>, at: Time) -> Result<(), records::RecordError> {
        {
            let mut left = self.left.lock().unwrap();
            let Some(rest) = left.checked_sub(1) else {
                return Err(records::RecordError::Unwritable { reason: "the process died".to_owned() });
            };
            *left = rest;
        }
        self.records.commit(tenant, ops, at).await
    }

    async fn get(
        &self,
        tenant: &TenantId,
        space: &str,
        key: &str,
    ) -> Result<Option<StoredRecord>, records::RecordError> {
        self.records.get(tenant, space, key).await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, records::RecordError> {
        self.records.list(tenant, space, prefix, after, limit).await
    }

    async fn ranges(
        &self,
        tenant: &TenantId,
        space: &str,
        resource: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, i64, String)>, records::RecordError> {
        self.records.ranges(tenant, space, resource, from, to).await
    }
}

async fn texts_of_conversations(world: &MemoryFixture, memory: &MemoryService) -> Vec<(String, String)> {
    let of = MemoryCollection::Conversations;
    let mut texts = Vec::new();
    for head in memory.documents(&tenant(), of, None, 9).await.unwrap() {
        let stored = world.index.document(&tenant(), of, &head.name).await.unwrap().unwrap();
        texts.push((head.name, stored.text));
    }
    texts
}

#[tokio::test]
async fn a_close_that_is_cut_off_anywhere_loses_no_word() {
    for survived in 0.. {
        let world = MemoryFixture::new();
        let memory = world.memory();
        let said: Vec<String> = (0..200).map(|number| format!("word{number}")).collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        talk(&memory, "c1", Some("ana"), &said).await;
        let closing = || ConversationClosing { outcome: "success".to_owned(), summary: Some("All said".to_owned()) };
        let dying = world.on(Arc::new(DyingRecords::after(survived, &world)), &MemoryConfig::default(), None);
        let cut_off = dying.close(&asker(), "c1", closing()).await;
        let again = memory.close(&asker(), "c1", closing()).await.unwrap();
        assert_eq!(again.text, "All said");
        let texts = texts_of_conversations(&world, &memory).await;
        assert_eq!(texts.len(), 1, "cut off after {survived}: {texts:?}");
        assert!(said.iter().all(|word| texts[0].1.contains(word)), "cut off after {survived}");
        assert_eq!(memory.thread(&tenant(), "c1").await.unwrap(), None);
        assert_eq!(memory.forget(&tenant(), "ana").await.unwrap().messages, 0);
        if cut_off.is_ok() {
            assert!(survived > 3, "several commits can be cut off");
            return;
        }
    }
}

#[tokio::test]
async fn what_is_said_while_a_conversation_closes_begins_another_of_its_id() {
    let world = MemoryFixture::new();
    let memory = world.memory();
    talk(&memory, "c1", Some("ana"), &["My kettle leaks"]).await;
    let since = memory.short_term.watermark(&tenant()).await.unwrap();
    let whole = memory.short_term.read_whole(&tenant(), "c1").await.unwrap().unwrap();
    talk(&memory, "c1", Some("ana"), &["And the lid is gone"]).await;
    assert!(memory.short_term.remove_messages(&tenant(), "c1", since, &whole).await.unwrap());
    let recent = memory.recent(&tenant(), "c1", 9).await.unwrap();
    assert_eq!(recent.len(), 1);
    assert_eq!(recent[0].content, "And the lid is gone");
    // A close that was based on the messages before does not remove the new ones.
    assert!(memory.short_term.remove_messages(&tenant(), "c1", since, &whole).await.unwrap());
    assert_eq!(memory.recent(&tenant(), "c1", 9).await.unwrap().len(), 1);
    let summary = close(&memory, "c1", "success", None).await;
    assert_eq!(summary.text, "customer: And the lid is gone");
}

#[tokio::test]
async fn conversations_of_one_id_are_each_kept() {
    let world = MemoryFixture::new();
    let memory = world.memory();
    for words in ["My kettle leaks", "Where is my parcel?", "Do you sell lamps?"] {
        talk(&memory, "c1", Some("ana"), &[words]).await;
        assert_eq!(close(&memory, "c1", "success", Some(words)).await.text, words);
        // Closing again returns the same summary.
        assert_eq!(close(&memory, "c1", "success", None).await.text, words);
    }
    let texts = texts_of_conversations(&world, &memory).await;
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts.iter().all(|(name, _)| name == "c1" || name.starts_with("c1@17000000000")), "{texts:?}");
    let context = memory.context(&tenant(), &ContextRequest::new(None, "lamps")).await.unwrap();
    assert_eq!(context.similar_conversations[0].conversation_id, "c1");
    assert_eq!(context.similar_conversations[0].summary, "Do you sell lamps?");
    assert_eq!(memory.forget(&tenant(), "ana").await.unwrap().conversations, 3);
}

#[tokio::test]
async fn whose_it_is_that_became_known_at_the_last_moment_is_kept_with_it() {
    let world = MemoryFixture::new();
    let memory = world.memory();
    talk(&memory, "c1", None, &["My kettle leaks"]).await;
    let since = memory.short_term.watermark(&tenant()).await.unwrap();
    let whole = memory.short_term.read_whole(&tenant(), "c1").await.unwrap().unwrap();
    talk(&memory, "c1", Some("ana"), &["I am Ana"]).await;
    assert!(
        !memory.short_term.remove_messages(&tenant(), "c1", since, &whole).await.unwrap(),
        "its document would be nobody's"
    );
    close(&memory, "c1", "success", None).await;
    assert_eq!(memory.forget(&tenant(), "ana").await.unwrap().conversations, 1);
    assert_eq!(texts_of_conversations(&world, &memory).await, []);
}

/// The process dies after each write in turn; the next close requests from a model only what was not recorded.
#[tokio::test]
async fn a_summary_that_was_recorded_is_not_asked_for_again() {
    let said: Vec<String> = (0..250).map(|number| format!("word{number}")).collect();
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    for survived in 0.. {
        let mut world = MemoryFixture::new();
        world.models = Arc::new(ScriptedReplies { words: Some("A talk of words."), ..ScriptedReplies::default() });
        let memory = world.memory();
        talk(&memory, "c1", Some("ana"), &said).await;
        let closing = || ConversationClosing { outcome: "success".to_owned(), summary: None };
        let dying = world.on(Arc::new(DyingRecords::after(survived, &world)), &MemoryConfig::default(), None);
        let cut_off = dying.close(&asker(), "c1", closing()).await;
        let summary = memory.close(&asker(), "c1", closing()).await.unwrap();
        assert_eq!(
            (summary.text.as_str(), summary.by, summary.covers),
            ("A talk of words.", SummarySource::Model, 250)
        );
        // Three calls of a hundred messages each; one more if a reply arrived and its record was not written.
        let asked = world.models.asked.lock().unwrap();
        assert_eq!(asked.len(), if survived < 3 { 4 } else { 3 }, "cut off after {survived}");
        if cut_off.is_ok() {
            return;
        }
    }
}

#[tokio::test]
async fn a_model_that_fails_is_asked_once_and_the_words_stay() {
    let world = MemoryFixture::new();
    let memory = world.memory();
    let said: Vec<String> = (0..250).map(|number| format!("word{number}")).collect();
    talk(&memory, "c1", None, &said.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let long = "endless ".repeat(7_000);
    memory
        .add_message(&tenant(), "c1", None, message(MessageSpeaker::Customer, &format!("{long}THE END")))
        .await
        .unwrap();
    let closing = ConversationClosing { outcome: "success".to_owned(), summary: None };
    let summary = memory.close(&asker(), "c1", closing).await.unwrap();
    assert_eq!((summary.by, summary.why.as_deref()), (SummarySource::Excerpt, Some("MODEL_UNAVAILABLE: not now")));
    assert_eq!(world.models.asked.lock().unwrap().len(), 1);
    let texts = texts_of_conversations(&world, &memory).await;
    assert!(said.iter().all(|word| texts[0].1.contains(word.as_str())));
    assert!(texts[0].1.contains("THE END"), "a long message is kept to its end");
}

#[tokio::test]
async fn a_summary_is_asked_for_on_the_closers_behalf_under_a_key_of_its_own() {
    let mut world = MemoryFixture::new();
    world.models = Arc::new(ScriptedReplies { words: Some("Well."), ..ScriptedReplies::default() });
    let memory = world.memory();
    for _ in 0..2 {
        talk(&memory, "c1", None, &["My kettle leaks"]).await;
        let asker = ModelCaller { run: Some("run-1".into()), key_id: Some("key-1".to_owned()), ..asker() };
        let closing = ConversationClosing { outcome: "success".to_owned(), summary: None };
        memory.close(&asker, "c1", closing).await.unwrap();
    }
    let askers = world.models.askers.lock().unwrap().clone();
    assert!(askers.iter().all(|asker| asker.run.is_some() && asker.key_id.as_deref() == Some("key-1")), "{askers:?}");
    assert!(askers.iter().all(|asker| asker.key.starts_with("k/summary/c1/")), "{askers:?}");
    assert_ne!(askers[0].key, askers[1].key, "another conversation of the id is another request");
}

/// A conversation that ended by its own journal, with these messages of the customer and the agent in turn.
fn over(conversation: &str, said: &[&str]) -> EndedConversation {
    let speakers = [MessageSpeaker::Customer, MessageSpeaker::Agent].into_iter().cycle();
    EndedConversation {
        conversation: conversation.to_owned(),
        customer: Some("ana".to_owned()),
        messages: speakers.zip(said).map(|(speaker, words)| message(speaker, words)).collect(),
        outcome: "resolved".to_owned(),
        ended_at: Time::from_ms(1_700_000_500_000),
    }
}

#[tokio::test]
async fn what_is_kept_of_a_conversation_gives_way_to_what_closing_it_makes() {
    let world = MemoryFixture::new();
    let memory = world.memory();
    talk(&memory, "c1", Some("ana"), &["My kettle leaks", "We send you another"]).await;
    assert!(
        memory.keep_conversation(&tenant(), over("c1", &["My kettle leaks", "We send you another"])).await.unwrap()
    );
    let similar = async || {
        let context = memory.context(&tenant(), &ContextRequest::new(None, "a leaking kettle")).await.unwrap();
        context.similar_conversations.into_iter().map(|like| (like.conversation_id, like.summary, like.outcome))
    };
    let kept: Vec<_> = similar().await.collect();
    assert_eq!(
        kept,
        [("c1".into(), "customer: My kettle leaks\nagent: We send you another".into(), "resolved".into())]
    );
    assert_eq!(memory.recent(&tenant(), "c1", 9).await.unwrap().len(), 2, "short-term memory goes on");

    // Storing it again replaces it.
    assert!(
        memory
            .keep_conversation(&tenant(), over("c1", &["My kettle leaks", "We send you another", "Thanks"]))
            .await
            .unwrap()
    );
    assert_eq!(texts_of_conversations(&world, &memory).await.len(), 1);

    assert_eq!(close(&memory, "c1", "success", Some("A kettle was replaced")).await.text, "A kettle was replaced");
    let closed: Vec<_> = similar().await.collect();
    assert_eq!(closed, [("c1".into(), "A kettle was replaced".into(), "success".into())]);
    assert_eq!(memory.thread(&tenant(), "c1").await.unwrap(), None);

    // A conversation that was closed here is not stored again, and returns the same summary.
    assert!(!memory.keep_conversation(&tenant(), over("c1", &["My kettle leaks"])).await.unwrap());
    assert_eq!(similar().await.collect::<Vec<_>>(), closed);
    assert_eq!(close(&memory, "c1", "late", None).await.text, "A kettle was replaced");
    assert_eq!(texts_of_conversations(&world, &memory).await.len(), 1);
}

#[tokio::test]
async fn a_conversation_is_kept_only_where_something_was_said_and_its_customer_is_known_still() {
    let world = MemoryFixture::new();
    let memory = world.memory();
    assert!(!memory.keep_conversation(&tenant(), over("c1", &[])).await.unwrap());
    assert!(memory.keep_conversation(&tenant(), over("c2", &["My kettle leaks"])).await.unwrap());
    assert_eq!(memory.forget(&tenant(), "ana").await.unwrap().conversations, 1);
    let ended_before = EndedConversation { ended_at: Time::from_ms(1), ..over("c3", &["Where is my parcel?"]) };
    assert!(!memory.keep_conversation(&tenant(), ended_before).await.unwrap());
    assert_eq!(texts_of_conversations(&world, &memory).await, []);
    // A conversation that was never in short-term memory returns what was stored.
    memory
        .keep_conversation(&tenant(), EndedConversation { customer: None, ..over("c4", &["Do you sell lamps?"]) })
        .await
        .unwrap();
    assert_eq!(close(&memory, "c4", "success", None).await.text, "customer: Do you sell lamps?");
}
