//! Every example with a provider key: a mock provider sends the example's scripted replies over the provider's
//! protocol, and sees nothing but the requests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use baton_core::definition;
use baton_core::model::{ModelMessage, ModelReply, ModelRequest, ModelToolCall};
use baton_models::{ModelGateway, ModelsConfig, ScriptFile};
use baton_ports::clock::SystemClock;
use baton_ports::models::{ModelCaller, ModelService as _};
use serde_json::{Value, json};

use crate::test_folder::{CommandOutput, TestFolder};
use crate::upstream::UpstreamModel;

/// Time limit for a reply.
const LIMIT: Duration = Duration::from_secs(60);
/// Minimum number of letters to tell prompts apart.
const WORDS_MIN: usize = 20;
/// Prefixes of memory's own prompts.
const OF_MEMORY: [(&str, &str); 4] = [
    ("rag_judge", "You judge whether passages"),
    ("rag_judge", "Juzgas si unos pasajes"),
    ("memory_summary", "You keep the running summary"),
    ("memory_summary", "Llevas el resumen"),
];

fn yaml(path: &Path) -> Value {
    definition::source::read(&std::fs::read(path).expect("a file")).expect("YAML").to_json()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Answers requests of the protocol with the replies of an example's files.
struct ScriptedProvider {
    script: ModelGateway,
    /// The prefixes of each agent's system prompts.
    agents: Vec<(String, String)>,
}

impl ScriptedProvider {
    fn of(place: &TestFolder) -> Self {
        let files = files(&place.path().join("replies")).into_iter();
        let files = files.map(|file| ScriptFile { name: file.display().to_string(), document: yaml(&file) });
        let files: Vec<ScriptFile> = files.collect();
        let script = ModelGateway::new(&ModelsConfig::default(), &files, Arc::new(SystemClock)).expect("replies");
        let mut agents: Vec<(String, String)> =
            OF_MEMORY.map(|(name, begins)| (name.to_owned(), begins.to_owned())).into();
        for name in files.iter().flat_map(|file| names(&file.document)).collect::<BTreeSet<_>>() {
            let shown = place.baton(&["agents", "show", &name, "--json"]);
            // Memory and the gateway use names that are not agents.
            if shown.code == Some(0) {
                let before = agents.len();
                agents.extend(prompts(&shown.json()["agent"]).map(|begins| (name.clone(), begins)));
                if agents.len() == before {
                    // An agent without a system prompt is identified by its absence.
                    agents.push((name, String::new()));
                }
            }
        }
        Self { script, agents }
    }

    fn says(&self, body: &Value) -> Value {
        let request = self.request(body);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let asker = ModelCaller::of("default".into(), "one/0");
        let reply = runtime.block_on(self.script.ask(&asker, &request, LIMIT, None));
        message(&reply.expect("a written reply"))
    }

    fn request(&self, body: &Value) -> ModelRequest {
        let messages: Vec<ModelMessage> = body["messages"].as_array().expect("messages").iter().map(heard).collect();
        let system = messages.iter().find_map(|message| match message {
            ModelMessage::System { content, .. } => Some(content.as_str()),
            _ => None,
        });
        let system = system.unwrap_or_default();
        let is_its = |(_, begins): &&(String, String)| system.contains(begins.as_str());
        let agent = self.agents.iter().filter(is_its).max_by_key(|(_, begins)| begins.len());
        assert!(agent.is_some(), "nobody asks in these words: {body}");
        let agent = agent.map(|(name, _)| name.clone()).unwrap_or_default();
        ModelRequest { agent, messages, ..ModelRequest::default() }
    }
}

/// Agents for which a file has replies.
fn names(document: &Value) -> Vec<String> {
    let replies = document["replies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let all = std::iter::once(document).chain(replies).filter_map(|one| one["agent"].as_str());
    all.map(str::to_owned).collect()
}

/// The constant parts of an agent's system prompts, in all languages: the text between placeholders and branches.
fn prompts(agent: &Value) -> impl Iterator<Item = String> {
    let own = agent["system_prompt"].as_str().map(str::to_owned);
    let more = agent["prompts"].as_object().cloned().unwrap_or_default().into_iter();
    let more =
        more.filter(|(name, _)| name.starts_with("system.")).filter_map(|(_, text)| Some(text.as_str()?.to_owned()));
    own.into_iter().chain(more.collect::<Vec<_>>()).flat_map(|text| {
        let pieces = text.split('{').map(|piece| piece.rsplit(['%', '}']).next().unwrap_or_default().trim().to_owned());
        pieces.filter(|piece| piece.len() > WORDS_MIN).collect::<Vec<_>>()
    })
}

fn heard(message: &Value) -> ModelMessage {
    let content = message["content"].as_str().unwrap_or_default().to_owned();
    match message["role"].as_str().expect("a role") {
        "system" | "developer" => ModelMessage::system(content),
        "user" => ModelMessage::user(content),
        "tool" => {
            let tool_call_id = message["tool_call_id"].as_str().expect("an id").to_owned();
            ModelMessage::Tool { tool_call_id, content }
        }
        role => {
            assert_eq!(role, "assistant");
            let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
            let call = |call: &Value| ModelToolCall {
                id: call["id"].as_str().expect("an id").to_owned(),
                name: call["function"]["name"].as_str().expect("a name").to_owned(),
                arguments: serde_json::from_str(call["function"]["arguments"].as_str().expect("a text")).expect("JSON"),
            };
            ModelMessage::Assistant {
                content,
                tool_calls: calls.iter().map(call).collect(),
                thinking: None,
                name: None,
            }
        }
    }
}

fn message(reply: &ModelReply) -> Value {
    let mut said = json!({ "role": "assistant", "content": reply.content });
    if !reply.tool_calls.is_empty() {
        let call = |call: &ModelToolCall| {
            let function = json!({ "name": call.name, "arguments": call.arguments.to_string() });
            json!({ "id": call.id, "type": "function", "function": function })
        };
        said["tool_calls"] = reply.tool_calls.iter().map(call).collect();
    }
    said
}

/// An example's test that can be repeated as a run, because only the customer acts in it.
struct ExampleTest {
    workflow: String,
    arguments: Vec<String>,
    state: String,
    is_of_a_day: bool,
    /// Set if the output does not depend on the day.
    output: Option<Value>,
}

impl ExampleTest {
    fn of(written: &Value) -> Option<Self> {
        let steps = written["script"].as_array().map(Vec::as_slice).unwrap_or_default();
        let says: Option<Vec<&str>> = steps.iter().map(|step| step["say"].as_str()).collect();
        let expect = &written["expect"];
        let known = ["name", "workflow", "input", "context", "script", "now", "expect"];
        let is_plain = written.as_object()?.keys().all(|key| known.contains(&key.as_str()));
        let state = expect["state"].as_str().filter(|state| *state == "completed" && is_plain)?.to_owned();
        let workflow = written["workflow"].as_str()?.to_owned();
        let mut arguments = vec!["run".to_owned(), workflow.clone(), "--json".to_owned()];
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        for name in ["input", "context"] {
            arguments.extend(written.get(name).map(|value| format!("--{name}={}", text(value))));
        }
        arguments.extend(says?.into_iter().map(|said| format!("--say={said}")));
        let output = expect.get("output").filter(|_| written.get("now").is_none()).cloned();
        Some(Self { workflow, arguments, state, output, is_of_a_day: written.get("now").is_some() })
    }

    fn holds(&self, place: &TestFolder, variables: &[(&str, &str)]) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let ran = CommandOutput::wait_for(place.spawn_with(variables, &arguments));
        let told = (ran.out.clone(), ran.err.clone());
        let is_asked = self.is_of_a_day && ran.code == Some(3);
        let ran = if is_asked { ran.json() } else { ran.expect_code(0).json() };
        // On other days other hours are free, and the customer is asked once more.
        let state = if is_asked { "waiting" } else { &self.state };
        assert_eq!(ran["state"], *state, "{arguments:?} {told:?}");
        if is_asked {
            assert_eq!(ran["waits_for"][0]["kind"], "customer", "{arguments:?} {told:?}");
            return;
        }
        for (name, expected) in self.output.iter().filter_map(Value::as_object).flatten() {
            assert_eq!(ran["output"][name], *expected, "{arguments:?}: {name}");
        }
    }
}

/// Names of the workflows that use an agent.
fn with_agents(folder: &Path) -> BTreeSet<String> {
    let all = files(&folder.join("workflows")).into_iter().map(|file| (yaml(&file), std::fs::read_to_string(file)));
    let thinks = all.filter(|(_, text)| text.as_ref().is_ok_and(|text| text.contains("agent:")));
    thinks.map(|(workflow, _)| workflow["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn every_example_in_which_an_agent_thinks_runs_unchanged_with_a_key() {
    let examples = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples"));
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    for example in examples.iter().filter(|example| example.join("baton.toml").is_file()) {
        let speaker = ScriptedProvider::of(&TestFolder::copy_of(example));
        let model = UpstreamModel::that_says(move |body| speaker.says(body));
        let variables = [("OPENAI_API_KEY", "sk-test-1"), ("OPENAI_BASE_URL", model.url.as_str())];
        let thinking = with_agents(example);
        let tests = files(&example.join("tests")).into_iter().map(|file| yaml(&file));
        let cases = tests.flat_map(|file| file["tests"].as_array().cloned().unwrap_or_default());
        let cases: Vec<ExampleTest> = cases.filter_map(|case| ExampleTest::of(&case)).collect();
        for workflow in &thinking {
            let before = model.asked().len();
            // Two of each: the first shows that it works, and the second that the first was no special case.
            let own: Vec<&ExampleTest> = cases.iter().filter(|case| case.workflow == *workflow).take(2).collect();
            assert!(!own.is_empty(), "{}: {workflow} has no test that a run can stand for", example.display());
            for case in own {
                // A booking of one test would block the next.
                let place = TestFolder::copy_of(example);
                if example.join("knowledge").is_dir() {
                    place.baton(&["knowledge", "add"]).expect_code(0);
                }
                case.holds(&place, &variables);
            }
            assert!(model.asked().len() > before, "{workflow} asked the model");
            *ran.entry(example.display().to_string()).or_default() += 1;
        }
        assert!(model.asked().iter().all(|asked| asked.key == "sk-test-1"));
    }
    assert_eq!(ran.len(), 4, "{ran:?}");
}
