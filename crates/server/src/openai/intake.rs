//! A request of OpenAI's clients, let in and read.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use baton_engine::roster::Standing;
use baton_ports::keys::Need;
use tokio::sync::OwnedSemaphorePermit;

use super::error::Error;
use super::rate;
use super::request::Asked;
use super::workflow::Turn;
use crate::auth::Bearer;
use crate::body;
use crate::body::budget::BodyShare;
use crate::door::Door;
use crate::problem::Problem;

/// A request with its key, its turn and its place among those under way.
pub(super) struct Intake {
    pub door: Door,
    pub key: Arc<Bearer>,
    pub headers: HeaderMap,
    pub turn: Option<Standing>,
    /// Given back when the answer is over.
    pub place: OwnedSemaphorePermit,
    /// Of the memory for bodies: given back when nothing that was read is held any more.
    pub share: Option<Arc<BodyShare>>,
    pub body: Bytes,
}

impl Intake {
    pub async fn of(door: Door, request: Request) -> Result<Self, Error> {
        let (mut head, body) = request.into_parts();
        let share = head.extensions.remove();
        let headers = head.headers;
        let key = door.bearer(&headers).await?;
        key.may(Need::Run).map_err(|barred| Error::barred(&key, Need::Run, barred))?;
        let turn = door.turn(&key).await?;
        let place = door.room.clone().try_acquire_owned().map_err(|_| Problem::overloaded())?;
        // Only now, or anybody's connections would fill the memory.
        let body = body::read(body, door.limits).await.map_err(|unread| Error::unread(&unread, door.limits))?;
        Ok(Self { door, key, headers, turn, place, share, body })
    }

    /// A turn of a conversation with a workflow, with its body as it was sent, and how often one may ask.
    pub fn turn(self, asked: &Arc<Asked>) -> (Turn, Bytes, Option<Standing>) {
        let Self { door, key, headers, turn, place, share, body } = self;
        (Turn { door, key, asked: asked.clone(), headers, held: (place, share), reached: OnceLock::new() }, body, turn)
    }

    /// How often one may ask.
    pub fn say_turn(&self, response: &mut Response) {
        if let Some(turn) = &self.turn {
            rate::say(response.headers_mut(), turn);
        }
    }
}
