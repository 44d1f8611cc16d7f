use std::sync::Mutex;

use baton_core::fault::Fault;

use super::*;
use crate::testing::{ToolsFixture, done, not_done};

/// Returns a scripted result and records the requests.
struct ScriptedSandbox {
    answer: Result<ProgramOutcome, Fault>,
    asked: Mutex<Vec<SandboxProgram>>,
}

#[async_trait]
impl Sandbox for ScriptedSandbox {
    async fn run(&self, program: &SandboxProgram, _limits: &SandboxLimits) -> Result<ProgramOutcome, Fault> {
        self.asked.lock().unwrap().push(program.clone());
        self.answer.clone()
    }
}

fn world(answer: Result<ProgramOutcome, Fault>) -> (ToolsFixture, Arc<ScriptedSandbox>) {
    let sandbox = Arc::new(ScriptedSandbox { answer, asked: Mutex::default() });
    let limits =
        SandboxLimits { memory_bytes: 1, time: Duration::from_secs(3), recursion: 1, output_bytes: 1, calls: 1 };
    (ToolsFixture::with_execution(CodeExecution { sandbox: sandbox.clone(), limits }), sandbox)
}

#[tokio::test]
async fn a_program_runs_with_its_inputs_and_without_tools() {
    let (world, sandbox) = world(Ok(ProgramOutcome::Finished { output: json!([1]), printed: "x\n".to_owned() }));
    let output = world.done("k", "execute_code", json!({"code": "[a]", "inputs": {"a": 1}})).await;
    assert_eq!(output, json!({"result": [1], "printed": "x\n"}));
    let inputs = [("a".to_owned(), json!(1))].into();
    assert_eq!(
        *sandbox.asked.lock().unwrap(),
        [SandboxProgram::Start { source: "[a]".to_owned(), inputs, tools: vec![] }]
    );
}

#[tokio::test]
async fn what_a_program_fails_of_is_final_and_what_the_sandbox_fails_of_is_not() {
    let raised = Fault::new(code::CODE_RAISED, "ValueError: x");
    let busy = Fault::new(code::SANDBOX_BUSY, "4 programs run");
    for (answer, is_retryable) in [
        (Ok(ProgramOutcome::Failed { fault: raised.clone(), printed: String::new() }), false),
        (Err(busy.clone()), true),
    ] {
        let (world, _) = world(answer);
        let performed = world.send(&world.call("k", "execute_code", json!({"code": "1"}))).await;
        assert!(
            matches!(&performed.outcome, baton_core::tool::ToolOutcome::NotDone { fault, retryable, .. }
                if *retryable == is_retryable && fault.customer.is_some() && fault.suggested_action.is_some()),
            "{performed:?}"
        );
    }
}

#[tokio::test]
async fn a_call_without_a_program_is_refused() {
    let (world, sandbox) = world(Ok(ProgramOutcome::Stale));
    let call = world.call("k", "execute_code", json!({"inputs": {}}));
    assert_eq!(not_done(world.send(&call).await.outcome).0, code::INVALID_PARAMETERS);
    assert!(sandbox.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_sandbox_there_is_no_such_tool() {
    let world = ToolsFixture::new();
    assert_eq!(world.refused("k", "execute_code", json!({"code": "1"})).await.0, code::TOOL_NOT_FOUND);
    let (world, _) = self::world(Ok(ProgramOutcome::Finished { output: json!(1), printed: String::new() }));
    done(world.send(&world.call("k", "execute_code", json!({"code": "1"}))).await.outcome);
}
