//! `baton models`: the catalogue, its prices, and the recorded decisions.

use serde_json::{Value, json};

use super::test_folder::TestFolder;

/// A workflow whose agent calls a model once. The reply comes from a file.
const WORKFLOW: &str = "name: ask\nnodes: [{id: hello, agent: greeter, prompt_template: 'Say hello'}]\n";
const AGENT: &str = "name: greeter\ntype: simple\nmodel_profile: fast\nsystem_prompt: You greet.\n";
const REPLY: &str = "agent: greeter\nreplies: [{content: Hola, usage: {input_tokens: 1000, output_tokens: 500}}]\n";
const OUTCOMES: &str = "prompt,model,score,cost\n\
    easy,gpt-3.5-turbo,1,0.001\neasy,gpt-4,1,0.05\nhard,gpt-3.5-turbo,0,0.001\nhard,gpt-4,1,0.05\n";
const PRICES: &str = r#"{"sample_spec": {"mode": "x"},
    "gpt-next": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.5e-7,
        "output_cost_per_token": 6e-7, "cache_read_input_token_cost": 7.5e-8, "max_input_tokens": 128000},
    "claude-next": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 3e-6,
        "output_cost_per_token": 1.5e-5, "cache_creation_input_token_cost": 3.75e-6,
        "input_cost_per_token_above_200k_tokens": 6e-6, "output_cost_per_token_above_200k_tokens": 2.25e-5},
    "groq/llama": {"litellm_provider": "groq", "mode": "chat", "input_cost_per_token": 1e-7,
        "output_cost_per_token": 1e-7}}"#;

fn clinic() -> TestFolder {
    TestFolder::with(&[("workflows/ask.yaml", WORKFLOW), ("agents/greeter.yaml", AGENT), ("replies/a.yaml", REPLY)])
}

fn model<'l>(list: &'l Value, name: &str) -> &'l Value {
    let models = list["models"].as_array().expect("models");
    models.iter().find(|model| model["name"] == name).expect(name)
}

#[test]
fn the_seeds_models_and_todays_are_listed_with_their_prices() {
    let place = TestFolder::empty();
    let list = place.baton(&["models", "list", "--json"]).expect_code(0).json();
    assert_eq!(list["scripted"], true);
    let seeds = [("gpt-4", 30.0, 60.0), ("gpt-3.5-turbo", 0.5, 1.5), ("claude-3-haiku", 0.25, 1.25)];
    for (name, input, output) in seeds {
        let facts = &model(&list, name)["facts"];
        assert_eq!(
            (&facts["input_usd_per_million"], &facts["output_usd_per_million"]),
            (&json!(input), &json!(output))
        );
    }
    place
        .baton(&["models", "list"])
        .expect_code(0)
        .expect_stdout("claude-haiku-5-5")
        .expect_stdout("Replies come from replies/");
    assert!(!place.path().join(".baton").exists(), "looking makes no database");
}

#[test]
fn what_stands_against_a_model_is_said() {
    let place = TestFolder::with(&[("baton.toml", "[models.providers.anthropic]\napi_key = \"sk-ant-1\"\n")]);
    let list = place.baton(&["models", "list", "--json"]).expect_code(0).json();
    assert_eq!(model(&list, "claude-haiku-5-5")["unusable"], Value::Null);
    assert_eq!(model(&list, "gpt-4o")["unusable"], "no provider `openai` is set up");
    assert_eq!(model(&list, "claude-3-haiku")["unusable"], "its provider has retired it on 2026-04-20");
}

