//! The plan: what crosses the seam into the generator, read strictly.

use std::path::PathBuf;

use serde::Deserialize;

// Beyond these a plan is a slip of the hand, and would take the machine's memory.
const MOST_CONNECTIONS: usize = 10_000;
const MOST_IN_FLIGHT: u64 = 1_000_000;
const MOST_A_SECOND: f64 = 1_000_000.0;

/// One run of load; the fields are those of PROTOCOL.md.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub target: String,
    pub tls: Option<Tls>,
    pub path: String,
    pub metadata: Vec<(String, String)>,
    pub deadline_ms: Option<f64>,
    pub requests: Vec<Request>,
    pub load: Load,
    pub warmup_s: f64,
    pub duration_s: Option<f64>,
    pub count: Option<u64>,
    pub grace_s: f64,
}

/// PEM files; without `ca` the system's roots are trusted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub ca: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub server_name: Option<String>,
}

/// One message and what its answer must hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub body: String,
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// What an answer must hold at one protobuf field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub path: Vec<u32>,
    #[serde(rename = "as")]
    pub kind: Kind,
    pub values: Vec<serde_json::Value>,
    pub occurrence: Option<usize>,
    #[serde(default)]
    pub tolerance: f64,
}

/// How a field's bytes are read.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    F32,
    F64,
    Double,
    Float,
    Varint,
    Text,
    Bytes,
}

/// Who decides when the next call is sent: the answer to the last one, or a schedule.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Load {
    Closed { connections: usize, in_flight: usize },
    Open { connections: usize, rate: f64, arrivals: Arrivals, seed: u64, max_in_flight: u64 },
}

/// How the calls of an open loop are spaced.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// Like independent callers: gaps are exponentially distributed.
    Poisson,
}

impl Load {
    /// Connections to the target.
    pub fn connections(&self) -> usize {
        match self {
            Load::Closed { connections, .. } | Load::Open { connections, .. } => *connections,
        }
    }
}

impl Plan {
    /// Reads and checks a plan; the error names the field, the value and what was expected.
    pub fn read(json: &str) -> Result<Self, String> {
        let document = &mut serde_json::Deserializer::from_str(json);
        let plan: Self = serde_path_to_error::deserialize(document).map_err(|error| error.to_string())?;
        plan.validate()?;
        Ok(plan)
    }

    fn validate(&self) -> Result<(), String> {
        demand("path", &self.path, self.path.starts_with('/'), "/package.Service/Method")?;
        demand("requests", "[]", !self.requests.is_empty(), "at least one request")?;
        demand("deadline_ms", self.deadline_ms, self.deadline_ms.is_none_or(|ms| ms > 0.0), "above 0")?;
        demand("warmup_s", self.warmup_s, self.warmup_s >= 0.0, "0 or more")?;
        demand("grace_s", self.grace_s, self.grace_s > 0.0, "above 0")?;
        let ends = (self.duration_s, self.count);
        let one_end = ends.0.is_none() != ends.1.is_none();
        demand("duration_s and count", ends, one_end, "one of them null, the other not")?;
        demand("duration_s", self.duration_s, self.duration_s.is_none_or(|s| s > 0.0), "above 0")?;
        demand("count", self.count, self.count.is_none_or(|count| count > 0), "1 or more")?;
        self.validate_load()
    }

    fn validate_load(&self) -> Result<(), String> {
        let connections = self.load.connections();
        demand("load.connections", connections, (1..=MOST_CONNECTIONS).contains(&connections), "1 to 10,000")?;
        match self.load {
            Load::Closed { in_flight, .. } => in_bounds("load.in_flight", in_flight as u64),
            Load::Open { rate, max_in_flight, .. } => {
                demand("load.rate", rate, rate > 0.0 && rate <= MOST_A_SECOND, "above 0, at most 1,000,000")?;
                in_bounds("load.max_in_flight", max_in_flight)
            }
        }
    }
}

fn in_bounds(field: &str, calls: u64) -> Result<(), String> {
    demand(field, calls, (1..=MOST_IN_FLIGHT).contains(&calls), "1 to 1,000,000")
}

/// An error that names `field` unless its value is as expected.
pub fn demand(field: &str, value: impl std::fmt::Debug, good: bool, expected: &str) -> Result<(), String> {
    if good { Ok(()) } else { Err(format!("{field}: {value:?} is not {expected}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn plan() -> Value {
        json!({
            "target": "localhost:1", "tls": null, "path": "/a.B/C", "metadata": [["a", "b"]], "deadline_ms": null,
            "requests": [{"body": "", "checks": []}], "load": {"kind": "closed", "connections": 1, "in_flight": 1},
            "warmup_s": 0, "duration_s": 1.5, "count": null, "grace_s": 1
        })
    }

    fn problem(pointer: &str, value: Value) -> String {
        let mut altered = plan();
        *altered.pointer_mut(pointer).expect(pointer) = value;
        Plan::read(&altered.to_string()).err().unwrap_or_default()
    }

    #[test]
    fn a_plan_is_read() {
        assert!(Plan::read(&plan().to_string()).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_value() {
        for (pointer, value, expected) in [
            ("/path", json!("a"), "path: \"a\""),
            ("/requests", json!([]), "requests: "),
            ("/deadline_ms", json!(0), "deadline_ms: Some(0.0)"),
            ("/warmup_s", json!(-1), "warmup_s: -1.0"),
            ("/grace_s", json!(0), "grace_s: 0.0"),
            ("/duration_s", json!(null), "duration_s and count: (None, None)"),
            ("/duration_s", json!(-2), "duration_s: Some(-2.0)"),
            ("/count", json!(3), "duration_s and count: (Some(1.5), Some(3))"),
            ("/load/connections", json!(0), "load.connections: 0"),
            ("/load/in_flight", json!(0), "load.in_flight: 0"),
            ("/load/in_flight", json!(1_000_001), "load.in_flight: 1000001"),
            ("/load/connections", json!(10_001), "load.connections: 10001"),
            ("/load/in_flight", json!("x"), "load"),
            ("/load/kind", json!("half"), "load.kind: unknown variant `half`"),
            (
                "/requests/0/checks",
                json!([{"path": [1], "as": "f16", "values": []}]),
                "requests[0].checks[0].as: unknown variant `f16`",
            ),
            ("/metadata/0", json!({"a": "b"}), "metadata[0]"),
        ] {
            let problem = problem(pointer, value);
            assert!(problem.starts_with(expected), "{pointer}: {problem}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let mut altered = plan();
        altered["rate"] = json!(1);
        assert!(Plan::read(&altered.to_string()).err().expect("refused").contains("unknown field `rate`"));
    }
}
