//! Whether an answer holds what it must. Each request remembers the bytes of one answer that was proven right: the same bytes
//! need no second proof, which is what nearly every answer of a deterministic model costs.

use std::cell::OnceCell;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use crate::plan;
use crate::plan::{Kind, demand};
use crate::protobuf::{Field, MALFORMED, take, take_varint, walk};

/// A request ready to be sent, and what its answer must hold.
pub struct Request {
    /// The message behind gRPC's prefix; clones share the bytes.
    pub framed: Bytes,
    checks: Vec<Check>,
    proven: OnceCell<Box<[u8]>>,
}

impl Request {
    /// Errors name the field within `place`, the request's own name in the plan.
    pub fn new(place: &str, planned: &plan::Request) -> Result<Self, String> {
        let body = decoded(&planned.body).ok_or_else(|| format!("{place}.body: not base64"))?;
        let checks = planned.checks.iter().enumerate();
        let checks = checks.map(|(number, check)| Check::new(&format!("{place}.checks[{number}]"), check));
        let checks = checks.collect::<Result<_, _>>()?;
        Ok(Self { framed: framed(&body), checks, proven: OnceCell::new() })
    }

    /// What is wrong with an answer, if anything.
    pub fn judge(&self, answer: &[u8]) -> Result<(), String> {
        if self.checks.is_empty() || self.proven.get().is_some_and(|proven| **proven == *answer) {
            return Ok(());
        }
        self.checks.iter().try_for_each(|check| check.verify(answer))?;
        self.proven.get_or_init(|| answer.into());
        Ok(())
    }
}

