//! Plays a scripted reply over time: delta by delta, as a model would send it.

use std::time::Duration;

use baton_core::model::{ModelReply, ModelToolCall};
use baton_core::run::ModelCallError;
use baton_ports::models::ReplyDelta;
use tokio::time::{Instant, sleep_until};

use super::rule::{ReplyRule, ScriptedReply};
use crate::fault::{code, transient};
use crate::providers::ProviderRequest;
use crate::providers::dialect::arguments_text;
use crate::providers::listener::PieceListener;

/// Number of characters in a delta of a tool call's arguments.
const ARGUMENTS_CHARS: usize = 16;

/// The deltas of a reply, always the same: one word at a time, then each call, with its name before its arguments.
pub(super) fn pieces(reply: &ModelReply) -> Vec<ReplyDelta> {
    let words = reply.content.split_inclusive(char::is_whitespace).map(|word| ReplyDelta::Text(word.to_owned()));
    let calls = reply.tool_calls.iter().enumerate().flat_map(|(index, call)| of_call(index, call));
    words.chain(calls).collect()
}

fn of_call(index: usize, call: &ModelToolCall) -> Vec<ReplyDelta> {
    let piece = |id, name, arguments| ReplyDelta::ToolCall { index, id, name, arguments };
    let arguments: Vec<char> = arguments_text(&call.arguments).chars().collect();
    let more = arguments.chunks(ARGUMENTS_CHARS).map(|chars| piece(None, None, chars.iter().collect()));
    let first = piece(Some(call.id.clone()), Some(call.name.clone()), String::new());
    std::iter::once(first).chain(more).collect()
}

/// Waits for the duration of the reply and sends the deltas evenly over it. Takes equally long without a listener.
pub(super) async fn play(
    pieces: Vec<ReplyDelta>,
    rule: &ReplyRule,
    written: &ScriptedReply,
    ask: &ProviderRequest<'_>,
    listener: &mut PieceListener<'_>,
) -> Result<(), ModelCallError> {
    let began = Instant::now();
    let whole = Duration::from_millis(written.latency_ms);
    let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
    let first = written.first_token_ms.map_or(whole.checked_div(count).unwrap_or(whole), Duration::from_millis);
    if let Some(limit) = ask.first_token.filter(|limit| first > *limit) {
        sleep_until_due(began + limit).await;
        let late = format!("{rule}: no first token within {} ms", limit.as_millis());
        return Err(transient(code::TIMEOUT, late));
    }
    let between = whole.saturating_sub(first).checked_div(count.saturating_sub(1)).unwrap_or_default();
    let mut at = began + first;
    for piece in pieces {
        sleep_until_due(at).await;
        listener.send(vec![piece]).await;
        at += between;
    }
    sleep_until_due(began + whole).await;
    Ok(())
}

/// A reply without a duration does not wait for the clock.
async fn sleep_until_due(instant: Instant) {
    if instant > Instant::now() {
        sleep_until(instant).await;
    }
}
