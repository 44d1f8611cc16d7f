//! `POST /v1/responses`: OpenAI's Responses API, as far as it asks a model for text and calls of functions.
//!
//! A request is read as the chat completion that asks for the same, so both are held to one form and one price. Nothing is
//! kept of a response: what was said before comes with the request, as `input`.

mod events;
mod input;
mod output;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};

use super::chat::{self, Call};
use super::error::Error;
use super::intake::Intake;
use super::reply::Frame;
use super::stream;
use super::workflow::{PREFIX, Turn};
use crate::door::Door;

use events::Events;
use output::Shell;

/// What its ids begin with.
const ID: &str = "resp";

pub(crate) async fn respond(State(door): State<Door>, request: Request) -> Result<Response, Error> {
    let intake = Intake::of(door, request).await?;
    let (asked, echo) = input::read(&intake.body)?;
    if asked.model.starts_with(PREFIX) {
        let said = Turn { door: &intake.door, key: &intake.key, asked: &asked, headers: &intake.headers };
        let said = Box::pin(said.take()).await?;
        let shell = Shell::new(Frame::new(ID, &intake.door, &asked.model), echo);
        let mut response = match asked.stream {
            true => stream::whole(Events::new(shell), &said.reply),
            false => Json(shell.whole(&said.reply)).into_response(),
        };
        intake.say_turn(&mut response);
        chat::told_run(&mut response, &said);
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