#[test]
fn a_profile_shows_whom_it_would_ask_and_why() {
    let place = TestFolder::empty();
    let fast = place.baton(&["models", "show", "fast", "--json"]).expect_code(0).json();
    assert_eq!((&fast["max_cost_usd"], &fast["max_latency_ms"]), (&json!(0.01), &json!(1000)));
    assert_eq!(fast["choice"]["chosen"], "claude-3-haiku");
    place.baton(&["models", "show", "fast"]).expect_code(0).expect_stdout("claude-3-haiku suits fast best");
    let large = place.baton(&["models", "show", "fast", "--tokens", "20000", "--json"]).expect_code(0).json();
    let dropped = large["choice"]["dropped"].as_array().expect("dropped");
    assert!(dropped.iter().any(|row| row["model"] == "gpt-3.5-turbo" && row["reason"] == "context"), "{large}");
    assert_eq!(fast["weights"], json!({"latency": 0.6, "cost": 0.3, "quality": 0.1}));
}

#[test]
fn a_models_facts_are_shown_and_a_wrong_name_gets_a_suggestion() {
    let place = TestFolder::empty();
    place
        .baton(&["models", "show", "gpt-4-turbo"])
        .expect_code(0)
        .expect_stdout("fast, group 2")
        .expect_stdout("balanced, group 1");
    let shown = place.baton(&["models", "show", "gpt-4-turbo", "--json"]).expect_code(0).json();
    assert_eq!(shown["facts"]["context_tokens"], 128_000);
    place.baton(&["models", "show", "gpt-4-trubo"]).expect_code(2).expect_stderr("did you mean `gpt-4-turbo`?");
}

#[test]
fn a_projects_catalogue_lies_over_the_shipped_one() {
    let place = TestFolder::with(&[(
        "models.yaml",
        "models:\n  gpt-4: {quality: 3}\n  mine: {input_usd_per_million: 1, output_usd_per_million: 2}\n",
    )]);
    let list = place.baton(&["models", "list", "--json"]).expect_code(0).json();
    assert_eq!(
        (&model(&list, "gpt-4")["facts"]["quality"], &model(&list, "gpt-4")["facts"]["context_tokens"]),
        (&json!(3.0), &json!(8192))
    );
    assert_eq!(model(&list, "mine")["provider"], "openai");
    place.write("models.yaml", "models:\n  gpt-4:\n    qualty: 3\n");
    place
        .baton(&["models", "list"])
        .expect_code(2)
        .expect_stderr("models.yaml:3:5")
        .expect_stderr("did you mean `quality`?");
    place.baton(&["validate"]).expect_code(2).expect_stderr("models.yaml:3:5");
    place.write("models.yaml", "models:\n  mine: {quality: 3}\n");
    place.baton(&["models", "list"]).expect_code(2).expect_stderr("error[MODELS-003]").expect_stderr("model `mine`");
}

#[test]
fn a_price_map_is_imported_below_what_the_project_says() {
    let place = TestFolder::with(&[("prices.json", PRICES), ("models.yaml", "models: {gpt-next: {quality: 8}}\n")]);
    place.baton(&["models", "list"]).expect_code(2).expect_stderr("model `gpt-next`: it has no price");
    place
        .baton(&["models", "import", "prices.json"])
        .expect_code(0)
        .expect_stdout("2 models of anthropic, openai in models.imported.yaml; 2 rows left out")
        .expect_stdout("another provider");
    let shown = place.baton(&["models", "show", "gpt-next", "--json"]).expect_code(0).json();
    let facts = &shown["facts"];
    assert_eq!(
        (&facts["input_usd_per_million"], &facts["cached_usd_per_million"], &facts["quality"]),
        (&json!(0.15), &json!(0.075), &json!(8.0))
    );
    let steps = place.baton(&["models", "show", "claude-next", "--json"]).expect_code(0).json();
    assert_eq!(steps["facts"]["above"][0]["tokens"], 200_000);
    let printed = place.baton(&["models", "import", "prices.json", "--provider", "groq", "--print"]).expect_code(0);
    printed.expect_stdout("\"groq/llama\":").expect_stdout("upstream: \"llama\"");
    place
        .baton(&["models", "import", "prices.json", "--provider", "nobody"])
        .expect_code(2)
        .expect_stderr("has no model of nobody");
    place.baton(&["models", "import", "models.yaml"]).expect_code(2).expect_stderr("it is no price map");
    let beside = place.baton(&["models", "import", "prices.json", "--provider", "groq"]).expect_code(0);
    beside
        .expect_stdout("1 model of groq in models.imported.yaml, beside 2 models of earlier imports; 3 rows left out");
    for known in ["gpt-next", "claude-next", "groq/llama"] {
        place.baton(&["models", "show", known]).expect_code(0).expect_stdout("input_usd_per_million");
    }
    place.write(
        "fewer.json",
        r#"{"gpt-new": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-7,
        "output_cost_per_token": 6e-7}}"#,
    );
    place.write("models.yaml", "# nothing yet\n");
    place
        .baton(&["models", "import", "fewer.json", "--provider", "openai"])
        .expect_code(0)
        .expect_stdout("beside 2 models");
    place.baton(&["models", "show", "gpt-next"]).expect_code(2).expect_stderr("did you mean `gpt-new`?");
}

