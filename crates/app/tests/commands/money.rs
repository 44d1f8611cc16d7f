//! End-to-end tests of budgets and consumers' keys: over HTTP, with killed processes, and in everything that was
//! written.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::server::{BatonServer, chat, wait_for};
use crate::test_folder::{CommandOutput, TestFolder};
use crate::traces::OtlpCollector;
use crate::upstream::{CUT, REFUSE, UNCOUNTED, UpstreamModel};

const SECRET: &str = "sk-consumer-5d1c77a0e2";
const WORKFLOW: &str =
    "name: ask\ninput: {word: string}\nnodes: [{id: hello, agent: greeter, prompt_template: 'Say {{ word }}'}]\n";
const AGENT: &str = "name: greeter\ntype: simple\nmodel_profile: fast\nsystem_prompt: You greet.\nmax_tokens: 10\n";

/// A project whose only model costs a tenth of a cent per output token, so a reply of ten tokens costs a cent.
fn project(upstream: &UpstreamModel, budgets: &str) -> TestFolder {
    let settings = format!(
        "[models]\nbase_url = \"{}\"\napi_key = \"sk-tenant\"\n[models.models]\nfast = [\"mock\"]\n\
         [models.catalogue.mock]\ninput_usd_per_million = 0\noutput_usd_per_million = 1000\n[budgets]\n{budgets}\n",
        upstream.url
    );
    TestFolder::with(&[("baton.toml", &settings), ("workflows/ask.yaml", WORKFLOW), ("agents/greeter.yaml", AGENT)])
}

fn hello() -> Value {
    json!({ "model": "fast", "max_tokens": 10, "messages": [{"role": "user", "content": "hello"}] })
}

/// The number of concurrent requests that succeeded, and the other responses.
fn crowd(address: &str, key: &str, size: usize, each: usize) -> (usize, Vec<String>) {
    let answered = AtomicUsize::new(0);
    let others = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..size {
            scope.spawn(|| {
                for _ in 0..each {
                    match chat(address, key, "", &hello()) {
                        Some(answer) if answer.starts_with("HTTP/1.1 200") => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Some(answer) => others.lock().expect("a lock").push(answer),
                        None => return,
                    }
                }
            });
        }
    });
    (answered.into_inner(), others.into_inner().expect("a lock"))
}

#[test]
fn a_budget_worth_ten_calls_lets_ten_of_sixty_four_at_once_through_the_door() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "daily_usd = 0.1");
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let (answered, others) = crowd(server.address(), &key, 64, 1);
    assert_eq!((answered, upstream.asked().len(), others.len()), (10, 10, 54), "{others:?}");
    assert!(others.iter().all(|other| other.starts_with("HTTP/1.1 429") && other.contains("BUDGET_EXCEEDED")));
    let metrics = server.get("/metrics", None);
    assert!(
        metrics.contains("llm_tokens_total{model=\"mock\",agent_type=\"gateway\",type=\"output\"} 100"),
        "{metrics}"
    );
    assert!(metrics.contains("budget_refusals_total{window=\"day\"} 54"), "{metrics}");
    assert!(metrics.contains("budget_limit_usd{company_id=\"default\",window=\"day\"} 0.1"), "{metrics}");
    let cost = metrics
        .lines()
        .find_map(|line| line.strip_prefix("llm_cost_usd_total{model=\"mock\",agent_type=\"gateway\"} "));
    let cost: f64 = cost.expect("is counted").parse().expect("a number");
    assert!((cost - 0.1).abs() < 1e-9, "{metrics}");
    assert_eq!(server.stop(), Some(0));

    let costs = place.baton(&["costs", "--by", "model", "--json"]).expect_code(0).json();
    assert_eq!((&costs[0]["model"], &costs[0]["total_calls"]), (&json!("mock"), &json!(10)));
    let lines = place.baton(&["budgets", "--json"]).expect_code(0).json();
    let day = lines.as_array().expect("lines").iter().find(|line| line["window"] == "day").expect("a day");
    assert_eq!((&day["spent_usd"], &day["held_usd"], &day["left_usd"]), (&json!(0.1), &json!(0.0), &json!(0.0)));
}

