//! The parts of the API document that all operations share, and the schemas that several of them use.

use baton_core::{conversation, routing, run};
use baton_ports::keys::{AccessRole, AccessScope};
use serde_json::Value;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, ArrayItems, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat,
    SchemaType, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, KnownFormat, OpenApi, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{Modify, ToSchema};

use super::idempotency;

/// One `ETag`, or `*` for any.
const IF_MATCH: &str = r#"^(\*|"(0|[1-9][0-9]{0,17})")$"#;
/// Printable ASCII without leading or trailing spaces, as headers can carry it.
const VISIBLE: &str = "^[!-~]([ -~]*[!-~])?$";

/// The security scheme: an API key as a bearer token.
pub(super) struct ApiKeySecurity;

impl Modify for ApiKeySecurity {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        document.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

/// Something that is told as it happens: an event of a stream, as the HTML standard reads one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = LiveEvent)]
pub(super) struct ServerSentEvent {
    /// What it is.
    event: String,
    /// Its place, where it has one: `Last-Event-ID` takes it.
    id: Option<String>,
    /// JSON; of what shape, the event says.
    data: String,
}

/// Completes the operations with the parts that hold for all of them.
pub(super) fn complete(document: &mut OpenApi) {
    let OpenApi { paths, components, .. } = document;
    let components = components.get_or_insert_default();
    components.schemas.values_mut().for_each(allow_any_fields);
    for (path, item) in &mut paths.paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            add_error_responses(operation);
            operation.operation_id = operation.operation_id.take().map(|verb| operation_id(path, &verb));
            operation.parameters.iter_mut().flatten().for_each(parameter);
            let bodies =
                operation.request_body.iter_mut().filter_map(inline_body).flat_map(|body| body.content.values_mut());
            let answers = operation.responses.responses.values_mut().filter_map(|response| match response {
                RefOr::T(response) => Some(response.content.values_mut()),
                RefOr::Ref(_) => None,
            });
            let contents = bodies.chain(answers.flatten()).filter_map(|content| match content {
                RefOr::T(content) => content.schema.as_mut(),
                RefOr::Ref(_) => None,
            });
            contents.for_each(allow_any_fields);
            if let Some(body) = operation.request_body.as_mut().and_then(inline_body) {
                make_optional(body, components);
            }
        }
    }
}

/// Marks an object without declared fields as one that may have any fields. JSON Schema has this as the default,
/// but generated clients take such an object for one without fields.
fn allow_any_fields(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            let is_object = match &object.schema_type {
                SchemaType::Type(kind) => *kind == Type::Object,
                SchemaType::Array(kinds) => kinds.contains(&Type::Object),
                SchemaType::AnyValue => false,
            };
            if is_object && object.properties.is_empty() && object.additional_properties.is_none() {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(true)));
            }
            object.properties.values_mut().for_each(allow_any_fields);
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                allow_any_fields(items);
            }
        }
        Schema::OneOf(one) => one.items.iter_mut().for_each(allow_any_fields),
        Schema::AllOf(all) => all.items.iter_mut().for_each(allow_any_fields),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(allow_any_fields),
        _ => {}
    }
}

fn inline_body(body: &mut RefOr<RequestBody>) -> Option<&mut RequestBody> {
    match body {
        RefOr::T(body) => Some(body),
        RefOr::Ref(_) => None,
    }
}

/// The operation id, from which generated clients derive their method names: the words of the path, and the verb.
/// The verb alone, as the handler is named in its module, is not unique.
fn operation_id(path: &str, verb: &str) -> String {
    let path = path.strip_prefix("/api/v1/").unwrap_or(path);
    let words = path.split('/').filter(|word| !word.is_empty() && !word.starts_with('{'));
    let mut words: Vec<String> = words.map(|word| word.replace(['-', '.'], "_")).collect();
    if words.last().is_none_or(|last| last != verb) {
        words.push(verb.to_owned());
    }
    words.join("_")
}

/// Adds the shared error responses: every operation may be refused, or find the server overloaded.
fn add_error_responses(operation: &mut Operation) {
    // OpenAPI requires a description of every response, and most are described by their schema.
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            status_description(status).clone_into(&mut response.description);
        }
    }
    let problem = |what: &str| {
        let schema = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        RefOr::T(ResponseBuilder::new().description(what).content("application/problem+json", content).build())
    };
    let responses = &mut operation.responses.responses;
    responses.entry("4XX".to_owned()).or_insert_with(|| problem("it is refused"));
    responses.entry("503".to_owned()).or_insert_with(|| problem("it could not be done now; try again"));
}

