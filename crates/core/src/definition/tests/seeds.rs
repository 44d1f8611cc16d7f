//! Every workflow of the seeds loads unchanged.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{CheckedDefinition, DefinitionCatalog, Severity, check, compile};
use crate::agent::AgentDefinition;
use crate::graph::node::{OnNodeError, ToolSource};
use crate::graph::{JoinRule, NodeKind, Workflow, levels, mermaid};
use crate::tool::ToolContract;

fn agent(name: &str) -> (String, AgentDefinition) {
    let agent = serde_json::json!({ "name": name, "type": "reasoning", "prompt": "{{ input }}" });
    (name.to_owned(), serde_json::from_value(agent).unwrap())
}

fn tool(name: &str) -> (String, Arc<ToolContract>) {
    let facts = serde_json::json!({ "class": "keyed", "timeout_ms": 30_000 });
    (name.to_owned(), serde_json::from_value(facts).unwrap())
}

fn catalog() -> DefinitionCatalog {
    let agents =
        ["simple_intent_classifier", "autonomous_return_agent", "simple_classifier", "reasoning_agent", "simple_agent"];
    let tools = [
        "shopify.get_order",
        "shopify.create_return",
        "shopify.update_order_status",
        "gmail.send_email",
        "custom_api",
        "get_weather",
        "recommend_outfit",
        "get_stock_price",
        "search_web",
        "summarize_data",
        "send_alert",
        "process_data",
        "analyze",
        "generate_report",
        "fetch_api_data",
        "validate_data",
        "transform_data",
        "analyze_method_a",
        "analyze_method_b",
        "merge_analyses",
        "reserve_items",
        "release_reservation",
        "process_payment",
        "refund_payment",
        "create_shipment",
        "cancel_shipment",
        "send_email",
    ];
    DefinitionCatalog { agents: agents.map(agent).into(), tools: tools.map(tool).into(), workflows: BTreeMap::new() }
}

macro_rules! seed {
    ($name:literal) => {
        check(include_bytes!(concat!("../../../testdata/definitions/seed-", $name)), &catalog())
    };
}

/// The workflow loads, is runnable, and its bundle compiles to the same workflow.
fn ready(checked: &CheckedDefinition) -> &Workflow {
    let (workflow, bundle) = checked.runnable().unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
    let again = compile(bundle).unwrap();
    assert_eq!(format!("{again:#?}"), format!("{workflow:#?}"));
    workflow
}

fn batches(workflow: &Workflow) -> Vec<Vec<&str>> {
    let name = |place: &_| workflow.graph.node(*place).id.as_str();
    levels(&workflow.graph).iter().map(|batch| batch.iter().map(name).collect()).collect()
}

#[test]
fn a_chain_without_ids_runs_link_after_link() {
    let checked = seed!("003-weather_outfit.yaml");
    assert_eq!(batches(ready(&checked)), [["weather"], ["outfit"]]);
}

#[test]
fn gathering_runs_side_by_side() {
    let checked = seed!("003-parallel_gathering.yaml");
    assert_eq!(batches(ready(&checked)), [vec!["weather", "stock", "news"], vec!["summary"]]);
}

#[test]
fn conditional_alerts_wait_for_the_weather() {
    let checked = seed!("003-conditional_alerts.yaml");
    let workflow = ready(&checked);
    assert_eq!(batches(workflow), [vec!["weather"], vec!["cold_alert", "hot_alert"]]);
    assert!(workflow.graph.nodes.iter().all(|node| node.join == JoinRule::AllSettled));
}

#[test]
fn a_stateful_chain_is_ordered_by_its_references() {
    assert_eq!(batches(ready(&seed!("003-stateful.yaml"))), [["step1"], ["step2"], ["step3"]]);
}

