//! Tests of the routing queue: rule by rule, then all rules against an oracle that scans everything each time.

mod escalations;
mod oracle;
mod people;
mod random_walk;
mod rules;
mod transitions;

use std::collections::BTreeSet;
use std::time::Duration;

use super::{
    EnqueueRequest, PersonProfile, Presence, Priority, RoutedConversation, RoutingCommand, RoutingEvent, RoutingQueue,
    RoutingRefusal, RoutingRequirements, RoutingSettings, ServiceLevel, SlaBreach,
};
use crate::id::{PersonId, RunId};
use crate::time::Time;

/// A routing queue with a clock.
#[derive(Clone)]
struct RoutingFixture {
    desk: RoutingQueue,
    now: Time,
    /// All events from the start.
    journal: Vec<(Time, RoutingEvent)>,
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn profile(id: &str, skills: &[&str], max_capacity: u32) -> PersonProfile {
    PersonProfile {
        id: id.into(),
        name: id.to_owned(),
        email: format!("{id}@example.com"),
        skills: set(skills),
        roles: BTreeSet::new(),
        max_capacity,
        languages: BTreeSet::new(),
    }
}

impl RoutingFixture {
    fn new() -> Self {
        Self { desk: RoutingQueue::new(), now: Time::from_ms(1_000_000_000), journal: Vec::new() }
    }

    fn try_submit(&mut self, command: RoutingCommand) -> Result<Vec<RoutingEvent>, RoutingRefusal> {
        // A large queue is not copied for every command.
        let before = (self.desk.conversations().len() < 100).then(|| self.desk.clone());
        let decided = self.desk.decide(command, self.now);
        match &decided {
            Ok(events) => self.journal.extend(events.iter().map(|event| (self.now, event.clone()))),
            Err(_) => assert!(before.is_none_or(|before| before == self.desk), "refused, nothing changes"),
        }
        decided
    }

    fn submit(&mut self, command: RoutingCommand) -> Vec<RoutingEvent> {
        self.try_submit(command).unwrap()
    }

    fn advance_time(&mut self, time: Duration) -> &mut Self {
        self.now = self.now + time;
        self
    }

    /// Advances time, with a tick whenever the queue asks for one.
    fn advance_with_ticks(&mut self, time: Duration) -> &mut Self {
        let until = self.now + time;
        while let Some(at) = self.desk.wake_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.submit(RoutingCommand::Tick);
        }
        self.now = until;
        self
    }

    /// Adds a new person, who is online.
    fn joins(&mut self, id: &str, skills: &[&str], max_capacity: u32) -> &mut Self {
        self.submit(RoutingCommand::PutPerson(profile(id, skills, max_capacity)));
        self.is(id, Presence::Online)
    }

    fn is(&mut self, id: &str, presence: Presence) -> &mut Self {
        self.submit(RoutingCommand::Presence { person: id.into(), presence });
        self
    }

    fn comes(&mut self, conversation: &str, skills: &[&str]) -> &mut Self {
        self.comes_first(conversation, skills, Priority::Normal)
    }

    fn comes_first(&mut self, conversation: &str, skills: &[&str], priority: Priority) -> &mut Self {
        let enqueue = enqueue(conversation, 1, skills, priority, self.now);
        self.submit(RoutingCommand::Enqueue(enqueue));
        self
    }

    fn number(&self, conversation: &str) -> u64 {
        self.desk.conversation(&RunId::new(conversation)).unwrap().number
    }

    fn leaves(&mut self, conversation: &str) -> &mut Self {
        let number = self.number(conversation);
        self.submit(RoutingCommand::Left { conversation: conversation.into(), number });
        self
    }

    fn answered(&mut self, conversation: &str) -> &mut Self {
        let number = self.number(conversation);
        self.submit(RoutingCommand::Answered { conversation: conversation.into(), number });
        self
    }

    /// The owner; `None` if it waits.
    fn owner(&self, conversation: &str) -> Option<&str> {
        self.desk.conversation(&RunId::new(conversation)).unwrap().owner.as_ref().map(PersonId::as_str)
    }

