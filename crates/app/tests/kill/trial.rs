//! One kill: the recorded history before recovery, what the services saw afterwards, and how the run ended.

use std::collections::BTreeSet;

use baton_core::run::{CallRole, RunEvent, RunState};
use baton_ports::journal::TaskItemKind;

use crate::aim::KillPoint;
use crate::clinic::ClinicProject;
use crate::ledger::LedgerRequest;
use crate::recorded::RunRecording;

/// The result of one kill.
pub struct KillReport {
    /// The run had begun and had not ended.
    pub hit_live: bool,
    pub once_in_flight: bool,
}

/// Completes the run in another process, and checks the requests to the services against the guarantees.
pub fn judge(clinic: &ClinicProject, run: &str, kill: &KillPoint) -> KillReport {
    let before = RunRecording::of(&clinic.project, run);
    let seen_before = clinic.ledger.requests_of(run).len();
    clinic.project.recover();
    let after = RunRecording::of(&clinic.project, run);
    let requests = clinic.ledger.requests_of(run);
    let told = |what: &str| {
        let kept = clinic.project.keep();
        format!(
            "{what}; {run}, killed {kill:?}, is {:?} with {:?}: {requests:?}; see {kept:?}",
            after.state, after.desk
        )
    };

    let done = before.done(run);
    let again: Vec<&LedgerRequest> =
        requests[seen_before..].iter().filter(|request| done.contains(&request.key)).collect();
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

    let once_in_flight = once_in_flight(&before);
    if once_in_flight {
        assert_eq!(after.state, Some(RunState::Waiting), "{}", told("an unknown `once` waits for a person"));
        let doubts = after.desk.iter().filter(|item| item.kind == TaskItemKind::Doubt).count();
        assert_eq!(doubts, 1, "{}", told("a person is told of it"));
    } else {
        assert_eq!(after.state, Some(RunState::Completed), "{}", told("the run ends as if undisturbed"));
        assert!(after.desk.is_empty(), "{}", told("nobody is asked"));
        for service in ["booking", "payment", "whatsapp", "email"] {
            assert_eq!(clinic.ledger.acts(run, service), 1, "{}", told(&format!("`{service}` acted once")));
        }
    }
    KillReport { hit_live: before.is_live(), once_in_flight }
}

/// Whether there is a marker of a `once` call without its result.
fn once_in_flight(recorded: &RunRecording) -> bool {
    let marked = recorded.events().filter_map(|event| match event {
        RunEvent::Sending { effect, .. } if effect.call.node.node.as_str() == "whatsapp" => Some(effect.clone()),
        _ => None,
    });
    let marked: BTreeSet<_> = marked.collect();
    let done: BTreeSet<_> = recorded
        .events()
        .filter_map(|event| match event {
            RunEvent::Done(done) if done.effect.call.role == CallRole::Act => Some(done.effect.clone()),
            _ => None,
        })
        .collect();
    marked.difference(&done).next().is_some()
}
