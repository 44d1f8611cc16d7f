//! Traces of runs at a collector, and logs for programs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value as Json, json};

use crate::server::{BatonServer, wait_for};
use crate::test_folder::{CommandOutput, TestFolder};
use crate::upstream::UpstreamModel;

/// An address where no collector listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// A collector that stores what it receives.
pub struct OtlpCollector {
    pub url: String,
    told: Arc<Mutex<Vec<OtlpExport>>>,
}

struct OtlpExport {
    path: String,
    head: String,
    request: ExportTraceServiceRequest,
}

impl OtlpCollector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let told = Arc::<Mutex<Vec<OtlpExport>>>::default();
        let kept = told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Ok(told) = take(stream) {
                    kept.lock().expect("a lock").push(told);
                }
            }
        });
        Self { url, told }
    }

    pub fn spans(&self) -> Vec<Span> {
        let told = self.told.lock().expect("a lock");
        let resources = told.iter().flat_map(|told| &told.request.resource_spans);
        resources.flat_map(|of| &of.scope_spans).flat_map(|of| of.spans.clone()).collect()
    }
}

fn take(stream: TcpStream) -> std::io::Result<OtlpExport> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let from = head.len();
        if reader.read_line(&mut head)? == 0 {
            break;
        }
        if let Some(said) = head[from..].to_lowercase().strip_prefix("content-length:") {
            length = said.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok(OtlpExport {
        path,
        head: head.to_lowercase(),
        request: ExportTraceServiceRequest::decode(&*body).expect("protobuf"),
    })
}

fn clinic() -> TestFolder {
    TestFolder::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/clinic"))
}

const RUN: [&str; 9] = [
    "run",
    "front_desk",
    "-s",
    "message=Quiero cita para botox el martes a las 12:00",
    "-s",
    "name=Ana",
    "-s",
    "email=ana@example.com",
    "--json",
];

fn said(span: &Span) -> BTreeMap<String, Value> {
    let said = span.attributes.iter();
    said.filter_map(|said| Some((said.key.clone(), said.value.clone()?.value?))).collect()
}

#[test]
fn a_run_is_told_to_a_collector_as_a_tree() {
    let (place, collector) = (clinic(), OtlpCollector::start());
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=front"),
        ("OTEL_SERVICE_NAME", "clinic"),
    ];
    let done = CommandOutput::wait_for(place.spawn_with(&variables, &RUN)).expect_code(0);
    let run: Json = serde_json::from_str(&done.out).expect("JSON");
    let spans = collector.spans();
    let by_id: BTreeMap<&[u8], &Span> = spans.iter().map(|span| (&*span.span_id, span)).collect();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{spans:#?}");
    assert_eq!(roots[0].name, "front_desk");
    assert_eq!(said(roots[0])["baton.run.id"], Value::StringValue(run["execution_id"].as_str().expect("an id").into()));
    for span in &spans {
        assert_eq!(span.trace_id, roots[0].trace_id);
        assert!(span.parent_span_id.is_empty() || by_id.contains_key(&*span.parent_span_id), "{span:#?}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:#?}");
    }
    let calls: Vec<&Span> = spans.iter().filter(|span| span.name == "llm.call").collect();
    assert!(!calls.is_empty(), "{spans:#?}");
    for call in calls {
        assert_eq!(said(call)["gen_ai.provider.name"], Value::StringValue("script".into()));
        assert!(matches!(said(call)["gen_ai.usage.input_tokens"], Value::IntValue(_)));
    }
    assert!(spans.iter().any(|span| span.name.starts_with("tool.")), "{spans:#?}");
    let told = collector.told.lock().expect("a lock");
    for told in &*told {
        assert_eq!(told.path, "/v1/traces");
        assert!(told.head.contains("x-team: front"), "{}", told.head);
        let resource = told.request.resource_spans[0].resource.as_ref().expect("who tells");
        let name = resource.attributes.iter().find(|said| said.key == "service.name").expect("a name");
        assert_eq!(
            name.value.as_ref().and_then(|value| value.value.clone()),
            Some(Value::StringValue("clinic".into()))
        );
    }
}