    /// Waiting conversations in order.
    fn line(&self) -> Vec<&str> {
        self.desk
            .waiting_page(0, usize::MAX)
            .into_iter()
            .map(|waiting| waiting.conversation.conversation.as_str())
            .collect()
    }

    /// Asserts that folding the journal again, and a snapshot written and read back, give the same queue.
    fn replayed(&self) {
        let mut again = RoutingQueue::new();
        self.journal.iter().for_each(|(at, event)| again.apply(*at, event));
        assert_eq!(again, self.desk);
        let written = serde_json::to_string(&self.desk).unwrap();
        assert_eq!(serde_json::from_str::<RoutingQueue>(&written).unwrap(), self.desk);
    }
}

#[test]
fn a_promise_of_its_own_counts_from_when_it_began_to_wait_and_anew_after_it_was_answered() {
    let (begin, minute) = (Time::from_ms(1_000_000), 60_000);
    let after = |ms: u64| begin + std::time::Duration::from_millis(ms);
    let level = |first_response_ms, resolution_ms| ServiceLevel { priority: None, first_response_ms, resolution_ms };
    let mut desk = RoutingQueue::new();
    let service = ServiceLevel { priority: Some(Priority::High), ..level(Some(2 * minute), None) };
    let asked = EnqueueRequest { service, ..enqueue("c", 4, &[], Priority::Normal, begin) };
    desk.decide(RoutingCommand::Enqueue(asked), after(500)).expect("has room");
    let case = |desk: &RoutingQueue| desk.conversation(&"c".into()).expect("is at the desk").clone();
    let by = |case: RoutedConversation| (case.priority, case.respond_by, case.resolve_by);
    let usual = after(500) + RoutingSettings::default().resolution;
    assert_eq!(by(case(&desk)), (Priority::High, Some(after(2 * minute)), usual));

    // Late: urgent. A new service level restarts the deadline, and omitted fields stay.
    desk.decide(RoutingCommand::Tick, after(2 * minute)).expect("time passes");
    assert_eq!(case(&desk).priority, Priority::Urgent);
    let promise = |service| RoutingCommand::ServiceLevel { conversation: "c".into(), number: 4, service };
    desk.decide(promise(level(Some(10 * minute), Some(20 * minute))), after(3 * minute)).expect("is taken");
    assert_eq!(by(case(&desk)), (Priority::Urgent, Some(after(10 * minute)), after(20 * minute)));
    assert!(!case(&desk).chains.contains_key(&SlaBreach::FirstResponse), "it is not late any more");

    // Messages about an earlier ticket are ignored, and invalid values are refused.
    let stale =
        RoutingCommand::ServiceLevel { conversation: "c".into(), number: 3, service: level(Some(minute), None) };
    assert_eq!(desk.decide(stale, after(3 * minute)), Ok(Vec::new()));
    assert_eq!(desk.decide(promise(level(Some(5), None)), after(3 * minute)).unwrap_err().code(), "DESK-001");

    // Answered and returned, it waits for a new answer, with the same deadline as before.
    desk.decide(RoutingCommand::PutPerson(profile("ana", &[], 5)), after(3 * minute)).expect("is put");
    let presence = |presence| RoutingCommand::Presence { person: "ana".into(), presence };
    desk.decide(presence(Presence::Online), after(3 * minute)).expect("is there");
    let number = case(&desk).number;
    desk.decide(RoutingCommand::Answered { conversation: "c".into(), number }, after(4 * minute)).expect("is answered");
    assert_eq!(case(&desk).respond_by, None);
    desk.decide(presence(Presence::Offline), after(5 * minute)).expect("goes");
    assert_eq!(case(&desk).respond_by, Some(after(15 * minute)));
    desk.decide(promise(level(Some(minute), None)), after(5 * minute)).expect("is taken");
    assert_eq!(case(&desk).respond_by, Some(after(6 * minute)), "from when it waits again");
}

fn enqueue(conversation: &str, number: u64, skills: &[&str], priority: Priority, since: Time) -> EnqueueRequest {
    EnqueueRequest {
        conversation: conversation.into(),
        number,
        wants: RoutingRequirements { skills: set(skills), language: None },
        priority,
        waiting_since: since,
        first_response_by: None,
        resolve_by: None,
        service: ServiceLevel::default(),
    }
}
