//! A shop whose agents handle a return: one reasons, one writes a plan that contains Python. The ledger is their model.

use serde_json::{Value, json};

use crate::aim::{self, KillPoint};
use crate::ledger::ServiceLedger;
use crate::project::KillProject;
use crate::thoughts::{self, AgentKillReport};

const WORKFLOW: &str = r#"
name: returns
version: "1"
nodes:
  - {id: look, agent: looker, task: "<{{ message }}> Look at the order and reserve a place for it."}
  - {id: handle, agent: returner, task: "<{{ message }}> Handle the return."}
edges:
  - {from: look, to: handle}
"#;

const AGENTS: &str = r"
agents:
  - name: looker
    type: reasoning
    system_prompt: You look.
    tools: [order, stock, reserve]
  - name: returner
    type: code
    system_prompt: You handle returns.
    tools: [order, label, refund, mail]
";

/// The plan's second step: a program that pauses three times, twice in a loop.
const PYTHON: &str = r#"
labels = []
for item in items:
    labels.append(label(item=item)["id"])
receipt = refund(count=len(labels))
{"labels": labels, "receipt": receipt["id"]}
"#;

/// The number of requests of an undisturbed run to its model and its tools.
pub const ASKED: [(&str, usize); 7] =
    [("model", 5), ("order", 2), ("stock", 1), ("reserve", 1), ("label", 2), ("refund", 1), ("mail", 1)];

pub struct ReturnsProject {
    pub project: KillProject,
    pub ledger: ServiceLedger,
}

impl ReturnsProject {
    pub fn open() -> Self {
        let ledger = ServiceLedger::with_model(reply);
        let port = ledger.serve();
        let project = KillProject::new("returns");
        let models = format!("[models]\nprovider = \"openai\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n");
        // Reservations of killed processes count as spent for their window. All of them together exceed the usual
        // hourly budget.
        let budgets = "[budgets]\nhourly_usd = \"unlimited\"\ndaily_usd = \"unlimited\"\nmonthly_usd = \"unlimited\"\n";
        project.write("baton.toml", &format!("{models}{budgets}[tools.outbound]\nallow = [\"127.0.0.1\"]\n"));
        project.write("workflows/returns.yaml", WORKFLOW);
        project.write("agents/agents.yaml", AGENTS);
        project.write("tools/services.yaml", &tools(port));
        Self { project, ledger }
    }

    pub fn killed(&self, run: &str, kill: KillPoint) -> AgentKillReport {
        let (child, began) = self.project.begin(run);
        aim::kill(&self.ledger, child, began, &kill);
        thoughts::judge(self, run, &kill)
    }
}

/// The model's reply, by the agent that asks and the number of its earlier replies.
fn reply(asked: &Value) -> Value {
    let messages = asked["messages"].as_array().cloned().unwrap_or_default();
    let is_looker = messages[0]["content"].as_str().is_some_and(|system| system.starts_with("You look."));
    let spoken = messages.iter().filter(|message| message["role"] == "assistant").count();
    let message = match (is_looker, spoken) {
        (true, 0) => calls(&[("order", json!({"id": "12345"})), ("stock", json!({"id": "shirt"}))]),
        (true, 1) => calls(&[("reserve", json!({"id": "shirt"}))]),
        (true, _) => says("A place is reserved."),
        (false, 0) => says(&plan().to_string()),
        (false, _) => says(r#"{"goal_achieved": true, "final_output": "returned", "failure_reason": null}"#),
    };
    let is_calling = message.get("tool_calls").is_some();
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4",
        "choices": [{"index": 0, "message": message, "finish_reason": if is_calling { "tool_calls" } else { "stop" }}],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
    })
}

fn says(content: &str) -> Value {
    json!({"role": "assistant", "content": content})
}

fn calls(calls: &[(&str, Value)]) -> Value {
    let call = |(place, (name, arguments)): (usize, &(&str, Value))| {
        let function = json!({"name": name, "arguments": arguments.to_string()});
        json!({"id": format!("call_{place}"), "type": "function", "function": function})
    };
    let calls: Vec<Value> = calls.iter().enumerate().map(call).collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

fn plan() -> Value {
    json!({
        "goal": "handle the return",
        "steps": [
            {"id": 1, "description": "look", "tool": "order", "input": {"id": "12345"}},
            {"id": 2, "description": "labels and refund", "python": PYTHON, "input": {"items": ["shirt", "shoes"]}},
            {"id": 3, "description": "tell", "tool": "mail", "input": {"receipt": "$step_2.receipt"}}
        ]
    })
}

fn tools(port: u16) -> String {
    let tool = |(name, parameter, kind, class): (&str, &str, &str, &str)| {
        let undo = if class == "read" { "" } else { "    irreversible: \"the shop keeps it\"\n" };
        let how = if class == "read" { "class: read" } else { "idempotency_header: Idempotency-Key" };
        format!(
            "  - name: {name}\n    kind: http\n    url: http://127.0.0.1:{port}/{name}\n    timeout_ms: 1000\n    \
             retry: {{max_attempts: 4, initial_ms: 10, max_ms: 50}}\n    \
             body: {{key: \"{{{{ key }}}}\", run: \"{{{{ run }}}}\"}}\n    \
             parameters: {{type: object, properties: {{{parameter}: {{type: {kind}}}}}, required: [{parameter}]}}\n    \
             {how}\n{undo}"
        )
    };
    let all = [
        ("order", "id", "string", "read"),
        ("stock", "id", "string", "read"),
        ("reserve", "id", "string", "keyed"),
        ("label", "item", "string", "keyed"),
        ("refund", "count", "integer", "keyed"),
        ("mail", "receipt", "string", "keyed"),
    ];
    format!("tools:\n{}", all.map(tool).concat())
}
