//! One kill: the recorded past before recovery, what the services saw after it, and how the run came out.

use std::collections::BTreeSet;
use std::process::Child;
use std::time::{Duration, Instant};

use baton_core::id::{RunId, TenantId};
use baton_core::run::{Entry, Event, Role, State};
use baton_ports::journal::{DeskItem, DeskKind};
use baton_ports::read::Read as _;
use baton_store::sqlite::{Options, Store};

use crate::clinic::Clinic;
use crate::ledger::{Ledger, Request};

#[derive(Clone, Debug)]
pub enum Kill {
    At { service: &'static str, phase: &'static str },
    After(Duration),
}

/// What one kill found.
pub struct Report {
    /// The run had begun and had not ended.
    pub hit_live: bool,
    pub once_in_flight: bool,
}

pub fn kill(ledger: &Ledger, mut child: Child, began: Instant, kill: &Kill, patience: Duration) {
    match kill {
        Kill::At { service, phase } => {
            ledger.aim(service, phase, child);
            while !ledger.is_gone() {
                assert!(began.elapsed() < patience, "`{service}` never reached `{phase}`");
                std::thread::yield_now();
            }
        }
        Kill::After(instant) => {
            std::thread::sleep(instant.saturating_sub(began.elapsed()));
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }
}

/// What is recorded of a run.
struct Recorded {
    entries: Vec<Entry>,
    state: Option<State>,
    desk: Vec<DeskItem>,
}

impl Recorded {
    fn of(clinic: &Clinic, run: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = Store::open(clinic.database(), Options::default()).expect("it opens");
            let (tenant, run) = (TenantId::from("default"), RunId::from(run));
            let entries = store.entries(&tenant, &run, 0, 10_000).await.expect("readable");
            let head = store.run(&tenant, &run).await.expect("readable");
            Self {
                entries: entries.iter().map(|entry| serde_json::from_slice(entry).expect("an entry")).collect(),
                state: head.map(|head| head.state),
                desk: store.desk(&tenant, Some(&run)).await.expect("readable"),
            }
        })
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.entries.iter().flat_map(|entry| &entry.events)
    }

    /// Keys of calls whose result is recorded.
    fn done(&self, run: &str) -> BTreeSet<String> {
        let run = RunId::from(run);
        let done = self.events().filter_map(|event| match event {
            Event::Done(done) => Some(done.effect.key(&run)),
            _ => None,
        });
        done.collect()
    }

    /// Whether the marker of a `once` call stands without its result.
    fn once_in_flight(&self) -> bool {
        let marked = self.events().filter_map(|event| match event {
            Event::Sending { effect, .. } if effect.call.node.node.as_str() == "whatsapp" => Some(effect.clone()),
            _ => None,
        });
        let marked: BTreeSet<_> = marked.collect();
        let done: BTreeSet<_> = self
            .events()
            .filter_map(|event| match event {
                Event::Done(done) if done.effect.call.role == Role::Act => Some(done.effect.clone()),
                _ => None,
            })
            .collect();
        marked.difference(&done).next().is_some()
    }
}

/// Brings the run to rest in another process, and holds what the services saw against what was promised.
pub fn judge(clinic: &Clinic, run: &str, kill: &Kill) -> Report {
    let before = Recorded::of(clinic, run);
    let seen_before = clinic.ledger.requests_of(run).len();
    clinic.recover();
    let after = Recorded::of(clinic, run);
    let requests = clinic.ledger.requests_of(run);
    let told = |what: &str| {
        let kept = clinic.keep();
        format!(
            "{what}; {run}, killed {kill:?}, is {:?} with {:?}: {requests:?}; see {kept:?}",
            after.state, after.desk
        )
    };

    let done = before.done(run);
    let again: Vec<&Request> = requests[seen_before..].iter().filter(|request| done.contains(&request.key)).collect();
    assert!(again.is_empty(), "{}", told(&format!("recorded results were asked for again: {again:?}")));

    for request in &requests {
        let same = requests.iter().filter(|other| other.key == request.key).count();
        let most = if request.service == "whatsapp" { 1 } else { 2 };
        assert!(same <= most, "{}", told(&format!("`{}` was asked {same} times", request.service)));
    }
    for service in ["booking", "payment", "whatsapp", "email"] {
        let acts = clinic.ledger.acts(run, service);
        assert!(acts <= 1, "{}", told(&format!("`{service}` acted {acts} times")));
    }

    let once_in_flight = before.once_in_flight();
    if once_in_flight {
        assert_eq!(after.state, Some(State::Waiting), "{}", told("an unknown `once` waits for a person"));
        let doubts = after.desk.iter().filter(|item| item.kind == DeskKind::Doubt).count();
        assert_eq!(doubts, 1, "{}", told("a person is told of it"));
    } else {
        assert_eq!(after.state, Some(State::Completed), "{}", told("the run ends as if undisturbed"));
        assert!(after.desk.is_empty(), "{}", told("nobody is asked"));
        for service in ["booking", "payment", "whatsapp", "email"] {
            assert_eq!(clinic.ledger.acts(run, service), 1, "{}", told(&format!("`{service}` acted once")));
        }
    }
    let hit_live = !before.entries.is_empty() && before.state.is_some_and(|state| !state.is_end());
    Report { hit_live, once_in_flight }
}
