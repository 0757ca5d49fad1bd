//! What a refusal of the server means to a job, and what to do about it.

use async_nats::jetstream::context::{PublishError, PublishErrorKind, RequestError, RequestErrorKind};
use async_nats::jetstream::{Error as Refusal, ErrorCode};
use async_nats::{ConnectError, ConnectErrorKind};
use snapline_core::{Error, ErrorKind};
use std::error::Error as StdError;

const NO_JETSTREAM: &str = "JetStream is off at the server, or the user may not use it; start nats-server with -js, and \
     allow the account and the user to use it";
const FULL: &str = "the stream or the storage of the server is full; make room, or raise its limits";

/// A connection that did not come about.
pub(crate) fn connecting(error: ConnectError) -> Error {
    use ConnectErrorKind as Kind;
    let doing = "cannot connect to the NATS server";
    let (kind, remedy) = match error.kind() {
        Kind::Authentication | Kind::AuthorizationViolation => (
            ErrorKind::Invalid,
            "the server refuses the credentials; check the user and the password, or the key",
        ),
        Kind::Tls => (
            ErrorKind::Invalid,
            "check the certificates and whether the server uses TLS",
        ),
        Kind::ServerParse => (ErrorKind::Invalid, "check its address"),
        _ => (ErrorKind::Unavailable, "the server cannot be reached"),
    };
    Error::new(kind, format!("{doing}: {remedy}")).because(error)
}

/// A request that got no answer.
pub(crate) fn requesting(doing: &'static str, error: RequestError) -> Error {
    let described = match error.kind() {
        RequestErrorKind::NoResponders => Error::invalid(format!("{doing}: {NO_JETSTREAM}")),
        RequestErrorKind::InvalidSubject => {
            Error::invalid(format!("{doing}: a name has characters that names must not have"))
        }
        _ => Error::unavailable(format!("{doing}: the server does not answer")),
    };
    described.because(error)
}

/// A request that the server refuses.
pub(crate) fn failed(doing: &'static str, refusal: Refusal) -> Error {
    let (kind, remedy) = of_code(refusal.error_code(), refusal.code());
    let message = match remedy {
        "" => doing.to_owned(),
        remedy => format!("{doing}: {remedy}"),
    };
    Error::new(kind, message).because(refusal)
}

/// A message that the stream did not take.
pub(crate) fn publishing(error: PublishError) -> Error {
    let doing = "a message cannot be published";
    let refusal = StdError::source(&error).and_then(|source| source.downcast_ref::<Refusal>());
    let (kind, remedy) = match (error.kind(), refusal) {
        (_, Some(refusal)) => of_code(refusal.error_code(), refusal.code()),
        (PublishErrorKind::StreamNotFound, _) => (
            ErrorKind::Invalid,
            "no stream takes its subject; add the subject to the stream, or name another",
        ),
        (PublishErrorKind::MaxPayloadExceeded, _) => (
            ErrorKind::Invalid,
            "it is larger than the server takes; raise max_payload, or make it smaller",
        ),
        _ => (ErrorKind::Unavailable, "the server does not answer"),
    };
    Error::new(kind, format!("{doing}: {remedy}")).because(error)
}

/// A call that took too long.
pub(crate) fn too_late(doing: &'static str) -> Error {
    Error::unavailable(format!("{doing}: the server did not answer in time"))
}

/// A connection that was interrupted.
pub(crate) fn ended() -> Error {
    Error::unavailable("the connection to the NATS server was interrupted")
}

fn of_code(code: ErrorCode, status: usize) -> (ErrorKind, &'static str) {
    match code {
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            (ErrorKind::Invalid, NO_JETSTREAM)
        }
        ErrorCode::STREAM_NOT_FOUND => (
            ErrorKind::Invalid,
            "there is no such stream; create it or name another",
        ),
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => (
            ErrorKind::Invalid,
            "it is larger than the stream takes; raise max_msg_size, or make it smaller",
        ),
        ErrorCode::STREAM_NOT_MATCH => (
            ErrorKind::Invalid,
            "another stream takes its subject; name that stream, or another subject",
        ),
        ErrorCode::STREAM_SEALED => (ErrorKind::Invalid, "the stream is sealed; name another"),
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE => (ErrorKind::Conflict, "somebody else was faster"),
        ErrorCode::STREAM_STORE_FAILED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => (ErrorKind::Unavailable, FULL),
        _ if status >= 500 => (ErrorKind::Unavailable, ""),
        _ => (ErrorKind::Invalid, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_whether_to_try_again() {
        let cases = [
            (ErrorCode::JETSTREAM_NOT_ENABLED, 503, ErrorKind::Invalid),
            (ErrorCode::CLUSTER_NOT_AVAILABLE, 503, ErrorKind::Unavailable),
            (ErrorCode::STREAM_NOT_FOUND, 404, ErrorKind::Invalid),
            (ErrorCode::STREAM_STORE_FAILED, 503, ErrorKind::Unavailable),
            (ErrorCode::STORAGE_RESOURCES_EXCEEDED, 500, ErrorKind::Unavailable),
            (ErrorCode::STREAM_WRONG_LAST_SEQUENCE, 400, ErrorKind::Conflict),
            (ErrorCode::BAD_REQUEST, 400, ErrorKind::Invalid),
        ];
        for (code, status, expected) in cases {
            assert_eq!(of_code(code, status).0, expected, "{code:?}");
        }
    }
}