fn framed(body: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(body.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(body.len()).expect("a plan below 4 GiB"));
    framed.put_slice(body);
    framed.freeze()
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

struct Check {
    path: Vec<u32>,
    occurrence: Option<usize>,
    expected: Expected,
    tolerance: f64,
}

enum Expected {
    /// Little-endian float32, alone or packed.
    Singles(Vec<f64>),
    /// Little-endian float64, alone or packed.
    Doubles(Vec<f64>),
    /// Varints, alone or packed.
    Integers(Vec<i64>),
    /// Whole strings or bytes.
    Texts(Vec<Vec<u8>>),
}

impl Check {
    fn new(place: &str, planned: &plan::Check) -> Result<Self, String> {
        let path = &planned.path;
        demand(&format!("{place}.path"), path, !path.is_empty() && !path.contains(&0), "field numbers from 1")?;
        demand(&format!("{place}.tolerance"), planned.tolerance, planned.tolerance >= 0.0, "0 or more")?;
        Ok(Self {
            path: path.clone(),
            occurrence: planned.occurrence,
            expected: Expected::new(&format!("{place}.values"), planned)?,
            tolerance: planned.tolerance,
        })
    }

    fn verify(&self, answer: &[u8]) -> Result<(), String> {
        let mut progress = Progress { check: self, seen: 0 };
        let mut occurrence = 0;
        let compared = walk(answer, &self.path, &mut |field| {
            let wanted = self.occurrence.is_none_or(|wanted| wanted == occurrence);
            occurrence += 1;
            if wanted { progress.field(field) } else { Ok(()) }
        });
        compared.and_then(|()| progress.end()).map_err(|problem| format!("field {}: {problem}", self.name()))
    }

    fn name(&self) -> String {
        self.path.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
    }
}

impl Expected {
    fn new(place: &str, planned: &plan::Check) -> Result<Self, String> {
        let values = &planned.values;
        Ok(match planned.kind {
            Kind::F32 | Kind::Float => Self::Singles(each(place, values, "a number", single)?),
            Kind::F64 | Kind::Double => Self::Doubles(each(place, values, "a number", double)?),
            Kind::Varint => Self::Integers(each(place, values, "a whole number of 64 bits", integer)?),
            Kind::Text => Self::Texts(each(place, values, "a text", |value| Some(value.as_str()?.into()))?),
            Kind::Bytes => Self::Texts(each(place, values, "base64", |value| decoded(value.as_str()?))?),
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::Singles(values) | Self::Doubles(values) => values.len(),
            Self::Integers(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }
}

fn each<T>(place: &str, values: &[Value], what: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, String> {
    let read = |(number, value)| read(value).ok_or_else(|| format!("{place}[{number}]: {value} is not {what}"));
    values.iter().enumerate().map(read).collect()
}

fn double(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => value.as_f64(),
    }
}

/// A value that came from float32 by way of decimal digits is that float32 again.
#[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
fn single(value: &Value) -> Option<f64> {
    double(value).map(|value| f64::from(value as f32))
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_u64().map(u64::cast_signed))
}

/// How much of what is expected was seen so far.
struct Progress<'a> {
    check: &'a Check,
    seen: usize,
}

impl Progress<'_> {
    fn field(&mut self, field: Field) -> Result<(), String> {
        match (&self.check.expected, field) {
            (Expected::Singles(expected), Field::Fixed32(one)) => self.singles(expected, &one),
            (Expected::Singles(expected), Field::Bytes(packed)) => self.singles(expected, packed),
            (Expected::Doubles(expected), Field::Fixed64(one)) => self.doubles(expected, &one),
            (Expected::Doubles(expected), Field::Bytes(packed)) => self.doubles(expected, packed),
            (Expected::Integers(expected), Field::Varint(one)) => self.integer(expected, one),
            (Expected::Integers(expected), Field::Bytes(packed)) => self.integers(expected, packed),
            (Expected::Texts(expected), Field::Bytes(text)) => self.text(expected, text),
            _ => Err("is of another type on the wire".into()),
        }
    }

    fn singles(&mut self, expected: &[f64], mut packed: &[u8]) -> Result<(), String> {
        while !packed.is_empty() {
            let bytes = take(&mut packed).ok_or("is no array of float32")?;
            self.number(expected, f32::from_le_bytes(bytes).into())?;
        }
        Ok(())
    }

    fn doubles(&mut self, expected: &[f64], mut packed: &[u8]) -> Result<(), String> {
        while !packed.is_empty() {
            let bytes = take(&mut packed).ok_or("is no array of float64")?;
            self.number(expected, f64::from_le_bytes(bytes))?;
        }
        Ok(())
    }

    fn integers(&mut self, expected: &[i64], mut packed: &[u8]) -> Result<(), String> {
        while !packed.is_empty() {
            let value = take_varint(&mut packed).ok_or(MALFORMED)?;
            self.integer(expected, value)?;
        }
        Ok(())
    }

    #[expect(clippy::float_cmp, reason = "equal infinities have no difference")]
    fn number(&mut self, expected: &[f64], found: f64) -> Result<(), String> {
        let wanted = *self.next(expected)?;
        let same = found == wanted || (found.is_nan() && wanted.is_nan());
        self.demand(same || (found - wanted).abs() <= self.check.tolerance, &found, &wanted)
    }

    fn integer(&mut self, expected: &[i64], found: u64) -> Result<(), String> {
        let wanted = *self.next(expected)?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a difference beyond 2^53 exceeds any tolerance that means something"
        )]
        let difference = found.cast_signed().abs_diff(wanted) as f64;
        self.demand(difference <= self.check.tolerance, &found.cast_signed(), &wanted)
    }

    fn text(&mut self, expected: &[Vec<u8>], found: &[u8]) -> Result<(), String> {
        let wanted = self.next(expected)?;
        let shown = String::from_utf8_lossy;
        self.demand(found == wanted, &shown(found), &shown(wanted))
    }

    fn next<'v, T>(&mut self, expected: &'v [T]) -> Result<&'v T, String> {
        let wanted = expected.get(self.seen).ok_or_else(|| format!("holds more than {} values", expected.len()))?;
        self.seen += 1;
        Ok(wanted)
    }

    fn demand<T: std::fmt::Debug>(&self, good: bool, found: &T, wanted: &T) -> Result<(), String> {
        if good {
            return Ok(());
        }
        Err(format!("value {} is {found:?}, expected {wanted:?} within {}", self.seen - 1, self.check.tolerance))
    }

    fn end(&self) -> Result<(), String> {
        let expected = self.check.expected.len();
        if self.seen == expected { Ok(()) } else { Err(format!("holds {} values, expected {expected}", self.seen)) }
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "json!(...) as an argument reads better")]
mod tests {
    use super::*;
    use crate::protobuf::tests::{encode, varint};
    use proptest::prelude::*;
    use serde_json::json;

    fn request(checks: Value) -> Result<Request, String> {
        let planned = json!({"body": "AQI=", "checks": checks});
        Request::new("requests[0]", &serde_json::from_value(planned).expect("a request"))
    }

    fn verdict(check: Value, answer: &[u8]) -> Result<(), String> {
        request(json!([check])).expect("good checks").judge(answer)
    }

    #[test]
    fn the_body_goes_behind_the_prefix_of_grpc() {
        assert_eq!(request(json!([])).unwrap().framed[..], [0, 0, 0, 0, 2, 1, 2]);
    }

    #[test]
    fn an_answer_like_one_that_was_right_is_right_and_another_is_looked_at() {
        let request = request(json!([{"path": [1], "as": "varint", "values": [5]}])).unwrap();
        let right = encode(1, Field::Varint(5));
        assert_eq!(request.judge(&right), Ok(()));
        assert_eq!(request.judge(&right), Ok(()));
        assert!(request.judge(&encode(1, Field::Varint(6))).is_err());
        assert_eq!(request.judge(&[right, encode(2, Field::Varint(1))].concat()), Ok(()));
    }

