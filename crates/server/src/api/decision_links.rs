//! Decision links: URLs by which one person decides one request, once.
//!
//! Baton delivers a link to the person's own registered channel, which is the e-mail address that an admin
//! registered in the routing queue. It reveals the link's secret to no one else: not to the caller who requested
//! the link, and in no response, log or audit row. A link is bound to the person as registered at that time, to the
//! address it was sent to, to the request, and to the request's effect by a hash of all its details. It is valid
//! until it is used or expires. Only the hash of its secret is stored. The pages behind a link are in
//! [`crate::routes`].

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use baton_core::audit::hex;
use baton_core::bundle::ContentHash;
use baton_core::canonical;
use baton_core::id::{PersonId, RunId, TenantId};
use baton_core::routing::{HumanAgent, PersonProfile};
use baton_core::run::{DecisionChannel, DecisionMaker};
use baton_core::time::Time;
use baton_engine::snapshot_reader;
use baton_ports::journal::TaskItem;
use baton_ports::mail::{MailError, MailMessage};
use baton_ports::records::{self, RecordOp};
use baton_ports::task_inbox::ApprovalSubject;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::extractors::PathParams;
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::tasks::PendingApproval;
use super::webhooks::random_bytes;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

const SPACE: &str = "decision_link";
/// The only supported channel.
const EMAIL: &str = "email";
const WHO_ELSE: &str =
    "a link is for somebody who is asked, did not ask for this, and does not have it sent to themselves";
/// Maximum length of a person's name in characters, and of a token in bytes.
const PERSON_CHARS_MAX: usize = 100;
const TOKEN_BYTES_MAX: usize = 300;
/// Lifetime of a link in seconds: one day by default, at least one minute, at most thirty days.
const EXPIRES_S: u32 = 24 * 60 * 60;
const EXPIRES_S_MIN: u32 = 60;
const EXPIRES_S_MAX: u32 = 30 * EXPIRES_S;

/// A link as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DecisionLink {
    pub request: String,
    pub run: RunId,
    pub person: String,
    /// The hash of the request's title and details.
    digest: ContentHash,
    opened_at: Time,
    pub expires_at: Time,
    pub made_by: String,
    /// The channel by which the link was delivered. `None` for a link of an older version, which showed it to the
    /// caller; such a link is invalid.
    #[serde(default)]
    channel: Option<String>,
    /// The recipient. `None` for a link of an older version, which can no longer be used.
    #[serde(default)]
    registration: Option<LinkRecipient>,
    /// The decision that was made through the link.
    pub decided: Option<bool>,
}

/// The registration of a person at the time their link was sent. A person who is registered later under the same
/// name, or reached at another address, is not the recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LinkRecipient {
    since: Time,
    /// The hash of the address to which the link was sent.
    address: ContentHash,
}

impl LinkRecipient {
    fn of(person: &HumanAgent) -> Self {
        Self { since: person.created_at, address: ContentHash::of(person.profile.email.as_bytes()) }
    }
}

/// The stored link that belongs to a token.
pub(crate) struct ResolvedLink {
    pub tenant: TenantId,
    pub link: DecisionLink,
    key: String,
    version: u64,
}

/// Who is to decide.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LinkFor)]
pub(super) struct CreateLinkRequest {
    /// Whom it is sent to, and in whose name is decided: their id among the `human-agents`.
    #[schema(pattern = r"^[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$", max_length = 100)]
    person: String,
    /// Seconds the link is good: 60 to 2592000, a day unless told.
    #[serde(default = "a_day", deserialize_with = "seconds")]
    #[schema(minimum = 60, maximum = 2_592_000)]
    expires_s: u32,
}

fn a_day() -> u32 {
    EXPIRES_S
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    body::integer_in_range(from, "expires_s", EXPIRES_S_MIN.into()..=EXPIRES_S_MAX.into())
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Link)]
pub(super) struct DecisionLinkSchema {
    person: String,
    /// How it went to the person: `email`, to the address that the desk has of them.
    channel: String,
    expires_at: String,
}

/// Sends a person a link by which they decide this request, once
///
/// The link goes to the e-mail address that the desk has of the person (`human-agents`), and to nobody else. Whoever has it
/// sent is named in the audit row of the decision, and cannot decide by it, nor can whoever asked for what is decided.
#[utoipa::path(post, path = "/api/v1/approvals/{approval_id}/links", tag = "desk",
    params(("approval_id" = String, Path)), request_body = CreateLinkRequest, responses((status = 201, body = DecisionLinkSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
    (status = 502, body = ProblemSchema, content_type = "application/problem+json", description = "it was not delivered, and opens nothing")))]