#[test]
fn what_agents_ask_models_is_counted_by_their_type() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "daily_usd = 1");
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let input = json!({ "workflow_id": "ask", "input_data": { "word": "hello" } });
    server.ask("POST /api/v1/workflows/execute", &key, "", &input).expect_status(200);
    let metrics = server.get("/metrics", None);
    // `greeter` is its name.
    let series = "llm_tokens_total{model=\"mock\",agent_type=\"simple\",type=\"output\"} 10";
    assert!(metrics.contains(series), "{metrics}");
    assert!(metrics.contains("# TYPE llm_cost_usd_total counter\n"), "{metrics}");
    assert!(!metrics.contains("agent_type=\"greeter\""), "{metrics}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn whoever_nears_a_budget_is_told_with_the_answer_on_the_log_and_by_the_setting_to_change() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "daily_usd = 0.1");
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    for call in 1..=9 {
        let answer = chat(server.address(), &key, "", &hello()).expect("an answer");
        let told = answer.contains("x-baton-budget: ");
        assert_eq!(told, call >= 8, "call {call} of a cent, of ten:\n{answer}");
    }
    let metrics = server.get("/metrics", None);
    assert!(metrics.contains("budget_spent_usd{company_id=\"default\",window=\"day\"}"), "{metrics}");
    // Everything that is still buffered is written at shutdown, and so are the notices.
    let said = server.stop_and_read();
    assert!(said.contains("80 %"), "{said}");
    place
        .baton(&["budgets"])
        .expect_code(0)
        .expect_stdout("by budgets.daily_usd")
        .expect_stdout("by default")
        .expect_stdout("under [budgets] in baton.toml");
    let lines = place.baton(&["budgets", "--json"]).expect_code(0).json();
    let day = lines.as_array().expect("lines").iter().find(|line| line["window"] == "day").expect("a day");
    assert_eq!(day["setting"], "budgets.daily_usd");
}

#[test]
fn people_and_hooks_are_told_of_a_budget_once_even_where_the_server_that_saw_it_was_killed() {
    let upstream = UpstreamModel::start();
    let hooks = upstream.url.replace("/v1", "");
    let place = project(
        &upstream,
        &format!(
            "daily_usd = 0.1\n[upkeep]\nbudgets_to = [\"admin@clinic.example\"]\n[upkeep.budget_hooks]\n\
             ops = {{ url = \"{hooks}/hooks/s3cr3t-path?token=t0k3n\" }}\n\
             slack = {{ url = \"{hooks}/services/T0/B0/s3cr3t-path\", form = \"slack\" }}\n\
             dead = {{ url = \"{hooks}/be%20gone/s3cr3t-path\" }}\n"
        ),
    );
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    // Exactly eight: reservations of a killed server count as spent, and more would use up the budget.
    (0..8).for_each(|_| drop(chat(server.address(), &key, "", &hello())));
    let spent = || {
        let lines = place.baton(&["budgets", "--json"]).expect_code(0).json();
        let day = lines.as_array().expect("lines").iter().find(|line| line["window"] == "day").cloned();
        day.and_then(|day| day["spent_usd"].as_f64()).unwrap_or_default()
    };
    wait_for("it is written down", || (spent() >= 0.08).then_some(()));
    server.kill();
    let told =
        |path: &str| -> Vec<_> { upstream.asked().into_iter().filter(|asked| asked.path.starts_with(path)).collect() };
    assert!(told("/hooks").is_empty(), "it looks once a minute");

    let server = BatonServer::start(&place);
    // A server that is stopped in the middle of a call repeats it with the same key.
    let once = |path: &str| told(path).into_iter().map(|asked| asked.idempotency_key).collect::<BTreeSet<_>>().len();
    let all = || [once("/hooks"), once("/services"), once("/be")];
    wait_for("each hook is told once", || (all() == [1, 1, 1]).then_some(()));
    let ops = &told("/hooks")[0];
    assert_eq!(ops.body["reached_percent"], 80, "{ops:?}");
    assert_eq!(
        (&ops.body["event"], &ops.body["window"], &ops.body["limit_usd"]),
        (&json!("budget"), &json!("day"), &json!(0.1))
    );
    assert!(ops.idempotency_key.is_some() && ops.path.ends_with("?token=t0k3n"), "{ops:?}");
    let slack = &told("/services")[0].body;
    assert!(slack["text"].as_str().expect("a text").starts_with("80 % of the daily budget"), "{slack}");
    assert_eq!(slack.as_object().map(serde_json::Map::len), Some(1));
    let said = server.stop_and_read();
    place.baton(&["runs", "work"]).expect_code(0);

    // The next server notifies nobody again, and reports what could not be delivered.
    let server = BatonServer::start(&place);
    let desk = || place.baton(&["desk", "list", "--json"]).expect_code(0).json().to_string();
    assert!((0..400).any(|_| desk().contains("nobody could be told by hook `dead`")), "{}", desk());
    let said = said + &server.stop_and_read();
    assert_eq!(all(), [1, 1, 1]);
    let runs = place.baton(&["runs", "list", "--json"]).expect_code(0).json();
    assert_eq!(runs.as_array().map(Vec::len), Some(4), "{runs}");
    for run in runs.as_array().expect("runs") {
        let shown = place.baton(&["runs", "show", run["execution_id"].as_str().expect("an id"), "--json"]);
        assert!(!shown.expect_code(0).json().to_string().contains("s3cr3t-path"));
    }
    assert!(!said.contains("s3cr3t-path") && !said.contains("t0k3n") && !desk().contains("s3cr3t-path"), "{said}");
}

