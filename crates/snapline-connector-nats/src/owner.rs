//! The names of what a sink keeps in the server.

use snapline_core::{AttemptId, CheckpointId, JobId, OperatorUid, SubtaskIndex, stable_hash_bytes};

/// The sink of a job. Nothing with its names belongs to another.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) job: JobId,
    pub(crate) operator: OperatorUid,
    hash: String,
}

impl Owner {
    pub(crate) fn new(job: &JobId, operator: &OperatorUid) -> Self {
        let hash = stable_hash_bytes(format!("{job}/{operator}").as_bytes());
        Self {
            job: job.clone(),
            operator: operator.clone(),
            hash: format!("{hash:016x}"),
        }
    }

    /// The stream in which messages wait, and the ledger is.
    pub(crate) fn stream(&self) -> String {
        format!("snapline_{}", self.hash)
    }

    /// All subjects of that stream.
    pub(crate) fn subjects(&self) -> String {
        format!("snapline.{}.>", self.hash)
    }

    /// The subject of the ledger.
    pub(crate) fn ledger(&self) -> String {
        format!("snapline.{}.ledger", self.hash)
    }

    /// The subject of what waits of a part.
    pub(crate) fn staged(&self, part: &str) -> String {
        format!("snapline.{}.staged.{part}", self.hash)
    }

    /// The attempt that has staged what has this subject.
    pub(crate) fn staged_by(&self, subject: &str) -> Option<AttemptId> {
        let part = subject.strip_prefix(&self.staged(""))?;
        part.split('.').next()?.parse().ok().map(AttemptId)
    }

    /// What the ids of all messages of a part begin with; a number follows.
    pub(crate) fn id_prefix(&self, checkpoint: CheckpointId, subtask: SubtaskIndex, run: &str) -> String {
        format!("{}/{}/{checkpoint}/{subtask}/{run}/", self.job, self.operator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_staged_knows_its_attempt() {
        let owner = Owner::new(&JobId::from_text("job"), &OperatorUid::from_text("sink"));
        let subject = owner.staged("12.0.ab.3");
        assert_eq!(owner.staged_by(&subject), Some(AttemptId(12)));
        assert_eq!(owner.staged_by(&owner.ledger()), None);
        let other = Owner::new(&JobId::from_text("job"), &OperatorUid::from_text("other"));
        assert_eq!(other.staged_by(&subject), None);
    }
}
