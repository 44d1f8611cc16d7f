//! Decision links: an address by which one person decides one request, once.
//!
//! A link is bound to its person, to the request, and to what the request would do, by a hash of all its details; it is good
//! until it is used, or too old. Only its hash is kept. What is done at it is in [`crate::routes`].

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use baton_core::audit::hex;
use baton_core::bundle::Hash;
use baton_core::canonical;
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_ports::desk::About;
use baton_ports::journal::DeskItem;
use baton_ports::records::{self, Op};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::desk::Request;
use super::guest::Guest;
use super::once;
use super::query::Path;
use super::shapes::Problem as Refusal;
use super::webhooks::random;
use crate::body;
use crate::door::{Door, Work};
use crate::problem::Problem;

const SPACE: &str = "decision_link";
/// Characters of a person's name, and of a token.
const PERSON_CHARS_MAX: usize = 100;
const TOKEN_BYTES_MAX: usize = 300;
/// Seconds a link is good: a day unless told, thirty days at the most.
const EXPIRES_S: u32 = 24 * 60 * 60;
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
    made_by: String,
    /// What was decided by it.
    pub decided: Option<bool>,
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
    /// In whose name is decided: as rules about who may, and the audit trail, know them.
    #[schema(pattern = r"^[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$", max_length = 100)]
    person: String,
    /// Seconds the link is good: 60 to 2592000, a day unless told.
    #[serde(default = "a_day")]
    #[schema(minimum = 60, maximum = 2_592_000)]
    expires_s: u32,
}

fn a_day() -> u32 {
    EXPIRES_S
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Link)]
pub(super) struct Made {
    /// Where the person decides, below the server's address. Shown this once; whoever has it decides in the person's name.
    path: String,
    person: String,
    expires_at: String,
}

/// Makes a link by which one person decides this request, once
#[utoipa::path(post, path = "/api/v1/approvals/{approval_id}/links", tag = "desk",
    params(("approval_id" = String, Path)), request_body = For, responses((status = 201, body = Made),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
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
    if !(60..=EXPIRES_S_MAX).contains(&expires_s) {
        return Err(Problem::field("expires_s", format_args!("it is 60 to {EXPIRES_S_MAX}")));
    }
    let (work, now) = (door.work()?, door.clock.now());
    let Request { item, run, .. } = Request::find(work, guest.tenant(), &id).await?;
    let secret = BASE64_URL_SAFE_NO_PAD.encode(random()?);
    let link = Link {
        digest: digest(&item),
        opened_at: item.opened_at,
        request: item.id,
        run,
        person,
        expires_at: now + Duration::from_secs(expires_s.into()),
        made_by: guest.by().to_owned(),
        decided: None,
    };
    let insert = Op::Insert { space: SPACE.to_owned(), key: hash(&secret), value: json!(link) };
    work.records.commit(guest.tenant(), vec![insert], now).await?;
    let path = format!("/decide/{}.{secret}", guest.tenant());
    let made = json!({ "path": path, "person": link.person, "expires_at": link.expires_at.to_string() });
    Ok(once::shown_once(StatusCode::CREATED, made, "path"))
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
        let link = serde_json::from_value(record.value).map_err(|error| Problem::broken("a link's row", &error))?;
        Ok(Some(Self { tenant, link, key, version: record.version }))
    }

    /// The request, where it still waits and is word for word what the link was made for.
    pub async fn request(&self, work: &Work) -> Result<Option<(DeskItem, About)>, Problem> {
        let items = work.read.desk(&self.tenant, Some(&self.link.run)).await?;
        let item = items.into_iter().find(|item| item.id == self.link.request);
        let same = item.filter(|item| item.opened_at == self.link.opened_at && digest(item) == self.link.digest);
        Ok(same.and_then(|item| item.request().map(|about| (item, about))))
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
