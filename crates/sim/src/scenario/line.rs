//! One line of a script: `MOMENT: ACT`.

use std::time::Duration;

use baton_core::definition::parse_duration;
use baton_core::id::RunId;
use baton_core::run::Incoming;
use serde_json::Value;

use crate::case::Fault;
use crate::services::Fate;
use crate::simulation::script::{Act, Cue, Deed, Moment, Stage, When, message, root, signal};

/// Who asks for what no person of the scenario is named for.
const OPERATOR: &str = "operator";

/// What a service makes of a request, in words.
const FATES: [(&str, Fate); 7] = [
    ("it acts slowly", Fate::Slow),
    ("it is busy", Fate::Refused),
    ("it declines", Fate::Declined),
    ("it acts, and its answer is lost", Fate::AnswerLost),
    ("it acts, and its answer comes late", Fate::Late),
    ("the request is lost", Fate::RequestLost),
    ("it answers nonsense", Fate::Garbled),
];

/// How far a call has come, in words.
const STAGES: [(&str, Stage); 6] = [
    (" is marked", Stage::Marked),
    (" is sent", Stage::Sent),
    (" is asked", Stage::Asked),
    (" has acted", Stage::Acted),
    (" is recorded", Stage::Recorded),
    (" asks", Stage::Asks),
];

/// Reads a line.
pub fn read(line: &str) -> Result<Cue, String> {
    let (moment, act) = line.split_once(": ").ok_or_else(|| format!("`{line}` is not `MOMENT: WHAT HAPPENS`"))?;
    let (moment, after) = match moment.split_once(", after ") {
        Some((moment, after)) => (moment, time(after)?),
        None => (moment, Duration::ZERO),
    };
    let (moment, act) = (moment_of(moment)?, act_of(act.trim())?);
    let is_asked = matches!(&moment, Moment::When(when) if when.stage == Stage::Asked);
    if is_asked != matches!(act, Act::Fate(_)) {
        return Err(format!("`{line}`: what a service makes of a request belongs to `when … is asked`, and only that"));
    }
    Ok(Cue { line: line.to_owned(), moment, after, act })
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("`{text}`: {error}"))
}

fn moment_of(text: &str) -> Result<Moment, String> {
    if let Some(at) = text.strip_prefix("at ") {
        return Ok(Moment::At(time(at)?));
    }
    let when = text.strip_prefix("when ").ok_or_else(|| format!("`{text}` is neither `at TIME` nor `when …`"))?;
    let found = STAGES.iter().find_map(|(words, stage)| Some((when.strip_suffix(words)?, *stage)));
    let (what, stage) = found.ok_or_else(|| {
        let words: Vec<&str> = STAGES.iter().map(|(words, _)| words.trim()).collect();
        format!("`{text}` ends in none of {}", words.join(", "))
    })?;
    Ok(Moment::When(call(what, stage)))
}

/// A call or a question: `NODE`, or `NODE of RUN`.
fn call(text: &str, stage: Stage) -> When {
    match text.split_once(" of ") {
        Some((what, run)) => When { run: RunId::from(run), what: what.to_owned(), stage },
        None => When { run: root(), what: text.to_owned(), stage },
    }
}

fn act_of(text: &str) -> Result<Act, String> {
    if let Some((_, fate)) = FATES.iter().find(|(words, _)| *words == text) {
        return Ok(Act::Fate(*fate));
    }
    if let Some(seconds) = text.strip_prefix("freeze its process for ") {
        return Ok(Act::Fault(Fault::Freeze { seconds: time(seconds)?.as_secs(), holds: true }));
    }
    if let Some((name, payload)) = text.strip_prefix("signal ").and_then(|rest| rest.split_once(' ')) {
        return Ok(Act::Ask(Incoming::Signal(signal(name, json(payload)?))));
    }
    if let Some(said) = text.strip_prefix("the customer says ") {
        return Ok(Act::Ask(Incoming::Signal(message(said))));
    }
    let by = || OPERATOR.to_owned();
    let act = match text {
        "kill its process" => Act::Fault(Fault::Kill { noticed: true }),
        "kill its process, and nobody notices" => Act::Fault(Fault::Kill { noticed: false }),
        "stop its process" => Act::Fault(Fault::Leave),
        "cancel the run" => Act::Ask(Incoming::Cancel { by: by(), compensate: true, asked_by: Vec::new() }),
        "cancel the run, and keep what it did" => {
            Act::Ask(Incoming::Cancel { by: by(), compensate: false, asked_by: Vec::new() })
        }
        "pause the run" => Act::Ask(Incoming::Pause { by: by() }),
        "resume the run" => Act::Ask(Incoming::Resume { by: by() }),
        "roll the run back" => Act::Ask(Incoming::Rollback { by: by(), asked_by: Vec::new() }),
        _ => return person(text),
    };
    Ok(act)
}

/// `WHO DOES WHAT`.
fn person(text: &str) -> Result<Act, String> {
    let unknown = || format!("`{text}` is nothing that can happen: see `scenarios/README.md`");
    let (by, rest) = text.split_once(' ').ok_or_else(unknown)?;
    let (verb, what) = rest.split_once(' ').ok_or_else(unknown)?;
    let (what, deed) = match verb {
        "approves" => (what, Deed::Approve),
        "rejects" => (what, Deed::Reject),
        "allows" => (what, Deed::Allow(true)),
        "forbids" => (what, Deed::Allow(false)),
        "repeats" => (what, Deed::Repeat),
        "fills" => {
            let (what, form) = what.split_once(" with ").ok_or_else(unknown)?;
            (what, Deed::Fill(json(form)?))
        }
        "finds" => match (what.strip_suffix(" did not act"), what.strip_suffix(" acted")) {
            (Some(what), _) => (what, Deed::NotActed),
            (None, Some(what)) => (what, Deed::Acted),
            (None, None) => return Err(unknown()),
        },
        _ => return Err(unknown()),
    };
    Ok(Act::Person { by: by.to_owned(), about: call(what, Stage::Asks), deed })
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("`{text}` is no JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(line: &str) -> Moment {
        read(line).unwrap().moment
    }

    fn refused(line: &str) -> String {
        read(line).unwrap_err()
    }

    #[test]
    fn a_line_says_when_and_what() {
        let when = When { run: "r0/child".into(), what: "pay undo".to_owned(), stage: Stage::Acted };
        assert_eq!(moment("when pay undo of r0/child has acted: kill its process"), Moment::When(when));
        assert_eq!(moment("at 90s: cancel the run"), Moment::At(Duration::from_secs(90)));
        let later = read("when may asks, after 1m: ana approves may").unwrap();
        assert_eq!(later.after, Duration::from_secs(60));
        assert!(matches!(later.act, Act::Person { by, deed: Deed::Approve, .. } if by == "ana"));
    }

    #[test]
    fn what_a_service_makes_of_it_is_said_of_a_request() {
        assert!(matches!(read("when pay is asked: it declines").unwrap().act, Act::Fate(Fate::Declined)));
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
