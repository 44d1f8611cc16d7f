//! `POST /v1/responses`: the subset of OpenAI's Responses API that requests text and function calls from a model.
//!
//! A request is converted into the equivalent chat completion, so both have the same format checks and the same
//! price. Responses are not stored: earlier messages come with the request, as `input`.

mod events;
mod input;
mod output;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};

use super::admission::AdmittedRequest;
use super::answered_turn::AnsweredTurn;
use super::chat::{self, GatewayCall};
use super::error::OpenAiError;
use super::stream;
use super::workflow::PREFIX;
use crate::state::AppState;

use events::ResponseEvents;
use output::ResponseEnvelope;

const PATH: &str = "/v1/responses";
/// The prefix of response ids.
const ID: &str = "resp";

pub(crate) async fn respond(State(state): State<AppState>, request: Request) -> Result<Response, OpenAiError> {
    let intake = AdmittedRequest::of(state, request).await?;
    let (asked, echo) = input::read(&intake.body)?;
    if asked.model.starts_with(PREFIX) {
        let asked = Arc::new(asked);
        let (turn, body, standing) = intake.into_turn(&asked);
        let answered = Box::pin(AnsweredTurn::of(turn, PATH, &body, ID)).await?;
        let shell = ResponseEnvelope::new(answered.frame.clone(), echo);
        let mut response = match asked.stream {
            true => stream::replay_stream(ResponseEvents::new(shell), &answered.reply.reply),
            false => Json(shell.completed(&answered.reply.reply)).into_response(),
        };
        chat::set_turn_headers(&mut response, standing, &answered);
        return Ok(response);
    }
    let (call, told) = GatewayCall::new(intake, asked, ID);
    let shell = ResponseEnvelope::new(call.frame.clone(), echo);
    let mut response = match call.request.stream {
        true => Box::pin(stream::stream_reply(call, ResponseEvents::new(shell))).await?,
        false => {
            let reply = Box::pin(call.reply()).await?;
            let mut response = Json(shell.completed(&reply)).into_response();
            chat::set_reply_headers(&mut response, &reply);
            response
        }
    };
    told.set_headers(&mut response);
    Ok(response)
}