#[test]
fn profiles_are_judged_on_a_table_beside_the_best_model_and_an_oracle() {
    let place = TestFolder::with(&[("outcomes.csv", OUTCOMES)]);
    let found = place.baton(&["models", "evaluate", "outcomes.csv", "--json"]).expect_code(0).json();
    assert_eq!((&found["best_single"], &found["oracle"]["quality"]), (&json!("gpt-4"), &json!(1.0)));
    let profile = |name: &str| {
        let all = found["profiles"].as_array().expect("profiles");
        all.iter().find(|routed| routed["profile"] == name).expect(name).clone()
    };
    assert_eq!((&profile("fast")["quality"], &profile("fast")["chosen"]["gpt-3.5-turbo"]), (&json!(0.5), &json!(2)));
    assert_eq!((&profile("powerful")["quality"], &profile("powerful")["cost_usd"]), (&json!(1.0), &json!(0.1)));
    place
        .baton(&["models", "evaluate", "outcomes.csv", "--profile", "fast"])
        .expect_code(0)
        .expect_stdout("best single model")
        .expect_stdout("50.0 % of the best single model's quality at 2.0 % of its cost");
    place.write("bad.csv", "prompt,model,score,cost\na,b,high,1\n");
    place
        .baton(&["models", "evaluate", "bad.csv"])
        .expect_code(2)
        .expect_stderr("bad.csv: line 2: `score` is no number");
    place.baton(&["models", "evaluate", "none.csv"]).expect_code(2).expect_stderr("none.csv cannot be read");
    place
        .baton(&["models", "evaluate", "outcomes.csv", "--profile", "quick"])
        .expect_code(2)
        .expect_stderr("fast, balanced and powerful");
}

#[test]
fn the_seeds_savings_come_out_and_ones_own_too() {
    let place = TestFolder::empty();
    place
        .baton(&["models", "savings"])
        .expect_code(0)
        .expect_stdout("$738.00 a month")
        .expect_stdout("saved: 84 % ($3762.00 a month)");
    let seeds = place.baton(&["models", "savings", "--json"]).expect_code(0).json();
    assert_eq!((&seeds["naive_usd_per_month"], &seeds["routed_usd_per_day"]), (&json!(4500.0), &json!(24.6)));
    let own =
        ["models", "savings", "--share", "fast=50:0.01", "--share", "powerful=50:0.1", "--naive", "0.2", "--json"];
    assert_eq!(place.baton(&own).expect_code(0).json()["saved_percent"], json!(72.5));
    place
        .baton(&["models", "savings", "--share", "fast=50:0.01"])
        .expect_code(2)
        .expect_stderr("the shares come to 50 %");
    place.baton(&["models", "savings", "--share", "fast"]).expect_code(2).expect_stderr("fast=60:0.001");
}

