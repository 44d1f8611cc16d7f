//! One kill of agents at work: the steps that were recorded, and the later requests to the model and the tools.

use std::collections::BTreeSet;

use baton_core::agent::SandboxProgram;
use baton_core::money::Usd;
use baton_core::run::{CallOutput, EffectRequest, RunEvent, RunState};

use crate::aim::KillPoint;
use crate::ledger::{LedgerRequest, MODEL};
use crate::recorded::RunRecording;
use crate::returns::{ASKED, ReturnsProject};

/// The result of one kill.
pub struct AgentKillReport {
    /// The run had begun and had not ended.
    pub hit_live: bool,
    /// A model call was in flight, and was sent again.
    pub asked_again: bool,
    /// A program was waiting for a call that it had made.
    pub program_paused: bool,
}

/// Completes the run in another process, and checks the requests to its model and tools against the guarantees.
pub fn judge(returns: &ReturnsProject, run: &str, kill: &KillPoint) -> AgentKillReport {
    let before = RunRecording::of(&returns.project, run);
    let seen_before = returns.ledger.requests_of(run);
    returns.project.recover();
    let after = RunRecording::of(&returns.project, run);
    let requests = returns.ledger.requests_of(run);
    let told = |what: &str| {
        let kept = returns.project.keep();
        format!("{what}; {run}, killed {kill:?}, is {:?}: {requests:?}; see {kept:?}", after.state)
    };
    assert_eq!(after.state, Some(RunState::Completed), "{}", told("the run ends as if undisturbed"));

    // An agent makes one model call at a time, so the first model requests are those with recorded replies.
    let known = distinct(&seen_before);
    let replies = replies(&before).count();
    assert!(known.len() <= replies + 1, "{}", told("more than one model call was in flight"));
    let recorded: BTreeSet<&str> = known.iter().take(replies).copied().collect();
    let done = before.done(run);
    let later = &requests[seen_before.len()..];
    for request in later {
        let is_recorded = match request.service == MODEL {
            true => recorded.contains(request.key.as_str()),
            false => done.contains(&request.key),
        };
        assert!(!is_recorded, "{}", told(&format!("what is recorded was asked for again: {request:?}")));
    }
    let again: Vec<&LedgerRequest> = later.iter().filter(|request| known.contains(&request.key.as_str())).collect();
    assert!(again.len() <= 1, "{}", told("more than one model call was asked again"));

    // A request that differs in a single byte would count as a further one.
    for (service, times) in ASKED {
        let of_service = requests.iter().filter(|request| request.service == service);
        let keys: BTreeSet<&str> = of_service.clone().map(|request| request.key.as_str()).collect();
        assert_eq!(keys.len(), times, "{}", told(&format!("`{service}` was asked for so many things")));
        let most = keys.iter().map(|key| of_service.clone().filter(|request| request.key == *key).count()).max();
        assert!(most <= Some(2), "{}", told(&format!("`{service}` was asked {most:?} times")));
    }
    let costs: Vec<Usd> = replies_costs(&after);
    assert!(costs.len() == ASKED[0].1 && costs.iter().all(|cost| *cost > Usd::ZERO), "{}", told("priced"));
    let lost = lost(&after);
    assert!(lost.len() <= 1 && lost.iter().all(|cost| *cost > Usd::ZERO), "{}", told(&format!("paid for {lost:?}")));
    assert!(again.len() <= lost.len(), "{}", told("what was asked again is paid for twice"));
    assert_eq!(started(&after), 1, "{}", told("the program began once"));
    AgentKillReport { hit_live: before.is_live(), asked_again: !again.is_empty(), program_paused: is_paused(&before) }
}

/// The distinct requests to a model, in order.
fn distinct(requests: &[LedgerRequest]) -> Vec<&str> {
    let mut found = Vec::new();
    for request in requests.iter().filter(|request| request.service == MODEL) {
        if !found.contains(&request.key.as_str()) {
            found.push(request.key.as_str());
        }
    }
    found
}

fn replies(recorded: &RunRecording) -> impl Iterator<Item = &baton_core::run::CallCompleted> {
    recorded.events().filter_map(|event| match event {
        RunEvent::Done(done) if matches!(done.output, CallOutput::Model(_)) => Some(&**done),
        _ => None,
    })
}

fn replies_costs(recorded: &RunRecording) -> Vec<Usd> {
    replies(recorded).map(|done| done.cost).collect()
}

/// The cost of lost responses.
fn lost(recorded: &RunRecording) -> Vec<Usd> {
    let paid = recorded.events().filter_map(|event| match event {
        RunEvent::HoldLost { cost, .. } => Some(*cost),
        _ => None,
    });
    paid.collect()
}

/// The number of programs that started.
fn started(recorded: &RunRecording) -> usize {
    let programs = recorded.events().filter(|event| match event {
        RunEvent::Scheduled(scheduled) => match &scheduled.request {
            EffectRequest::Code { program, .. } => matches!(**program, SandboxProgram::Start { .. }),
            EffectRequest::Tool { .. } | EffectRequest::Model(_) | EffectRequest::Step { .. } => false,
        },
        _ => false,
    });
    programs.count()
}

/// Whether the last event of a program is a pause for a call.
fn is_paused(recorded: &RunRecording) -> bool {
    let ran = recorded.events().filter_map(|event| match event {
        RunEvent::Done(done) => match &done.output {
            CallOutput::Code(ran) => Some(matches!(**ran, baton_core::agent::ProgramOutcome::Calls { .. })),
            CallOutput::Tool(_) | CallOutput::Model(_) | CallOutput::Step(_) => None,
        },
        _ => None,
    });
    ran.last().unwrap_or_default()
}
