//! One unary gRPC call over HTTP/2, from its headers to the verdict on its answer.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use crate::checks::Request;
use crate::outcome::{GRPC_STATUS, Outcome, Verdict};
use crate::plan::Plan;

const AGENT: &str = concat!("credence-loadgen/", env!("CARGO_PKG_VERSION"));
const GRPC: &str = "application/grpc";
/// A method that never stops answering must not fill the memory.
const LARGEST_ANSWER: usize = 1 << 30;
/// gRPC allows eight digits.
const MOST_MICROSECONDS: u128 = 99_999_999;

/// The part of every call that is the same: h2 compresses it to a few bytes after the first.
pub struct Head {
    uri: Uri,
    headers: HeaderMap,
}

impl Head {
    /// Errors name the field of the plan.
    pub fn new(plan: &Plan, deadline: Option<Duration>) -> Result<Self, String> {
        let scheme = if plan.tls.is_some() { "https" } else { "http" };
        let name = plan.tls.as_ref().and_then(|tls| tls.server_name.as_deref()).unwrap_or(&plan.target);
        let uri = Uri::builder().scheme(scheme).authority(name).path_and_query(plan.path.as_str()).build();
        let uri = uri.map_err(|error| format!("target and path: {name:?} and {:?}: {error}", plan.path))?;
        let mut headers = own_headers(deadline);
        let own: Vec<HeaderName> = headers.keys().cloned().chain([HeaderName::from_static("grpc-timeout")]).collect();
        for (number, pair) in plan.metadata.iter().enumerate() {
            let (name, value) = metadatum(pair, &own).map_err(|problem| format!("metadata[{number}]: {problem}"))?;
            headers.append(name, value);
        }
        Ok(Self { uri, headers })
    }