pub(super) async fn create(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let CreateLinkRequest { person, expires_s } = body::json(body, state.limits).await?;
    let chars = person.chars().count();
    if person.trim().is_empty() || chars > PERSON_CHARS_MAX || person.chars().any(char::is_control) {
        return Err(HttpProblem::invalid_field(
            "person",
            format_args!("it has 1 to {PERSON_CHARS_MAX} characters that can be read"),
        ));
    }
    let (services, now) = (state.run_services()?, state.clock.now());
    let PendingApproval { item, run, about } = PendingApproval::find(services, principal.tenant(), &id).await?;
    let addressee = find_person(&state, principal.tenant(), &person).await?.ok_or_else(|| no_channel(&person))?;
    let via = Some(DecisionChannel::Link { asked_by: principal.actor_name().to_owned() });
    let known = state.routing_queues.decider(&*services.read, principal.tenant(), &person).await?;
    let newest =
        snapshot_reader::read_run(&*services.read, services.engine.workflows(), principal.tenant(), &run).await?;
    about
        .may_decide(&newest, &DecisionMaker { via, ..known }, true)
        .map_err(|refusal| HttpProblem::from_refusal(&run, &refusal).with_hint(WHO_ELSE))?;
    let Some(base) = state.config.public_url.as_deref() else {
        let detail = "nobody could open a link: it is not known at which address people reach this server";
        return Err(HttpProblem::new(StatusCode::CONFLICT, code::LINK_NO_CHANNEL, detail)
            .with_hint("set `[serve] public_url = \"https://…\"` in baton.toml"));
    };
    let secret = BASE64_URL_SAFE_NO_PAD.encode(random_bytes()?);
    let link = DecisionLink {
        digest: digest(&item),
        opened_at: item.opened_at,
        request: item.id.clone(),
        run,
        person,
        expires_at: now + Duration::from_secs(expires_s.into()),
        made_by: principal.actor_name().to_owned(),
        channel: Some(EMAIL.to_owned()),
        registration: Some(LinkRecipient::of(&addressee)),
        decided: None,
    };
    let key = hash(&secret);
    let insert = RecordOp::Insert { space: SPACE.to_owned(), key: key.clone(), value: json!(link) };
    services.records.commit(principal.tenant(), vec![insert], now).await?;
    let url = format!("{}/decide/{}.{secret}", base.trim_end_matches('/'), principal.tenant());
    if let Err(unsent) = state
        .admin_services()?
        .mail
        .send(principal.tenant(), &build_letter(&addressee.profile, &link, &item, &url))
        .await
    {
        // The mail may have arrived despite the error. The link is deleted, so it cannot be used.
        let delete = RecordOp::Delete { space: SPACE.to_owned(), key };
        services.records.commit(principal.tenant(), vec![delete], now).await?;
        return Err(delivery_failed(&link.person, &unsent));
    }
    let made = json!({ "person": link.person, "channel": EMAIL, "expires_at": link.expires_at.to_string() });
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// The person's entry in the routing queue.
async fn find_person(state: &AppState, tenant: &TenantId, person: &str) -> Result<Option<HumanAgent>, HttpProblem> {
    let Ok(id) = PersonId::parse(person) else { return Ok(None) };
    let desk = state.routing_queues.current(&*state.run_services()?.read, tenant).await?;
    Ok(desk.person(&id).cloned())
}

fn no_channel(person: &str) -> HttpProblem {
    let detail = format!("`{person}` has no registered channel, so no link can be delivered to them");
    let hint = format!(
        "an admin registers their e-mail address: PUT /api/v1/human-agents/{person} with `name` and `email`; or they decide \
         with a key of their own"
    );
    HttpProblem::new(StatusCode::CONFLICT, code::LINK_NO_CHANNEL, detail).with_hint(hint)
}

fn delivery_failed(person: &str, unsent: &MailError) -> HttpProblem {
    let detail = format!("the link was not delivered to `{person}`, and opens nothing: {unsent}");
    match unsent {
        MailError::NoProvider(_) => HttpProblem::new(StatusCode::CONFLICT, code::LINK_NO_CHANNEL, detail).with_hint(
            "docs/guides/configure-email.md says how mail is sent; until then people decide with keys of their own",
        ),
        MailError::Rejected(_) | MailError::Failed(_) => {
            HttpProblem::new(StatusCode::BAD_GATEWAY, code::LINK_NOT_DELIVERED, detail)
                .with_hint("look at the mail provider and at the address, then ask for another link")
        }
    }
}

/// The letter is never logged, stored or shown, because the URL in it grants the decision.
fn build_letter(profile: &PersonProfile, link: &DecisionLink, item: &TaskItem, url: &str) -> MailMessage {
    let (name, title, asked_by, until) = (&profile.name, &item.title, &link.made_by, link.expires_at);
    let (subject, text) = match profile.languages.contains("es") && !profile.languages.contains("en") {
        true => (
            "Se le pide una decisión",
            format!(
                "Hola, {name}:\n\nSe le pide una decisión: {title}\n\nAquí ve exactamente qué se haría, y lo aprueba o lo \
                 rechaza:\n{url}\n\nEl enlace decide en su nombre, una sola vez, y vale hasta {until}. Lo pidió {asked_by}. \
                 No lo reenvíe.\n"
            ),
        ),
        false => (
            "A decision is asked of you",
            format!(
                "Hello {name},\n\nA decision is asked of you: {title}\n\nThis shows exactly what would be done, and lets you \
                 approve or reject it:\n{url}\n\nThe link decides in your name, once, and is good until {until}. {asked_by} had \
                 it sent. Do not pass it on.\n"
            ),
        ),
    };
    MailMessage { id: uuid::Uuid::now_v7().to_string(), to: profile.email.clone(), subject: subject.to_owned(), text }
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()).into())
}

