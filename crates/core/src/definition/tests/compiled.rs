//! The compiled output: the graph, the bundle, and the drawings.

use std::sync::Arc;

use serde_json::json;

use super::super::{DefinitionCatalog, check, compile};
use super::fixture_catalog;
use crate::bundle::ContentHash;
use crate::graph::node::{NodeKind, OnNodeError};
use crate::graph::{EdgeIndex, EdgeTrigger, Graph, JoinRule, NodeIndex, Workflow, dot, levels, mermaid};

fn workflow(source: &str) -> Workflow {
    let checked = check(source.as_bytes(), &fixture_catalog::catalog());
    checked.workflow.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics))
}

fn hash(source: &str, catalog: &DefinitionCatalog) -> ContentHash {
    let checked = check(source.as_bytes(), catalog);
    let bundle = checked.bundle.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
    bundle.seal().unwrap().1
}

/// Edges as readable text.
fn edges(graph: &Graph) -> Vec<String> {
    let id = |place: NodeIndex| graph.node(place).id.as_str();
    let edge = |edge: &crate::graph::GraphEdge| {
        let when = match &edge.when {
            EdgeTrigger::Completed => String::new(),
            EdgeTrigger::Branch(branch) => format!(" when {branch}"),
            EdgeTrigger::Failed => " when it fails".to_owned(),
        };
        let condition = if edge.condition.is_some() { " if" } else { "" };
        format!("{} → {}{when}{condition}", id(edge.from), id(edge.to))
    };
    graph.edges.iter().map(edge).collect()
}

#[test]
fn both_ways_to_write_one_make_the_same_graph() {
    let nodes = workflow(
        r#"
name: same
nodes:
  - {id: a, tool: get_weather, parameters: {location: x}, join: all_settled}
  - {id: b, tool: web_search, parameters: {query: "{{ a.city }}"}, max_retries: 2, join: all_settled}
  - {id: c, tool: web_search, parameters: {query: y}, condition: {field: a.temp, operator: ">", value: 3}, join: all_settled}
edges:
  - {from: a, to: b}
  - {from: a, to: c}
"#,
    );
    let steps = workflow(
        r#"
workflow:
  steps:
    - {id: a, tool_name: get_weather, parameters: {location: x}}
    - {id: b, tool_name: web_search, parameters: {query: "$a.city"}, retry: {max_attempts: 2}, depends_on: [a]}
    - {id: c, tool_name: web_search, parameters: {query: y}, condition: {field: a.temp, operator: ">", value: 3}}
name: same
"#,
    );
    assert_eq!(edges(&nodes.graph), edges(&steps.graph));
    for (one, other) in nodes.graph.nodes.iter().zip(&steps.graph.nodes) {
        assert_eq!((&one.id, one.join, &one.policy.retry), (&other.id, other.join, &other.policy.retry));
        let roots = |node: &crate::graph::GraphNode| match &node.kind {
            NodeKind::Tool(tool) => match &tool.from {
                crate::graph::node::ToolSource::Fixed { tool, parameters } => {
                    (tool.clone(), parameters.roots().clone())
                }
                crate::graph::node::ToolSource::AgentRequests => panic!(),
            },
            _ => panic!(),
        };
        assert_eq!(roots(one), roots(other));
    }
}

#[test]
fn yaml_and_json_of_the_same_content_have_one_hash() {
    let yaml = "# a comment\nname:   one\nversion: 1.10\nnodes:\n  - id: a\n    duration: 1s\n";
    let json = r#"{"nodes": [{"duration": "1s", "id": "a"}], "version": "1.10", "name": "one"}"#;
    assert_eq!(hash(yaml, &DefinitionCatalog::default()), hash(json, &DefinitionCatalog::default()));
    assert_eq!(workflow(yaml).version, "1.10");
    assert_ne!(
        hash(yaml, &DefinitionCatalog::default()),
        hash(&yaml.replace("1s", "2s"), &DefinitionCatalog::default())
    );
}

