//! `sink`: the destination of the conversation. Here it is only an output; the conversation acts on it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::address::NodeAddress;
use super::super::advance::expression_fault;
use super::super::decide::RunDraft;
use crate::fault::{Fault, code};
use crate::graph::node::{SinkAction, SinkNode};
use baton_expr::literal_list;

/// Fields of `config` that are lists, and may be written as a template that renders a list (seed 004).
const LIST_FIELDS: [&str; 1] = ["required_skills"];

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, sink: &SinkNode) {
    let config = match sink.config.render(&draft.view(&at.scope)) {
        Ok(config) => config,
        Err(error) => return draft.fail(at, expression_fault("config", &error)),
    };
    let config = match normalize_lists(config) {
        Ok(config) => config,
        Err(fault) => return draft.fail(at, fault),
    };
    let action = match sink.action {
        SinkAction::FinishConversation => "finish_conversation",
        SinkAction::HandoverToHuman => "handover_to_human",
    };
    draft.complete(at, Arc::new(json!({ "action": action, "config": config })), None);
}

/// Returns the config with its list fields as lists, whether they were written as lists or as text: `['returns']`.
fn normalize_lists(mut config: Value) -> Result<Value, Fault> {
    for name in LIST_FIELDS {
        if let Some(Value::String(text)) = config.get(name) {
            let list = literal_list(text.trim())
                .map_err(|error| Fault::new(code::EXPRESSION, format!("config.{name} is no list: {error}")))?;
            config[name] = list;
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_was_rendered_as_text_is_read() {
        let skills = |written: Value| normalize_lists(json!({ "required_skills": written, "note": "['x']" }));
        let expected = json!({ "required_skills": ["returns"], "note": "['x']" });
        assert_eq!(skills(json!("['returns']\n")), Ok(expected.clone()));
        assert_eq!(skills(json!(["returns"])), Ok(expected));
        assert_eq!(normalize_lists(json!({})), Ok(json!({})));
        let fault = skills(json!("returns")).unwrap_err();
        assert!(fault.code == code::EXPRESSION && fault.message.contains("required_skills"), "{fault}");
    }
}