#[test]
fn a_limit_of_a_run_bounds_the_runs_that_it_begins() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "");
    let asks =
        "{id: a, agent: greeter, task: one}, {id: b, agent: greeter, task: two}, {id: c, agent: greeter, task: three}";
    place.write(
        "workflows/many.yaml",
        format!("name: many\nnodes: [{asks}]\nedges: [{{from: a, to: b}}, {{from: b, to: c}}]\n"),
    );
    let inner = "name: inner\nnodes: [{id: many, type: subworkflow, workflow: many}]\n";
    place.write("workflows/inner.yaml", inner);
    let outer = "name: outer\nmax_cost_usd: 0.025\nnodes: [{id: inner, type: subworkflow, workflow: inner}]\n";
    place.write("workflows/outer.yaml", outer);
    // Each reply costs a cent. The budget covers two, at two levels of child runs.
    place.baton(&["run", "outer", "--id", "one"]).expect_code(1).expect_stdout("COST_LIMIT");
    assert_eq!(upstream.asked().len(), 2);
    let run = place.baton(&["runs", "list", "--json"]).expect_code(0).json();
    let run = run.as_array().expect("runs").iter().find(|run| run["execution_id"] == "one").cloned();
    assert!(run.is_some_and(|run| run.to_string().contains("0.02")), "what its children cost is its own");
    place.baton(&["run", "many"]).expect_code(0);
    assert_eq!(upstream.asked().len(), 5, "by itself it has no limit");
}

#[test]
fn what_it_is_worth_comes_of_ones_own_numbers_and_what_was_recorded() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "");
    place
        .baton(&["costs", "roi", "--conversations", "1000", "--minutes", "5"])
        .expect_code(2)
        .expect_stderr("--handled, --minute-usd, --other-usd, --once-usd missing");
    place.baton(&["run", "ask", "--set", "word=hello"]).expect_code(0);
    let told = [
        "--conversations=1000",
        "--handled=80",
        "--minutes=5",
        "--minute-usd=0.5",
        "--other-usd=9.99",
        "--once-usd=1000",
    ];
    let ask = |more: &[&str]| place.baton(&[&["costs", "roi"], &told[..], more].concat());
    let found = ask(&["--json"]).expect_code(0).json();
    let roi = &found["roi"];
    assert_eq!(
        (&found["recorded_calls"], &found["inputs"]["days"], &roi["models_usd"]),
        (&json!(1), &json!(30), &json!(0.01))
    );
    let near = |value: &Value, expect: f64| (value.as_f64().expect("a number") - expect).abs() < 1e-6;
    assert!(near(&roi["running_usd"], 10.0) && near(&roi["saved_usd"], 1_990.0), "{found}");
    ask(&[])
        .expect_code(0)
        .expect_stdout("| Saved in the period | $1990.00 |")
        .expect_stdout("| Models, 1 calls | $0.01 |");
    ask(&["--from=2025-01-01", "--to=2025-01-31"])
        .expect_code(0)
        .expect_stdout("No model call is recorded")
        .expect_stdout("| Days | 31 |");
    ask(&["--from=2025-02-01", "--to=2025-01-31"]).expect_code(2).expect_stderr("--to is before --from");
    ask(&["--from=2999-02-01"]).expect_code(2).expect_stderr("--from is after today");
    let none = [&["costs", "roi", "--conversations=0", "--other-usd=899.99"], &told[1..4], &told[5..]].concat();
    place.baton(&none).expect_code(0).expect_stdout("| Saved in the period | -$900.00 |");
    place.baton(&[&["costs", "roi"], &told[..], &["--handled=120"]].concat()).expect_code(2);
}

