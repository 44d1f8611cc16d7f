//! The shipped tools: all facts about each are declared, and their page matches the binary's list.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::test_folder::TestFolder;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn shipped() -> Vec<Value> {
    let listed = TestFolder::empty().baton(&["tools", "list", "--json"]).expect_code(0).json();
    listed["tools"].as_array().expect("a list").clone()
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The facts of a tool, or of each of its actions, by name.
fn acts(tool: &Value) -> Vec<(String, &Value)> {
    let (name, facts) = (word(tool, "name"), &tool["facts"]);
    match facts["actions"].as_object() {
        Some(actions) => actions.iter().map(|(action, facts)| (format!("{name}.{action}"), facts)).collect(),
        None => vec![(name.to_owned(), facts)],
    }
}

/// The risk of a tool, or of one of its actions.
fn risk<'t>(tool: &'t Value, action: &str) -> &'t str {
    let acting = &tool["actions"][action];
    word(if acting.is_null() { tool } else { acting }, "risk")
}

/// Codes in the list of codes that name the tool, each with its page.
fn codes() -> Vec<(String, String)> {
    let list = std::fs::read_to_string(docs().join("errors/tools/README.md")).expect("the list of codes");
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        let (link, tools) = (cells.next()?, cells.next()?);
        let code = link.strip_prefix('[')?.split_once(']')?.0;
        Some((code.to_owned(), tools.to_owned()))
    };
    list.lines().filter_map(row).collect()
}

/// Whether every object schema with named properties rejects others.
fn is_closed(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let is_open = fields.get("properties").is_some_and(Value::is_object)
                && fields.get("additionalProperties") != Some(&Value::Bool(false));
            !is_open && fields.values().all(is_closed)
        }
        Value::Array(items) => items.iter().all(is_closed),
        _ => true,
    }
}

#[test]
fn every_fact_of_every_shipped_tool_is_said() {
    let tools = shipped();
    assert!(tools.len() > 15, "{}", tools.len());
    for tool in &tools {
        let name = word(tool, "name");
        assert!(!word(tool, "category").is_empty() && !word(tool, "audit_type").is_empty(), "{name}");
        assert!(["low", "medium", "high"].contains(&word(tool, "risk")), "{name}");
        assert!(tool["cost_usd"].as_f64().is_some_and(|cost| cost >= 0.0), "{name}: its price");
        let told: Vec<&String> =
            tool["facts"]["actions"].as_object().into_iter().flat_map(|facts| facts.keys()).collect();
        let looked_at: Vec<&String> =
            tool["actions"].as_object().into_iter().flat_map(|acting| acting.keys()).collect();
        assert_eq!(told, looked_at, "{name}: how each of its actions is looked at");
        for (name, facts) in acts(tool) {
            let can_be_undone = facts["compensation"].is_object();
            let action = name.rsplit('.').next().unwrap_or_default();
            let acting = if tool["actions"][action].is_null() { tool } else { &tool["actions"][action] };
            assert_eq!(acting["compensable"], can_be_undone, "{name}: whether it can be undone");
            assert!(["low", "medium", "high"].contains(&risk(tool, action)), "{name}");
            assert!(word(facts, "description").len() > 10, "{name}: its description");
            assert!(facts["parameters"]["properties"].is_object(), "{name}: its arguments");
            assert!(
                is_closed(&facts["parameters"]),
                "{name} takes arguments that nobody knows: {}",
                facts["parameters"]
            );
            assert!(facts["output_fields"].as_array().is_some_and(|fields| !fields.is_empty()), "{name}: its output");
            assert!(
                facts["timeout_ms"].as_u64().is_some_and(|timeout| (1..=600_000).contains(&timeout)),
                "{name}: its time-out"
            );
            let class = word(facts, "class");
            assert!(["pure", "read", "keyed", "verify", "once"].contains(&class), "{name}: {class}");
            let is_act = !["pure", "read"].contains(&class);
            let is_undone = facts["compensation"].is_object() || word(facts, "irreversible").len() > 10;
            assert!(
                is_undone == is_act,
                "{name} is {class}, and says {} of undoing it",
                if is_undone { "something" } else { "nothing" }
            );
        }
    }
}

