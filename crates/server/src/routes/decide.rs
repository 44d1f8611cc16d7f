//! `/decide/{token}`: the page behind a decision link, where a person approves or rejects a request. It needs no
//! API key; the link is the credential.
//!
//! GET never acts, so mail scanners that open links decide nothing. Only a submitted form does. The page needs no
//! script and runs none.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use baton_engine::{DeliveryResult, RunFollower, snapshot_reader};
use baton_ports::journal::TaskItem;
use baton_ports::task_inbox::ApprovalSubject;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api::ResolvedLink;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices, ServerLimits};

/// Maximum size of the submitted form, in bytes.
const FORM_BYTES_MAX: usize = 16 << 10;
/// Maximum length of a reason, in characters.
const REASON_CHARS_MAX: usize = 2_000;
/// Maximum number of characters shown of the details. The run's journal has all of them.
const SHOWN_CHARS_MAX: usize = 20_000;
/// How long to wait for the run to apply the decision.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The texts of the page, in the reader's language.
struct DecisionPageText {
    lang: &'static str,
    title: &'static str,
    for_whom: &'static str,
    until: &'static str,
    asked_by: &'static str,
    sent_by: &'static str,
    approved_by: &'static str,
    tool: &'static str,
    what: &'static str,
    reason: &'static str,
    approve: &'static str,
    reject: &'static str,
    unknown: &'static str,
    expired: &'static str,
    used: &'static str,
    closed: &'static str,
    moved: &'static str,
    approved: &'static str,
    rejected: &'static str,
    neither: &'static str,
    refused: &'static str,
    unwell: &'static str,
}

const ENGLISH: DecisionPageText = DecisionPageText {
    lang: "en",
    title: "A decision is asked of you",
    for_whom: "You decide as",
    until: "This link is good until",
    asked_by: "Asked by",
    sent_by: "This link was sent for",
    approved_by: "Approved so far by",
    tool: "Would be called",
    what: "Exactly this would be done",
    reason: "Reason (kept with the decision)",
    approve: "Approve",
    reject: "Reject",
    unknown: "This link is not known. Ask whoever sent it for another.",
    expired: "This link is too old. Ask whoever sent it for another.",
    used: "This link was used. Nothing further was decided.",
    closed: "This does not wait for a decision any more, or it is not what the link was made for. Nothing was decided.",
    moved: "This link went to somebody who is not registered any more, was registered anew, or is reached at another address \
            now. Nothing was decided. Ask whoever had it sent for another.",
    approved: "Your approval is recorded.",
    rejected: "Your rejection is recorded.",
    neither: "Say approve or reject. Nothing was decided.",
    refused: "The decision was not taken:",
    unwell: "This cannot be done at the moment. Try again in a minute.",
};

const SPANISH: DecisionPageText = DecisionPageText {
    lang: "es",
    title: "Se le pide una decisión",
    for_whom: "Decide en nombre de",
    until: "Este enlace vale hasta",
    asked_by: "Lo pide",
    sent_by: "Este enlace lo pidió",
    approved_by: "Aprobado hasta ahora por",
    tool: "Se llamaría a",
    what: "Se haría exactamente esto",
    reason: "Motivo (se guarda con la decisión)",
    approve: "Aprobar",
    reject: "Rechazar",
    unknown: "Este enlace no se conoce. Pida otro a quien se lo envió.",
    expired: "Este enlace ha caducado. Pida otro a quien se lo envió.",
    used: "Este enlace ya se usó. No se ha decidido nada más.",
    closed: "Esto ya no espera una decisión, o no es aquello para lo que se hizo el enlace. No se ha decidido nada.",
    moved: "Este enlace se envió a alguien que ya no está dado de alta, que se dio de alta de nuevo o que tiene ahora otra \
            dirección. No se ha decidido nada. Pida otro a quien hizo que se enviara.",
    approved: "Su aprobación queda registrada.",
    rejected: "Su rechazo queda registrado.",
    neither: "Diga aprobar o rechazar. No se ha decidido nada.",
    refused: "La decisión no se aceptó:",
    unwell: "Ahora no se puede. Inténtelo de nuevo en un minuto.",
};

fn page_text(headers: &HeaderMap) -> &'static DecisionPageText {
    let asked = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = asked.split(',').next().unwrap_or_default().trim().to_ascii_lowercase();
    if first.starts_with("es") { &SPANISH } else { &ENGLISH }
}

/// The fields of the form.
#[derive(Deserialize)]
struct DecisionForm {
    #[serde(default)]
    decision: String,
    #[serde(default)]
    reason: String,
}