#[test]
fn vectors_are_paid_for_out_of_the_budget_and_not_asked_for_without_money_or_a_price() {
    let upstream = UpstreamModel::start();
    let settings = |budget: &str, model: &str| {
        format!(
            "[memory]\nembedder = \"openai\"\nbase_url = \"{}\"\nmodel = \"{model}\"\ndimensions = 4\n\
             [models.catalogue.vectors]\ninput_usd_per_million = 1000\noutput_usd_per_million = 0\n\
             [budgets]\ndaily_usd = {budget}\n",
            upstream.url
        )
    };
    let place =
        TestFolder::with(&[("baton.toml", &settings("1", "vectors")), ("a.md", "# Refunds\n\nWithin a month.\n")]);
    let embedded = || upstream.asked().iter().filter(|asked| asked.path.ends_with("/embeddings")).count();
    // The provider counts ten tokens at a tenth of a cent each. One token per byte was reserved.
    place.baton(&["knowledge", "add", "a.md"]).expect_code(0);
    let costs = || place.baton(&["costs", "--by", "agent,model", "--json"]).expect_code(0).json();
    let row = costs()[0].clone();
    assert_eq!(
        (&row["agent"], &row["model"], &row["total_cost_usd"]),
        (&json!("embeddings"), &json!("vectors"), &json!(0.01))
    );
    let held = place.baton(&["budgets", "--json"]).expect_code(0).json();
    assert!(held.as_array().expect("lines").iter().all(|line| line["held_usd"] == json!(0.0)), "{held}");
    assert_eq!(embedded(), 1);

    // The cost is printed before and after.
    let built = place.baton(&["knowledge", "reindex"]).expect_code(0);
    built
        .expect_stderr("1 piece is embedded anew by `vectors`, some $0.2400")
        .expect_stdout("knowledge: 1 document in 1 piece")
        .expect_stdout("for $0.0100");
    let built = place.baton(&["knowledge", "reindex", "--json"]).expect_code(0).json();
    assert_eq!((&built[0]["cost_usd"], &built[1]["cost_usd"]), (&json!(0.01), &json!(0.0)), "{built}");

    place.write("baton.toml", settings("0.031", "vectors"));
    place.write("b.md", "# Hours\n\nFrom nine to five.\n");
    place
        .baton(&["knowledge", "add", "b.md"])
        .expect_code(1)
        .expect_stderr("is not asked")
        .expect_stderr("daily budget");
    place.baton(&["knowledge", "reindex"]).expect_code(1).expect_stderr("daily budget");
    assert_eq!(embedded(), 3, "nothing went out");
    // The search falls back to keywords.
    let found = place.baton(&["knowledge", "search", "refunds month", "--json"]).expect_code(0).json();
    assert!(found["degraded_reason"].as_str().is_some_and(|reason| reason.contains("daily budget")), "{found}");
    assert_eq!(found["results"].as_array().map(Vec::len), Some(1));

    place.write("baton.toml", settings("1", "nobodys"));
    place
        .baton(&["knowledge", "reindex"])
        .expect_code(1)
        .expect_stderr("states the price of `nobodys`")
        .expect_stderr("models.yaml");
    place.write("baton.toml", "[budgets]\ndaily_usd = 0\n");
    place.baton(&["knowledge", "reindex"]).expect_code(0);
    assert_eq!((embedded(), costs()[0]["total_calls"].clone()), (3, json!(3)), "the built-in one costs nothing");
}