#[test]
fn every_code_of_a_tool_has_a_page_and_names_a_tool_that_there_is() {
    let tools = shipped();
    for (code, told) in codes() {
        assert!(docs().join(format!("errors/tools/{code}.md")).is_file(), "{code}");
        let named = told.split('`').skip(1).step_by(2).next().unwrap_or_default();
        let is_kind = named.contains(':') || named.is_empty();
        let is_tool = tools.iter().any(|tool| {
            let aliases = tool["aliases"].as_array().into_iter().flatten();
            word(tool, "name") == named || aliases.into_iter().any(|alias| alias == named)
        });
        assert!(is_kind || is_tool || named == "keyed", "{code} is of `{named}`, which there is not");
    }
}

/// The price of a call: at the default provider, and at other providers that charge.
fn prices(tool: &Value) -> String {
    let priced = |of: &Value| of["cost_usd"].as_f64().filter(|cost| *cost > 0.0);
    let own = priced(tool).map(|cost| format!("${cost}"));
    let others = tool["providers"].as_array().into_iter().flatten();
    let others = others.filter_map(|one| Some(format!("${} by {}", priced(one)?, word(one, "name"))));
    let all: Vec<String> = own.into_iter().chain(others).collect();
    if all.is_empty() { "—".to_owned() } else { all.join(", ") }
}

fn page() -> String {
    let mut page = String::from(
        "# The shipped tools\n\nWhat is known of each before anything is set up. Compared with `baton tools list --json` by a test\n\
         (`BATON_BLESS=1 cargo test -p baton-app shipped` writes it anew); `baton tools show TOOL` has the arguments. A class may be\n\
         another once another provider is chosen; prices are of one call, nothing where no other is said. Codes that any tool may answer with are in [the list of codes](../errors/tools/README.md).\n\n\
         | tool | what it does | class | undone by | risk | price | time-out | providers | codes of its own |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let codes = codes();
    let rows: BTreeMap<String, String> = shipped()
        .iter()
        .flat_map(|tool| {
            let own = codes.iter().filter(|(_, told)| told.contains(&format!("`{}`", word(tool, "name"))));
            let own: Vec<String> = own.map(|(code, _)| format!("[{code}](../errors/tools/{code}.md)")).collect();
            let providers: Vec<&str> =
                tool["providers"].as_array().into_iter().flatten().map(|one| word(one, "name")).collect();
            let of = move |(name, facts): (String, &Value)| {
                let action = name.rsplit('.').next().unwrap_or_default().to_owned();
                let undone = match (facts["compensation"].is_object(), word(facts, "irreversible")) {
                    (true, _) => format!("`{}`", word(&facts["compensation"], "tool_name")),
                    (false, "") => "—".to_owned(),
                    (false, reason) => format!("not: {reason}"),
                };
                let row = format!(
                    "| `{name}` | {} | `{}` | {undone} | {} | {} | {} s | {} | {} |",
                    word(facts, "description").replace('|', "\\|"),
                    word(facts, "class"),
                    risk(tool, &action),
                    prices(tool),
                    facts["timeout_ms"].as_u64().unwrap_or(0) / 1_000,
                    if providers.is_empty() { "—".to_owned() } else { providers.join(", ") },
                    if own.is_empty() { "—".to_owned() } else { own.join(", ") },
                );
                (name, row)
            };
            acts(tool).into_iter().map(of).collect::<Vec<_>>()
        })
        .collect();
    rows.values().for_each(|row| writeln!(page, "{row}").expect("a text"));
    page
}

#[test]
fn the_page_of_shipped_tools_is_what_is_shipped() {
    let file = docs().join("reference/tools.md");
    let page = page();
    if std::env::var_os("BATON_BLESS").is_some() {
        std::fs::write(&file, &page).expect("it is written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, page, "BATON_BLESS=1 writes it anew");
}