const OUTSIDE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_run_is_part_of_its_callers_trace_and_whoever_it_calls_is_told_so() {
    let (collector, upstream) = (OtlpCollector::start(), UpstreamModel::start());
    let settings = format!(
        "[models]\nbase_url = \"{}\"\napi_key = \"k\"\n[models.models]\nfast = [\"mock\"]\n\
         [models.catalogue.mock]\ninput_usd_per_million = 0\noutput_usd_per_million = 1\n",
        upstream.url
    );
    let tool =
        format!("name: look\nkind: http\nclass: read\nmethod: POST\nurl: {}/look\nbody: {{a: 1}}\n", upstream.url);
    let place = TestFolder::with(&[
        ("baton.toml", settings.as_str()),
        ("tools/look.yaml", tool.as_str()),
        ("agents/greeter.yaml", "name: greeter\ntype: simple\nmodel_profile: fast\n"),
        ("workflows/inner.yaml", "name: inner\nnodes: [{id: say, agent: greeter, prompt_template: Hello}]\n"),
        (
            "workflows/outer.yaml",
            "name: outer\nnodes: [{id: look, tool: look}, {id: sub, type: subworkflow, workflow: inner}]\n\
             edges: [{from: look, to: sub}]\n",
        ),
    ]);
    let server = BatonServer::start_with(&place, &[("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())]);
    let key = server.key().expect("a key").to_owned();
    let run = |traceparent: &str| {
        let body = json!({ "workflow_id": "outer" });
        let headers = format!("traceparent: {traceparent}\r\n");
        let told = server.ask("POST /api/v1/workflows/execute", &key, &headers, &body).expect_status(200);
        assert_eq!(told["status"], "completed", "{told}");
        told["execution_id"].as_str().expect("an id").to_owned()
    };
    let spans_of = |run: &str| {
        wait_for("the run and the one it runs are told whole", || {
            let of = |span: &Span| matches!(&said(span).get("baton.run.id"), Some(Value::StringValue(id)) if id.starts_with(run));
            let spans: Vec<Span> = collector.spans().into_iter().filter(of).collect();
            spans.iter().any(|span| span.name == "outer").then_some(spans)
        })
    };
    let first = run(OUTSIDE);
    let spans = spans_of(&first);
    let (trace, parent) = (&OUTSIDE[3..35], &OUTSIDE[36..52]);
    assert!(spans.iter().all(|span| hex(&span.trace_id) == trace), "{spans:#?}");
    let whole = spans.iter().find(|span| span.name == "outer").expect("the run");
    assert_eq!(hex(&whole.parent_span_id), parent);
    let inner =
        spans.iter().find(|span| said(span).get("workflow.name") == Some(&Value::StringValue("outer/sub".into())));
    assert!(inner.is_some_and(|inner| hex(&inner.parent_span_id) != parent), "it is its parent's: {spans:#?}");
    let calls: Vec<String> = upstream.asked().into_iter().map(|asked| asked.traceparent.expect("a span")).collect();
    let of = |name: &str| spans.iter().find(|span| span.name == name).map(|span| hex(&span.span_id)).expect("a span");
    assert_eq!(calls, [of("tool.look"), of("llm.call")].map(|span| format!("00-{trace}-{span}-01")));

    let second = run("00-no-trace-01");
    let spans = spans_of(&second);
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id && hex(&span.trace_id) != trace));
    let told = upstream.asked()[2].traceparent.clone().expect("a span");
    assert!(told.starts_with(&format!("00-{}-", hex(&spans[0].trace_id))), "{told}");
}

#[test]
fn a_collector_that_is_not_there_stops_no_run() {
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY), ("BATON_LOG", "warn")];
    let done = CommandOutput::wait_for(clinic().spawn_with(&variables, &RUN)).expect_code(0);
    assert_eq!(done.err.matches("the collector does not take spans").count(), 1, "{}", done.err);
}

#[test]
fn what_is_no_address_of_a_collector_is_said_before_anything_is_run() {
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address")];
    CommandOutput::wait_for(clinic().spawn_with(&variables, &RUN)).expect_code(2).expect_stderr("OTEL_EXPORTER_OTLP");
}

#[test]
fn logs_are_an_object_a_line_where_programs_read_them() {
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY), ("BATON_LOG", "baton=warn"), ("BATON_LOG_FORMAT", "json")];
    let done = CommandOutput::wait_for(clinic().spawn_with(&variables, &RUN)).expect_code(0);
    let logged: Vec<Json> = done
        .err
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(!logged.is_empty(), "{}", done.err);
    for line in logged {
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
        assert_eq!(line["level"], "WARN");
        assert!(line["message"].as_str().is_some_and(|said| said.contains("collector")), "{line}");
    }
    CommandOutput::wait_for(clinic().spawn_with(&[("BATON_LOG_FORMAT", "xml")], &RUN))
        .expect_code(2)
        .expect_stderr("neither `text` nor `json`");
}