#[test]
fn a_tier_says_how_often_its_tenants_may_ask_and_begin_runs() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "[agents]\ntier = \"free\"\ntiers.free = { per_minute = 0, per_hour = 3 }\n");
    let server = BatonServer::start(&place);
    let ask = || chat(server.address(), server.key().expect("a key"), "", &hello()).expect("an answer");
    let first = ask();
    assert!(first.starts_with("HTTP/1.1 200") && first.contains("x-ratelimit-limit-requests: 3\r\n"), "{first}");
    assert!(ask().contains("x-ratelimit-remaining-requests: 1\r\n"));
    // A run counts too, whichever process starts it.
    place.baton(&["run", "ask", "--set", "word=hello"]).expect_code(0);
    let full = ask();
    assert!(full.starts_with("HTTP/1.1 429") && full.contains("rate_limit_exceeded"), "{full}");
    assert!(full.contains("retry-after: ") && full.contains("x-ratelimit-remaining-requests: 0\r\n"), "{full}");
    place
        .baton(&["run", "ask", "--set", "word=hello"])
        .expect_code(1)
        .expect_stderr("the tier `free` lets this tenant ask 3 times in one hour");
    assert_eq!(upstream.asked().len(), 3);
}

#[test]
fn a_run_that_is_stopped_by_hand_gives_back_what_it_held_of_budgets() {
    let reply = "agent: greeter\nreplies: [{content: Hola, latency_ms: 60000}]\n";
    let place = TestFolder::with(&[
        ("baton.toml", "[budgets]\ndaily_usd = 10\n"),
        ("workflows/ask.yaml", WORKFLOW),
        ("agents/greeter.yaml", AGENT),
        ("replies/a.yaml", reply),
    ]);
    let held = || -> f64 {
        let lines = place.baton(&["budgets", "--json"]).expect_code(0).json();
        lines.as_array().expect("lines").iter().filter_map(|line| line["held_usd"].as_f64()).sum()
    };
    let moving = place.spawn(&["run", "ask", "--set", "word=hello"]);
    assert!((0..1_000).any(|_| held() > 0.0), "nothing was asked");
    place.shell(&format!("kill -INT {}", moving.id())).expect_code(0);
    CommandOutput::wait_for(moving).expect_code(130).expect_stderr("nothing is lost");
    assert_eq!(held(), 0.0);
}

#[test]
fn a_request_there_is_no_money_for_counts_once_however_many_models_it_might_have_had() {
    let upstream = UpstreamModel::start();
    let place = TestFolder::with(&[(
        "baton.toml",
        &format!(
            "[models]\nbase_url = \"{}\"\napi_key = \"sk\"\n[models.models]\nfast = [\"mock\", \"other\", \"third\"]\n\
             [models.catalogue]\nmock = {{input_usd_per_million = 0, output_usd_per_million = 1000}}\n\
             other = {{input_usd_per_million = 0, output_usd_per_million = 1000}}\n\
             third = {{input_usd_per_million = 0, output_usd_per_million = 1000}}\n[budgets]\ndaily_usd = 0\n",
            upstream.url
        ),
    )]);
    let server = BatonServer::start(&place);
    let answer = chat(server.address(), server.key().expect("a key"), "", &hello()).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("before it, "), "{answer}");
    let metrics = server.get("/metrics", None);
    assert!(metrics.contains("budget_refusals_total{window=\"day\"} 1\n"), "{metrics}");
}

#[test]
fn with_less_money_than_the_longest_reply_costs_the_reply_is_kept_shorter() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "daily_usd = 0.1");
    let server = BatonServer::start(&place);
    // By model name, because a profile has its own limit for one call.
    let long = json!({ "model": "mock", "max_tokens": 200, "messages": [{"role": "user", "content": "hello"}] });
    let answer = chat(server.address(), server.key().expect("a key"), "", &long).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(upstream.asked()[0].body["max_tokens"], 100);
}

