//! What the client's errors mean for a job, and what to do about them.

use krafka::error::{ErrorCode, KrafkaError, ProtocolErrorKind};
use snapline_core::{Error, ErrorKind};

/// The error of this job for one of the client, which happened while `doing`.
pub(super) fn error(doing: &'static str, error: KrafkaError) -> Error {
    let (kind, message) = meaning(&error);
    Error::new(kind, message).with("while", doing).because(error)
}

fn meaning(error: &KrafkaError) -> (ErrorKind, &'static str) {
    use ErrorKind::{Conflict, Invalid, Unavailable, Unsupported};
    match error {
        KrafkaError::Broker { code, .. } => of_code(*code, error.is_retriable()),
        KrafkaError::Network(_) | KrafkaError::Timeout { .. } | KrafkaError::DeliveryTimeout { .. } => {
            (Unavailable, NO_ANSWER)
        }
        KrafkaError::Auth { .. } => (Invalid, CREDENTIALS),
        KrafkaError::UnknownTopic { .. } => (Invalid, NO_TOPIC),
        KrafkaError::NoOffset { .. } => (Invalid, LOST),
        KrafkaError::Fenced { .. } => (Conflict, FENCED),
        KrafkaError::Protocol { kind, .. } => match kind {
            ProtocolErrorKind::UnknownApiVersion => (Unsupported, TOO_OLD),
            ProtocolErrorKind::FrameTooLarge => (Invalid, TOO_LARGE),
            kind if kind.is_retriable() => (Unavailable, NO_ANSWER),
            _ => (Invalid, MALFORMED),
        },
        KrafkaError::TransactionAbortable { message } => of_abort(message),
        KrafkaError::OutOfOrderSequence { .. } => (Unavailable, ABORTABLE),
        KrafkaError::Config { message } if message.contains("MESSAGE_TOO_LARGE") => (Invalid, TOO_LARGE),
        KrafkaError::Config { .. } => (Invalid, "a setting of the client of kafka is refused; correct it"),
        _ => (Invalid, "the client of kafka has refused the call"),
    }
}

/// A record that fails makes its transaction fail, and of the record's error only the text is left, which has its name.
fn of_abort(message: &str) -> (ErrorKind, &'static str) {
    const NAMED: [ErrorCode; 6] = [
        ErrorCode::MessageTooLarge,
        ErrorCode::RecordListTooLarge,
        ErrorCode::TopicAuthorizationFailed,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::InvalidProducerEpoch,
        ErrorCode::ProducerFenced,
    ];
    let named = NAMED
        .into_iter()
        .find(|code| message.contains(&format!("{code:?}")));
    named.map_or((ErrorKind::Unavailable, ABORTABLE), |code| of_code(code, false))
}

fn of_code(code: ErrorCode, retriable: bool) -> (ErrorKind, &'static str) {
    use ErrorKind::{Conflict, Invalid, Unavailable, Unsupported};
    match code {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId | ErrorCode::InvalidTopic => {
            (Invalid, NO_TOPIC)
        }
        ErrorCode::SaslAuthenticationFailed
        | ErrorCode::UnsupportedSaslMechanism
        | ErrorCode::IllegalSaslState => (Invalid, CREDENTIALS),
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed => (Invalid, NOT_PERMITTED),
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => (Invalid, TOO_LARGE),
        ErrorCode::OffsetOutOfRange => (Invalid, LOST),
        ErrorCode::InvalidTransactionTimeout => (Invalid, TIMEOUT_TOO_LONG),
        ErrorCode::ProducerFenced
        | ErrorCode::InvalidProducerEpoch
        | ErrorCode::TransactionCoordinatorFenced
        | ErrorCode::InvalidProducerIdMapping => (Conflict, FENCED),
        ErrorCode::UnsupportedVersion => (Unsupported, TOO_OLD),
        ErrorCode::TransactionAbortable | ErrorCode::UnknownServerError => (Unavailable, ABORTABLE),
        _ if retriable => (Unavailable, NO_ANSWER),
        _ => (Invalid, "kafka has refused the request"),
    }
}

const NO_ANSWER: &str =
    "kafka does not answer; check that the servers run, their addresses, and the network between";
const CREDENTIALS: &str =
    "kafka refuses the credentials; check user, password, mechanism, and whether TLS is asked for";
const NO_TOPIC: &str =
    "kafka does not have the topic or partition; create it, or correct its name, then start the job again";
const NOT_PERMITTED: &str = "kafka does not permit this; give the user of the job the rights that the documentation \
                             of the connector lists";
const TOO_LARGE: &str = "a record is larger than kafka takes; make it smaller, or raise max.message.bytes of the topic and \
                         max_request_size of the producer";
const LOST: &str = "records that were not read yet are gone from the topic: its retention is shorter than the job was \
                    away, or it was made anew; start over from what is there, and raise the retention";
const TIMEOUT_TOO_LONG: &str = "the transaction timeout is longer than the servers permit; lower it, or raise \
                                transaction.max.timeout.ms of the servers";
const FENCED: &str = "another producer has taken over the transactional id: a newer attempt of this job, or another job \
                      with the same prefix, to which a prefix of its own must be given";
const TOO_OLD: &str =
    "the servers do not know what is asked of them; the client is made for Kafka 3.9 and newer";
const MALFORMED: &str = "kafka has stored or sent something that cannot be read";
const ABORTABLE: &str = "kafka could not write a record; its transaction is given up";
