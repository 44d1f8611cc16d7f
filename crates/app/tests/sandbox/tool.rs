//! `execute_code` in a workflow, on the command line: the binary starts itself as a child process.

use std::process::Command;

use serde_json::{Value, json};

/// The output of `baton run` for a workflow with one node, and its exit code.
fn ran(node: &str) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("workflows")).unwrap();
    let workflow = format!("name: a\nnodes:\n  - {{id: code, tool: execute_code, parameters: {node}}}\n");
    std::fs::write(folder.path().join("workflows/a.yaml"), workflow).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_baton"));
    process.args(["run", "a", "--json", "--set", "n=20"]).current_dir(folder.path());
    let output = process.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    (output.status.code(), serde_json::from_str(&printed).unwrap_or_else(|_| json!(printed)))
}

#[test]
fn a_tool_node_runs_a_program_with_the_runs_values() {
    let (code, ran) = ran(r#"{code: "print('x')\nsum(range(n))", inputs: {n: "{{ n }}"}}"#);
    assert_eq!(code, Some(0), "{ran}");
    assert!(ran.to_string().contains(r#"{"printed":"x\n","result":190}"#), "{ran}");
}

#[test]
fn a_program_that_reaches_out_fails_its_node_with_a_code() {
    let (code, ran) = ran(r#"{code: "open('/etc/hostname').read()"}"#);
    assert_eq!(code, Some(1), "{ran}");
    assert!(ran.to_string().contains("CODE_DENIED"), "{ran}");
}
