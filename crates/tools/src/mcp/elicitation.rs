//! Converts a server's form to a question, and the answer back to the server's format.

use std::time::Duration;

use baton_core::redact;
use baton_core::tool::{QuestionOutcome, QuestionReply, ToolQuestion};
use reqwest::Url;
use rmcp::model::{
    CallToolRequestParams, ElicitRequestParams, ElicitResult, ElicitationAction, InputRequest, InputRequiredResult,
};
use serde_json::{Map, Value, json};

use super::content::ERROR_BYTES_MAX;
use crate::outbound::display_url;
use crate::value_size::json_size;

/// Maximum size of a question with its form and the state that its server wants back, in bytes: all of it is
/// journaled.
const QUESTION_BYTES_MAX: usize = 64 << 10;
/// Maximum number of forms that a server may request at once.
const FORMS_MAX: usize = 8;

/// How questions of a call are handled.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuestionPolicy {
    /// A call that asked may be made again with the answer.
    pub(super) resumable: bool,
    /// How long a person has.
    pub(super) time_limit: Option<Duration>,
}

/// Converts a form that a server shows during a call.
///
/// # Errors
/// Why the question is not shown to anybody.
pub(super) fn question(params: &ElicitRequestParams) -> Result<ToolQuestion, String> {
    let (message, schema) = form(params)?;
    check_question(ToolQuestion { message, schema, resume: Value::Null })
}

/// Returns whether a server asks nothing and only wants to be called again.
pub(super) fn has_no_requests(asked: &InputRequiredResult) -> bool {
    asked.input_requests.as_ref().is_none_or(|requests| requests.is_empty())
}

/// Converts the forms that a server shows instead of acting to one question: the only form itself, or an object with
/// a field for each.
///
/// # Errors
/// Why the question is not shown to anybody.
pub(super) fn questions(asked: InputRequiredResult) -> Result<ToolQuestion, String> {
    if has_no_requests(&asked) {
        return Err("nothing".to_owned());
    }
    let requests = asked.input_requests.unwrap_or_default();
    if requests.len() > FORMS_MAX {
        return Err(format!("it wants {} forms filled at once, and may {FORMS_MAX}", requests.len()));
    }
    let forms = requests.iter().map(|(name, request)| match request {
        InputRequest::Elicitation(request) => form(&request.params).map(|form| (name.clone(), form)),
        InputRequest::CreateMessage(_) => Err("a reply of a model, which is not given to servers".to_owned()),
        InputRequest::ListRoots(_) => Err("folders, which are not shown to servers".to_owned()),
        _ => Err("something that is not understood here".to_owned()),
    });
    let mut forms = forms.collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = forms.iter().map(|(name, _)| name.clone()).collect();
    let resume = json!({"names": names, "state": asked.request_state});
    let (message, schema) = match forms.len() {
        1 => forms.remove(0).1,
        _ => {
            let messages: Vec<&str> = forms.iter().map(|(_, (message, _))| message.as_str()).collect();
            let fields: Map<String, Value> =
                forms.iter().map(|(name, (_, form))| (name.clone(), form.clone())).collect();
            let schema =
                json!({"type": "object", "properties": fields, "required": names, "additionalProperties": false});
            (messages.join("\n"), schema)
        }
    };
    check_question(ToolQuestion { message, schema, resume })
}

/// Returns the message and the schema of one form.
fn form(params: &ElicitRequestParams) -> Result<(String, Value), String> {
    match params {
        ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
            Ok((message.clone(), json!(requested_schema)))
        }
        ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
            // Such an address is often a key in itself, so logs and the journal omit its query and
            // fragment.
            let place = Url::parse(url).map_or_else(|_| "what is no address".to_owned(), |url| display_url(&url));
            let mut message = redact::text(message).into_owned();
            message.truncate(message.floor_char_boundary(ERROR_BYTES_MAX));
            Err(format!("that somebody visits {place}, where nobody is sent by a server: {message}"))
        }
        _ => Err("something that is not understood here".to_owned()),
    }
}

fn check_question(question: ToolQuestion) -> Result<ToolQuestion, String> {
    let bytes = question.message.len() + json_size(&question.schema) + json_size(&question.resume);
    if bytes > QUESTION_BYTES_MAX {
        return Err(format!("a form of {bytes} bytes, over the limit of {QUESTION_BYTES_MAX}"));
    }
    match jsonschema::validator_for(&question.schema) {
        Ok(_) => Ok(question),
        Err(error) => Err(format!("a form that nothing can fit: {error}")),
    }
}

/// The response to a server that asked during a call.
pub(super) fn elicit_result(said: QuestionOutcome) -> ElicitResult {
    match said {
        QuestionOutcome::Filled { form } => ElicitResult::new(ElicitationAction::Accept).with_content(form),
        QuestionOutcome::Declined => ElicitResult::new(ElicitationAction::Decline),
        QuestionOutcome::Lapsed => ElicitResult::new(ElicitationAction::Cancel),
    }
}

