//! `POST /v1/responses`: OpenAI's Responses API, as far as it asks a model for text and calls of functions.
//!
//! A request is read as the chat completion that asks for the same, so both are held to one form and one price. Nothing is
//! kept of a response: what was said before comes with the request, as `input`.

mod events;
mod input;
mod output;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};

use super::chat::{self, Call};
use super::error::Error;
use super::intake::Intake;
use super::once::Answered;
use super::stream;
use super::workflow::PREFIX;
use crate::door::Door;

use events::Events;
use output::Shell;

const PATH: &str = "/v1/responses";
/// What its ids begin with.
const ID: &str = "resp";

pub(crate) async fn respond(State(door): State<Door>, request: Request) -> Result<Response, Error> {
    let intake = Intake::of(door, request).await?;
    let (asked, echo) = input::read(&intake.body)?;
    if asked.model.starts_with(PREFIX) {
        let asked = Arc::new(asked);
        let (turn, body, standing) = intake.turn(&asked);
        let answered = Box::pin(Answered::of(turn, PATH, &body, ID)).await?;
        let shell = Shell::new(answered.frame.clone(), echo);
        let mut response = match asked.stream {
            true => stream::whole(Events::new(shell), &answered.said.reply),
            false => Json(shell.whole(&answered.said.reply)).into_response(),
        };
        chat::say_turn(&mut response, standing, &answered);
        return Ok(response);
    }
    let (call, told) = Call::new(intake, asked, ID);
    let shell = Shell::new(call.frame.clone(), echo);
    let mut response = match call.asked.stream {
        true => Box::pin(stream::answer(call, Events::new(shell))).await?,
        false => {
            let reply = Box::pin(call.reply()).await?;
            let mut response = Json(shell.whole(&reply)).into_response();
            chat::told_facts(&mut response, &reply);
            response
        }
    };
    told.say(&mut response);
    Ok(response)
}
