//! One clinic: a project whose tools call the ledger's services.

use crate::aim::{self, KillPoint};
use crate::ledger::ServiceLedger;
use crate::project::KillProject;
use crate::trial::{self, KillReport};

const WORKFLOW: &str = r#"
name: booking
version: "1"
nodes:
  - {id: understand, agent: reader, task: "{{ message }}"}
  - {id: availability, tool: availability, parameters: {date: "{{ understand.date }}"}}
  - {id: booking, tool: booking, parameters: {date: "{{ understand.date }}"}}
  - {id: payment, tool: payment, parameters: {booking: "{{ booking.id }}"}}
  - {id: notify, type: parallel}
  - {id: whatsapp, tool: whatsapp, parameters: {text: "paid {{ payment.id }}"}}
  - {id: email, tool: email, parameters: {text: "paid {{ payment.id }}"}}
  - {id: notified, type: merge}
  - {id: confirmation, tool: confirmation, parameters: {booking: "{{ booking.id }}"}}
edges:
  - {from: understand, to: availability}
  - {from: availability, to: booking}
  - {from: booking, to: payment}
  - {from: payment, to: notify}
  - {from: notify, to: whatsapp}
  - {from: notify, to: email}
  - {from: whatsapp, to: notified}
  - {from: email, to: notified}
  - {from: notified, to: confirmation}
"#;

const AGENT: &str = r#"
name: reader
type: simple
prompt: "{{ message }}"
output_schema: {type: object, properties: {date: {type: string}}, required: [date]}
"#;

const REPLIES: &str = r#"
agent: reader
replies:
  - json: {date: "2030-01-08"}
    latency_ms: 20
"#;

pub struct ClinicProject {
    pub project: KillProject,
    pub ledger: ServiceLedger,
}

impl ClinicProject {
    pub fn open() -> Self {
        let ledger = ServiceLedger::default();
        let port = ledger.serve();
        let project = KillProject::new("booking");
        project.write("baton.toml", "[models]\nprovider = \"script\"\n[tools.outbound]\nallow = [\"127.0.0.1\"]\n");
        project.write("workflows/booking.yaml", WORKFLOW);
        project.write("agents/reader.yaml", AGENT);
        project.write("replies/reader.yaml", REPLIES);
        project.write("tools/services.yaml", &tools(port));
        Self { project, ledger }
    }

    pub fn killed(&self, run: &str, kill: KillPoint) -> KillReport {
        let (child, began) = self.project.begin(run);
        aim::kill(&self.ledger, child, began, &kill);
        trial::judge(self, run, &kill)
    }
}

fn tools(port: u16) -> String {
    let plain = |name: &str, more: &str| {
        format!(
            "  - name: {name}\n    kind: http\n    url: http://127.0.0.1:{port}/{name}\n    timeout_ms: 1000\n    \
             retry: {{max_attempts: 4, initial_ms: 10, max_ms: 50}}\n    \
             body: {{key: \"{{{{ key }}}}\", run: \"{{{{ run }}}}\"}}\n{more}"
        )
    };
    let undo = "    irreversible: \"the clinic keeps it\"\n";
    let keyed = format!("    idempotency_header: Idempotency-Key\n{undo}");
    let looked_up = format!(
        "    class: verify\n    lookup:\n      url: http://127.0.0.1:{port}/look/{{{{ key }}}}\n      \
         done: body.found\n      not_done: \"body.found == `false`\"\n      result: payment\n{undo}"
    );
    [
        "tools:\n".to_owned(),
        plain("availability", "    class: read\n"),
        plain("booking", &keyed),
        plain("payment", &looked_up),
        plain("whatsapp", &format!("    class: once\n{undo}")),
        plain("email", &keyed),
        plain("confirmation", "    class: read\n"),
    ]
    .concat()
}