/// Returns whether the call continues one whose server asked instead of acting.
pub(super) fn is_resumption(replies: &[QuestionReply]) -> bool {
    replies.last().is_some_and(|reply| !reply.question.resume.is_null())
}

/// Adds the answer to what the server last asked instead of acting to the request of a call.
pub(super) fn with_replies(mut params: CallToolRequestParams, replies: &[QuestionReply]) -> CallToolRequestParams {
    let Some(QuestionReply { question, said }) = replies.last().filter(|reply| !reply.question.resume.is_null()) else {
        return params;
    };
    let names: Vec<&str> =
        question.resume["names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_only = names.len() == 1;
    let answer = |name: &&str| {
        let said = match said {
            QuestionOutcome::Filled { form } if !is_only => QuestionOutcome::Filled { form: form[*name].clone() },
            said => said.clone(),
        };
        // An answer consists of text, an action and JSON, so it always serialises.
        ((*name).to_owned(), serde_json::to_value(elicit_result(said)).unwrap_or_default())
    };
    params = params.with_input_responses(names.iter().map(answer).collect());
    match question.resume["state"].as_str() {
        Some(state) => params.with_request_state(state),
        None => params,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(requests: Value) -> Result<ToolQuestion, String> {
        let result = json!({"resultType": "input_required", "inputRequests": requests, "requestState": "round 1"});
        questions(serde_json::from_value(result).unwrap())
    }

    fn form_of(message: &str, name: &str) -> Value {
        let form = json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
        json!({"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": form}})
    }

    fn sent(question: ToolQuestion, said: QuestionOutcome) -> Value {
        let params = CallToolRequestParams::new("book");
        json!(with_replies(params, &[QuestionReply { question, said }]))
    }

    #[test]
    fn one_form_is_asked_as_it_is_and_answered_under_its_name() {
        let question = asked(json!({"where": form_of("Which seat?", "seat")})).unwrap();
        assert_eq!((question.message.as_str(), question.schema["required"][0].as_str()), ("Which seat?", Some("seat")));
        let params = sent(question.clone(), QuestionOutcome::Filled { form: json!({"seat": "1A"}) });
        assert_eq!(params["inputResponses"], json!({"where": {"action": "accept", "content": {"seat": "1A"}}}));
        assert_eq!(params["requestState"], "round 1");
        let declined = sent(question.clone(), QuestionOutcome::Declined);
        assert_eq!(declined["inputResponses"]["where"]["action"], "decline");
        assert_eq!(sent(question, QuestionOutcome::Lapsed)["inputResponses"]["where"]["action"], "cancel");
    }

    #[test]
    fn several_forms_are_one_with_a_field_for_each() {
        let question =
            asked(json!({"a": form_of("Which seat?", "seat"), "b": form_of("Which meal?", "meal")})).unwrap();
        assert_eq!(question.message, "Which seat?\nWhich meal?");
        let form = json!({"a": {"seat": "1A"}, "b": {"meal": "rice"}});
        assert!(jsonschema::is_valid(&question.schema, &form) && !jsonschema::is_valid(&question.schema, &form["a"]));
        let params = sent(question, QuestionOutcome::Filled { form });
        assert_eq!(
            params["inputResponses"],
            json!({
                "a": {"action": "accept", "content": {"seat": "1A"}}, "b": {"action": "accept", "content": {"meal": "rice"}},
            })
        );
    }

    #[test]
    fn what_nobody_can_fill_in_is_not_asked() {
        let url = json!({"method": "elicitation/create", "params":
            {"mode": "url", "message": "Log in as ana@clinic.example",
             "url": "https://me:pw@x.example/login?token=t0ken#t0ken", "elicitationId": "1"}});
        let reason = asked(json!({"x": url})).unwrap_err();
        assert!(reason.contains("https://x.example/login,") && reason.contains("Log in as "), "{reason}");
        assert!(!["t0ken", "me:pw", "ana@"].iter().any(|private| reason.contains(private)), "{reason}");
        let long = form_of(&"x".repeat(100_000), "seat");
        let model = json!({"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}});
        for (request, why) in [(url, "nobody is sent"), (long, "over the limit"), (model, "a model")] {
            let told = asked(json!({"x": request}));
            assert!(told.as_ref().is_err_and(|reason| reason.contains(why)), "{why}: {told:?}");
        }
        let many: Map<String, Value> = (0..9).map(|n| (n.to_string(), form_of("?", "seat"))).collect();
        assert!(asked(many.into()).unwrap_err().contains("9 forms"));
        assert!(asked(json!({})).is_err(), "a form without fields");
    }

    #[test]
    fn a_call_without_an_answer_goes_out_as_it_is() {
        let question = ToolQuestion { message: "?".to_owned(), schema: json!({}), resume: Value::Null };
        let params = sent(question, QuestionOutcome::Declined);
        assert_eq!(params, json!({"name": "book"}));
    }
}
