//! The simulated sandbox. A program's source is its calls, separated by `,` (in sequence) and `+` (together): `book
//! 3,read 1+mail 2` books, and then reads and writes at once. Its result is the results of its calls.

use baton_core::agent::{ProgramOutcome, ProgramSnapshot, SandboxProgram, ToolRequest};
use baton_core::fault::Fault;
use baton_core::tool::ToolEnvelope;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A paused program: it waits for the results of its calls at `at`.
#[derive(Serialize, Deserialize)]
struct SimProgram {
    source: String,
    at: usize,
    heard: Vec<Value>,
}

/// Runs it in a process with this interpreter version; another version cannot read its snapshots.
pub fn run(program: &SandboxProgram, version: u32) -> ProgramOutcome {
    match program {
        SandboxProgram::Start { source, .. } => {
            SimProgram { source: source.clone(), at: 0, heard: Vec::new() }.pause(version)
        }
        SandboxProgram::Resume { snapshot, .. } if snapshot.version != version.to_string() => ProgramOutcome::Stale,
        SandboxProgram::Resume { snapshot, results } => match serde_json::from_str::<SimProgram>(&snapshot.bytes) {
            Ok(mut paused) => {
                paused.apply_results(results);
                paused.pause(version)
            }
            Err(error) => failed("SNAPSHOT_INVALID", error.to_string()),
        },
        SandboxProgram::Replay { source, calls, .. } => replay(source, calls, version),
    }
}

fn replay(source: &str, calls: &[(ToolRequest, ToolEnvelope)], version: u32) -> ProgramOutcome {
    let mut paused = SimProgram { source: source.to_owned(), at: 0, heard: Vec::new() };
    let mut rest = calls;
    while !rest.is_empty() {
        let wanted = paused.calls();
        let Some((known, more)) = rest.split_at_checked(wanted.len()).filter(|_| !wanted.is_empty()) else {
            return failed("CODE_DIFFERS", format!("{} recorded calls are too many", rest.len()));
        };
        if known.iter().zip(&wanted).any(|((recorded, _), wanted)| recorded != wanted) {
            return failed("CODE_DIFFERS", format!("it calls {wanted:?} now"));
        }
        paused.apply_results(&known.iter().map(|(_, result)| result.clone()).collect::<Vec<_>>());
        rest = more;
    }
    paused.pause(version)
}

fn failed(code: &'static str, message: String) -> ProgramOutcome {
    ProgramOutcome::Failed { fault: Fault::new(code, message), printed: String::new() }
}

impl SimProgram {
    /// The calls that it makes next, together; empty at its end.
    fn calls(&self) -> Vec<ToolRequest> {
        let group = self.source.split(',').nth(self.at).unwrap_or_default();
        let one = |(place, call): (usize, &str)| {
            let (tool, n) = call.split_once(' ')?;
            let n: u64 = n.parse().ok()?;
            let id = format!("py{}.{place}", self.at);
            Some(ToolRequest { id, tool: tool.to_owned(), arguments: json!({ "n": n }) })
        };
        group.split('+').enumerate().filter_map(one).collect()
    }

    fn apply_results(&mut self, results: &[ToolEnvelope]) {
        self.at += 1;
        self.heard.extend(results.iter().map(|result| json!([result.success, result.data["n"]])));
    }

    fn pause(self, version: u32) -> ProgramOutcome {
        let calls = self.calls();
        if calls.is_empty() {
            return ProgramOutcome::Finished { output: Value::Array(self.heard), printed: self.source };
        }
        match serde_json::to_string(&self) {
            Ok(bytes) => ProgramOutcome::Calls {
                calls,
                snapshot: ProgramSnapshot { version: version.to_string(), bytes },
                printed: String::new(),
            },
            Err(error) => failed("SNAPSHOT_INVALID", error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn start(source: &str) -> SandboxProgram {
        SandboxProgram::Start { source: source.to_owned(), inputs: BTreeMap::new(), tools: Vec::new() }
    }

    fn result(n: u64) -> ToolEnvelope {
        let base = json!({
            "success": true, "tool": "t", "data": {"n": n}, "error": null, "error_code": null, "error_details": null,
            "suggested_action": null, "audit_id": null, "duration_ms": 0, "cached": false, "cost_usd": 0.0
        });
        serde_json::from_value(base).unwrap()
    }

    #[test]
    fn a_program_stops_for_each_group_of_calls_and_ends_with_what_it_heard() {
        let ProgramOutcome::Calls { calls, snapshot, .. } = run(&start("book 3,read 1+mail 2"), 1) else {
            panic!("no call")
        };
        assert_eq!(calls.len(), 1);
        let resumed = run(&SandboxProgram::Resume { snapshot, results: vec![result(3)] }, 1);
        let ProgramOutcome::Calls { calls, snapshot, .. } = resumed else { panic!("{resumed:?}") };
        assert_eq!(calls.iter().map(|call| call.tool.as_str()).collect::<Vec<_>>(), ["read", "mail"]);
        let stale = run(&SandboxProgram::Resume { snapshot: snapshot.clone(), results: vec![result(1), result(2)] }, 2);
        assert_eq!(stale, ProgramOutcome::Stale);
        let ended = run(&SandboxProgram::Resume { snapshot, results: vec![result(1), result(2)] }, 1);
        let output = json!([[true, 3], [true, 1], [true, 2]]);
        assert_eq!(ended, ProgramOutcome::Finished { output, printed: "book 3,read 1+mail 2".to_owned() });
    }

    #[test]
    fn a_replay_goes_over_what_is_known_and_stops_at_what_differs() {
        let known = |tool: &str| {
            let request = ToolRequest { id: "py0.0".to_owned(), tool: tool.to_owned(), arguments: json!({"n": 3}) };
            (request, result(3))
        };
        let replay = |tool| SandboxProgram::Replay {
            source: "book 3,read 1".to_owned(),
            inputs: BTreeMap::new(),
            tools: Vec::new(),
            calls: vec![known(tool)],
        };
        assert!(matches!(run(&replay("book"), 2), ProgramOutcome::Calls { calls, .. } if calls[0].tool == "read"));
        assert!(matches!(run(&replay("mail"), 2), ProgramOutcome::Failed { .. }));
    }
}