#[test]
fn why_each_model_was_asked_is_kept_and_summed() {
    let place = clinic();
    place.baton(&["models", "decisions"]).expect_code(0).expect_stdout("no model was asked");
    place.baton(&["run", "ask", "--id", "one"]).expect_code(0);
    let found = place.baton(&["models", "decisions", "--run", "one", "--json"]).expect_code(0).json();
    let decision = &found[0];
    assert_eq!(
        (&decision["requested_profile"], &decision["selected_model"]),
        (&json!("fast"), &json!("claude-3-haiku"))
    );
    assert_eq!(
        (&decision["node_id"], &decision["selected_provider"], &decision["success"]),
        (&json!("hello"), &json!("script"), &json!(true))
    );
    assert_eq!(decision["choice"]["chosen"], "claude-3-haiku");
    let cost = 1_000.0 * 0.25e-6 + 500.0 * 1.25e-6;
    assert!((decision["actual_cost"].as_f64().expect("a cost") - cost).abs() < 1e-12, "{decision}");
    let key = decision["key"].as_str().expect("a key");
    for what in [key, "one"] {
        place
            .baton(&["models", "explain", what])
            .expect_code(0)
            .expect_stdout("suits fast best")
            .expect_stdout("gpt-3.5-turbo")
            .expect_stdout(key);
        let explained = place.baton(&["models", "explain", what, "--json"]).expect_code(0).json();
        assert_eq!(explained[0]["choice"]["chosen"], "claude-3-haiku", "{what}");
    }
    place.baton(&["models", "explain", "none"]).expect_code(2).expect_stderr("no call of `none` is recorded");

    let sums = place.baton(&["models", "savings", "--recorded", "--json"]).expect_code(0).json();
    assert_eq!((&sums["rows"][0]["calls"], &sums["naive_usd"]), (&json!(1), &json!(0.06)));
    place
        .baton(&["models", "savings", "--recorded"])
        .expect_code(0)
        .expect_stdout("the same tokens with gpt-4: $0.0600")
        .expect_stdout("saved: 99 %");
}

/// The example in the guide.
#[test]
fn the_guides_example_of_one_local_model_asks_that_model_and_no_other() {
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/models.md");
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let example = guide.split("```toml\n").find(|block| block.contains("and nothing else")).expect("the example");
    let settings = example.split("```").next().expect("its text");
    let place = TestFolder::with(&[("baton.toml", settings)]);
    for profile in ["fast", "balanced", "powerful"] {
        let shown = place.baton(&["models", "show", profile, "--json"]).expect_code(0).json();
        let candidates = shown["choice"]["candidates"].as_array().map(Vec::len);
        assert_eq!((&shown["choice"]["chosen"], candidates), (&json!("llama3.2"), Some(1)), "{profile}: {shown}");
    }
    let model = place.baton(&["models", "show", "llama3.2", "--json"]).expect_code(0).json();
    assert_eq!((&model["provider"], &model["unusable"]), (&json!("ollama"), &Value::Null));
    place.baton(&["validate", "--strict"]).expect_code(0).expect_stdout("nothing found");
}

#[test]
fn savings_of_calls_without_tokens_are_said_to_be_unknown() {
    let place = clinic();
    place.write("replies/a.yaml", "agent: greeter\nreplies: [{content: Hola}]\n");
    place.baton(&["run", "ask"]).expect_code(0);
    let told = place.baton(&["models", "savings", "--recorded"]).expect_code(0).expect_stdout("no tokens were counted");
    assert!(!told.out.contains("saved:"), "{}", told.out);
    assert_eq!(
        place.baton(&["models", "savings", "--recorded", "--json"]).expect_code(0).json()["saved_percent"],
        Value::Null
    );
}

