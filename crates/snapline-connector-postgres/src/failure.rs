//! What a refusal of the server means to a job, and what to do about it.

use snapline_core::{Error, ErrorKind};
use std::io;
use tokio_postgres::Error as PostgresError;
use tokio_postgres::error::SqlState;

/// The error of a job, for one of the server or of the connection to it.
pub(crate) fn failed(doing: &'static str, error: PostgresError) -> Error {
    let (kind, remedy) = match error.code() {
        Some(code) => of_state(code),
        None => of_connection(&error),
    };
    let message = match remedy {
        "" => doing.to_owned(),
        remedy => format!("{doing}: {remedy}"),
    };
    let described = match error.as_db_error() {
        Some(refusal) => {
            let named = Error::new(kind, message)
                .with("server", refusal.message())
                .with("code", refusal.code().code());
            let named = [("detail", refusal.detail()), ("hint", refusal.hint())]
                .into_iter()
                .filter_map(|(name, text)| Some((name, text?)))
                .fold(named, |error, (name, text)| error.with(name, text));
            return named;
        }
        None => Error::new(kind, message),
    };
    described.because(error)
}

/// A call that took too long.
pub(crate) fn too_late(doing: &'static str) -> Error {
    Error::unavailable(format!("{doing}: the server did not answer in time"))
}

fn of_state(code: &SqlState) -> (ErrorKind, &'static str) {
    use ErrorKind::{Conflict, Invalid, Unavailable};
    let class = &code.code()[..2];
    if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        return (
            Invalid,
            "the server refuses the credentials; check the user and the password",
        );
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return (Invalid, "there is no such database; create it or name another");
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return (Invalid, "the user lacks a permission; grant it");
    }
    if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME {
        return (Invalid, "there is no such table; create it or name another");
    }
    if *code == SqlState::UNDEFINED_COLUMN {
        return (
            Invalid,
            "the table has no such column; add it or name those that it has",
        );
    }
    if *code == SqlState::TOO_MANY_CONNECTIONS {
        return (
            Unavailable,
            "the server has no more connections; raise max_connections or lower the parallelism",
        );
    }
    if *code == SqlState::DISK_FULL {
        return (Unavailable, "the disk of the server is full; make room");
    }
    if *code == SqlState::OUT_OF_MEMORY {
        return (
            Unavailable,
            "the server has no room for it; where it says so, raise max_prepared_transactions",
        );
    }
    if *code == SqlState::DUPLICATE_OBJECT {
        return (Conflict, "another job of the same name does the same");
    }
    match class {
        // Connection, resources, intervention of an operator, serialization, a state that passes.
        "08" | "53" | "57" | "58" | "40" | "55" => (Unavailable, ""),
        "22" | "23" => (Invalid, "the server refuses a row; mend the record or the table"),
        _ => (Invalid, ""),
    }
}

fn of_connection(error: &PostgresError) -> (ErrorKind, &'static str) {
    let source = std::error::Error::source(error);
    let is_io = source.is_some_and(|source| source.is::<io::Error>());
    // The client's other errors are about what it was given.
    let is_late = error.to_string().starts_with("timeout");
    match error.is_closed() || is_io || is_late {
        true => (ErrorKind::Unavailable, "the server cannot be reached"),
        false => (ErrorKind::Invalid, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_whether_to_try_again() {
        let cases = [
            (SqlState::ADMIN_SHUTDOWN, ErrorKind::Unavailable),
            (SqlState::CANNOT_CONNECT_NOW, ErrorKind::Unavailable),
            (SqlState::TOO_MANY_CONNECTIONS, ErrorKind::Unavailable),
            (SqlState::DISK_FULL, ErrorKind::Unavailable),
            (SqlState::T_R_DEADLOCK_DETECTED, ErrorKind::Unavailable),
            (SqlState::CONNECTION_FAILURE, ErrorKind::Unavailable),
            (SqlState::INVALID_PASSWORD, ErrorKind::Invalid),
            (SqlState::UNDEFINED_TABLE, ErrorKind::Invalid),
            (SqlState::NOT_NULL_VIOLATION, ErrorKind::Invalid),
            (SqlState::NUMERIC_VALUE_OUT_OF_RANGE, ErrorKind::Invalid),
            (SqlState::DUPLICATE_OBJECT, ErrorKind::Conflict),
        ];
        for (state, expected) in cases {
            assert_eq!(of_state(&state).0, expected, "{}", state.code());
        }
    }
}
