//! What can come of a call, and how HTTP/2 and gRPC say so.

use h2::Reason;
use http::{HeaderMap, HeaderName, StatusCode};

/// Where gRPC puts its status.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// One of `NAMES`; the gRPC statuses come first, by their codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome(u8);

/// As outcomes are called in the result.
pub const NAMES: [&str; 21] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
    "WRONG_ANSWER",
    "UNANSWERED",
    "CONNECTION_LOST",
    "NOT_SENT",
];

impl Outcome {
    pub const COUNT: usize = NAMES.len();
    pub const OK: Self = Self(0);
    pub const CANCELLED: Self = Self(1);
    pub const UNKNOWN: Self = Self(2);
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    pub const PERMISSION_DENIED: Self = Self(7);
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    pub const UNIMPLEMENTED: Self = Self(12);
    pub const INTERNAL: Self = Self(13);
    pub const UNAVAILABLE: Self = Self(14);
    pub const UNAUTHENTICATED: Self = Self(16);
    pub const WRONG_ANSWER: Self = Self(17);
    pub const UNANSWERED: Self = Self(18);
    pub const CONNECTION_LOST: Self = Self(19);
    pub const NOT_SENT: Self = Self(20);

    /// As it is called in the result.
    pub fn name(self) -> &'static str {
        NAMES[self.index()]
    }

    /// From 0, below `COUNT`.
    pub fn index(self) -> usize {
        self.0.into()
    }

    fn of_code(code: &[u8]) -> Self {
        let code = std::str::from_utf8(code).ok().and_then(|digits| digits.parse().ok());
        code.filter(|code| *code <= Self::UNAUTHENTICATED.0).map_or(Self::UNKNOWN, Self)
    }

    /// gRPC's `doc/http-grpc-status-mapping.md`.
    fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::INTERNAL,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 => Self::UNIMPLEMENTED,
            429 | 502..=504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }

    /// gRPC's `doc/PROTOCOL-HTTP2.md`, "Errors".
    fn of_reset(reason: Reason) -> Self {
        match reason {
            Reason::REFUSED_STREAM => Self::UNAVAILABLE,
            Reason::CANCEL => Self::CANCELLED,
            Reason::ENHANCE_YOUR_CALM => Self::RESOURCE_EXHAUSTED,
            Reason::INADEQUATE_SECURITY => Self::PERMISSION_DENIED,
            _ => Self::INTERNAL,
        }
    }
}

/// How a call ended, and in what words if not well.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// Which.
    pub outcome: Outcome,
    /// For a human; empty when the call is OK.
    pub message: String,
    /// Whether the server said so, rather than the generator for want of an answer.
    pub answered: bool,
}

impl Verdict {
    /// The right answer.
    pub const OK: Self = Self { outcome: Outcome::OK, message: String::new(), answered: true };

    /// The server's doing.
    pub fn answered(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), answered: true }
    }

    /// No answer came.
    pub fn unanswered(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), answered: false }
    }

    /// A stream or its connection broke.
    pub fn broken(error: &h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() => Self::answered(Outcome::of_reset(reason), error.to_string()),
            _ => Self::unanswered(Outcome::CONNECTION_LOST, error.to_string()),
        }
    }

    /// An answer whose HTTP status or content type is not gRPC's.
    pub fn not_grpc(status: StatusCode, content_type: &[u8]) -> Self {
        let kind = String::from_utf8_lossy(content_type);
        Self::answered(Outcome::of_http(status), format!("HTTP status {status}, content-type {kind:?}: not gRPC"))
    }

    /// By `grpc-status` and `grpc-message`, which lie in the trailers, or in the headers of an answer that is only trailers.
    pub fn of_trailers(trailers: &HeaderMap) -> Self {
        let Some(code) = trailers.get(&GRPC_STATUS) else {
            return Self::answered(Outcome::UNKNOWN, "the stream ended without grpc-status");
        };
        match Outcome::of_code(code.as_bytes()) {
            Outcome::OK => Self::OK,
            outcome => {
                let message =
                    trailers.get("grpc-message").map_or(String::new(), |text| percent_decoded(text.as_bytes()));
                Self::answered(outcome, message)
            }
        }
    }
}

/// What is no percent-encoding stays as it is: gRPC demands that a message is never lost to bad encoding.
fn percent_decoded(encoded: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, behind)) = rest.split_first() {
        let escaped = if *first == b'%' { behind.first_chunk().copied().and_then(hexadecimal) } else { None };
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hexadecimal(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trailers(pairs: &[(&'static str, &'static str)]) -> Verdict {
        Verdict::of_trailers(
            &pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
        )
    }

    #[test]
    fn a_status_has_its_name_and_its_message() {
        let verdict = trailers(&[("grpc-status", "8"), ("grpc-message", "queue is full%3A 100%25, %e4%BD%a0")]);
        assert_eq!(verdict, Verdict::answered(Outcome::RESOURCE_EXHAUSTED, "queue is full: 100%, 你"));
        assert_eq!(verdict.outcome.name(), "RESOURCE_EXHAUSTED");
        assert_eq!(trailers(&[("grpc-status", "0")]), Verdict::OK);
    }

    #[test]
    fn a_status_that_is_none_is_unknown() {
        for code in ["17", "-1", "x", "", "256"] {
            assert_eq!(trailers(&[("grpc-status", code)]).outcome, Outcome::UNKNOWN, "{code}");
        }
        assert_eq!(trailers(&[]).outcome, Outcome::UNKNOWN);
    }

    #[test]
    fn bad_encoding_stays_as_it_is() {
        for text in ["%", "50% of", "%4", "%zz", "%+1"] {
            assert_eq!(percent_decoded(text.as_bytes()), text);
        }
    }

    #[test]
    fn names_lie_at_the_codes_of_grpc() {
        for (outcome, name) in [
            (Outcome::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
            (Outcome::UNAUTHENTICATED, "UNAUTHENTICATED"),
            (Outcome::WRONG_ANSWER, "WRONG_ANSWER"),
            (Outcome::NOT_SENT, "NOT_SENT"),
        ] {
            assert_eq!(outcome.name(), name);
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text: String) {
            let encoded = text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
            prop_assert_eq!(percent_decoded(encoded.as_bytes()), text);
        }
    }
}
