//! End-to-end tests of agents: listing, health, registration, and an agent that an external service implements.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::test_folder::TestFolder;

const ASKS_GREETER: &str =
    "name: greet\ninput: {message: string}\nnodes: [{id: hello, agent: greeter, task: '{{ message }}'}]\n";
const NO_REPLY: &str = "agent: nobody\nreplies: [{content: nothing}]\n";

fn place(agents: &str) -> TestFolder {
    TestFolder::with(&[
        ("baton.toml", "[tools.outbound]\nallow = [\"127.0.0.1\"]\n"),
        ("agents/agents.yaml", agents),
        ("workflows/greet.yaml", ASKS_GREETER),
        (
            "replies/replies.yaml",
            "replies: [{agent: greeter, content: Hello!}, {agent: stand_in, content: Good day!}]\n",
        ),
    ])
}

fn names(told: &Value) -> Vec<String> {
    told["agents"].as_array().expect("a list").iter().map(|card| card["name"].to_string()).collect()
}

/// A service that answers every request with the result of `think` for its body. Returns its address.
fn thinker(think: fn(&Value) -> Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line.trim() != "" || line.is_empty() {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let answer = think(&serde_json::from_slice(&body).expect("JSON")).to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
            write!(stream, "{head} {}\r\n\r\n{answer}", answer.len()).expect("written");
        }
    });
    format!("http://{address}/step")
}

#[test]
fn agents_are_listed_the_cheapest_first_and_filtered() {
    let place = place("{name: greeter, type: simple, capabilities: [greeting]}");
    let all = place.baton(&["agents", "list", "--json"]).expect_code(0).json();
    assert!(names(&all).contains(&"\"router\"".to_owned()) && names(&all).contains(&"\"greeter\"".to_owned()), "{all}");
    let tiers: Vec<&str> =
        all["agents"].as_array().expect("a list").iter().filter_map(|card| card["cost_tier"].as_str()).collect();
    let rank = |tier: &&str| ["low", "medium", "high"].iter().position(|known| known == tier);
    assert!(tiers.is_sorted_by_key(rank), "{tiers:?}");
    let able = place.baton(&["agents", "list", "--capability", "greeting", "--json"]).expect_code(0).json();
    assert_eq!(names(&able), ["\"greeter\""]);
    place.baton(&["agents", "list", "--capability", "nothing"]).expect_code(0).expect_stdout("no agents");
    place.baton(&["agents", "show", "greter"]).expect_code(2).expect_stderr("did you mean `greeter`?");
}

#[test]
fn outcomes_are_told_of_whoever_worked() {
    let place = place("{name: greeter, type: simple}");
    place.baton(&["run", "greet", "--set", "message=hi"]).expect_code(0);
    let card = place.baton(&["agents", "show", "greeter", "--json"]).expect_code(0).json()["card"].clone();
    assert_eq!((&card["tasks"], &card["error_rate"], &card["is_healthy"]), (&json!(1), &json!(0.0), &json!(true)));
}

#[test]
fn another_agent_stands_in_for_one_that_gives_up() {
    let place = place("agents: [{name: greeter, type: simple, fallback: stand_in}, {name: stand_in, type: simple}]");
    place.write("replies/replies.yaml", NO_REPLY.replace("nobody", "stand_in").replace("nothing", "Good day!"));
    let ran = place.baton(&["run", "greet", "--set", "message=hi", "--json"]).expect_code(0).json();
    assert_eq!(ran["output"]["text"], "Good day!", "{ran}");
    let card = place.baton(&["agents", "show", "greeter", "--json"]).expect_code(0).json()["card"].clone();
    assert_eq!((&card["tasks"], &card["error_rate"]), (&json!(1), &json!(1.0)));
}

#[test]
fn a_registered_agent_works_until_it_is_removed() {
    let place = place("{name: other, type: simple}");
    place.baton(&["validate"]).expect_code(2).expect_stdout("greeter");
    place.write("greeter.yaml", "{name: greeter, type: simple}");
    place.baton(&["agents", "register", "greeter.yaml"]).expect_code(0).expect_stdout("`greeter` is registered");
    place.baton(&["validate"]).expect_code(0);
    place.baton(&["run", "greet", "--set", "message=hi"]).expect_code(0);
    place.baton(&["agents", "remove", "greeter"]).expect_code(0);
    place.baton(&["agents", "remove", "greeter"]).expect_code(2).expect_stderr("no agent `greeter` is registered");
    place.write("other.yaml", "{name: other, type: simple}");
    place.baton(&["agents", "register", "other.yaml"]).expect_code(2).expect_stderr("the project's own files");
}

#[test]
fn somebody_else_thinks_for_an_agent_step_by_step() {
    let endpoint = thinker(|asked| match asked["seen"].as_array().map(Vec::as_slice) {
        Some([]) => json!({"request_tools": [{"id": "1", "tool": "calculator", "arguments": {"expression": "6 * 7"}}]}),
        Some([first]) => json!({"answer": {"output": {"text": first["tools"][0][1]["data"]["result"]}}}),
        _ => json!({"give_up": {"code": "LOST", "message": "it has seen too much"}}),
    });
    let place = place(&format!("{{name: greeter, type: custom, endpoint: \"{endpoint}\", tools: [calculator]}}"));
    let ran = place.baton(&["run", "greet", "--set", "message=hi", "--json"]).expect_code(0).json();
    assert_eq!(ran["output"]["text"], json!(42), "{ran}");
}