/// Shows the request and changes nothing.
pub(crate) async fn show(State(state): State<AppState>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let words = page_text(&headers);
    let shown = async {
        let services = state.run_services()?;
        let _room = state.request_permits.try_acquire().map_err(|_| HttpProblem::overloaded())?;
        match valid_request(&state, services, &token, words).await? {
            Ok((found, item, about)) => decision_page(services, &found, &item, &about, words).await,
            Err(told) => Ok(told),
        }
    };
    shown.await.unwrap_or_else(|problem| error_page(&problem, words))
}

/// Submits the decision.
pub(crate) async fn decide(
    State(state): State<AppState>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let words = page_text(&headers);
    submit_decision(&state, &token, body, words).await.unwrap_or_else(|problem| error_page(&problem, words))
}

async fn submit_decision(
    state: &AppState,
    token: &str,
    body: Body,
    words: &DecisionPageText,
) -> Result<Response, HttpProblem> {
    let services = state.run_services()?;
    let _room = state.request_permits.try_acquire().map_err(|_| HttpProblem::overloaded())?;
    let Some(mut found) = ResolvedLink::find_by_token(services, token).await? else {
        return Ok(page(StatusCode::NOT_FOUND, words, words.unknown));
    };
    if !services.agent_registry.tenants().is_enabled(&found.tenant, state.clock.now()).await? {
        return Ok(page(StatusCode::GONE, words, words.closed));
    }
    let limits = ServerLimits { body_bytes: FORM_BYTES_MAX, ..state.limits };
    let form = body::read(body, limits).await.map_err(|unread| HttpProblem::unreadable_body(&unread, limits))?;
    let DecisionForm { decision, reason } = parse_form(&form);
    let approved = match decision.as_str() {
        "approve" => true,
        "reject" => false,
        _ => return Ok(page(StatusCode::UNPROCESSABLE_ENTITY, words, words.neither)),
    };
    let now = state.clock.now();
    // A link that was used for the same decision shows the same result, because the first response may have been
    // lost.
    let was_used = found.link.decided == Some(approved);
    if found.link.expires_at <= now && !was_used {
        return Ok(page(StatusCode::GONE, words, words.expired));
    }
    if found.link.decided.is_some() && !was_used {
        return Ok(page(StatusCode::GONE, words, words.used));
    }
    let recorded = if approved { words.approved } else { words.rejected };
    let (about, decider) = match (found.request(services).await?, found.decider(state, services).await?) {
        (Some((_, about)), Some(decider)) => (about, decider),
        (None, _) if was_used => return Ok(page(StatusCode::OK, words, recorded)),
        (Some(_), None) if was_used => return Ok(page(StatusCode::GONE, words, words.used)),
        (_, None) => return Ok(person_changed_page(words)),
        (None, Some(_)) => return Ok(page(StatusCode::GONE, words, words.closed)),
    };
    // A refused decision does not use up the link.
    if !was_used {
        let run =
            snapshot_reader::read_run(&*services.read, services.engine.workflows(), &found.tenant, &found.link.run)
                .await?;
        if let Err(refusal) = about.may_decide(&run, &decider, approved) {
            return Ok(page(StatusCode::CONFLICT, words, &format!("{} {refusal}", words.refused)));
        }
    }
    if !found.redeem(services, approved, now).await? {
        return Ok(page(StatusCode::GONE, words, words.used));
    }
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let incoming = about.decision(decider, approved, reason);
    let run = &found.link.run;
    let mut follower = RunFollower::new(&services.engine, services.read.clone(), found.tenant.clone());
    follower.follow(run).await?;
    Ok(match follower.deliver_as(&found.command_id(), run, &incoming, SUBMIT_TIMEOUT).await? {
        DeliveryResult::Applied | DeliveryResult::Accepted => page(StatusCode::OK, words, recorded),
        DeliveryResult::Refused(refusal) => page(StatusCode::CONFLICT, words, &format!("{} {refusal}", words.refused)),
    })
}

/// Parses the form's fields, which are encoded like a query string.
fn parse_form(form: &[u8]) -> DecisionForm {
    let nothing = || DecisionForm { decision: String::new(), reason: String::new() };
    let text = std::str::from_utf8(form).unwrap_or_default();
    let Ok(address) = format!("/?{text}").parse::<Uri>() else { return nothing() };
    Query::try_from_uri(&address).map_or_else(|_| nothing(), |Query(said)| said)
}