#[test]
fn a_changed_prompt_or_fact_changes_the_hash_and_an_unused_one_does_not() {
    let source = "name: x\nnodes: [{id: a, agent: simple_agent}, {id: b, tool: web_search, parameters: {query: x}}]";
    let before = hash(source, &fixture_catalog::catalog());
    let mut changed = fixture_catalog::catalog();
    changed.agents.get_mut("simple_agent").unwrap().prompt = "Say {{ input }}".to_owned();
    assert_ne!(hash(source, &changed), before);
    let mut changed = fixture_catalog::catalog();
    Arc::make_mut(changed.tools.get_mut("web_search").unwrap()).timeout *= 2;
    assert_ne!(hash(source, &changed), before);
    let mut changed = fixture_catalog::catalog();
    changed.agents.get_mut("reasoning_agent").unwrap().prompt.clear();
    changed.tools.remove("send_email");
    assert_eq!(hash(source, &changed), before);
}

#[test]
fn assignees_that_ask_nobody_are_refused_and_a_version_that_has_them_still_loads() {
    let with = |assignees: &str| format!("name: x\nnodes: [{{id: a, type: human, title: x, assignees: {assignees}}}]");
    for wrong in ["7", "[]", "{}", "{role: 7}", "{roles: [a]}", "['']"] {
        let checked = check(with(wrong).as_bytes(), &DefinitionCatalog::default());
        assert!(checked.diagnostics.iter().any(|one| one.message.contains("asks nobody")), "{wrong}");
    }
    let mut bundle = check(with("[ana]").as_bytes(), &DefinitionCatalog::default()).bundle.unwrap();
    bundle.definition["nodes"][0]["assignees"] = json!({});
    assert!(compile(&bundle).is_ok());
}

#[test]
fn a_bundle_of_another_format_is_refused() {
    let checked = check(b"name: x\nnodes: [{id: a, duration: 1s}]", &DefinitionCatalog::default());
    let mut bundle = checked.bundle.unwrap();
    bundle.format = 2;
    assert_eq!(compile(&bundle).unwrap_err().to_string(), "bundle of `x` has format 2; this binary reads 1");
    bundle.format = 1;
    bundle.definition = json!({ "nodes": [] , "name": 5});
    assert!(compile(&bundle).unwrap_err().to_string().contains("does not compile"));
}

#[test]
fn a_bundle_carries_what_undoes_its_tools() {
    let checked =
        check(b"name: x\nnodes: [{id: a, tool: charge_payment, parameters: {amount: 5}}]", &fixture_catalog::catalog());
    let bundle = checked.bundle.as_ref().unwrap();
    assert_eq!(bundle.tools.keys().collect::<Vec<_>>(), ["charge_payment", "refund_payment"]);
    let workflow = compile(bundle).unwrap();
    let NodeKind::Tool(tool) = &workflow.graph.nodes[0].kind else { panic!() };
    assert!(tool.facts.contains_key("refund_payment"));
}

#[test]
fn an_effect_that_is_meant_to_stay_has_no_compensation() {
    let source = "name: x\nnodes: [{id: a, tool: charge_payment, parameters: {amount: 5}, compensation: none}]";
    let workflow = workflow(source);
    let NodeKind::Tool(tool) = &workflow.graph.nodes[0].kind else { panic!() };
    let facts = &tool.facts["charge_payment"];
    assert!(facts.compensation.is_none() && facts.irreversible.is_some());
}

#[test]
fn error_edges_lead_where_they_say() {
    let workflow = workflow(
        "name: x\nnodes:\n  - {id: a, tool: web_search, parameters: {query: x}, on_error: goto b}\n  - {id: b, duration: 1s}\n  - {id: c, duration: 1s, depends_on: [a]}\n",
    );
    assert_eq!(edges(&workflow.graph), ["a → b when it fails", "a → c"]);
    assert_eq!(workflow.graph.nodes[0].policy.on_error, Some(OnNodeError::Goto(EdgeIndex(0))));
}