fn status_description(status: &str) -> &'static str {
    match status {
        "201" => "it is made",
        "202" => "it goes on",
        "204" => "it is done, and there is nothing to say",
        "404" => "there is no such thing",
        status if status.starts_with('2') => "it is done, or shown",
        _ => "it is refused",
    }
}

/// Path, query and header parameters have no `null`: a missing value is omitted. Some headers are the same for all
/// operations.
fn parameter(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(parameter) = parameter else { return };
    let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else { return };
    if let SchemaType::Array(types) = &mut schema.schema_type {
        types.retain(|kind| *kind != Type::Null);
        if let [only] = &types[..] {
            schema.schema_type = SchemaType::Type(only.clone());
        }
    }
    // All integer parameters are counts. Those without a declared maximum are bounded by their width.
    if schema.schema_type == SchemaType::Type(Type::Integer) && schema.maximum.is_none() {
        let narrow = schema.format == Some(SchemaFormat::KnownFormat(KnownFormat::Int32));
        schema.maximum = Some(if narrow { u32::MAX.into() } else { u64::MAX.into() });
    }
    if parameter.parameter_in != ParameterIn::Header {
        return;
    }
    match &*parameter.name {
        "If-Match" => schema.pattern = Some(IF_MATCH.to_owned()),
        "Idempotency-Key" => {
            schema.pattern = Some(VISIBLE.to_owned());
            schema.max_length = Some(idempotency::KEY_CHARS_MAX);
        }
        _ => {}
    }
}

/// A body without required fields may be omitted. An empty body counts as an empty object.
fn make_optional(body: &mut RequestBody, components: &Components) {
    let Some(RefOr::T(content)) = body.content.get("application/json") else { return };
    let Some(RefOr::Ref(named)) = &content.schema else { return };
    let name = named.ref_location.rsplit('/').next().unwrap_or_default();
    if let Some(RefOr::T(Schema::Object(schema))) = components.schemas.get(name) {
        let may_be_empty = schema.required.is_empty() && schema.min_properties.unwrap_or_default() == 0;
        body.required = Some(if may_be_empty { Required::False } else { Required::True });
    }
}

/// A string enumeration of these words.
fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Schema {
    let words: Vec<&str> = words.into_iter().collect();
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build().into()
}