    #[test]
    fn what_differs_is_named() {
        let answer = encode(6, Field::Bytes(&[1.0_f32, 2.5].map(f32::to_le_bytes).concat()));
        let problem =
            |values: Value| verdict(json!({"path": [6], "as": "f32", "values": values, "tolerance": 0.25}), &answer);
        assert_eq!(problem(json!([1, 2.25])), Ok(()));
        assert_eq!(problem(json!([1, 2])), Err("field 6: value 1 is 2.5, expected 2.0 within 0.25".into()));
        assert_eq!(problem(json!([1])), Err("field 6: holds more than 1 values".into()));
        assert_eq!(problem(json!([1, 2.5, 3])), Err("field 6: holds 2 values, expected 3".into()));
    }

    #[test]
    fn numbers_that_json_has_no_word_for_are_compared() {
        let answer = encode(1, Field::Bytes(&[f64::NAN, f64::INFINITY, -f64::INFINITY].map(f64::to_le_bytes).concat()));
        let check = |values| verdict(json!({"path": [1], "as": "f64", "values": values}), &answer);
        assert_eq!(check(json!(["NaN", "Infinity", "-Infinity"])), Ok(()));
        assert!(check(json!(["NaN", "-Infinity", "-Infinity"])).is_err());
        assert!(check(json!([0, "Infinity", "-Infinity"])).is_err());
    }

    #[test]
    fn one_occurrence_can_be_looked_at_alone() {
        let answer = [encode(6, Field::Bytes(b"a")), encode(6, Field::Bytes(b"b"))].concat();
        let check = |occurrence, value| {
            verdict(json!({"path": [6], "as": "text", "occurrence": occurrence, "values": [value]}), &answer)
        };
        assert_eq!(check(0, "a"), Ok(()));
        assert_eq!(check(1, "b"), Ok(()));
        assert!(check(1, "a").is_err());
        assert_eq!(check(2, "b"), Err("field 6: holds 0 values, expected 1".into()));
    }

    #[test]
    fn a_field_of_another_type_is_wrong() {
        let answer = encode(1, Field::Varint(5));
        let problem = verdict(json!({"path": [1], "as": "text", "values": ["5"]}), &answer);
        assert_eq!(problem, Err("field 1: is of another type on the wire".into()));
    }

    #[test]
    fn a_negative_number_travels_as_its_complement() {
        let answer = [encode(3, Field::Varint(u64::MAX)), encode(3, Field::Bytes(&varint(7)))].concat();
        assert_eq!(verdict(json!({"path": [3], "as": "varint", "values": [-1, 7]}), &answer), Ok(()));
        assert_eq!(verdict(json!({"path": [3], "as": "varint", "values": [u64::MAX, 7]}), &answer), Ok(()));
    }

    #[test]
    fn a_check_that_cannot_be_is_refused_by_its_place() {
        for (check, expected) in [
            (json!({"path": [], "as": "text", "values": []}), "requests[0].checks[0].path: [] is not"),
            (
                json!({"path": [1], "as": "f32", "values": ["x"]}),
                "requests[0].checks[0].values[0]: \"x\" is not a number",
            ),
            (
                json!({"path": [1], "as": "varint", "values": [1.5]}),
                "requests[0].checks[0].values[0]: 1.5 is not a whole",
            ),
            (
                json!({"path": [1], "as": "bytes", "values": ["*"]}),
                "requests[0].checks[0].values[0]: \"*\" is not base64",
            ),
            (json!({"path": [1], "as": "f32", "values": [], "tolerance": -1}), "requests[0].checks[0].tolerance: -1.0"),
        ] {
            let problem = request(json!([check])).err().expect("refused");
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn float32_that_went_through_decimal_digits_is_itself(values in prop::collection::vec(any::<f32>().prop_filter("JSON", |v| v.is_finite()), 0..20)) {
            let answer = encode(1, Field::Bytes(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()));
            let written: Vec<Value> = values.iter().map(|value| serde_json::from_str(&format!("{value:e}")).unwrap()).collect();
            prop_assert_eq!(verdict(json!({"path": [1], "as": "f32", "values": written}), &answer), Ok(()));
        }

        #[test]
        fn packed_numbers_are_their_elements(values in prop::collection::vec(any::<i64>(), 0..20), split in 0..20_usize) {
            let (alone, packed) = values.split_at(split.min(values.len()));
            let mut answer: Vec<u8> = alone.iter().flat_map(|value| encode(1, Field::Varint(value.cast_unsigned()))).collect();
            answer.extend(encode(1, Field::Bytes(&packed.iter().flat_map(|value| varint(value.cast_unsigned())).collect::<Vec<_>>())));
            prop_assert_eq!(verdict(json!({"path": [1], "as": "varint", "values": values}), &answer), Ok(()));
        }
    }
}