    fn request(&self) -> http::Request<()> {
        let mut request = http::Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

fn own_headers(deadline: Option<Duration>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(deadline) = deadline {
        let value = HeaderValue::try_from(grpc_timeout(deadline)).expect("digits and a letter");
        headers.insert("grpc-timeout", value);
    }
    headers
}

fn grpc_timeout(deadline: Duration) -> String {
    match deadline.as_micros().max(1) {
        microseconds @ ..=MOST_MICROSECONDS => format!("{microseconds}u"),
        microseconds => format!("{}m", (microseconds / 1_000).min(MOST_MICROSECONDS)),
    }
}

fn metadatum((name, value): &(String, String), own: &[HeaderName]) -> Result<(HeaderName, HeaderValue), String> {
    let lower = HeaderName::from_lowercase(name.as_bytes());
    let header = lower.map_err(|_| format!("{name:?} is not a header's name in lower case"))?;
    if own.contains(&header) || name == "grpc-encoding" {
        return Err(format!("{name:?} is the generator's own"));
    }
    let value = HeaderValue::from_str(value).map_err(|_| format!("{value:?} is not a header's value"))?;
    Ok((header, value))
}

/// Hands a call to the connection; an error means that this connection takes no more.
pub fn send(sender: &mut SendRequest<Bytes>, head: &Head, request: &Request) -> Result<ResponseFuture, h2::Error> {
    let (response, mut stream) = sender.send_request(head.request(), false)?;
    stream.send_data(request.framed.clone(), true)?;
    Ok(response)
}

/// Waits for the answer and judges it. Dropped before that, it resets the stream.
pub async fn answer(response: ResponseFuture, request: &Request) -> Verdict {
    let received = receive(response).await.unwrap_or_else(|error| Err(Verdict::broken(&error)));
    let judged = received.and_then(|framed| {
        let message = unframed(&framed).map_err(|problem| Verdict::answered(Outcome::INTERNAL, problem))?;
        request.judge(message).map_err(|problem| Verdict::answered(Outcome::WRONG_ANSWER, problem))
    });
    judged.err().unwrap_or(Verdict::OK)
}

/// The body of an answer with status 0, or what came instead.
async fn receive(response: ResponseFuture) -> Result<Result<Bytes, Verdict>, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    // Only an answer that is over with its headers has its status there; the others need not be searched for it.
    if body.is_end_stream() && head.headers.contains_key(&GRPC_STATUS) {
        return Ok(without_body(Verdict::of_trailers(&head.headers)));
    }
    let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if head.status != http::StatusCode::OK || !content_type.starts_with(GRPC.as_bytes()) {
        return Ok(Err(Verdict::not_grpc(head.status, content_type)));
    }
    let Some(framed) = collect(&mut body).await? else {
        return Ok(Err(Verdict::answered(Outcome::INTERNAL, "the answer is over 1 GiB")));
    };
    let verdict = Verdict::of_trailers(&body.trailers().await?.unwrap_or_default());
    Ok(if verdict == Verdict::OK { Ok(framed) } else { Err(verdict) })
}

fn without_body(verdict: Verdict) -> Result<Bytes, Verdict> {
    if verdict == Verdict::OK { Ok(Bytes::new()) } else { Err(verdict) }
}

/// Nearly every answer lies in one frame, which is then not copied.
async fn collect(body: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let Some(first) = chunk(body).await? else {
        return Ok(Some(Bytes::new()));
    };
    let Some(second) = chunk(body).await? else {
        return Ok(Some(first));
    };
    let mut whole = BytesMut::from(first);
    whole.extend_from_slice(&second);
    while let Some(next) = chunk(body).await? {
        whole.extend_from_slice(&next);
        if whole.len() > LARGEST_ANSWER {
            return Ok(None);
        }
    }
    Ok(Some(whole.freeze()))
}

async fn chunk(body: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let Some(data) = body.data().await.transpose()? else {
        return Ok(None);
    };
    body.flow_control().release_capacity(data.len())?;
    Ok(Some(data))
}

/// The one message of an answer, without gRPC's prefix: compressed flag, length in four bytes.
fn unframed(framed: &[u8]) -> Result<&[u8], String> {
    let Some((mut prefix, message)) = framed.split_at_checked(5) else {
        return Err(format!("status 0 with {} bytes, which is no message", framed.len()));
    };
    if prefix.get_u8() != 0 {
        return Err("the answer is compressed, which was not offered".into());
    }
    let length = prefix.get_u32() as usize;
    if length == message.len() {
        return Ok(message);
    }
    Err(format!("the answer is not one message: {length} bytes were announced and {} came", message.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn head(metadata: &serde_json::Value) -> Result<Head, String> {
        let plan = json!({
            "target": "localhost:1", "tls": null, "path": "/a.B/C", "metadata": metadata, "deadline_ms": 50,
            "requests": [], "load": {"kind": "closed", "connections": 1, "in_flight": 1},
            "warmup_s": 0, "duration_s": 1, "count": null, "grace_s": 1
        });
        Head::new(&serde_json::from_value(plan).expect("a plan"), Some(Duration::from_millis(50)))
    }

    #[test]
    fn metadata_goes_with_the_headers_of_grpc() {
        let headers = head(&json!([["x-a", "1"], ["x-a", "2"], ["trace-bin", "AQI"]])).unwrap().headers;
        assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(
            (&headers["te"], &headers["grpc-timeout"]),
            (&"trailers".parse().unwrap(), &"50000u".parse().unwrap())
        );
    }

    #[test]
    fn metadata_that_cannot_be_is_refused_by_its_place() {
        for (name, value, expected) in [
            ("X-A", "1", "metadata[0]: \"X-A\" is not a header's name in lower case"),
            (":path", "/", "metadata[0]: \":path\" is not"),
            ("a", "1\n2", "metadata[0]: \"1\\n2\" is not a header's value"),
            ("te", "gzip", "metadata[0]: \"te\" is the generator's own"),
            ("grpc-timeout", "1S", "metadata[0]: \"grpc-timeout\" is the generator's own"),
        ] {
            let problem = head(&json!([[name, value]])).err().expect("refused");
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn a_timeout_fits_into_eight_digits() {
        assert_eq!(grpc_timeout(Duration::from_nanos(1)), "1u");
        assert_eq!(grpc_timeout(Duration::from_micros(500)), "500u");
        assert_eq!(grpc_timeout(Duration::from_secs(99)), "99000000u");
        assert_eq!(grpc_timeout(Duration::from_secs(100)), "100000m");
        assert_eq!(grpc_timeout(Duration::from_secs(1 << 40)), "99999999m");
    }

    #[test]
    fn an_answer_is_one_whole_uncompressed_message() {
        assert_eq!(unframed(&[0, 0, 0, 0, 2, 8, 9]), Ok(&[8, 9][..]));
        assert_eq!(unframed(&[0, 0, 0, 0, 0]), Ok(&[][..]));
        for bad in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 2, 8], &[0, 0, 0, 0, 0, 0]] {
            assert!(unframed(bad).is_err(), "{bad:?}");
        }
    }
}
