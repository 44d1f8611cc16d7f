//! MCP servers written with the official libraries for Python and TypeScript, over a pipe and over HTTP, called by a
//! workflow.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::clients;
use super::server_process::{ServerProcess, free_port};
use crate::build::{self, BuiltExecutable};
use crate::process;
use crate::stages::StageClock;

/// The libraries, at the versions this was tested with.
const PYTHON_SERVER: &str = "mcp==2.3.0";
const NODE_SERVER: &str = "@modelcontextprotocol/sdk@1.32.2";
const RUN_LIMIT: Duration = Duration::from_secs(120);

/// Skipped with the reason if a library cannot be installed here.
pub fn run(root: &Path, built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    let baton = build::binary(built, "baton").context("the workspace builds no binary named `baton`")?;
    let folder = tempfile::tempdir().context("no scratch folder can be made")?;
    let here = folder.path();
    let installed =
        clients::node_install(here, NODE_SERVER).and_then(|()| clients::python_install(here, PYTHON_SERVER));
    if let Err(missing) = installed {
        stages.leave_out("mcp servers", &format!("{missing:#}"));
        return Ok(());
    }
    stages.run("mcp servers", || run_all(baton, &root.join("xtask/mcp"), here))
}

fn run_all(baton: &Path, scripts: &Path, here: &Path) -> anyhow::Result<()> {
    for file in ["server.py", "server.mjs"] {
        std::fs::copy(scripts.join(file), here.join(file)).with_context(|| format!("no {file}"))?;
    }
    let project = here.join("project");
    std::fs::create_dir_all(project.join("workflows"))?;
    std::fs::create_dir_all(project.join("tools"))?;
    for workflow in ["mcp.yaml", "ask.yaml", "slow.yaml"] {
        std::fs::copy(scripts.join("project/workflows").join(workflow), project.join("workflows").join(workflow))?;
    }
    std::fs::write(project.join("baton.toml"), "[tools.secrets]\ntoken = \"t0ken\"\n")?;
    let (python, script) = (here.join("bin/python"), here.join("server.py"));
    let (py, node) = (
        McpHttpServer::start(Command::new(&python).arg(&script))?,
        McpHttpServer::start(Command::new("node").arg(here.join("server.mjs")))?,
    );
    let tools = json!({"py": {"command": python, "args": [script]},
        "py_http": {"url": format!("http://127.0.0.1:{}/mcp", py.port)},
        "node": {"command": "node", "args": [here.join("server.mjs")], "env": {"TOKEN": "{{ secrets.token }}"}},
        "node_http": {"url": format!("http://127.0.0.1:{}/mcp", node.port), "headers": {"Authorization": "Bearer {{ secrets.token }}"}}});
    for (name, tool) in tools.as_object().into_iter().flatten() {
        let mut tool = tool.clone();
        tool["name"] = json!(name);
        tool["kind"] = json!("mcp");
        tool["trusted"] = json!(true);
        tool["tools"] = json!({"slow": {"timeout_ms": 1_500, "retry": {"max_attempts": 1}}});
        std::fs::write(project.join(format!("tools/{name}.json")), tool.to_string())?;
    }
    let answer = run_of(baton, &project, "mcp")?;
    let outputs = &answer["outputs"];
    for (node, expect) in [
        ("py_add", json!("5")),
        ("http_add", json!("23")),
        ("shout", json!("LOUD")),
        ("http_shout", json!("FAR")),
        ("token", json!("yes")),
        ("picture", json!("here")),
    ] {
        ensure!(outputs[node]["text"] == expect, "{node}: {}", outputs[node]);
    }
    ensure!(outputs["picture"]["images"][0]["data"] == "AP8=", "picture: {}", outputs["picture"]);
    ensure!(outputs["picture"]["links"][0]["uri"] == "file:///more", "picture: {}", outputs["picture"]);
    let variables = outputs["py_variables"].to_string();
    ensure!(variables.contains("PATH") && !variables.contains("CARGO"), "variables: {variables}");
    let told = answer.to_string();
    ensure!(told.contains("Error executing tool fails"), "the tool that fails says so: {told}");
    check_catalogue(baton, &project)?;
    check_cancellation(baton, &project, here)?;
    check_elicitation(baton, &project)?;
    check_missing_server(baton, &project, py)
}

/// The output of a workflow's run.
fn run_of(baton: &Path, project: &Path, workflow: &str) -> anyhow::Result<Value> {
    let mut run = Command::new(baton);
    run.current_dir(project).args(["run", workflow, "--json"]);
    let finished = process::run_within(&mut run, RUN_LIMIT)?;
    ensure!(finished.status.success(), "the run failed: {}", finished.combined_output());
    serde_json::from_str(&finished.stdout).with_context(|| finished.combined_output())
}

