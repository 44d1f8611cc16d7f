//! Property test with a thousand malformed replies. Each ends in data that satisfies the schema, taken from the
//! reply unchanged, or in a fault that says what is wrong.

use baton_core::agent::{AgentKind, AgentStep, AgentTask};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::code;
use crate::test_support::{said, step, task};

const REPLIES: u32 = 1_000;

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "intent": {"type": "string", "enum": ["return_request", "order_status", "complaint"]},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "urgent": {"type": "boolean"},
            "order": {"type": ["integer", "null"]},
            "entities": {"type": "object", "additionalProperties": {"type": "string"}},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3}
        },
        "required": ["intent", "confidence", "urgent", "entities"],
        "additionalProperties": false
    })
}

fn classifier(kind: AgentKind) -> AgentTask {
    let mut task = task(kind);
    task.agent.output_schema = Some(schema());
    task
}

fn right() -> impl Strategy<Value = Value> {
    let intent = prop_oneof![Just("return_request"), Just("order_status"), Just("complaint")];
    let order = prop_oneof![Just(Value::Null), (0_u32..9_999).prop_map(Value::from)];
    let entities = proptest::collection::btree_map("[a-z]{1,6}", "[a-zñ€\"\\\\ {}]{0,12}", 0..3);
    (intent, 0_u32..=100, any::<bool>(), order, entities).prop_map(|(intent, percent, urgent, order, entities)| {
        json!({
            "intent": intent, "confidence": f64::from(percent) / 100.0, "urgent": urgent, "order": order,
            "entities": entities, "tags": ["vip"]
        })
    })
}

/// Corrupts the reply in one of several ways, at the given place.
fn spoilt(mut value: Value, way: u8, place: Index) -> String {
    let cut = |text: &str| text[..text.floor_char_boundary(place.index(text.len() + 1))].to_owned();
    match way {
        0 => cut(&value.to_string()),
        1 => value.to_string().replace('"', "'"),
        2 => value.to_string().replacen('}', ",}", 1),
        3 => format!("Sure! Here it is:\n```json\n{value:#}\n```\nAnything else?"),
        4 => format!("```json\n{}", cut(&value.to_string())),
        5 => {
            value["confidence"] = json!("0.9");
            value.to_string()
        }
        6 => {
            value["urgent"] = json!("true");
            value.to_string()
        }
        7 => value.to_string().replacen(':', "", 1 + place.index(3)),
        8 => {
            value["confidence"] = json!(95);
            value.to_string()
        }
        9 => format!("[{value}]"),
        10 => json!({ "result": value }).to_string(),
        11 => format!("{value}{value}"),
        12 => value.to_string().replace("true", "True").replace("false", "False").replace("null", "None"),
        13 => format!("<think>{value}</think>"),
        14 => format!("<think>perhaps {{\"intent\": 1}}</think>{value}"),
        15 => value.to_string().replace(':', ": // a comment\n"),
        16 => format!("\u{feff}{value}"),
        17 => {
            let order = value["order"].clone();
            value["order"] = json!(format!("{order}"));
            value.to_string()
        }
        18 => serde_json::to_string(&value.to_string()).unwrap_or_default(),
        19 => value.to_string().replacen("\"intent\"", "\"intent\": \"complaint\", \"intent\"", 1),
        20 => {
            value["more"] = json!("NaN");
            value.to_string().replace("\"NaN\"", "NaN")
        }
        21 => "{".repeat(place.index(400)) + &value.to_string(),
        22 => format!("intent: {}\nconfidence: {}", value["intent"], value["confidence"]),
        23 => String::new(),
        _ => {
            let mut bytes = value.to_string().into_bytes();
            let at = place.index(bytes.len());
            bytes[at] = bytes[at].wrapping_add(1);
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }
}

fn replies() -> impl Strategy<Value = String> {
    (right(), 0_u8..32, any::<Index>()).prop_map(|(value, way, place)| spoilt(value, way, place))
}

/// Every substring of the text that is complete JSON, from each bracket to its end.
fn pieces(text: &str) -> Vec<Value> {
    let starts = text.match_indices('{').map(|(at, _)| at);
    starts.filter_map(|at| serde_json::Deserializer::from_str(&text[at..]).into_iter().next()?.ok()).collect()
}

const CODES: [&str; 4] = [code::REPLY_NOT_JSON, code::REPLY_INVALID, code::REPLY_EMPTY, code::REPLY_TRUNCATED];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(REPLIES))]

    #[test]
    fn a_malformed_reply_ends_in_valid_data_or_in_a_clear_error(first in replies(), second in replies()) {
        let task = classifier(AgentKind::Simple);
        let checked = jsonschema::validator_for(&schema()).expect("the schema compiles");
        let (last, end) = match step(&task, &[said(&first)]) {
            AgentStep::AskModel(request) => {
                let told = serde_json::to_string(&request.messages.last()).unwrap_or_default();
                prop_assert!(told.contains("could not be used"), "{told}");
                (second.clone(), step(&task, &[said(&first), said(&second)]))
            }
            end => (first, end),
        };
        match end {
            AgentStep::Answer { output } => {
                prop_assert!(checked.is_valid(&output), "{output} does not satisfy the schema");
                prop_assert!(pieces(&last).contains(&output), "{output} does not stand in {last:?}");
            }
            AgentStep::GiveUp(fault) => {
                prop_assert!(CODES.contains(&fault.code.as_ref()), "{fault}");
                prop_assert!(fault.message.starts_with("agent `helper`: "), "{fault}");
            }
            other => prop_assert!(false, "it should end, not {other:?}"),
        }
    }

    #[test]
    fn so_does_the_final_answer_of_a_reasoning_agent(first in replies(), second in replies()) {
        let task = classifier(AgentKind::Reasoning);
        let checked = jsonschema::validator_for(&schema()).expect("the schema compiles");
        match step(&task, &[said(&first), said(&second)]) {
            AgentStep::Answer { output } => {
                prop_assert!(checked.is_valid(&output["answer"]), "{output}");
                prop_assert!(pieces(&first).contains(&output["answer"]) || pieces(&second).contains(&output["answer"]));
            }
            AgentStep::GiveUp(fault) => prop_assert!(CODES.contains(&fault.code.as_ref()), "{fault}"),
            other => prop_assert!(false, "it should end, not {other:?}"),
        }
    }
}