#[test]
fn what_names_a_choice_runs_whichever_branch_was_chosen() {
    let workflow = workflow(
        "name: x\nnodes:\n  - {id: ask, type: condition, condition: 1 < 2}\n  - {id: b, tool: web_search, parameters: {query: \"{{ ask.result }}\"}}\n",
    );
    assert_eq!(edges(&workflow.graph), ["ask → b when true", "ask → b when false"]);
    assert_eq!(workflow.graph.nodes[1].join, JoinRule::AnyTaken);
}

#[test]
fn a_body_that_names_an_outer_node_makes_its_loop_wait() {
    let workflow = workflow(
        "name: x\nnodes:\n  - id: each\n    for_each: [1]\n    body: {nodes: [{id: s, tool: web_search, parameters: {query: \"{{ city.name }} {{ item }}\"}}]}\n  - {id: city, tool: get_weather, parameters: {location: x}}\n",
    );
    assert_eq!(edges(&workflow.graph), ["city → each"]);
}

/// Two searches race; each has a first and a second part, and `shared` comes before two of three.
const RACE: &str = "
name: race
nodes:
  - {id: start, type: parallel}
  - {id: shared, type: parallel}
  - {id: a, tool: web_search, parameters: {query: a}}
  - {id: b, tool: web_search, parameters: {query: b}}
  - {id: c, tool: web_search, parameters: {query: c}}
  - {id: c2, tool: web_search, parameters: {query: c}}
  - {id: first, type: merge, mode: any}
  - {id: all, type: merge}
edges:
  - {from: start, to: shared}
  - {from: start, to: c}
  - {from: shared, to: a}
  - {from: shared, to: b}
  - {from: c, to: c2}
  - {from: a, to: first}
  - {from: b, to: first}
  - {from: c2, to: first}
  - {from: first, to: all}
";

#[test]
fn a_merge_knows_what_it_may_cut() {
    let workflow = workflow(RACE);
    let graph = &workflow.graph;
    let NodeKind::Merge(first) = &graph.node(graph.find("first").unwrap()).kind else { panic!() };
    let branches: Vec<(&str, Vec<&str>)> = first
        .branches
        .iter()
        .map(|(edge, nodes)| {
            (graph.node(graph.edge(*edge).from).id.as_str(), nodes.iter().map(|n| graph.node(*n).id.as_str()).collect())
        })
        .collect();
    assert_eq!(branches, [("a", vec!["shared", "a"]), ("b", vec!["shared", "b"]), ("c2", vec!["c", "c2"])]);
    let NodeKind::Merge(all) = &graph.node(graph.find("all").unwrap()).kind else { panic!() };
    assert!(all.branches.is_empty(), "a merge that waits for all cuts nothing");
}

#[test]
fn levels_are_the_batches_that_can_run_side_by_side() {
    let workflow = workflow(RACE);
    let batches: Vec<usize> = levels(&workflow.graph).iter().map(Vec::len).collect();
    assert_eq!(batches, [1, 2, 3, 1, 1]);
}

#[test]
fn bodies_are_drawn_inside_their_nodes() {
    let workflow = workflow(
        "name: x\nnodes:\n  - id: each\n    for_each: [1]\n    body: {steps: [{id: end, tool: web_search, parameters: {query: x}}]}\n  - {id: ask, type: condition, condition: 1 < 2}\n  - {id: done, type: end}\nedges:\n  - {from: each, to: ask}\n  - {from: ask, to: done, when: true}\n",
    );
    insta::assert_snapshot!("drawn_mermaid", mermaid(&workflow));
    insta::assert_snapshot!("drawn_dot", dot(&workflow));
}

#[test]
fn hostile_names_stay_labels() {
    let source = json!({ "name": "x", "nodes": [
        { "id": "a", "name": "\"]; click a call evil() %% <script>\n`x` #quot; | --> b", "duration": 1 },
        { "id": "end", "name": "\\\" }; evil [label=\"", "duration": 1, "depends_on": ["a"] },
        { "id": "node_end", "duration": 1, "depends_on": ["end"] },
    ]});
    let workflow = workflow(&source.to_string());
    insta::assert_snapshot!("hostile_mermaid", mermaid(&workflow));
    insta::assert_snapshot!("hostile_dot", dot(&workflow));
}