#[test]
fn a_model_without_a_price_is_doubted_with_what_may_be_meant() {
    let place = TestFolder::with(&[
        ("baton.toml", "[models.models]\nfast = [\"gpt-4\", \"claude-haiku-55\"]\n"),
        ("agents/greeter.yaml", "name: greeter\ntype: simple\nmodel: gpt-4-trubo\n"),
        ("workflows/ask.yaml", "name: ask\nnodes: [{id: hello, agent: greeter, task: Hi, model: house/mine}]\n"),
    ]);
    let told = place.baton(&["validate"]).expect_code(0);
    told.expect_stdout("warning: profile `fast`: no catalogue knows the model `claude-haiku-55`")
        .expect_stdout("did you mean `claude-haiku-5-5`?")
        .expect_stdout("agent `greeter`: no catalogue knows the model `gpt-4-trubo`")
        .expect_stdout("workflows/ask.yaml: no catalogue knows the model `house/mine`")
        .expect_stdout("3 warnings");
    place.baton(&["validate", "--strict"]).expect_code(2);
    assert_eq!(place.baton(&["validate", "--json"]).expect_code(0).json()["doubts"].as_array().map(Vec::len), Some(3));
    place.baton(&["doctor"]).expect_stdout("warn names").expect_stdout("`gpt-4-trubo`");
    place.write(
        "models.yaml",
        "models:\n  house/mine: {input_usd_per_million: 0, output_usd_per_million: 0}\n\
         tenants:\n  acme: {profiles: {powerful: {models: gpt-44}}}\n",
    );
    let told = place
        .baton(&["validate"])
        .expect_code(0)
        .expect_stdout("profile `powerful` of tenant `acme`: no catalogue knows")
        .expect_stdout("`gpt-44`");
    assert_eq!(told.out.matches("`claude-haiku-55`").count(), 1, "{}", told.out);
    place.write("models.yaml", "models:\n  house/mine: {input_usd_per_million: 0, output_usd_per_million: 0}\n");
    place.write("agents/greeter.yaml", "name: greeter\ntype: simple\nmodel: openai/gpt-4-turbo\n");
    place.write("baton.toml", "[models.models]\nfast = [\"gpt-4\"]\n");
    place.baton(&["validate", "--strict"]).expect_code(0).expect_stdout("nothing found");
}

#[test]
fn a_person_takes_a_model_out_of_use_and_back() {
    let place = TestFolder::with(&[("baton.toml", "[models.providers.anthropic]\napi_key = \"sk-ant-1\"\n")]);
    place.baton(&["models", "circuits"]).expect_code(0).expect_stdout("no circuit is open");
    place
        .baton(&["models", "circuits", "--open", "claude-haiku-5-5", "--reason", "too dear"])
        .expect_code(0)
        .expect_stdout("by ana: too dear");
    let list = place.baton(&["models", "list", "--json"]).expect_code(0).json();
    assert_eq!(model(&list, "claude-haiku-5-5")["unusable"], "somebody has taken it out of use");
    let shown = place.baton(&["models", "circuits", "--json"]).expect_code(0).json();
    assert_eq!((&shown["circuits"][0]["state"], &shown["circuits"][0]["until"]), (&json!("open"), &Value::Null));
    place
        .baton(&["models", "circuits", "--close", "claude-haiku-5-5"])
        .expect_code(0)
        .expect_stdout("no circuit is open");
    place
        .baton(&["models", "circuits", "--open", "anthropic/claude-haiku-5-5"])
        .expect_code(0)
        .expect_stdout("claude-haiku-5-5 ");
    let list = place.baton(&["models", "list", "--json"]).expect_code(0).json();
    assert_eq!(model(&list, "claude-haiku-5-5")["unusable"], "somebody has taken it out of use");
    place
        .baton(&["models", "circuits", "--open", "claude-haiku-55"])
        .expect_code(2)
        .expect_stderr("did you mean `claude-haiku-5-5`?");
}

#[test]
fn a_provider_that_cannot_be_is_refused_with_its_place() {
    let place = TestFolder::with(&[("baton.toml", "[models.providers.house]\napi_key = \"k\"\n")]);
    place.baton(&["models", "list"]).expect_code(2).expect_stderr("error[MODELS-001]: models.providers.house.provider");
    place.write("baton.toml", "[models.providers.house]\nbase_ulr = \"k\"\n");
    place.baton(&["models", "list"]).expect_code(2).expect_stderr("base_ulr");
}
