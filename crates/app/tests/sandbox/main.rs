//! End-to-end tests of the sandbox: programs in real child processes of the real binary, and what they must not be able
//! to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what is not a test here serves only tests")]

mod attempts;
mod calls;
mod children;
mod snapshots;
mod tool;

use std::collections::BTreeMap;
use std::path::PathBuf;

use baton_core::agent::{ProgramOutcome, ProgramSnapshot, SandboxProgram, ToolRequest};
use baton_core::tool::ToolEnvelope;
use baton_ports::sandbox::{Sandbox as _, SandboxLimits};
use baton_tools::LaunchCommand;
use baton_tools::sandbox::{SandboxConfig, SandboxPool};
use serde_json::{Value, json};

/// The binary under test starts the children.
fn launch() -> LaunchCommand {
    LaunchCommand {
        program: PathBuf::from(env!("CARGO_BIN_EXE_baton")),
        arguments: vec!["sandbox-child".into()],
        folder: None,
    }
}

fn config(settings: Value) -> SandboxConfig {
    serde_json::from_value(settings).unwrap()
}

fn pool(settings: Value) -> SandboxPool {
    SandboxPool::new(config(settings), launch()).unwrap()
}

fn start(source: &str, tools: &[&str]) -> SandboxProgram {
    SandboxProgram::Start {
        source: source.to_owned(),
        inputs: BTreeMap::new(),
        tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
    }
}

/// The outcome of a program with the pool's own limits.
async fn run(pool: &SandboxPool, program: &SandboxProgram) -> ProgramOutcome {
    within(pool, program, &pool.limits()).await
}

async fn within(pool: &SandboxPool, program: &SandboxProgram, limits: &SandboxLimits) -> ProgramOutcome {
    pool.run(program, limits).await.unwrap()
}

/// The result and the printed output.
#[track_caller]
fn finished(ran: ProgramOutcome) -> (Value, String) {
    match ran {
        ProgramOutcome::Finished { output, printed } => (output, printed),
        other => panic!("expected its end: {other:?}"),
    }
}

#[track_caller]
fn calls(ran: ProgramOutcome) -> (Vec<ToolRequest>, ProgramSnapshot, String) {
    match ran {
        ProgramOutcome::Calls { calls, snapshot, printed } => (calls, snapshot, printed),
        other => panic!("expected calls: {other:?}"),
    }
}

/// The code and the message.
#[track_caller]
fn failed(ran: ProgramOutcome) -> (String, String) {
    match ran {
        ProgramOutcome::Failed { fault, .. } => (fault.code.into_owned(), fault.message),
        other => panic!("expected it to fail: {other:?}"),
    }
}

fn asked(calls: &[ToolRequest]) -> Vec<(&str, &str, &Value)> {
    calls.iter().map(|call| (call.id.as_str(), call.tool.as_str(), &call.arguments)).collect()
}

fn done(tool: &str, data: Value) -> ToolEnvelope {
    ToolEnvelope {
        success: true,
        tool: tool.to_owned(),
        data,
        error: None,
        error_code: None,
        error_details: None,
        suggested_action: None,
        audit_id: None,
        duration_ms: 1,
        cached: false,
        cost_usd: 0.0,
        degraded: false,
    }
}

fn not_done(tool: &str, code: &str, details: &str) -> ToolEnvelope {
    ToolEnvelope {
        success: false,
        error_code: Some(code.to_owned()),
        error_details: Some(details.to_owned()),
        ..done(tool, json!(null))
    }
}

fn resume(snapshot: ProgramSnapshot, results: Vec<ToolEnvelope>) -> SandboxProgram {
    SandboxProgram::Resume { snapshot, results }
}
