//! One line of a script: `MOMENT: ACT`.

use std::time::Duration;

use baton_core::definition::parse_duration;
use baton_core::id::RunId;
use baton_core::run::IncomingCommand;
use serde_json::Value;

use crate::case::SimFault;
use crate::services::RequestFate;
use crate::simulation::script::{
    CallMoment, CallStage, PersonAction, ScriptAction, ScriptLine, ScriptMoment, message, root, signal,
};

/// The author of actions for which the scenario names no person.
const OPERATOR: &str = "operator";

/// How a service handles a request, in words.
const FATES: [(&str, RequestFate); 7] = [
    ("it acts slowly", RequestFate::Slow),
    ("it is busy", RequestFate::Refused),
    ("it declines", RequestFate::Declined),
    ("it acts, and its answer is lost", RequestFate::AnswerLost),
    ("it acts, and its answer comes late", RequestFate::Late),
    ("the request is lost", RequestFate::RequestLost),
    ("it answers nonsense", RequestFate::Garbled),
];

/// How far a call has progressed, in words.
const STAGES: [(&str, CallStage); 6] = [
    (" is marked", CallStage::Marked),
    (" is sent", CallStage::Sent),
    (" is asked", CallStage::Asked),
    (" has acted", CallStage::Acted),
    (" is recorded", CallStage::Recorded),
    (" asks", CallStage::Asks),
];

/// Parses a line.
pub fn read(line: &str) -> Result<ScriptLine, String> {
    let (moment, act) = line.split_once(": ").ok_or_else(|| format!("`{line}` is not `MOMENT: WHAT HAPPENS`"))?;
    let (moment, after) = match moment.split_once(", after ") {
        Some((moment, after)) => (moment, time(after)?),
        None => (moment, Duration::ZERO),
    };
    let (moment, act) = (moment_of(moment)?, action_of(act.trim())?);
    let is_asked = matches!(&moment, ScriptMoment::When(when) if when.stage == CallStage::Asked);
    if is_asked != matches!(act, ScriptAction::SetFate(_)) {
        return Err(format!("`{line}`: what a service makes of a request belongs to `when … is asked`, and only that"));
    }
    Ok(ScriptLine { line: line.to_owned(), moment, after, action: act })
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("`{text}`: {error}"))
}

fn moment_of(text: &str) -> Result<ScriptMoment, String> {
    if let Some(at) = text.strip_prefix("at ") {
        return Ok(ScriptMoment::At(time(at)?));
    }
    let when = text.strip_prefix("when ").ok_or_else(|| format!("`{text}` is neither `at TIME` nor `when …`"))?;
    let found = STAGES.iter().find_map(|(words, stage)| Some((when.strip_suffix(words)?, *stage)));
    let (what, stage) = found.ok_or_else(|| {
        let words: Vec<&str> = STAGES.iter().map(|(words, _)| words.trim()).collect();
        format!("`{text}` ends in none of {}", words.join(", "))
    })?;
    Ok(ScriptMoment::When(call_moment(what, stage)))
}

/// A call or a question: `NODE`, or `NODE of RUN`.
fn call_moment(text: &str, stage: CallStage) -> CallMoment {
    match text.split_once(" of ") {
        Some((what, run)) => CallMoment { run: RunId::from(run), call: what.to_owned(), stage },
        None => CallMoment { run: root(), call: text.to_owned(), stage },
    }
}

