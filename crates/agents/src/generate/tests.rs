use baton_core::model::{FinishReason, ModelMessage};

use super::*;
use crate::shipped::{PLANNER, shipped};
use crate::test_support::{reply, task};

fn generation(goal: &str, language: &str) -> WorkflowGeneration {
    let tools = task(baton_core::agent::AgentKind::Code).tools;
    let usable = PlannerCatalog { tools, agents: vec![("simple_agent".to_owned(), "One small task".to_owned())] };
    WorkflowGeneration::begin(shipped()[PLANNER].clone(), goal, language, &usable).unwrap()
}

fn texts(request: &ModelRequest) -> Vec<String> {
    let text = |message: &ModelMessage| match message {
        ModelMessage::System { content, .. }
        | ModelMessage::User { content, .. }
        | ModelMessage::Assistant { content, .. }
        | ModelMessage::Tool { content, .. } => content.clone(),
    };
    request.messages.iter().map(text).collect()
}

fn said(content: &str) -> ModelReply {
    reply(content, Vec::new(), FinishReason::Stop)
}

#[test]
fn the_model_is_shown_the_goal_and_everything_a_workflow_may_be_made_of() {
    let request = generation("warn me of rain", "en").request();
    let texts = texts(&request);
    assert!(texts[0].starts_with("You plan workflows."), "{texts:?}");
    for part in ["warn me of rain", "- get_order: Does get_order", "- simple_agent: One small task", "{{ city }}"] {
        assert!(texts[1].contains(part), "{part} is not in {}", texts[1]);
    }
    assert_eq!(request.agent, PLANNER);
}

#[test]
fn a_customer_who_speaks_spanish_is_planned_for_in_spanish() {
    let texts = texts(&generation("avísame si llueve", "es-ES").request());
    assert!(texts[0].starts_with("Planificas") && texts[1].starts_with("Planifica un flujo"), "{texts:?}");
}

#[test]
fn a_draft_is_found_in_every_shape_models_write_it() {
    let draft = json!({"name": "a", "steps": []});
    for text in
        [draft.to_string(), format!("Here it is:\n```json\n{draft}\n```\nEnjoy."), format!("<think>x</think>{draft}")]
    {
        assert_eq!(WorkflowGeneration::draft(&said(&text)), Ok(draft.clone()), "{text}");
    }
    assert!(WorkflowGeneration::draft(&said(r#"{"name": "a", "workflow": {"nodes": []}}"#)).is_ok());
}

#[test]
fn a_reply_without_one_is_said_to_have_none() {
    assert_eq!(WorkflowGeneration::draft(&said("I cannot.")), Err("the reply holds no complete JSON".to_owned()));
    assert_eq!(WorkflowGeneration::draft(&said(r#"{"plan": 1}"#)), Err("the reply has no list `steps`".to_owned()));
}

#[test]
fn what_was_found_is_told_behind_the_draft_it_was_found_in() {
    let mut generation = generation("warn me", "en");
    let findings: Vec<String> = (0..30).map(|n| format!("finding {n}")).collect();
    generation.repair(&said("the draft"), &findings).unwrap();
    let texts = texts(&generation.request());
    assert_eq!((texts.len(), texts[2].as_str()), (4, "the draft"));
    assert!(texts[3].contains("- finding 19\n") && !texts[3].contains("finding 20"), "{}", texts[3]);
}
