//! The blocks a graph is made of.

use serde_json::{Value, json};

use super::catalog::{AGENT, PROXY, REASONING, SIGNALS, TOOLS};
use super::{Ends, Pen, turns};
use crate::rng::Rng;

/// Of a hundred agents, how many think with a shipped step function.
const SHIPPED: u64 = 40;
/// Bodies within bodies that are drawn.
const INSIDE_MAX: u32 = 2;
/// Blocks within blocks of one graph.
const DEEP_MAX: u32 = 2;

#[derive(Clone, Copy)]
enum Block {
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
    Caught,
}

impl Pen<'_> {
    /// Writes one block behind `from` and says what it ends in.
    pub(super) fn block(&mut self, from: Ends, deep: u32) -> Ends {
        match self.choose(deep) {
            Block::Tool => self.tool(from),
            Block::Transform => self.transform(from),
            Block::Wait => self.wait(from),
            Block::Signal => self.signal(from),
            Block::Human => self.human(from),
            Block::Agent => self.agent(from),
            Block::Requests => self.requests(from),
            Block::Sink => self.single("sink", json!({ "action": "finish_conversation" }), from),
            Block::Child => self.child(from),
            Block::Condition => self.condition(from, deep),
            Block::Switch => self.switch(from, deep),
            Block::FanOut => self.fan_out(from, deep),
            Block::Parallel => self.parallel(from),
            Block::Each => self.each(from),
            Block::Repeat => self.repeat(from),
            Block::Caught => self.caught(from),
        }
    }

    fn choose(&mut self, deep: u32) -> Block {
        let free = u64::from(!self.wishes.confluent);
        let room = u64::from(deep < DEEP_MAX && self.left > 3);
        let nest = u64::from(self.inside < INSIDE_MAX && self.left > 2);
        let child = u64::from(self.may_nest && self.left > 2 && self.children.len() < 2);
        self.rng.weighted(&[
            (14, Block::Tool),
            (3, Block::Transform),
            (2, Block::Wait),
            (3, Block::Signal),
            (4, Block::Human),
            (4, Block::Agent),
            (free, Block::Requests),
            (1, Block::Sink),
            (2 * child, Block::Child),
            (3 * room, Block::Condition),
            (2 * room, Block::Switch),
            (5 * room, Block::FanOut),
            (2 * nest, Block::Parallel),
            (2 * nest, Block::Each),
            (2 * nest, Block::Repeat),
            (2 * room, Block::Caught),
        ])
    }

    fn single(&mut self, kind: &'static str, own: Value, from: Ends) -> Ends {
        vec![(self.node(kind, own, &from), None)]
    }

    /// The call of one tool, and where it may fail by itself.
    fn call(&mut self) -> Value {
        let tool = self.rng.weighted(&TOOLS);
        let mut parameters = json!({ "n": self.rng.below(10) });
        if self.rng.chance(30) {
            parameters["v"] = json!("{{ shared_context.v }}");
        }
        if let Some(named) = self.named.last().filter(|_| self.rng.chance(15)) {
            parameters["seen"] = json!(format!("{{{{ {named} }}}}"));
        }
        if self.rng.chance(6) {
            parameters["fails"] = json!(true);
        }
        json!({ "tool": tool, "parameters": parameters })
    }

    fn tool(&mut self, from: Ends) -> Ends {
        let mut own = self.call();
        self.policy(&mut own);
        let id = self.node("tool", own, &from);
        self.named.push(id.clone());
        vec![(id, None)]
    }

    fn policy(&mut self, own: &mut Value) {
        if self.rng.chance(10) {
            own["on_error"] = json!(*self.rng.pick(&["continue", "compensate", "fail"]));
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
            own["compensation"] = json!({ "tool": *self.rng.pick(&["unbook", "unship"]), "parameters": parameters });
        }
        if self.rng.chance(10) {
            own["max_retries"] = json!(self.rng.between(1, 4));
        }
    }

    fn transform(&mut self, from: Ends) -> Ends {
        let value = format!("{} of {}", self.rng.below(100), self.count);
        let set = match self.rng.chance(60) {
            true => json!({ "v": value }),
            false => json!({ "list": value }),
        };
        self.single("transform", json!({ "set": set }), from)
    }

    fn wait(&mut self, from: Ends) -> Ends {
        let ms = *self.rng.pick(&[0, 20, 1_500, 10_000, 90_000]);
        self.single("wait", json!({ "duration": format!("{ms}ms") }), from)
    }

    fn signal(&mut self, from: Ends) -> Ends {
        let mut own = json!({ "signal": *self.rng.pick(&SIGNALS) });
        self.deadline(&mut own, &[json!({ "default": "none came" }), json!("fail")]);
        self.single("wait", own, from)
    }

    fn deadline(&mut self, own: &mut Value, then: &[Value]) {
        if !self.wishes.confluent && self.rng.chance(30) {
            own["deadline"] = json!(format!("{}s", self.rng.between(1, 120)));
            own["on_deadline"] = self.rng.pick(then).clone();
        }
    }

    fn human(&mut self, from: Ends) -> Ends {
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

    /// What an agent does is a list of moves in its task: the model says them one after another.
    fn agent(&mut self, from: Ends) -> Ends {
        let moves = self.rng.between(0, 2);
        let mut task = String::new();
        for _ in 0..moves {
            match self.rng.below(4) {
                0 => task.push_str("ask;"),
                _ => {
                    let (tool, n) = (self.rng.weighted(&TOOLS), self.rng.below(10));
                    let second = self.rng.chance(30).then(|| self.rng.weighted(&TOOLS));
                    task.push_str(&acts(tool, second, n));
                }
            }
        }
        task.push_str(if self.rng.chance(90) { "answer" } else { "give up" });
        let agent = if self.count.is_multiple_of(3) { PROXY } else { AGENT };
        let mut own = match self.shipped() {
            Some(mut own) => {
                let (agent, task) = turns::draw(&mut own);
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

    /// Numbers of its own for an agent that thinks with a shipped step function, where this one does: what is drawn after
    /// it stays as it was.
    fn shipped(&self) -> Option<Rng> {
        let mut own = Rng::new(self.rng.clone().number());
        own.chance(SHIPPED).then_some(own)
    }

    /// An agent that only chooses, and the node that performs what it chose.
    fn requests(&mut self, from: Ends) -> Ends {
        let tools: Vec<&str> = (0..self.rng.between(1, 3)).map(|_| self.rng.weighted(&TOOLS)).collect();
        let (agent, task) = match self.shipped() {
            Some(mut own) => (REASONING, turns::choice(&mut own, &tools)),
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

    fn child(&mut self, from: Ends) -> Ends {
        let name = format!("child{}", self.children.len());
        let budget = self.rng.between(2, 6).min(self.left);
        self.left -= budget;
        self.children.push((name.clone(), budget));
        let mut own = json!({ "workflow": name, "input": { "n": self.rng.below(10) } });
        if self.rng.chance(10) && !self.wishes.confluent {
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

    fn condition(&mut self, from: Ends, deep: u32) -> Ends {
        let question = self.question();
        let id = self.node("condition", json!({ "condition": question }), &from);
        let named = self.named.clone();
        let mut ends = self.block(vec![(id.clone(), Some("true"))], deep + 1);
        self.named.clone_from(&named);
        match self.rng.chance(50) {
            true => ends.extend(self.block(vec![(id, Some("false"))], deep + 1)),
            false => ends.push((id, Some("false"))),
        }
        self.named = named;
        self.join(ends, false)
    }

    fn switch(&mut self, from: Ends, deep: u32) -> Ends {
        let cases: Vec<Value> =
            ["low", "mid"].iter().map(|name| json!({ "name": name, "condition": self.question() })).collect();
        let mut own = json!({ "cases": cases });
        let has_default = self.rng.chance(70);
        if has_default {
            own["default"] = json!("high");
        }
        let id = self.node("switch", own, &from);
        let named = self.named.clone();
        let mut ends = Vec::new();
        for case in ["low", "mid", "high"] {
            if case != "high" || has_default {
                ends.extend(self.block(vec![(id.clone(), Some(case))], deep + 1));
                self.named.clone_from(&named);
            }
        }
        self.join(ends, false)
    }

    /// Several ends become one again: at a merge, or at whatever comes next.
    fn join(&mut self, ends: Ends, is_race: bool) -> Ends {
        if !is_race && self.rng.chance(50) {
            return ends;
        }
        let mut own = json!({ "mode": "all" });
        if is_race && !self.wishes.confluent && ends.len() > 1 {
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

    fn fan_out(&mut self, from: Ends, deep: u32) -> Ends {
        let from = match self.rng.chance(50) || from.is_empty() {
            true => vec![(self.node("parallel", json!({}), &from), None)],
            false => from,
        };
        let named = self.named.clone();
        let mut ends = Vec::new();
        for _ in 0..self.rng.between(2, 3) {
            let mut branch = self.block(from.clone(), deep + 1);
            if self.rng.chance(30) && self.left > 2 {
                branch = self.block(branch, deep + 1);
            }
            self.named.clone_from(&named);
            ends.extend(branch);
        }
        self.join(ends, true)
    }

    fn parallel(&mut self, from: Ends) -> Ends {
        let mut branches = serde_json::Map::new();
        for name in ["left", "right"] {
            let body = self.body(|pen| {
                let ends = pen.block(Vec::new(), 1);
                if pen.rng.chance(30) && pen.left > 1 {
                    pen.block(ends, 1);
                }
            });
            branches.insert(name.to_owned(), body);
        }
        self.single("parallel", json!({ "branches": branches }), from)
    }

    fn each(&mut self, from: Ends) -> Ends {
        let items: Vec<u64> = (0..self.rng.between(0, 4)).collect();
        let body = self.loop_body();
        let mut own = json!({ "for_each": items, "body": body });
        if !self.wishes.confluent || self.rng.chance(50) {
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
            if pen.rng.chance(30) && pen.left > 1 {
                pen.block(ends, 1);
            } else if pen.rng.chance(20) {
                pen.node("end", json!({ "output": { "index": "{{ index }}" } }), &ends);
            }
        })
    }

    fn repeat(&mut self, from: Ends) -> Ends {
        let times = self.rng.between(0, 3);
        let body = self.loop_body();
        let own = match self.rng.chance(50) {
            true => json!({ "while": format!("index < {times}"), "body": body }),
            false => json!({ "until": format!("index >= {times}"), "body": body }),
        };
        self.single("loop", own, from)
    }

    /// A node whose failure another handles; both lead on.
    fn caught(&mut self, from: Ends) -> Ends {
        let mut own = self.call();
        if self.rng.chance(60) {
            own["parameters"]["fails"] = json!(true);
        }
        let handler = self.id("handler");
        own["on_error"] = json!({ "goto": handler });
        let id = self.node("tool", own, &from);
        self.sheet.nodes.push(json!({ "id": handler, "type": "transform", "set": { "v": "handled" } }));
        self.left = self.left.saturating_sub(1);
        vec![(id, None), (handler, None)]
    }
}

/// One call or two, asked for as tools, or by a program: one after the other, or both at once.
fn acts(tool: &str, second: Option<&str>, n: u64) -> String {
    match (second, n) {
        (None, 0..6) => format!("call {tool} {n};"),
        (Some(second), 0..6) => format!("call {tool} {n};+call {second} {n};"),
        (None, _) => format!("run {tool} {n};"),
        (Some(second), 6 | 7) => format!("run {tool} {n},{second} {n};"),
        (Some(second), _) => format!("run {tool} {n}+{second} {n};"),
    }
}
