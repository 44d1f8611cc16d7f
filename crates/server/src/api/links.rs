//! Decision links: an address by which one person decides one request, once.
//!
//! Baton delivers a link to the person's own registered channel, the e-mail address that an admin has put on the desk, and
//! shows its secret to nobody else: not to whoever has it sent, and in no answer, log or audit row. A link is bound to its
//! person as they were registered then and to the address it went to, to the request, and to what the request would do, by a
//! hash of all its details; it is good until it is used, or too old. Only its hash is kept. What is done at it is in [`crate::routes`].

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use baton_core::audit::hex;
use baton_core::bundle::Hash;
use baton_core::canonical;
use baton_core::desk::{Person, Profile};
use baton_core::id::{PersonId, RunId, TenantId};
use baton_core::run::{Decider, Via};
use baton_core::time::Time;
use baton_engine::newest;
use baton_ports::desk::About;
use baton_ports::journal::DeskItem;
use baton_ports::mail::{Letter, NotSent};
use baton_ports::records::{self, Op};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::desk::Request;
use super::guest::Guest;
use super::query::Path;
use super::shapes::Problem as Refusal;
use super::webhooks::random;
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

const SPACE: &str = "decision_link";
/// The one channel that people have.
const EMAIL: &str = "email";
const WHO_ELSE: &str =
    "a link is for somebody who is asked, did not ask for this, and does not have it sent to themselves";
/// Characters of a person's name, and of a token.
const PERSON_CHARS_MAX: usize = 100;
const TOKEN_BYTES_MAX: usize = 300;
/// Seconds a link is good: a day unless told, a minute at the least, thirty days at the most.
const EXPIRES_S: u32 = 24 * 60 * 60;
const EXPIRES_S_MIN: u32 = 60;
const EXPIRES_S_MAX: u32 = 30 * EXPIRES_S;

/// A link, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Link {
    pub request: String,
    pub run: RunId,
    pub person: String,
    /// Of all that the request says it would do.
    digest: Hash,
    opened_at: Time,
    pub expires_at: Time,
    pub made_by: String,
    /// How it went to its person. Nothing where whoever asked for it was shown it, as older versions did: such a link
    /// opens nothing.
    #[serde(default)]
    channel: Option<String>,
    /// Whose it is; nothing where an older version made it, which nobody decides by any more.
    #[serde(default)]
    registration: Option<Registration>,
    /// What was decided by it.
    pub decided: Option<bool>,
}

/// A person as they were registered when a link went to them: who is registered under their name later, or is reached
/// elsewhere, is not who had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Registration {
    since: Time,
    /// Of the address that it went to.
    address: Hash,
}

impl Registration {
    fn of(person: &Person) -> Self {
        Self { since: person.created_at, address: Hash::of(person.profile.email.as_bytes()) }
    }
}

/// A link that somebody came by.
pub(crate) struct Found {
    pub tenant: TenantId,
    pub link: Link,
    key: String,
    version: u64,
}

/// Who is to decide.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LinkFor)]
pub(super) struct For {
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
    body::whole(from, "expires_s", EXPIRES_S_MIN.into()..=EXPIRES_S_MAX.into())
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Link)]
pub(super) struct Made {
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
    params(("approval_id" = String, Path)), request_body = For, responses((status = 201, body = Made),
    (status = "4XX", body = Refusal, content_type = "application/problem+json"),
    (status = 502, body = Refusal, content_type = "application/problem+json", description = "it was not delivered, and opens nothing")))]