/// The request of a valid link, or the page that says why the link is not valid.
async fn valid_request(
    state: &AppState,
    services: &RunServices,
    token: &str,
    words: &DecisionPageText,
) -> Result<Result<(ResolvedLink, TaskItem, ApprovalSubject), Response>, HttpProblem> {
    let Some(found) = ResolvedLink::find_by_token(services, token).await? else {
        return Ok(Err(page(StatusCode::NOT_FOUND, words, words.unknown)));
    };
    let why = if !services.agent_registry.tenants().is_enabled(&found.tenant, state.clock.now()).await? {
        words.closed
    } else if found.link.decided.is_some() {
        words.used
    } else if found.link.expires_at <= state.clock.now() {
        words.expired
    } else if found.decider(state, services).await?.is_none() {
        return Ok(Err(person_changed_page(words)));
    } else if let Some((item, about)) = found.request(services).await? {
        return Ok(Ok((found, item, about)));
    } else {
        words.closed
    };
    Ok(Err(page(StatusCode::GONE, words, why)))
}

async fn decision_page(
    services: &RunServices,
    found: &ResolvedLink,
    item: &TaskItem,
    about: &ApprovalSubject,
    words: &DecisionPageText,
) -> Result<Response, HttpProblem> {
    let run =
        snapshot_reader::read_run(&*services.read, services.engine.workflows(), &found.tenant, &found.link.run).await?;
    let request = about.as_json(item, &run);
    let text = |name: &str| request[name].as_str().map(escaped);
    let mut rows = String::new();
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = write!(rows, "<dt>{name}</dt><dd>{value}</dd>");
        }
    };
    let approved_by: Vec<String> = about.approved_by(&run).iter().map(|name| escaped(name)).collect();
    row(words.for_whom, Some(escaped(&found.link.person)));
    row(words.asked_by, text("asked_by"));
    row(words.sent_by, Some(escaped(&found.link.made_by)));
    row(words.approved_by, Some(approved_by.join(", ")));
    row(words.tool, text("tool"));
    row(words.until, Some(found.link.expires_at.to_string()));
    let what = item.details.get("arguments").or_else(|| item.details.get("details")).unwrap_or(&item.details);
    let html = format!(
        "<p class=\"what\">{}</p><dl>{rows}</dl>{}\
         <form method=\"post\"><label for=\"reason\">{}</label>\
         <textarea id=\"reason\" name=\"reason\" rows=\"3\" maxlength=\"{REASON_CHARS_MAX}\"></textarea>\
         <p><button name=\"decision\" value=\"approve\">{}</button> \
         <button name=\"decision\" value=\"reject\">{}</button></p></form>",
        escaped(&item.title),
        details(what, words),
        words.reason,
        words.approve,
        words.reject,
    );
    Ok(html_page(StatusCode::OK, words, &html))
}

/// The details of the action, if the request has any.
fn details(what: &Value, words: &DecisionPageText) -> String {
    if matches!(what, Value::Null) || what.as_object().is_some_and(Map::is_empty) {
        return String::new();
    }
    let what = serde_json::to_string_pretty(what).unwrap_or_default();
    let shown: String = what.chars().take(SHOWN_CHARS_MAX).collect();
    let cut = if shown.len() < what.len() { "\n…" } else { "" };
    format!("<h2>{}</h2><pre>{}{cut}</pre>", words.what, escaped(&shown))
}

fn page(status: StatusCode, words: &DecisionPageText, says: &str) -> Response {
    html_page(status, words, &format!("<p class=\"what\">{}</p>", escaped(says)))
}

/// The person may no longer be the one to whom the link was sent.
fn person_changed_page(words: &DecisionPageText) -> Response {
    let code = code::LINK_PERSON_CHANGED;
    html_page(StatusCode::GONE, words, &format!("<p class=\"what\">{}</p><p>{code}</p>", escaped(words.moved)))
}

/// Internal errors are not shown to the person.
fn error_page(problem: &HttpProblem, words: &DecisionPageText) -> Response {
    let says = if problem.status.is_server_error() { words.unwell } else { &problem.detail };
    page(problem.status, words, says)
}

fn html_page(status: StatusCode, words: &DecisionPageText, inner: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"{lang}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>{inner}</main></body></html>\n",
        lang = words.lang,
        title = words.title,
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ];
    (status, headers, html).into_response()
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;color-scheme:light dark}\
main{max-width:42rem;margin:2rem auto;padding:0 1rem}.what{font-size:1.2rem}dt{font-weight:600}dd{margin:0 0 .5rem}\
pre{overflow:auto;padding:1rem;border:1px solid;white-space:pre-wrap}textarea{width:100%;font:inherit}\
button{font:inherit;padding:.5rem 1.5rem;margin-right:1rem}label{display:block}";

/// Escapes text for HTML content and attributes.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, c| {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
        html
    })
}