/// The same, or null.
fn optional_one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Schema {
    let words: Vec<Value> = words.into_iter().map(Value::from).chain([Value::Null]).collect();
    let types = SchemaType::Array(vec![Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(types).enum_values(Some(words)).build().into()
}

/// One or more of these words, separated by commas.
fn comma_list_of(words: &str) -> Schema {
    let pattern = format!("^({words})(,({words}))*$");
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build().into()
}

pub(super) fn role() -> Schema {
    one_of(AccessRole::ALL.map(AccessRole::word))
}

pub(super) fn scopes() -> Schema {
    let words = ArrayBuilder::new().items(RefOr::T(one_of(AccessScope::ALL.map(AccessScope::word)))).min_items(Some(1));
    let none = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new().item(words).item(none).build().into()
}

pub(super) fn missed() -> Schema {
    one_of(["run_once", "once", "run_all", "all", "skip"])
}

pub(super) fn overlap() -> Schema {
    one_of(["allow", "skip", "wait"])
}

pub(super) fn form() -> Schema {
    one_of(["standard", "github", "stripe"])
}

pub(super) fn mode() -> Schema {
    one_of(["hybrid", "vector", "text"])
}

pub(super) fn presence() -> Schema {
    one_of(["online", "away", "offline"])
}

pub(super) fn cost_tier() -> Schema {
    one_of(["low", "medium", "high"])
}

pub(super) fn source_kind() -> Schema {
    one_of(["openapi", "mcp"])
}

pub(super) fn on_exceeded() -> Schema {
    optional_one_of(["refuse", "pause"])
}

pub(super) fn conversation_status() -> Schema {
    one_of(conversation::ConversationStatus::ALL.map(conversation::ConversationStatus::word))
}

pub(super) fn conversation_state() -> Schema {
    one_of(conversation::ConversationState::ALL.map(conversation::ConversationState::word))
}

/// The output formats for the graph of an execution.
pub(super) const GRAPH_FORMATS: [&str; 4] = ["json", "mermaid", "dot", "levels"];

pub(super) fn graph_format() -> Schema {
    one_of(GRAPH_FORMATS)
}

/// One or more execution states, separated by commas.
pub(super) fn execution_states() -> Schema {
    comma_list_of(&run::RunState::ALL.map(run::RunState::word).join("|"))
}

pub(super) fn priority() -> Schema {
    optional_one_of(routing::Priority::ALL.map(routing::Priority::word))
}

pub(super) fn promised_priority() -> Schema {
    one_of(routing::Priority::ALL.map(routing::Priority::word))
}

pub(super) fn desk_act() -> Schema {
    one_of(["raise_priority", "tell", "drop_skills"])
}

pub(super) fn audit_status() -> Schema {
    one_of(["success", "error", "compensated"])
}

pub(super) fn costs_by() -> Schema {
    comma_list_of("day|key|workflow|agent|profile|model|provider")
}

pub(super) fn uses_by() -> Schema {
    comma_list_of("tool|app|agent|user|day|month")
}

/// `YYYY-MM-DD`, in UTC.
pub(super) fn day() -> Schema {
    let day = SchemaFormat::KnownFormat(KnownFormat::Date);
    ObjectBuilder::new().schema_type(Type::String).format(Some(day)).build().into()
}

/// A day or an instant.
pub(super) fn moment() -> Schema {
    let instant = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    let instant = ObjectBuilder::new().schema_type(Type::String).format(Some(instant));
    // `anyOf`, because a validator that treats `format` as an annotation accepts both variants.
    AnyOfBuilder::new().item(day()).item(instant).build().into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    fn document() -> Value {
        serde_json::from_str(&crate::api::document()).expect("the document is JSON")
    }

    fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
        let paths = document["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, item)| {
            item.as_object()
                .into_iter()
                .flatten()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
    }

    #[test]
    fn what_an_address_or_a_header_carries_is_never_null_and_says_how_large_it_may_be() {
        let document = document();
        let mut looked_at = 0;
        for (operation, said) in operations(&document) {
            for parameter in said["parameters"].as_array().into_iter().flatten() {
                looked_at += 1;
                assert!(!parameter["schema"].to_string().contains("\"null\""), "{operation}: {parameter}");
                let whole = parameter["schema"]["type"] == "integer";
                let bounds = ["minimum", "maximum"].map(|bound| parameter["schema"][bound].is_number());
                assert!(!whole || bounds == [true; 2], "{operation}: {parameter}");
            }
        }
        assert!(looked_at > 100, "{looked_at}");
    }

    #[test]
    fn an_object_of_which_nothing_is_said_may_have_any_fields_and_one_that_may_have_none_says_so() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["Execute"]["properties"]["input_data"]["additionalProperties"], true);
        assert_eq!(schemas["Silent"]["additionalProperties"], false);
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document = document();
        let mut names = std::collections::BTreeMap::new();
        for (operation, said) in operations(&document) {
            let name = said["operationId"].as_str().expect("a name").to_owned();
            if let Some(other) = names.insert(name.clone(), operation.clone()) {
                panic!("`{name}` is both {other} and {operation}");
            }
        }
        assert!(names.contains_key("workflows_execute") && names.contains_key("executions_list"), "{names:?}");
    }

    #[test]
    fn every_answer_is_described() {
        let document = document();
        let mut looked_at = 0;
        for (operation, said) in operations(&document) {
            for (status, response) in said["responses"].as_object().into_iter().flatten() {
                looked_at += 1;
                assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{operation}: {status}");
            }
        }
        assert!(looked_at > 300, "{looked_at}");
    }

    #[test]
    fn a_body_of_which_nothing_must_be_said_may_be_left_out() {
        let document = document();
        let required = |path: &str| document["paths"][path]["post"]["requestBody"]["required"].clone();
        assert_eq!(required("/api/v1/executions/{execution_id}/cancel"), false);
        assert_eq!(required("/api/v1/keys"), true);
    }

    #[test]
    fn what_a_workflow_and_what_an_agent_is_executed_with_are_told_apart() {
        let document = document();
        let body = |path: &str| {
            let body = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            body.as_str().and_then(|body| document.pointer(body.trim_start_matches('#'))).expect("a schema").clone()
        };
        assert!(body("/api/v1/workflows/execute")["properties"]["workflow_id"].is_object());
        assert!(body("/api/v1/agents/{agent_id}/execute")["properties"]["task"].is_object());
    }
}
