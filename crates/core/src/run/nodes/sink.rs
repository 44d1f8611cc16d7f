//! `sink`: what becomes of the conversation. Here it is an output; the conversation acts on it.

use std::sync::Arc;

use serde_json::json;

use super::super::address::Address;
use super::super::advance::expression_fault;
use super::super::decide::Draft;
use crate::graph::node::{Sink, SinkAction};

pub fn begin(draft: &mut Draft<'_>, at: &Address, sink: &Sink) {
    let config = match sink.config.render(&draft.view(&at.scope)) {
        Ok(config) => config,
        Err(error) => return draft.fail(at, expression_fault("config", &error)),
    };
    let action = match sink.action {
        SinkAction::FinishConversation => "finish_conversation",
        SinkAction::HandoverToHuman => "handover_to_human",
    };
    draft.complete(at, Arc::new(json!({ "action": action, "config": config })), None);
}