fn digest(item: &TaskItem) -> ContentHash {
    ContentHash::of(canonical::text(&json!([item.title, item.details])).as_bytes())
}

impl ResolvedLink {
    /// Finds the link of a token, whether or not it is still valid.
    pub async fn find_by_token(services: &RunServices, token: &str) -> Result<Option<Self>, HttpProblem> {
        let Some((tenant, secret)) = token.rsplit_once('.').filter(|_| token.len() <= TOKEN_BYTES_MAX) else {
            return Ok(None);
        };
        let Ok(tenant) = TenantId::parse(tenant) else { return Ok(None) };
        let key = hash(secret);
        let Some(record) = services.records.get(&tenant, SPACE, &key).await? else { return Ok(None) };
        let link: DecisionLink =
            serde_json::from_value(record.value).map_err(|error| HttpProblem::internal("a link's row", &error))?;
        if link.channel.is_none() {
            return Ok(None);
        }
        Ok(Some(Self { tenant, link, key, version: record.version }))
    }

    /// The request, if it is still open and identical to the one for which the link was made.
    pub async fn request(&self, services: &RunServices) -> Result<Option<(TaskItem, ApprovalSubject)>, HttpProblem> {
        let items = services.read.open_tasks(&self.tenant, Some(&self.link.run)).await?;
        let item = items.into_iter().find(|item| item.id == self.link.request);
        let same = item.filter(|item| item.opened_at == self.link.opened_at && digest(item) == self.link.digest);
        Ok(same.and_then(|item| item.request().map(|about| (item, about))))
    }

    /// The decision maker, with the person's current roles and skills from the routing queue. `None` if the person
    /// is no longer registered, was registered again since, or has another address.
    pub async fn decider(
        &self,
        state: &AppState,
        services: &RunServices,
    ) -> Result<Option<DecisionMaker>, HttpProblem> {
        let person = find_person(state, &self.tenant, &self.link.person).await?;
        if person.is_none_or(|person| self.link.registration != Some(LinkRecipient::of(&person))) {
            return Ok(None);
        }
        let known = state.routing_queues.decider(&*services.read, &self.tenant, &self.link.person).await?;
        Ok(Some(DecisionMaker { via: Some(DecisionChannel::Link { asked_by: self.link.made_by.clone() }), ..known }))
    }

    /// Uses the link for this decision. Returns `true` if the link was unused, or was used for the same decision.
    pub async fn redeem(&mut self, services: &RunServices, approved: bool, now: Time) -> Result<bool, HttpProblem> {
        if let Some(decided) = self.link.decided {
            return Ok(decided == approved);
        }
        let link = DecisionLink { decided: Some(approved), ..self.link.clone() };
        let (space, key, version) = (SPACE.to_owned(), self.key.clone(), self.version);
        let op = RecordOp::CompareAndSet { space, key, version, value: json!(link) };
        match services.records.commit(&self.tenant, vec![op], now).await {
            Ok(()) => {
                self.link = link;
                Ok(true)
            }
            // Two concurrent decisions through the same link.
            Err(records::RecordError::Conflict { found: Some(found), .. }) => {
                let link = serde_json::from_value::<DecisionLink>(found.value);
                Ok(link.is_ok_and(|link| link.decided == Some(approved)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The command id of the decision in the run's inbox.
    pub fn command_id(&self) -> String {
        format!("link-{}", self.key)
    }
}