#[test]
fn metrics_say_how_budgets_stand_at_the_scrape_also_what_other_processes_spent() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "daily_usd = 0.1");
    let server = BatonServer::start(&place);
    let of = |name: &str| {
        let line = format!("budget_{name}_usd{{company_id=\"default\",window=\"day\"}} ");
        let metrics = server.get("/metrics", None);
        let value = metrics.lines().find_map(|found| found.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("no {line}in {metrics}")).parse::<f64>().expect("a number")
    };
    assert_eq!([of("limit"), of("spent"), of("reserved")], [0.1, 0.0, 0.0]);
    place.baton(&["run", "ask", "--set", "word=hello"]).expect_code(0);
    assert_eq!([of("limit"), of("spent"), of("reserved")], [0.1, 0.01, 0.0]);
}

#[test]
fn a_model_whose_price_nobody_states_is_not_asked_and_the_way_out_is_said() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "");
    let server = BatonServer::start(&place);
    let strange = json!({ "model": "openai/strange", "messages": [{"role": "user", "content": "hello"}] });
    let answer = chat(server.address(), server.key().expect("a key"), "", &strange).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("PRICE_UNKNOWN"), "{answer}");
    assert!(answer.contains("strange") && answer.contains("models.yaml"), "{answer}");
    assert!(upstream.asked().is_empty());
    assert_eq!(server.stop(), Some(0));
    let free = "models:\n  strange: {input_usd_per_million: 0, output_usd_per_million: 0}\n";
    std::fs::write(place.path().join("models.yaml"), free).expect("is written");
    let server = BatonServer::start(&place);
    let key = place.baton(&["keys", "create", "again", "--json"]).expect_code(0).json();
    let strange = json!({ "model": "strange", "messages": [{"role": "user", "content": "hello"}] });
    let answer = chat(server.address(), key["key"].as_str().expect("a key"), "", &strange).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_field_that_would_break_the_price_is_refused_at_the_door_by_its_name() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "");
    let server = BatonServer::start(&place);
    for (field, value) in [("n", json!(2)), ("prediction", json!({})), ("web_search_options", json!({}))] {
        let mut body = hello();
        body[field] = value;
        let answer = chat(server.address(), server.key().expect("a key"), "", &body).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains(&format!("\"param\":\"{field}\"")) && answer.contains("leave it out"), "{answer}");
    }
    assert!(upstream.asked().is_empty());
}

#[test]
fn a_reply_that_is_cut_or_not_counted_costs_what_was_reserved() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "");
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    for (says, is_answered) in [(UNCOUNTED, true), (CUT, false)] {
        let mut body = hello();
        body["messages"][0]["content"] = json!(says);
        let answer = chat(server.address(), &key, "", &body).expect("an answer");
        assert_eq!(answer.starts_with("HTTP/1.1 200"), is_answered, "{answer}");
    }
    assert_eq!(server.stop(), Some(0));
    let costs = place.baton(&["costs", "--json"]).expect_code(0).json();
    let all = costs.as_array().expect("rows");
    let sum = |field: &str| -> f64 { all.iter().filter_map(|row| row[field].as_f64()).sum() };
    let calls = upstream.asked().len() as f64;
    assert!(calls >= 2.0);
    assert!((sum("total_cost_usd") - calls * 0.01).abs() < 1e-9, "{costs}");
    assert_eq!(sum("estimated"), calls, "{costs}");
}

#[test]
fn whoever_is_killed_again_and_again_overruns_no_budget() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "hourly_usd = 0.6\ndaily_usd = 0.6");
    let mut key = None;
    let mut answered = 0;
    for kill in 1..=6_usize {
        let server = BatonServer::start(&place);
        let key = key.get_or_insert_with(|| server.key().expect("a key").to_owned()).clone();
        let address = server.address().to_owned();
        let before = upstream.asked().len();
        let crowd = std::thread::spawn(move || crowd(&address, &key, 8, 4));
        // Kill at a different moment each time: after one more call than the time before.
        while upstream.asked().len() < before + kill && !crowd.is_finished() {
            std::thread::yield_now();
        }
        server.kill();
        answered += crowd.join().expect("ends").0;
    }
    let server = BatonServer::start(&place);
    answered += crowd(server.address(), &key.expect("a key"), 8, 20).0;
    assert_eq!(server.stop(), Some(0));
    let asked = upstream.asked().len();
    assert!(answered <= asked && asked <= 60, "{asked} calls of a cent went out, of 60 cents");
    assert!(asked > 20, "what the dead held is lost, and no more: {asked}");
    let lines = place.baton(&["budgets", "--json"]).expect_code(0).json();
    for line in lines.as_array().expect("lines").iter().filter(|line| line["window"] != "month") {
        let used = line["spent_usd"].as_f64().expect("spent") + line["held_usd"].as_f64().expect("held");
        assert!(used <= 0.6 + 1e-9, "{line}");
    }
}

