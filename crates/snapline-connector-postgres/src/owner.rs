//! The names under which the server knows a sink.

use crate::table::literal;
use snapline_core::{AttemptId, JobId, OperatorUid, stable_hash_bytes};

/// A sink of a job. What the server has of it carries its name, so that nothing of others is ever touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) job: JobId,
    pub(crate) operator: OperatorUid,
}

/// The server takes names of up to 199 bytes for transactions; the numbers need at most 55.
const LONGEST: usize = 130;

impl Owner {
    pub(crate) fn new(job: &JobId, operator: &OperatorUid) -> Self {
        Self {
            job: job.clone(),
            operator: operator.clone(),
        }
    }

    /// How the names of its prepared transactions begin. Ids have neither `/` nor `~`.
    pub(crate) fn prefix(&self) -> String {
        let readable = format!("{}/{}", self.job, self.operator);
        match readable.len() <= LONGEST {
            true => format!("snapline/{readable}/"),
            false => format!("snapline/~{}/", self.hash()),
        }
    }

    /// The name that sessions of its writers begin with, which has to be short.
    pub(crate) fn session_prefix(&self) -> String {
        format!("snapline/{}/", self.hash())
    }

    /// The name of the sessions of its writers in an attempt.
    pub(crate) fn session(&self, attempt: AttemptId) -> String {
        format!("{}{attempt}", self.session_prefix())
    }

    /// The table in which its rows wait, where they wait in a table.
    pub(crate) fn staging_table(&self) -> String {
        format!("snapline_staged_{}", self.hash())
    }

    fn hash(&self) -> String {
        let bytes = format!("{}/{}", self.job, self.operator);
        format!("{:016x}", stable_hash_bytes(bytes.as_bytes()))
    }

    /// A condition in SQL for the rows of this sink.
    pub(crate) fn condition(&self) -> String {
        let (job, operator) = (literal(self.job.as_str()), literal(self.operator.as_str()));
        format!("job = {job} AND operator = {operator}")
    }
}

/// The attempt that ends a name.
pub(crate) fn attempt_of(name: &str) -> Option<AttemptId> {
    let (_, attempt) = name.rsplit_once('/')?;
    attempt.parse().ok().map(AttemptId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(job: &str, operator: &str) -> Owner {
        Owner::new(&JobId::new(job).unwrap(), &OperatorUid::new(operator).unwrap())
    }

    #[test]
    fn names_tell_sinks_apart_and_are_short_enough() {
        let long = "x".repeat(200);
        let owners = [
            owner("a", "b"),
            owner("a", "bc"),
            owner("a.b", "c"),
            owner(&long, "b"),
            owner(&long, "c"),
        ];
        for (number, owner) in owners.iter().enumerate() {
            assert!(owner.prefix().len() + 55 < 200);
            assert!(owner.session(AttemptId(u64::MAX)).len() < 64);
            for other in &owners[number + 1..] {
                assert!(!owner.prefix().starts_with(&other.prefix()));
                assert!(!other.prefix().starts_with(&owner.prefix()));
                assert_ne!(owner.session_prefix(), other.session_prefix());
            }
        }
    }

    #[test]
    fn a_name_ends_with_its_attempt() {
        let name = owner("a", "b").session(AttemptId(12));
        assert_eq!(attempt_of(&name), Some(AttemptId(12)));
        assert_eq!(attempt_of("snapline/a/b/x"), None);
    }
}