#[test]
fn context_sources_lend_the_agent_what_memory_is_asked_by() {
    let source = r#"
name: told
nodes:
  - id: a
    agent: simple_agent
    context_sources: [conversation_history, similar_executions]
    context_strategy: short_only
  - {id: b, agent: simple_agent, tools: [get_context], context_sources: [knowledge_base]}
  - {id: c, agent: simple_agent}
"#;
    let told = workflow(source);
    let agent = |id: &str| match &told.graph.node(told.graph.find(id).unwrap()).kind {
        NodeKind::Agent(agent) => agent.clone(),
        other => panic!("{other:?}"),
    };
    let a = agent("a");
    assert_eq!(a.agent.metadata["context_sources"], json!(["conversation_history", "similar_executions"]));
    assert_eq!(a.agent.metadata["context_tools"], json!(["get_context", "similar_executions"]));
    assert!(["get_context", "similar_executions"].iter().all(|tool| a.offers(tool) && a.tools.contains_key(*tool)));
    // A tool that the agent already has is not added for context, and an agent without a source gets none.
    assert_eq!(agent("b").agent.metadata.get("context_tools"), None);
    assert!(!agent("c").offers("get_context"));
    // Without a memory tool there is no context, and that is reported.
    let mut catalog = fixture_catalog::catalog();
    catalog.tools.retain(|name, _| name != "get_context");
    let said = check(source.as_bytes(), &catalog).diagnostics;
    assert!(said.iter().any(|found| found.message.contains("`get_context`, so memory adds nothing")), "{said:#?}");
}

#[test]
fn one_mistake_is_one_finding() {
    let found = |source: &str| -> Vec<String> {
        let found = check(source.as_bytes(), &fixture_catalog::catalog()).diagnostics;
        found
            .into_iter()
            .map(|one| format!("{} {}:{} {}", one.code, one.span.line, one.span.column, one.message))
            .collect()
    };
    let nobody = "name: x\nnodes:\n  - {id: a, capability: juggling, task: hi}\n";
    assert_eq!(found(nobody), ["DEF-031 3:25 no agent has the capability `juggling`"]);
    let of_both =
        "name: x\nnodes:\n  - {id: a, agent: simple_agent, fallback: reasoning_agent, tools: [web_serch], task: hi}\n";
    assert_eq!(found(of_both), ["DEF-032 3:69 there is no tool `web_serch`"]);
    let stands_in = "name: x\nnodes:\n  - {id: a, agent: simple_agent, fallback: nobody, task: hi}\n";
    assert_eq!(found(stands_in), ["DEF-031 3:44 there is no agent `nobody`"], "where it is named");
    let schema = "name: x\nnodes:\n  - {id: a, agent: simple_agent, fallback: reasoning_agent, task: hi, output_schema: {type: strange}}\n";
    let said = found(schema);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("DEF-051") && said[0].contains("`string`"), "it says what there is: {said:#?}");
}

/// Codes, positions and hints of the findings.
fn found_in(source: &str) -> Vec<String> {
    let found = check(source.as_bytes(), &fixture_catalog::catalog()).diagnostics.into_iter();
    found
        .map(|one| format!("{} {}:{} {}", one.code, one.span.line, one.span.column, one.hint.unwrap_or_default()))
        .collect()
}