/// Checks that the catalogue contains what servers declare about their tools: descriptions and output schemas.
fn check_catalogue(baton: &Path, project: &Path) -> anyhow::Result<()> {
    let mut list = Command::new(baton);
    list.current_dir(project).args(["tools", "list", "--json"]);
    let listed: Value = serde_json::from_str(&process::output(&mut list)?)?;
    let tools = listed["tools"].as_array().context("no list of tools")?;
    for source in ["py", "py_http", "node", "node_http"] {
        for (tool, class, risk) in [
            ("slow", "read", "low"),
            ("put", "keyed", "medium"),
            ("append", "once", "medium"),
            ("remove", "once", "high"),
        ] {
            let name = format!("{source}.{tool}");
            let found = tools.iter().find(|tool| tool["name"] == name.as_str());
            let found = found.with_context(|| format!("there is no {name}: {listed}"))?;
            ensure!(found["facts"]["class"] == class && found["risk"] == risk, "{name}: {found}");
        }
        let (promises, property) = if source.starts_with("py") { ("add", "result") } else { ("put", "word") };
        let name = format!("{source}.{promises}");
        let found = tools.iter().find(|tool| tool["name"] == name.as_str()).context("it is not listed")?;
        let data = &found["output_schema"]["properties"]["structured"];
        ensure!(data["properties"][property].is_object(), "{name} does not say what it answers with: {found}");
    }
    Ok(())
}

/// Checks that a call that takes too long is abandoned: its server gets a cancellation, and the log contains its
/// progress.
fn check_cancellation(baton: &Path, project: &Path, here: &Path) -> anyhow::Result<()> {
    let notes = here.join("notes");
    std::fs::create_dir_all(&notes)?;
    let mut run = Command::new(baton);
    run.current_dir(project).env("BATON_LOG", "info").args(["run", "slow", "--json", "--set"]);
    run.arg(format!("folder={}", notes.display()));
    let finished = process::run_within(&mut run, RUN_LIMIT)?;
    ensure!(finished.status.success(), "the run failed: {}", finished.combined_output());
    let answer: Value = serde_json::from_str(&finished.stdout).with_context(|| finished.combined_output())?;
    for server in ["py", "http", "node", "node_http"] {
        ensure!(
            answer["outputs"][server]["text"] == "cancelled",
            "{server} heard nothing of it: {}",
            finished.combined_output()
        );
    }
    let told = finished.stderr.matches("is given up").count();
    let far = finished.stderr.matches("1 of 2").count();
    ensure!(told == 4 && far == 4, "how far they were: {}", finished.combined_output());
    Ok(())
}

/// Checks that a server's question to a person waits with its form, and that each server gets its answer: one server
/// asks instead of acting, and one asks in the middle of a call.
fn check_elicitation(baton: &Path, project: &Path) -> anyhow::Result<()> {
    let said = |arguments: &[&str]| {
        let mut command = Command::new(baton);
        command.current_dir(project).args(arguments).arg("--json");
        process::run_within(&mut command, RUN_LIMIT)
    };
    let waits = said(&["run", "ask", "--id", "asks"])?;
    for question in ["Which seat?", "Which row?"] {
        ensure!(waits.stdout.contains(question), "`{question}` is asked: {}", waits.combined_output());
    }
    said(&["runs", "answer", "asks", "py_book#0.0", "--form", "{\"seat\": \"1A\"}"])?;
    let last = said(&["runs", "answer", "asks", "node_book#0.0", "--form", "{\"seat\": \"7\"}"])?;
    let answer: Value = serde_json::from_str(&last.stdout).with_context(|| last.combined_output())?;
    for (node, expect) in [("py_book", "asked: accept 1A"), ("node_book", "asked: accept 7")] {
        ensure!(answer["outputs"][node]["text"] == expect, "{node}: {answer}");
    }
    Ok(())
}

/// Checks that a server that is gone is reported, and that its tools stay in the catalogue.
fn check_missing_server(baton: &Path, project: &Path, gone: McpHttpServer) -> anyhow::Result<()> {
    drop(gone);
    // As if it had been listed long ago.
    let kept = std::fs::File::options().write(true).open(project.join(".baton/mcp/py_http.json"))?;
    kept.set_modified(std::time::UNIX_EPOCH)?;
    let mut list = Command::new(baton);
    list.current_dir(project).args(["tools", "list", "--search", "py_http.add", "--json"]);
    let listed: Value = serde_json::from_str(&process::output(&mut list)?)?;
    ensure!(listed["tools"].as_array().is_some_and(|tools| tools.len() == 1), "its tools are gone: {listed}");
    let mut doctor = Command::new(baton);
    doctor.current_dir(project).args(["doctor", "--json"]);
    let said = process::capture(&mut doctor)?.stdout;
    ensure!(said.contains("py_http does not answer") && said.contains("what it last listed stands"), "doctor: {said}");
    Ok(())
}

/// An HTTP server that takes its port as the last argument.
struct McpHttpServer {
    _process: ServerProcess,
    port: u16,
}

impl McpHttpServer {
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let port = free_port()?;
        Ok(Self { _process: ServerProcess::start(command.arg(port.to_string()), port)?, port })
    }
}