#[test]
fn a_tool_that_an_agent_may_not_have_is_in_the_audit_trail() {
    let endpoint = thinker(|asked| match asked["seen"].as_array().map(Vec::as_slice) {
        Some([]) => json!({"request_tools": [{"id": "1", "tool": "charge_payment", "arguments": {"amount": 250}}]}),
        _ => json!({"answer": {"output": {"text": "then not"}}}),
    });
    let place = place(&format!("{{name: greeter, type: custom, endpoint: \"{endpoint}\", tools: [calculator]}}"));
    place.baton(&["run", "greet", "--set", "message=hi"]).expect_code(0).expect_stdout("then not");
    let listed = place.baton(&["audit", "list", "--json"]).expect_code(0).json();
    let rows = listed["rows"].as_array().expect("rows");
    let said = |row: &Value| ["action", "status", "error_code", "agent_name"].map(|name| row[name].clone());
    let expect = ["charge_payment", "error", "TOOL_NOT_ALLOWED", "greeter"];
    assert_eq!(rows.iter().map(said).collect::<Vec<_>>(), [expect], "{listed}");
    assert_eq!((&rows[0]["sent"], &rows[0]["details"]["node"]), (&json!(false), &json!("hello")));
}

#[test]
fn whoever_says_what_is_no_step_is_quoted() {
    let endpoint = thinker(|_| json!({"ponder": "deeply"}));
    let place = place(&format!("{{name: greeter, type: custom, endpoint: \"{endpoint}\"}}"));
    let ran = place.baton(&["run", "greet", "--set", "message=hi", "--json"]).expect_code(1).json();
    assert!(ran["error"].to_string().contains("ponder"), "{ran}");
}

#[test]
fn a_tier_keeps_agents_of_another_type_from_running() {
    let place = place("{name: greeter, type: code}");
    place.write("baton.toml", "[agents]\ntier = \"free\"\n");
    let ran = place.baton(&["run", "greet", "--set", "message=hi", "--json"]).expect_code(1).json();
    assert!(ran["error"].to_string().contains("TIER_LIMIT"), "{ran}");
    place.write("baton.toml", "[agents]\ntier = \"fre\"\n");
    place
        .baton(&["run", "greet", "--set", "message=hi"])
        .expect_code(2)
        .expect_stderr("enterprise, free, professional");
}

#[test]
fn a_projects_prompt_is_what_its_agents_hear() {
    let place = place("{name: greeter, type: simple, system_prompt: Be kind.}");
    place.write("prompts/greeter.es.md", "Sé amable.");
    place.write(
        "replies/replies.yaml",
        "replies: [{agent: greeter, match: {system: Sé amable}, content: ¡Hola!}, {agent: greeter, content: Hello!}]",
    );
    let said = |language: &str| {
        let language = format!("{{\"language\": \"{language}\"}}");
        let ran = place
            .baton(&["run", "greet", "--set", "message=hi", "--context", &language, "--json"])
            .expect_code(0)
            .json();
        ran["output"]["text"].as_str().map(str::to_owned)
    };
    assert_eq!((said("es-MX").as_deref(), said("en").as_deref()), (Some("¡Hola!"), Some("Hello!")));
    place.write("prompts/greter.es.md", "Hola");
    place.baton(&["validate"]).expect_code(2).expect_stderr("did you mean `greeter`?");
}

#[test]
fn memory_s_prompts_are_in_the_customer_s_language_and_in_the_projects_words_where_it_has_some() {
    let place = place("{name: greeter, type: simple}");
    place.write("doc.md", "# Returns\n\nWithin thirty days.\n");
    place.write(
        "workflows/find.yaml",
        "name: find\nnodes: [{id: find, tool: rag_query, parameters: {query: returns}}]\n",
    );
    let verdict = |missing: &str| format!("'{{\"sufficient\": false, \"missing\": \"{missing}\", \"query\": null}}'");
    let reply = |system: &str, missing: &str| {
        format!("{{agent: rag_judge, match: {{system: {system}}}, content: {}}}", verdict(missing))
    };
    let replies = [reply("Du urteilst", "ein Datum"), reply("Juzgas", "una fecha"), reply("You judge", "a date")];
    place.write("replies/replies.yaml", format!("replies: [{}]", replies.join(", ")));
    place.baton(&["knowledge", "add", "doc.md"]).expect_code(0);
    let missing = |language: &str| {
        let context = format!("{{\"language\": \"{language}\"}}");
        let ran = place.baton(&["run", "find", "--context", &context, "--json"]).expect_code(0).json();
        ran["output"]["missing"].as_str().map(str::to_owned)
    };
    assert_eq!(missing("es-MX").as_deref(), Some("una fecha"));
    assert_eq!(missing("de").as_deref(), Some("a date"));
    place.write("prompts/rag_judge.de.md", "Du urteilst über {{ question }}.");
    assert_eq!(missing("de").as_deref(), Some("ein Datum"));
    place.write("prompts/memory_summary.de.md", "Fasse {{ messages }} zusammen.");
    place.baton(&["validate"]).expect_code(2).expect_stderr("memory_summary.de.md").expect_stderr("messages");
}

#[test]
fn an_agent_that_is_registered_binds_no_secret_of_the_project() {
    let place = place("{name: greeter, type: simple}");
    place.write(
        "new.yaml",
        "name: thief\ntype: custom\nendpoint: https://thief.example.com\nmetadata: {endpoint_secret: greeter}\n",
    );
    let refused = place.baton(&["agents", "register", "new.yaml"]).expect_code(2);
    refused.expect_stderr("`thief` names a secret").expect_stderr("metadata.endpoint_secret");
    place.baton(&["agents", "show", "thief"]).expect_code(2);
}
