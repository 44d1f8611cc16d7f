//! Conversations, acted on: what is said goes into the conversation's inbox, once, and is answered when it rests.

use std::time::Duration;

use axum::Json;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use baton_core::conversation::{Arrived, Begun, Command, Version};
use baton_core::id::RunId;
use baton_engine::{Talk, Told};
use tokio::time::{Instant, timeout};

use super::{active, find, shown};
use crate::api::guest::Guest;
use crate::api::once::{Asked, Once};
use crate::api::patience::Patience;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// The id under which a conversation is begun, and its first message said.
const START: &str = "start";
const FIRST: &str = "first";
/// How long its beginning is waited for, also by whoever waits for no answer: what is acknowledged is there to be written to.
const BEGUN_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Act<'a> {
    door: &'a Door,
    work: &'a Work,
    guest: Guest,
    talk: Talk,
    once: Option<Once>,
    patience: Patience,
    began: Instant,
    fresh: String,
}

impl<'a> Act<'a> {
    /// On a conversation that is there.
    pub async fn on(
        door: &'a Door,
        guest: Guest,
        id: &str,
        headers: &HeaderMap,
        asked: Asked<'_>,
    ) -> Result<Self, Problem> {
        let (patience, once) = (Patience::of(headers)?, Once::of(door, &guest, headers, asked).await?);
        let talk = find(door.work()?, &guest, id).await?;
        Self::of(door, guest, talk, once, patience)
    }

    /// On one that is to begin; the same where that was asked before.
    pub async fn new(door: &'a Door, guest: Guest, headers: &HeaderMap, asked: Asked<'_>) -> Result<Self, Problem> {
        let (patience, mut once) = (Patience::of(headers)?, Once::of(door, &guest, headers, asked).await?);
        let work = door.work()?;
        let mut id = RunId::new(uuid::Uuid::now_v7().to_string());
        if let Some(once) = &mut once {
            if once.before.is_none() {
                once.note(door, &guest, &id).await?;
            }
            // Asked twice at once: there is one conversation.
            id = once.before.clone().unwrap_or(id);
        }
        let talk = Talk::new(&work.engine, work.read.clone(), guest.tenant().clone(), id);
        Self::of(door, guest, talk, once, patience)
    }

    fn of(door: &'a Door, guest: Guest, talk: Talk, once: Option<Once>, patience: Patience) -> Result<Self, Problem> {
        let fresh = once.as_ref().map_or_else(|| uuid::Uuid::now_v7().to_string(), Once::command);
        Ok(Self { door, work: door.work()?, guest, talk, once, patience, began: Instant::now(), fresh })
    }

    pub fn id(&self) -> &RunId {
        self.talk.id()
    }

    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    pub fn by(&self) -> String {
        self.guest.by().to_owned()
    }

    /// What is put into the inbox under the request's key, or under no other name.
    pub fn command(&self) -> String {
        self.fresh.clone()
    }

    /// The version its next run begins on: the active one of its workflow, or the last there was.
    pub async fn version(&self) -> Result<Version, Problem> {
        let head = self.work.read.conversation(self.guest.tenant(), self.talk.id()).await?;
        let workflow = head.map(|head| head.workflow).unwrap_or_default();
        if let Some(version) = active(self.work, &self.guest, &workflow).await? {
            return Ok(version);
        }
        let mut talk = find(self.work, &self.guest, self.talk.id().as_str()).await?;
        talk.catch_up().await?;
        let last = talk.conversation().version().cloned();
        match last {
            Some(version) => Ok(version),
            None => Err(super::no_workflow(self.work, &self.guest, &workflow).await),
        }
    }

    pub async fn begin(mut self, begun: Begun, first: Option<Arrived>) -> Result<Response, Problem> {
        let limit = self.patience.limit;
        self.hear(START, &Command::Begin(Box::new(begun)), limit.max(BEGUN_WITHIN)).await?;
        if let Some(first) = first {
            let left = limit.saturating_sub(self.began.elapsed());
            self.hear(FIRST, &Command::Message(first), left).await?;
        }
        self.answer().await
    }

    /// Under the request's own id.
    pub async fn give(self, command: &Command) -> Result<Response, Problem> {
        let id = self.command();
        self.tell(&id, command).await
    }

    pub async fn tell(mut self, command_id: &str, command: &Command) -> Result<Response, Problem> {
        if let Some(once) = &mut self.once {
            let id = self.talk.id().clone();
            once.note(self.door, &self.guest, &id).await?;
        }
        let limit = self.patience.limit;
        self.hear(command_id, command, limit).await?;
        self.answer().await
    }

    async fn hear(&mut self, command_id: &str, command: &Command, limit: Duration) -> Result<(), Problem> {
        match self.talk.tell(command_id, command, limit).await? {
            Told::Taken | Told::Again | Told::Accepted => Ok(()),
            Told::Refused { code, message } => {
                let status = match code {
                    "CONV-002" => StatusCode::NOT_FOUND,
                    "CONV-006" | "CONV-008" => StatusCode::UNPROCESSABLE_ENTITY,
                    _ => StatusCode::CONFLICT,
                };
                let problem = Problem::new(status, code, message);
                if let Some(once) = &self.once {
                    once.note_refused(self.door, &self.guest, self.talk.id(), &problem).await?;
                }
                Err(problem)
            }
        }
    }

    /// As it stands when it rests, or when whoever asks waits no longer.
    async fn answer(mut self) -> Result<Response, Problem> {
        let left = self.patience.limit.saturating_sub(self.began.elapsed());
        let rests = tokio::select! {
            rested = timeout(left, self.talk.until_rest()) => match rested {
                Ok(rested) => {
                    rested?;
                    true
                }
                Err(_elapsed) => false,
            },
            () = self.door.stopped() => false,
        };
        self.talk.catch_up().await?;
        let status = if rests { StatusCode::OK } else { StatusCode::ACCEPTED };
        let mut response = (status, Json(shown(&self.talk))).into_response();
        if let Ok(address) = HeaderValue::try_from(format!("/api/v1/conversations/{}", self.talk.id())) {
            response.headers_mut().insert(LOCATION, address);
        }
        let mut response = self.patience.say(response);
        if let Some(once) = &self.once {
            once.say(&mut response);
        }
        Ok(response)
    }
}
