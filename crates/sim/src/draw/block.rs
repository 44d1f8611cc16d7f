//! The blocks of a graph.

use serde_json::{Value, json};

use super::catalog::{AGENT, PROXY, REASONING, SIGNALS, TOOLS};
use super::{OpenBranches, WorkflowWriter, agent_turns};
use crate::rng::SeededRng;

/// The percentage of agents with a shipped step function.
const SHIPPED: u64 = 40;
/// Maximum depth of nested bodies.
const INSIDE_MAX: u32 = 2;
/// Maximum depth of nested blocks in one graph.
const DEEP_MAX: u32 = 2;

#[derive(Clone, Copy)]
enum BlockKind {
    Tool,
    Transform,
    Wait,
    Signal,
    Human,
    Agent,
    Requests,
    Sink,
    Child,
    Condition,
    Switch,
    FanOut,
    Parallel,
    Each,
    Repeat,
    ErrorHandler,
}

impl WorkflowWriter<'_> {
    /// Writes one block after `from` and returns its open ends.
    pub(super) fn block(&mut self, from: OpenBranches, deep: u32) -> OpenBranches {
        match self.choose(deep) {
            BlockKind::Tool => self.tool(from),
            BlockKind::Transform => self.transform(from),
            BlockKind::Wait => self.wait(from),
            BlockKind::Signal => self.signal(from),
            BlockKind::Human => self.human(from),
            BlockKind::Agent => self.agent(from),
            BlockKind::Requests => self.requests(from),
            BlockKind::Sink => self.single("sink", json!({ "action": "finish_conversation" }), from),
            BlockKind::Child => self.child(from),
            BlockKind::Condition => self.condition(from, deep),
            BlockKind::Switch => self.switch(from, deep),
            BlockKind::FanOut => self.fan_out(from, deep),
            BlockKind::Parallel => self.parallel(from),
            BlockKind::Each => self.each(from),
            BlockKind::Repeat => self.repeat(from),
            BlockKind::ErrorHandler => self.error_handler(from),
        }
    }

    fn choose(&mut self, deep: u32) -> BlockKind {
        let free = u64::from(!self.constraints.confluent);
        let room = u64::from(deep < DEEP_MAX && self.nodes_left > 3);
        let nest = u64::from(self.body_depth < INSIDE_MAX && self.nodes_left > 2);
        let child = u64::from(self.may_nest && self.nodes_left > 2 && self.children.len() < 2);
        self.rng.choose_weighted(&[
            (14, BlockKind::Tool),
            (3, BlockKind::Transform),
            (2, BlockKind::Wait),
            (3, BlockKind::Signal),
            (4, BlockKind::Human),
            (4, BlockKind::Agent),
            (free, BlockKind::Requests),
            (1, BlockKind::Sink),
            (2 * child, BlockKind::Child),
            (3 * room, BlockKind::Condition),
            (2 * room, BlockKind::Switch),
            (5 * room, BlockKind::FanOut),
            (2 * nest, BlockKind::Parallel),
            (2 * nest, BlockKind::Each),
            (2 * nest, BlockKind::Repeat),
            (2 * room, BlockKind::ErrorHandler),
        ])
    }

    fn single(&mut self, kind: &'static str, own: Value, from: OpenBranches) -> OpenBranches {
        vec![(self.node(kind, own, &from), None)]
    }

    /// The call of one tool, and where it may fail by itself.
    fn call(&mut self) -> Value {
        let tool = self.rng.choose_weighted(&TOOLS);
        let mut parameters = json!({ "n": self.rng.below(10) });
        if self.rng.chance(30) {
            parameters["v"] = json!("{{ shared_context.v }}");
        }
        if let Some(named) = self.used_names.last().filter(|_| self.rng.chance(15)) {
            parameters["seen"] = json!(format!("{{{{ {named} }}}}"));
        }
        if self.rng.chance(6) {
            parameters["fails"] = json!(true);
        }
        json!({ "tool": tool, "parameters": parameters })
    }

    fn tool(&mut self, from: OpenBranches) -> OpenBranches {
        let mut own = self.call();
        self.policy(&mut own);
        let id = self.node("tool", own, &from);
        self.used_names.push(id.clone());
        vec![(id, None)]
    }

    fn policy(&mut self, own: &mut Value) {
        if self.rng.chance(10) {
            own["on_error"] = json!(*self.rng.choose(&["continue", "compensate", "fail"]));
        }
        if self.rng.chance(15) {
            own["set"] = json!({ "v": format!("set by {}", self.count) });
        }
        if self.rng.chance(10) {
            own["output_key"] = json!(format!("key{}", self.count));
        }
        if self.rng.chance(6) {
            own["condition"] = self.question();
        }
        if self.rng.chance(10) && own["tool"] != "pure" && own["tool"] != "read" {
            let parameters = json!({ "undo": "{{ output.ref }}", "v": "{{ shared_context.v }}" });
            own["compensation"] = json!({ "tool": *self.rng.choose(&["unbook", "unship"]), "parameters": parameters });
        }
        if self.rng.chance(10) {
            own["max_retries"] = json!(self.rng.between(1, 4));
        }
    }

    fn transform(&mut self, from: OpenBranches) -> OpenBranches {
        let value = format!("{} of {}", self.rng.below(100), self.count);
        let set = match self.rng.chance(60) {
            true => json!({ "v": value }),
            false => json!({ "list": value }),
        };
        self.single("transform", json!({ "set": set }), from)
    }

    fn wait(&mut self, from: OpenBranches) -> OpenBranches {
        let ms = *self.rng.choose(&[0, 20, 1_500, 10_000, 90_000]);
        self.single("wait", json!({ "duration": format!("{ms}ms") }), from)
    }

    fn signal(&mut self, from: OpenBranches) -> OpenBranches {
        let mut own = json!({ "signal": *self.rng.choose(&SIGNALS) });
        self.deadline(&mut own, &[json!({ "default": "none came" }), json!("fail")]);
        self.single("wait", own, from)
    }

    fn deadline(&mut self, own: &mut Value, then: &[Value]) {
        if !self.constraints.confluent && self.rng.chance(30) {
            own["deadline"] = json!(format!("{}s", self.rng.between(1, 120)));
            own["on_deadline"] = self.rng.choose(then).clone();
        }
    }

    fn human(&mut self, from: OpenBranches) -> OpenBranches {
        if self.rng.chance(35) {
            let schema = json!({ "type": "object", "required": ["ok"], "properties": { "ok": { "type": "boolean" } } });
            let mut own = json!({ "title": "Fill it in", "form": schema });
            self.deadline(&mut own, &[json!({ "default": { "ok": false } }), json!("fail")]);
            return self.single("human", own, from);
        }
        let mut own = json!({ "title": "May it?" });
        if self.rng.chance(25) {
            own["needed"] = json!(2);
        }
        self.deadline(&mut own, &[json!("approve"), json!("reject"), json!("fail")]);
        let id = self.node("human", own, &from);
        match self.rng.below(3) {
            0 => vec![(id, Some("approved"))],
            1 => vec![(id.clone(), Some("approved")), (id, Some("rejected"))],
            _ => vec![(id, None)],
        }
    }

    /// The acts of an agent are a list of moves in its task: the model returns them one after another.
    fn agent(&mut self, from: OpenBranches) -> OpenBranches {
        let moves = self.rng.between(0, 2);
        let mut task = String::new();
        for _ in 0..moves {
            match self.rng.below(4) {
                0 => task.push_str("ask;"),
                _ => {
                    let (tool, n) = (self.rng.choose_weighted(&TOOLS), self.rng.below(10));
                    let second = self.rng.chance(30).then(|| self.rng.choose_weighted(&TOOLS));
                    task.push_str(&agent_moves(tool, second, n));
                }
            }
        }
        task.push_str(if self.rng.chance(90) { "answer" } else { "give up" });
        let agent = if self.count.is_multiple_of(3) { PROXY } else { AGENT };
        let mut own = match self.shipped() {
            Some(mut own) => {
                let (agent, task) = agent_turns::draw(&mut own);
                json!({ "agent": agent, "task": task })
            }
            None => json!({ "agent": agent, "task": task }),
        };
        self.deadline(&mut own, &[json!({ "default": "nobody said" }), json!("fail")]);
        if self.rng.chance(15) {
            own["on_error"] = json!("continue");
        }
        self.single("agent", own, from)
    }

    /// Separate random numbers for an agent with a shipped step function, if this agent is one: everything drawn after
    /// it stays as before.
    fn shipped(&self) -> Option<SeededRng> {
        let mut own = SeededRng::new(self.rng.clone().number());
        own.chance(SHIPPED).then_some(own)
    }

    /// An agent that only chooses, and the node that performs what it chose.
    fn requests(&mut self, from: OpenBranches) -> OpenBranches {
        let tools: Vec<&str> = (0..self.rng.between(1, 3)).map(|_| self.rng.choose_weighted(&TOOLS)).collect();
        let (agent, task) = match self.shipped() {
            Some(mut own) => (REASONING, agent_turns::choice(&mut own, &tools)),
            None => (AGENT, format!("choose {}", tools.join(" "))),
        };
        let own = json!({ "agent": agent, "mode": "select", "task": task });
        let id = self.node("agent", own, &from);
        let mut own = json!({ "from": "tool_requests" });
        if self.rng.chance(20) {
            own["timeout"] = json!("8s");
        }
        self.single("tool", own, vec![(id, None)])
    }

    fn child(&mut self, from: OpenBranches) -> OpenBranches {
        let name = format!("child{}", self.children.len());
        let budget = self.rng.between(2, 6).min(self.nodes_left);
        self.nodes_left -= budget;
        self.children.push((name.clone(), budget));
        let mut own = json!({ "workflow": name, "input": { "n": self.rng.below(10) } });
        if self.rng.chance(10) && !self.constraints.confluent {
            own["timeout"] = json!("60s");
        }
        if self.rng.chance(15) {
            own["on_error"] = json!("continue");
        }
        self.single("subworkflow", own, from)
    }

    fn question(&mut self) -> Value {
        let n = self.rng.below(10);
        match self.rng.below(3) {
            0 => json!({ "type": "jmespath", "expression": format!("input.n > `{n}`") }),
            1 => json!(format!("n < {n}")),
            _ => json!({ "field": "input.n", "operator": ">=", "value": n }),
        }
    }

    fn condition(&mut self, from: OpenBranches, deep: u32) -> OpenBranches {
        let question = self.question();
        let id = self.node("condition", json!({ "condition": question }), &from);
        let named = self.used_names.clone();
        let mut ends = self.block(vec![(id.clone(), Some("true"))], deep + 1);
        self.used_names.clone_from(&named);
        match self.rng.chance(50) {
            true => ends.extend(self.block(vec![(id, Some("false"))], deep + 1)),
            false => ends.push((id, Some("false"))),
        }
        self.used_names = named;
        self.join(ends, false)
    }

    fn switch(&mut self, from: OpenBranches, deep: u32) -> OpenBranches {
        let cases: Vec<Value> =
            ["low", "mid"].iter().map(|name| json!({ "name": name, "condition": self.question() })).collect();
        let mut own = json!({ "cases": cases });
        let has_default = self.rng.chance(70);
        if has_default {
            own["default"] = json!("high");
        }
        let id = self.node("switch", own, &from);
        let named = self.used_names.clone();
        let mut ends = Vec::new();
        for case in ["low", "mid", "high"] {
            if case != "high" || has_default {
                ends.extend(self.block(vec![(id.clone(), Some(case))], deep + 1));
                self.used_names.clone_from(&named);
            }
        }
        self.join(ends, false)
    }

    /// Joins several ends: at a merge, or at the next node.
    fn join(&mut self, ends: OpenBranches, is_race: bool) -> OpenBranches {
        if !is_race && self.rng.chance(50) {
            return ends;
        }
        let mut own = json!({ "mode": "all" });
        if is_race && !self.constraints.confluent && ends.len() > 1 {
            match self.rng.below(4) {
                0 => {}
                1 => {
                    let needed = self.rng.between(1, ends.len() as u64);
                    own = json!({ "mode": "n_of_m", "needed": needed });
                }
                _ => own = json!({ "mode": "any" }),
            }
            if own["mode"] != "all" {
                match self.rng.below(3) {
                    0 => own["rest"] = json!("wait"),
                    1 => own["undo_losers"] = json!(true),
                    _ => {}
                }
            }
        }
        self.single("merge", own, ends)
    }

    fn fan_out(&mut self, from: OpenBranches, deep: u32) -> OpenBranches {
        let from = match self.rng.chance(50) || from.is_empty() {
            true => vec![(self.node("parallel", json!({}), &from), None)],
            false => from,
        };
        let named = self.used_names.clone();
        let mut ends = Vec::new();
        for _ in 0..self.rng.between(2, 3) {
            let mut branch = self.block(from.clone(), deep + 1);
            if self.rng.chance(30) && self.nodes_left > 2 {
                branch = self.block(branch, deep + 1);
            }
            self.used_names.clone_from(&named);
            ends.extend(branch);
        }
        self.join(ends, true)
    }

    fn parallel(&mut self, from: OpenBranches) -> OpenBranches {
        let mut branches = serde_json::Map::new();
        for name in ["left", "right"] {
            let body = self.body(|pen| {
                let ends = pen.block(Vec::new(), 1);
                if pen.rng.chance(30) && pen.nodes_left > 1 {
                    pen.block(ends, 1);
                }
            });
            branches.insert(name.to_owned(), body);
        }
        self.single("parallel", json!({ "branches": branches }), from)
    }

    fn each(&mut self, from: OpenBranches) -> OpenBranches {
        let items: Vec<u64> = (0..self.rng.between(0, 4)).collect();
        let body = self.loop_body();
        let mut own = json!({ "for_each": items, "body": body });
        if !self.constraints.confluent || self.rng.chance(50) {
            own["concurrency"] = json!(self.rng.between(1, 3));
        }
        if self.rng.chance(30) {
            own["on_item_error"] = json!("collect");
        }
        self.single("loop", own, from)
    }

    fn loop_body(&mut self) -> Value {
        self.body(|pen| {
            let ends = pen.block(Vec::new(), 1);
            if pen.rng.chance(30) && pen.nodes_left > 1 {
                pen.block(ends, 1);
            } else if pen.rng.chance(20) {
                pen.node("end", json!({ "output": { "index": "{{ index }}" } }), &ends);
            }
        })
    }

    fn repeat(&mut self, from: OpenBranches) -> OpenBranches {
        let times = self.rng.between(0, 3);
        let body = self.loop_body();
        let own = match self.rng.chance(50) {
            true => json!({ "while": format!("index < {times}"), "body": body }),
            false => json!({ "until": format!("index >= {times}"), "body": body }),
        };
        self.single("loop", own, from)
    }

    /// A node whose failure another one handles; both continue.
    fn error_handler(&mut self, from: OpenBranches) -> OpenBranches {
        let mut own = self.call();
        if self.rng.chance(60) {
            own["parameters"]["fails"] = json!(true);
        }
        let handler = self.id("handler");
        own["on_error"] = json!({ "goto": handler });
        let id = self.node("tool", own, &from);
        self.graph.nodes.push(json!({ "id": handler, "type": "transform", "set": { "v": "handled" } }));
        self.nodes_left = self.nodes_left.saturating_sub(1);
        vec![(id, None), (handler, None)]
    }
}

/// One call or two, requested as tools or by a program: one after the other, or both at once.
fn agent_moves(tool: &str, second: Option<&str>, n: u64) -> String {
    match (second, n) {
        (None, 0..6) => format!("call {tool} {n};"),
        (Some(second), 0..6) => format!("call {tool} {n};+call {second} {n};"),
        (None, _) => format!("run {tool} {n};"),
        (Some(second), 6 | 7) => format!("run {tool} {n},{second} {n};"),
        (Some(second), _) => format!("run {tool} {n}+{second} {n};"),
    }
}