fn action_of(text: &str) -> Result<ScriptAction, String> {
    if let Some((_, fate)) = FATES.iter().find(|(words, _)| *words == text) {
        return Ok(ScriptAction::SetFate(*fate));
    }
    if let Some(seconds) = text.strip_prefix("freeze its process for ") {
        return Ok(ScriptAction::InjectFault(SimFault::Freeze { seconds: time(seconds)?.as_secs(), holds: true }));
    }
    if let Some((name, payload)) = text.strip_prefix("signal ").and_then(|rest| rest.split_once(' ')) {
        return Ok(ScriptAction::Command(IncomingCommand::Signal(signal(name, json(payload)?))));
    }
    if let Some(said) = text.strip_prefix("the customer says ") {
        return Ok(ScriptAction::Command(IncomingCommand::Signal(message(said))));
    }
    let by = || OPERATOR.to_owned();
    let act = match text {
        "kill its process" => ScriptAction::InjectFault(SimFault::Kill { noticed: true }),
        "kill its process, and nobody notices" => ScriptAction::InjectFault(SimFault::Kill { noticed: false }),
        "stop its process" => ScriptAction::InjectFault(SimFault::Leave),
        "cancel the run" => {
            ScriptAction::Command(IncomingCommand::Cancel { by: by(), compensate: true, asked_by: Vec::new() })
        }
        "cancel the run, and keep what it did" => {
            ScriptAction::Command(IncomingCommand::Cancel { by: by(), compensate: false, asked_by: Vec::new() })
        }
        "pause the run" => ScriptAction::Command(IncomingCommand::Pause { by: by() }),
        "resume the run" => ScriptAction::Command(IncomingCommand::Resume { by: by() }),
        "roll the run back" => ScriptAction::Command(IncomingCommand::Rollback { by: by(), asked_by: Vec::new() }),
        _ => return person_action(text),
    };
    Ok(act)
}

/// `WHO DOES WHAT`, such as `WHO approves NODE`.
fn person_action(text: &str) -> Result<ScriptAction, String> {
    let unknown = || format!("`{text}` is nothing that can happen: see `scenarios/README.md`");
    let (by, rest) = text.split_once(' ').ok_or_else(unknown)?;
    let (verb, what) = rest.split_once(' ').ok_or_else(unknown)?;
    let (what, deed) = match verb {
        "approves" => (what, PersonAction::Approve),
        "rejects" => (what, PersonAction::Reject),
        "allows" => (what, PersonAction::Allow(true)),
        "forbids" => (what, PersonAction::Allow(false)),
        "repeats" => (what, PersonAction::Repeat),
        "fills" => {
            let (what, form) = what.split_once(" with ").ok_or_else(unknown)?;
            (what, PersonAction::Fill(json(form)?))
        }
        "finds" => match (what.strip_suffix(" did not act"), what.strip_suffix(" acted")) {
            (Some(what), _) => (what, PersonAction::ConfirmNotActed),
            (None, Some(what)) => (what, PersonAction::ConfirmActed),
            (None, None) => return Err(unknown()),
        },
        _ => return Err(unknown()),
    };
    Ok(ScriptAction::Person { by: by.to_owned(), about: call_moment(what, CallStage::Asks), deed })
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("`{text}` is no JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(line: &str) -> ScriptMoment {
        read(line).unwrap().moment
    }

    fn refused(line: &str) -> String {
        read(line).unwrap_err()
    }

    #[test]
    fn a_line_says_when_and_what() {
        let when = CallMoment { run: "r0/child".into(), call: "pay undo".to_owned(), stage: CallStage::Acted };
        assert_eq!(moment("when pay undo of r0/child has acted: kill its process"), ScriptMoment::When(when));
        assert_eq!(moment("at 90s: cancel the run"), ScriptMoment::At(Duration::from_secs(90)));
        let later = read("when may asks, after 1m: ana approves may").unwrap();
        assert_eq!(later.after, Duration::from_secs(60));
        assert!(matches!(later.action, ScriptAction::Person { by, deed: PersonAction::Approve, .. } if by == "ana"));
    }

    #[test]
    fn what_a_service_makes_of_it_is_said_of_a_request() {
        assert!(matches!(
            read("when pay is asked: it declines").unwrap().action,
            ScriptAction::SetFate(RequestFate::Declined)
        ));
        assert!(refused("when pay has acted: it declines").contains("belongs to"));
        assert!(refused("when pay is asked: kill its process").contains("belongs to"));
    }

    #[test]
    fn a_line_nobody_understands_says_so() {
        assert!(refused("pay declines").contains("MOMENT"));
        assert!(refused("when pay declines: kill its process").contains("has acted"));
        assert!(refused("at noon: cancel the run").contains("noon"));
        assert!(refused("at 1s: ana dances").contains("README"));
        assert!(refused("at 1s: ana finds pay").contains("README"));
    }
}
