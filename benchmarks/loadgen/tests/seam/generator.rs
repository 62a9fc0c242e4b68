//! Runs the generator's process.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

/// A plan for a server of these tests: 100 calls in a closed loop, each checked. `altered` replaces fields.
#[expect(clippy::needless_pass_by_value, reason = "json!(...) as the argument reads better")]
pub fn plan(target: &str, altered: Value) -> Value {
    let mut plan = json!({
        "target": target, "tls": null, "path": "/a.B/C", "metadata": [], "deadline_ms": null,
        "requests": [{"body": "", "checks": [{"path": [1], "as": "varint", "values": [7]}]}],
        "load": closed(2, 4), "warmup_s": 0, "duration_s": null, "count": 100, "grace_s": 20
    });
    for (field, value) in altered.as_object().expect("fields") {
        plan[field] = value.clone();
    }
    plan
}

pub fn closed(connections: usize, in_flight: usize) -> Value {
    json!({"kind": "closed", "connections": connections, "in_flight": in_flight})
}

pub fn open(rate: f64, arrivals: &str) -> Value {
    json!({"kind": "open", "connections": 2, "rate": rate, "arrivals": arrivals, "seed": 1, "max_in_flight": 10_000})
}

/// What a run came to.
pub struct Ran {
    pub code: i32,
    pub result: Value,
    pub progress: Vec<Value>,
}

impl Ran {
    pub fn outcome(&self, name: &str) -> u64 {
        self.result["outcomes"][name].as_u64().unwrap_or(0)
    }

    pub fn problem(&self) -> &str {
        self.result["problem"].as_str().expect("a text")
    }

    pub fn number(&self, field: &str) -> u64 {
        self.result[field].as_u64().expect(field)
    }

    /// The values of a histogram in ascending order, each as its bucket's highest.
    pub fn values(&self, histogram: &str) -> Vec<u64> {
        let buckets = self.result[histogram].as_array().expect(histogram);
        let pairs =
            buckets.iter().map(|bucket| (bucket[0].as_u64().expect("ns"), bucket[1].as_u64().expect("a count")));
        pairs.flat_map(|(value, count)| std::iter::repeat_n(value, usize::try_from(count).expect("small"))).collect()
    }

    pub fn total(&self, field: &str) -> u64 {
        let timeline = self.result["timeline"].as_array().expect("a list");
        timeline.iter().map(|second| second[field].as_u64().expect(field)).sum()
    }

    pub fn outcomes(&self) -> u64 {
        let outcomes = self.result["outcomes"].as_object().expect("an object");
        outcomes.values().map(|count| count.as_u64().expect("a count")).sum()
    }
}

pub fn spawn(plan: &str) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_credence-loadgen"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the generator is built");
    child.stdin.take().expect("piped").write_all(plan.as_bytes()).expect("the generator reads");
    child
}

pub fn output(plan: &str) -> Output {
    spawn(plan).wait_with_output().expect("the generator ends")
}

#[expect(clippy::needless_pass_by_value, reason = "run(plan(...)) reads better")]
pub fn run(plan: Value) -> Ran {
    ran(&output(&plan.to_string()))
}

pub fn ran(output: &Output) -> Ran {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let last = lines.pop().unwrap_or_else(|| panic!("no line: {}", String::from_utf8_lossy(&output.stderr)));
    Ran {
        code: output.status.code().expect("not killed"),
        result: last["result"].clone(),
        progress: lines.iter().map(|line| line["progress"].clone()).collect(),
    }
}