#[test]
fn a_consumers_key_reaches_the_provider_and_is_in_nothing_that_was_written() {
    let upstream = UpstreamModel::start();
    let place = project(&upstream, "");
    let (collector, mut said) = (OtlpCollector::start(), String::new());
    let traced = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str());
    let variables = [("BATON_LOG", "trace"), traced, ("BATON_CONSUMER_KEY", SECRET)];
    for (word, code) in [("hello", 0), (REFUSE, 1)] {
        let word = format!("word={word}");
        let done =
            CommandOutput::wait_for(place.spawn_with(&variables, &["run", "ask", "--set", &word])).expect_code(code);
        said.push_str(&(done.out + &done.err));
    }
    // The output must fit into a pipe that is not read yet, so only our own crates log.
    let ours = ("BATON_LOG", "baton=trace,baton_server=trace,baton_engine=trace,baton_models=trace,warn");
    let server = BatonServer::start_with(&place, &[ours, traced]);
    let key = server.key().expect("a key").to_owned();
    let own = format!("X-Provider-Key: {SECRET}\r\n");
    for (content, status) in [("hello", "200"), (REFUSE, "502")] {
        let mut body = hello();
        body["messages"][0]["content"] = json!(content);
        let answer = chat(server.address(), &key, &own, &body).expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        said.push_str(&answer);
        // A workflow as a model: the key is in a header, or in the metadata of the request.
        body["model"] = json!("workflow:ask");
        let in_header = chat(server.address(), &key, &own, &body).expect("an answer");
        body["metadata"] = json!({ "api_key": SECRET });
        let beside = chat(server.address(), &key, "", &body).expect("an answer");
        for answer in [in_header, beside] {
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
            said.push_str(&answer);
        }
    }
    said.push_str(&server.get("/metrics", None));
    said.push_str(&server.stop_and_read());
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span.name == "llm.call"), "{spans:?}");
    said.push_str(&format!("{spans:?}"));
    for arguments in [&["runs", "list", "--json"][..], &["costs", "--json"], &["models", "decisions", "--json"]] {
        let done = place.baton(arguments).expect_code(0);
        said.push_str(&(done.out + &done.err));
    }

    let keys: Vec<String> = upstream.asked().into_iter().map(|asked| asked.key).collect();
    assert!(keys.len() >= 8 && keys.iter().all(|key| key == SECRET), "{keys:?}");
    assert!(!said.contains(SECRET), "{said}");
    let mut files = 0;
    search(place.path(), &mut files);
    assert!(files >= 4, "the project, the database and its journal are files");
}

/// Searches every file below the folder.
fn search(folder: &Path, files: &mut usize) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search(&path, files);
            continue;
        }
        *files += 1;
        let bytes = std::fs::read(&path).expect("a file");
        let is_there = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!is_there, "the key is in {}", path.display());
    }
}

/// A project with one scripted reply, and its price.
fn scripted(settings: &str, workflow: &str, price: &str) -> TestFolder {
    let replies = format!("replies:\n  - {{agent: greeter, content: hello, cost_usd: {price}}}\n");
    let agent = "name: greeter\ntype: simple\n";
    TestFolder::with(&[
        ("baton.toml", settings),
        ("workflows/ask.yaml", workflow),
        ("agents/greeter.yaml", agent),
        ("replies/all.yaml", &replies),
    ])
}

#[test]
fn what_a_written_reply_costs_counts_before_it_is_given() {
    let limited = format!("max_cost_usd: 0.00001\n{WORKFLOW}");
    let place = scripted("", &limited, "0.5");
    let refused = place.baton(&["run", "ask", "-s", "word=hi"]).expect_code(1);
    refused.expect_stdout("COST_LIMIT").expect_stdout("the next $0.5000; its limit is $0.000010");
    assert_eq!(place.baton(&["costs", "--json"]).expect_code(0).json(), json!([]));
    let enough = scripted("", &format!("max_cost_usd: 0.5\n{WORKFLOW}"), "0.5");
    enough.baton(&["run", "ask", "-s", "word=hi"]).expect_code(0).expect_stdout("$0.5000");
}

