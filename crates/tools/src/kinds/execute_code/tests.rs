use std::sync::Mutex;

use baton_core::fault::Fault;

use super::*;
use crate::testing::{World, done, not_done};

/// Answers what it was told to, and remembers what it was asked.
struct Scripted {
    answer: Result<Ran, Fault>,
    asked: Mutex<Vec<Program>>,
}

#[async_trait]
impl Sandbox for Scripted {
    async fn run(&self, program: &Program, _limits: &Limits) -> Result<Ran, Fault> {
        self.asked.lock().unwrap().push(program.clone());
        self.answer.clone()
    }
}

fn world(answer: Result<Ran, Fault>) -> (World, Arc<Scripted>) {
    let sandbox = Arc::new(Scripted { answer, asked: Mutex::default() });
    let limits = Limits { memory_bytes: 1, time: Duration::from_secs(3), recursion: 1, output_bytes: 1, calls: 1 };
    (World::executing(Execution { sandbox: sandbox.clone(), limits }), sandbox)
}

#[tokio::test]
async fn a_program_runs_with_its_inputs_and_without_tools() {
    let (world, sandbox) = world(Ok(Ran::Finished { output: json!([1]), printed: "x\n".to_owned() }));
    let output = world.done("k", "execute_code", json!({"code": "[a]", "inputs": {"a": 1}})).await;
    assert_eq!(output, json!({"result": [1], "printed": "x\n"}));
    let inputs = [("a".to_owned(), json!(1))].into();
    assert_eq!(*sandbox.asked.lock().unwrap(), [Program::Start { source: "[a]".to_owned(), inputs, tools: vec![] }]);
}

#[tokio::test]
async fn what_a_program_fails_of_is_final_and_what_the_sandbox_fails_of_is_not() {
    let raised = Fault::new(code::CODE_RAISED, "ValueError: x");
    let busy = Fault::new(code::SANDBOX_BUSY, "4 programs run");
    for (answer, is_retryable) in
        [(Ok(Ran::Failed { fault: raised.clone(), printed: String::new() }), false), (Err(busy.clone()), true)]
    {
        let (world, _) = world(answer);
        let performed = world.send(&world.call("k", "execute_code", json!({"code": "1"}))).await;
        assert!(
            matches!(&performed.outcome, baton_core::tool::Outcome::NotDone { fault, retryable, .. }
                if *retryable == is_retryable && fault.customer.is_some() && fault.suggested_action.is_some()),
            "{performed:?}"
        );
    }
}

#[tokio::test]
async fn a_call_without_a_program_is_refused() {
    let (world, sandbox) = world(Ok(Ran::Stale));
    let call = world.call("k", "execute_code", json!({"inputs": {}}));
    assert_eq!(not_done(world.send(&call).await.outcome).0, code::INVALID_PARAMETERS);
    assert!(sandbox.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_sandbox_there_is_no_such_tool() {
    let world = World::new();
    assert_eq!(world.refused("k", "execute_code", json!({"code": "1"})).await.0, code::TOOL_NOT_FOUND);
    let (world, _) = self::world(Ok(Ran::Finished { output: json!(1), printed: String::new() }));
    done(world.send(&world.call("k", "execute_code", json!({"code": "1"}))).await.outcome);
}