#[test]
fn the_data_pipeline_is_drawn_as_the_seed_draws_it() {
    let checked = seed!("003-data_pipeline.yaml");
    let workflow = ready(&checked);
    assert_eq!(
        batches(workflow),
        [
            vec!["fetch_data"],
            vec!["validate"],
            vec!["transform"],
            vec!["analyze_a", "analyze_b"],
            vec!["merge_results"]
        ]
    );
    let picture = "\
graph TD
    fetch_data[fetch_api_data]
    validate[validate_data]
    transform[transform_data]
    analyze_a[analyze_method_a]
    analyze_b[analyze_method_b]
    merge_results[merge_analyses]
    fetch_data --> validate
    validate --> transform
    transform --> analyze_a
    transform --> analyze_b
    analyze_a --> merge_results
    analyze_b --> merge_results
";
    assert_eq!(mermaid(workflow), picture);
}

#[test]
fn the_saga_keeps_its_compensations_and_three_attempts() {
    let checked = seed!("003-ecommerce_saga.yaml");
    let workflow = ready(&checked);
    for node in &workflow.graph.nodes {
        let undo = node.policy.compensation.as_ref().unwrap();
        let NodeKind::Tool(tool) = &node.kind else { panic!() };
        let ToolSource::Fixed { tool: name, .. } = &tool.from else { panic!() };
        assert!(tool.facts.contains_key(name) && tool.facts.contains_key(&undo.tool));
        assert_eq!(node.policy.retry.as_ref().unwrap().max_attempts, 3);
        assert_eq!(node.policy.on_error, None::<OnNodeError>);
    }
    assert_eq!(batches(workflow), [["reserve_inventory"], ["charge_payment"], ["ship_order"]]);
}

#[test]
fn generated_json_steps_lack_only_a_name() {
    let checked = seed!("003-generated.json");
    let codes: Vec<&str> = checked.diagnostics.iter().map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["DEF-018"]);
    assert_eq!(batches(checked.workflow.as_ref().unwrap()), [["weather"], ["alert"]]);
}

#[test]
fn customer_support_advanced_loads_unchanged() {
    let checked = seed!("004-customer_support_advanced.yaml");
    let workflow = ready(&checked);
    assert_eq!((workflow.name.as_str(), workflow.version.as_str()), ("customer_support_advanced", "2.0.0"));
    assert_eq!(batches(workflow), [["classify_intent"], ["handle_return"]]);
    let NodeKind::Agent(agent) = &workflow.graph.nodes[1].kind else { panic!() };
    let offered: Vec<&str> = agent.offered.iter().map(String::as_str).collect();
    assert_eq!(
        offered,
        ["gmail.send_email", "shopify.create_return", "shopify.get_order", "shopify.update_order_status"]
    );
    assert!(workflow.graph.nodes[1].condition.is_some() && workflow.graph.edges[0].condition.is_some());
}

#[test]
fn order_lookup_is_ordered_by_what_its_nodes_name() {
    let checked = seed!("004-order_lookup.yaml");
    assert_eq!(batches(ready(&checked)), [["classify"], ["get_order"]]);
}

#[test]
fn my_workflow_loads_with_a_hint_at_the_backticks() {
    let checked = seed!("004-my_workflow.yaml");
    assert_eq!(batches(ready(&checked)), [["step1"], ["step2"]]);
    let hint = checked.diagnostics.iter().find(|d| d.severity == Severity::Hint).unwrap();
    assert_eq!((hint.code.as_str(), hint.span.line), ("DEF-021", 19));
}

#[test]
fn customer_support_hil_is_a_draft_of_sinks() {
    let checked = seed!("004-customer_support_hil.yaml");
    assert_eq!(checked.worst_severity(), Some(Severity::Draft), "{:#?}", checked.diagnostics);
    assert!(checked.runnable().is_none() && checked.workflow.is_some());
}

#[test]
fn the_composio_fragment_is_a_draft_without_a_name() {
    let checked = seed!("004-composio.yaml");
    assert_eq!(checked.worst_severity(), Some(Severity::Draft), "{:#?}", checked.diagnostics);
    assert!(checked.runnable().is_none());
    let workflow = checked.workflow.expect("it loads");
    let sources: Vec<_> = workflow.entity_sources.iter().map(|(app, source)| (app.as_str(), source.as_str())).collect();
    assert_eq!(sources, [("gmail", "agent_id"), ("shopify", "customer_id")]);
}