#[test]
fn the_desk_says_of_which_moment_the_sums_of_a_budget_are_and_doctor_what_is_on_it() {
    let place = scripted("[budgets]\nmonthly_usd = 0.01\n", WORKFLOW, "0.0043");
    let ask = || place.baton(&["run", "ask", "-s", "word=hi"]);
    ask().expect_code(0);
    ask().expect_code(0).expect_stderr("80 % of the monthly budget of tenant `default` was reached at ");
    ask()
        .expect_code(1)
        .expect_stdout("BUDGET_EXCEEDED")
        .expect_stdout("$0.0086 of $0.0100 is spent")
        .expect_stdout("this call may cost $0.0043");
    let desk = place.baton(&["desk", "list", "--json"]).expect_code(0).json();
    let title = desk[0]["title"].as_str().expect("a title");
    assert!(title.starts_with("the monthly budget of tenant `default` is used up since 2"), "{title}");
    assert!(title.contains(" $0.0086 of $0.0100 was spent") && title.contains(" then; it begins anew at "), "{title}");
    place
        .baton(&["doctor"])
        .expect_stdout(title)
        .expect_stdout("baton budgets  # says how they stand now, and which setting to raise");
}

#[test]
fn a_key_that_is_missing_names_the_ways_to_bring_it() {
    let place = scripted("[models]\nkeys = \"consumer\"\n", WORKFLOW, "0.1");
    let refused = place.baton(&["run", "ask", "-s", "word=hi"]).expect_code(1).expect_stdout("MISSING_API_KEY");
    refused.expect_stderr("BATON_CONSUMER_KEY").expect_stderr("x-provider-key");
}

#[test]
fn what_a_selection_left_out_is_summed_up_beside_what_was_spent() {
    let tool = |name: &str, usd: f64| {
        format!(
            "  - {{name: {name}, kind: script, class: read, cost_usd: {usd}, results: [{{output: {{ok: true}}}}]}}\n"
        )
    };
    let tools = format!("tools:\n{}{}", tool("calendar", 0.01), tool("stock", 0.002));
    let choose = "name: choose\ninput: {message: string}\n\
                  nodes: [{id: which, agent: chooser, mode: select, task: '{{ message }}'}]\n";
    let replies = "agent: chooser\nreplies:\n  \
                   - {match: {prompt: hours}, content: '{\"tools\": [], \"reasoning\": \"none is needed\"}'}\n  \
                   - {content: '{\"tools\": [{\"tool_name\": \"stock\", \"parameters\": {}}], \"reasoning\": \"stock\"}'}\n";
    let place = TestFolder::with(&[
        ("tools/tools.yaml", &tools),
        ("agents/chooser.yaml", "type: simple\ntools: [calendar, stock]\n"),
        ("workflows/choose.yaml", choose),
        ("replies/replies.yaml", replies),
    ]);
    for message in ["your hours?", "your hours, please?", "is it there?"] {
        place.baton(&["run", "choose", "--set", &format!("message={message}")]).expect_code(0);
    }
    let row = |costs: &Value| costs[0].clone();
    let costs = place.baton(&["costs", "--by", "agent", "--json"]).expect_code(0).json();
    let saved = row(&costs)["saved_cost_usd"].as_f64().expect("a number");
    assert!((saved - 0.034).abs() < 1e-9, "twice both, once the calendar: {costs}");
    assert_eq!((&row(&costs)["agent"], &row(&costs)["total_calls"]), (&json!("chooser"), &json!(3)), "{costs}");
    assert_eq!(costs.as_array().map(Vec::len), Some(1), "it is counted with what the choice cost: {costs}");
    place.baton(&["costs", "--by", "agent"]).expect_code(0).expect_stdout("saved)");
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let summary = server.ask("GET /api/v1/costs/summary", &key, "", &Value::Null).expect_status(200);
    let saved = summary["summary"]["saved_cost_usd"].as_f64().expect("a number");
    assert!((saved - 0.034).abs() < 1e-9, "{summary}");
    assert_eq!(summary["summary"]["total_calls"], 3);
}
