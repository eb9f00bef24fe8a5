//! A denial as gRPC says it: HTTP 200, and the status among the header fields.

use super::gate::Denial;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// Whether whoever sent these expects that.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = media.and_then(|media| media.strip_prefix(b"application/grpc"));
    // Not gRPC-Web, whose statuses are in the body.
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Trailers alone, as the protocol has it for calls that do not begin. The header fields
/// go with it as metadata; the wait too, as gRPC's own clients read it.
pub(super) fn answer(denial: Denial) -> Response<()> {
    let mut answer = Response::new(());
    let Denial { status, mut fields, retry_after, .. } = denial;
    let (code, message) = match status {
        StatusCode::UNAUTHORIZED => ("16", "not authenticated"),
        StatusCode::FORBIDDEN => ("7", "refused"),
        StatusCode::SERVICE_UNAVAILABLE => ("14", "overloaded"),
        _ => ("8", "rate limit exceeded"),
    };
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    fields.insert("grpc-status", HeaderValue::from_static(code));
    fields.insert("grpc-message", HeaderValue::from_static(message));
    // Milliseconds, rounded up; a negative number says not to try again.
    let pushback = retry_after.map_or_else(
        || "-1".to_owned(),
        |wait| {
            wait.as_nanos().div_ceil(1_000_000).min(u128::from(i32::MAX.unsigned_abs())).to_string()
        },
    );
    if let Ok(pushback) = HeaderValue::from_str(&pushback) {
        fields.insert("grpc-retry-pushback-ms", pushback);
    }
    *answer.headers_mut() = fields;
    answer
}