pub(super) async fn create(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let For { person, expires_s } = body::json(body, door.limits).await?;
    let chars = person.chars().count();
    if person.trim().is_empty() || chars > PERSON_CHARS_MAX || person.chars().any(char::is_control) {
        return Err(Problem::field(
            "person",
            format_args!("it has 1 to {PERSON_CHARS_MAX} characters that can be read"),
        ));
    }
    let (work, now) = (door.work()?, door.clock.now());
    let Request { item, run, about } = Request::find(work, guest.tenant(), &id).await?;
    let addressee = registered(&door, guest.tenant(), &person).await?.ok_or_else(|| no_channel(&person))?;
    let via = Some(Via::Link { asked_by: guest.by().to_owned() });
    let known = door.desks.decider(&*work.read, guest.tenant(), &person).await?;
    let newest = newest::run(&*work.read, work.engine.library(), guest.tenant(), &run).await?;
    about
        .may_decide(&newest, &Decider { via, ..known }, true)
        .map_err(|refusal| Problem::refused(&run, &refusal).hint(WHO_ELSE))?;
    let Some(base) = door.config.public_url.as_deref() else {
        let detail = "nobody could open a link: it is not known at which address people reach this server";
        return Err(Problem::new(StatusCode::CONFLICT, code::LINK_NO_CHANNEL, detail)
            .hint("set `[serve] public_url = \"https://…\"` in baton.toml"));
    };
    let secret = BASE64_URL_SAFE_NO_PAD.encode(random()?);
    let link = Link {
        digest: digest(&item),
        opened_at: item.opened_at,
        request: item.id.clone(),
        run,
        person,
        expires_at: now + Duration::from_secs(expires_s.into()),
        made_by: guest.by().to_owned(),
        channel: Some(EMAIL.to_owned()),
        registration: Some(Registration::of(&addressee)),
        decided: None,
    };
    let key = hash(&secret);
    let insert = Op::Insert { space: SPACE.to_owned(), key: key.clone(), value: json!(link) };
    work.records.commit(guest.tenant(), vec![insert], now).await?;
    let url = format!("{}/decide/{}.{secret}", base.trim_end_matches('/'), guest.tenant());
    if let Err(unsent) = door.house()?.mail.send(guest.tenant(), &letter(&addressee.profile, &link, &item, &url)).await
    {
        // It may have arrived all the same, and opens nothing then.
        let delete = Op::Delete { space: SPACE.to_owned(), key };
        work.records.commit(guest.tenant(), vec![delete], now).await?;
        return Err(undelivered(&link.person, &unsent));
    }
    let made = json!({ "person": link.person, "channel": EMAIL, "expires_at": link.expires_at.to_string() });
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// What the desk has of a person.
async fn registered(door: &Door, tenant: &TenantId, person: &str) -> Result<Option<Person>, Problem> {
    let Ok(id) = PersonId::parse(person) else { return Ok(None) };
    let desk = door.desks.look(&*door.work()?.read, tenant).await?;
    Ok(desk.person(&id).cloned())
}

fn no_channel(person: &str) -> Problem {
    let detail = format!("`{person}` has no registered channel, so no link can be delivered to them");
    let hint = format!(
        "an admin registers their e-mail address: PUT /api/v1/human-agents/{person} with `name` and `email`; or they decide \
         with a key of their own"
    );
    Problem::new(StatusCode::CONFLICT, code::LINK_NO_CHANNEL, detail).hint(hint)
}

fn undelivered(person: &str, unsent: &NotSent) -> Problem {
    let detail = format!("the link was not delivered to `{person}`, and opens nothing: {unsent}");
    match unsent {
        NotSent::NoProvider(_) => Problem::new(StatusCode::CONFLICT, code::LINK_NO_CHANNEL, detail).hint(
            "docs/guides/configure-email.md says how mail is sent; until then people decide with keys of their own",
        ),
        NotSent::Refused(_) | NotSent::Failed(_) => {
            Problem::new(StatusCode::BAD_GATEWAY, code::LINK_NOT_DELIVERED, detail)
                .hint("look at the mail provider and at the address, then ask for another link")
        }
    }
}

/// Never logged, kept or shown: the address in it decides.
fn letter(profile: &Profile, link: &Link, item: &DeskItem, url: &str) -> Letter {
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
    Letter { id: uuid::Uuid::now_v7().to_string(), to: profile.email.clone(), subject: subject.to_owned(), text }
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()).into())
}

fn digest(item: &DeskItem) -> Hash {
    Hash::of(canonical::text(&json!([item.title, item.details])).as_bytes())
}

impl Found {
    /// The link of a token, whether it is still good or not.
    pub async fn by(work: &Work, token: &str) -> Result<Option<Self>, Problem> {
        let Some((tenant, secret)) = token.rsplit_once('.').filter(|_| token.len() <= TOKEN_BYTES_MAX) else {
            return Ok(None);
        };
        let Ok(tenant) = TenantId::parse(tenant) else { return Ok(None) };
        let key = hash(secret);
        let Some(record) = work.records.get(&tenant, SPACE, &key).await? else { return Ok(None) };
        let link: Link =
            serde_json::from_value(record.value).map_err(|error| Problem::broken("a link's row", &error))?;
        if link.channel.is_none() {
            return Ok(None);
        }
        Ok(Some(Self { tenant, link, key, version: record.version }))
    }

    /// The request, where it still waits and is word for word what the link was made for.
    pub async fn request(&self, work: &Work) -> Result<Option<(DeskItem, About)>, Problem> {
        let items = work.read.desk(&self.tenant, Some(&self.link.run)).await?;
        let item = items.into_iter().find(|item| item.id == self.link.request);
        let same = item.filter(|item| item.opened_at == self.link.opened_at && digest(item) == self.link.digest);
        Ok(same.and_then(|item| item.request().map(|about| (item, about))))
    }

    /// Its person, with the roles and skills that the desk has of them now; nothing where they are not of the desk any more,
    /// were registered anew since, or are reached at another address.
    pub async fn decider(&self, door: &Door, work: &Work) -> Result<Option<Decider>, Problem> {
        let person = registered(door, &self.tenant, &self.link.person).await?;
        if person.is_none_or(|person| self.link.registration != Some(Registration::of(&person))) {
            return Ok(None);
        }
        let known = door.desks.decider(&*work.read, &self.tenant, &self.link.person).await?;
        Ok(Some(Decider { via: Some(Via::Link { asked_by: self.link.made_by.clone() }), ..known }))
    }

    /// Uses it up for this decision. Whether it is good for it: it was not used, or for the very same.
    pub async fn spend(&mut self, work: &Work, approved: bool, now: Time) -> Result<bool, Problem> {
        if let Some(decided) = self.link.decided {
            return Ok(decided == approved);
        }
        let link = Link { decided: Some(approved), ..self.link.clone() };
        let (space, key, version) = (SPACE.to_owned(), self.key.clone(), self.version);
        let op = Op::CompareAndSet { space, key, version, value: json!(link) };
        match work.records.commit(&self.tenant, vec![op], now).await {
            Ok(()) => {
                self.link = link;
                Ok(true)
            }
            // Pressed twice at once, or by two who have it.
            Err(records::Error::Conflict { found: Some(found), .. }) => {
                let link = serde_json::from_value::<Link>(found.value);
                Ok(link.is_ok_and(|link| link.decided == Some(approved)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What its decision is put into the inbox under.
    pub fn command(&self) -> String {
        format!("link-{}", self.key)
    }
}