#[test]
fn a_misspelt_field_of_what_a_node_answers_is_found_in_every_language_with_the_nearest() {
    let source = |tell: &str| {
        format!(
            "name: x\nnodes:\n  - {{id: pay, tool: charge_payment, parameters: {{amount: 60}}}}\n{tell}\nedges:\n  - {{from: pay, to: tell}}\n"
        )
    };
    let set = |value: &str| source(&format!("  - {{id: tell, type: transform, set: {{a: \"{value}\"}}}}"));
    let when = |kind: &str, expression: &str| {
        source(&format!("  - {{id: tell, type: condition, condition: {{type: {kind}, expression: \"{expression}\"}}}}"))
    };
    let near = "did you mean `transaction_id`?";
    for wrong in [
        set("{{ pay.transacton_id }}"),
        set("{{ pay['transacton_id'] | upper }}"),
        set("{{ pay.output.transacton_id }}"),
        when("jmespath", "pay.transacton_id != `null`"),
        when("jmespath", "length(pay.output.transacton_id) > `3`"),
        when("expr", "pay.transacton_id == 'x' and true"),
        when("field", "pay.transacton_id"),
    ] {
        let said = found_in(&wrong);
        let of_it: Vec<_> = said.iter().filter(|one| one.starts_with("DEF-025 4:")).collect();
        assert!(of_it.len() == 1 && of_it[0].ends_with(near), "{wrong}\n{said:#?}");
    }
    for right in [
        set("{{ pay.transaction_id }} {{ pay.output.amount }}"),
        set("{{ pay.transacton_id | default('none') }}"),
        set("{{ pay.something_else }}"),
        set("{{ pay.error }}"),
        when("expr", "pay.transacton_id is defined"),
    ] {
        assert!(!found_in(&right).iter().any(|one| one.contains("DEF-025")), "{right}");
    }
    // The same applies to a node around a loop's body, and to an agent that answers by a schema.
    let agent = "name: x\nnodes:\n  - {id: look, agent: simple_agent, task: hi, output_schema: {type: object, \
                 additionalProperties: false, properties: {total: {type: number}}}}\n  - id: each\n    type: loop\n    \
                 for_each: \"{{ [1, 2] }}\"\n    body:\n      nodes:\n        - {id: tell, type: transform, \
                 set: {a: \"{{ look.totel }} {{ look.elsewhere }}\"}}\nedges: [{from: look, to: each}]\n";
    let said = found_in(agent);
    let of_it: Vec<_> = said.iter().filter(|one| one.starts_with("DEF-025")).collect();
    assert_eq!(of_it.len(), 2, "{said:#?}");
    assert!(of_it[0].ends_with("did you mean `total`?") && of_it[1].ends_with("there is only `total`"), "{said:#?}");
}

#[test]
fn what_exclusive_branches_did_is_not_counted_where_they_meet() {
    let workflow = |edges: &str| {
        format!(
            "name: x\nnodes:\n  - {{id: big, type: condition, condition: \"input.n > 5\"}}\n  \
             - {{id: book, tool: create_ticket, parameters: {{subject: x}}}}\n  \
             - {{id: tell, tool: send_email, parameters: {{to: ana@example.com, subject: x}}}}\n  \
             - {{id: meet, type: merge, mode: any}}\n  - {{id: charge, tool: charge_payment, parameters: {{amount: 60}}}}\nedges:\n{edges}"
        )
    };
    let apart = "  - {from: big, to: book, when: 'true'}\n  - {from: big, to: tell, when: 'false'}\n  - {from: book, to: meet}\n  \
                 - {from: tell, to: meet}\n  - {from: meet, to: charge}\n";
    let said = found_in(&workflow(apart));
    assert!(!said.iter().any(|one| one.starts_with("DEF-060")), "no run has both: {said:#?}");
    let one_way = "  - {from: big, to: book, when: 'true'}\n  - {from: book, to: tell}\n  - {from: tell, to: meet}\n  \
                   - {from: meet, to: charge}\n";
    let said = found_in(&workflow(one_way));
    assert!(said.iter().any(|one| one.starts_with("DEF-060 5:")), "one run has both: {said:#?}");
}

#[test]
fn what_a_handover_promises_is_checked_where_it_is_written_plainly() {
    let sink = |config: &str| {
        found_in(&format!(
            "name: x\nnodes:\n  - {{id: begin, type: trigger}}\n  \
             - {{id: a, type: sink, action: handover_to_human, config: {{{config}}}}}\nedges: [{{from: begin, to: a}}]\n"
        ))
    };
    assert_eq!(sink("priority: urgent, first_response_ms: 60000"), Vec::<String>::new());
    assert!(sink("priority: urgnt")[0].ends_with("did you mean `urgent`?"));
    assert_eq!(sink("first_response_ms: 5, resolution_ms: soon").len(), 2);
}
