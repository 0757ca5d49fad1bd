//! The names of objects, which say what they are.

use snapline_core::{AttemptId, CheckpointId, SubtaskIndex};

/// One object of one writer. No two objects ever have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) subtask: SubtaskIndex,
    pub(super) attempt: AttemptId,
    /// The last checkpoint for which the writer had prepared before; `NONE` when there was none. The upload begins before
    /// anybody knows of which checkpoint it will be.
    pub(super) after: CheckpointId,
    /// The how many-th object of the writer it is.
    pub(super) number: u64,
}

impl Part {
    /// Names sort by subtask, then by when they were written.
    pub(super) fn name(self, suffix: &str) -> String {
        let Self {
            subtask: SubtaskIndex(subtask),
            attempt,
            after: CheckpointId(after),
            number,
        } = self;
        format!("part-{subtask:05}-{attempt}-{after:020}-{number:06}{suffix}")
    }

    /// Which object this is, in whatever folder, or `None` when the name is not exactly one that [`Part::name`] gives.
    pub(super) fn parse(name: &str, suffix: &str) -> Option<Self> {
        let name = name.rsplit('/').next()?;
        let numbers = name.strip_prefix("part-")?.strip_suffix(suffix)?;
        let numbers: Vec<u64> = numbers
            .split('-')
            .map(|text| text.parse().ok())
            .collect::<Option<_>>()?;
        let &[subtask, attempt, after, number] = &numbers[..] else {
            return None;
        };
        let part = Self {
            subtask: SubtaskIndex(u32::try_from(subtask).ok()?),
            attempt: AttemptId(attempt),
            after: CheckpointId(after),
            number,
        };
        // A name that is almost like ours, as with a sign or another number of zeros, is not ours.
        (part.name(suffix) == name).then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_object_it_is_and_others_are_not_ours() {
        let part = Part {
            subtask: SubtaskIndex(3),
            attempt: AttemptId(12),
            after: CheckpointId(7),
            number: 4,
        };
        let name = "part-00003-12-00000000000000000007-000004.csv";
        assert_eq!(part.name(".csv"), name);
        assert_eq!(Part::parse(name, ".csv"), Some(part));
        assert_eq!(Part::parse(&format!("a/b/{name}"), ".csv"), Some(part));
        for other in [
            "part-00003-12-00000000000000000007-000004",
            "part-3-12-00000000000000000007-000004.csv",
            "part-00003-12-000004.csv",
            "part-00003-+12-00000000000000000007-000004.csv",
            "other.csv",
        ] {
            assert_eq!(Part::parse(other, ".csv"), None, "{other}");
        }
    }
}
