//! The names of output files, which say what they are.

use snapline_core::{AttemptId, CheckpointId, SubtaskIndex};

/// One file of one writer. No two files ever have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) subtask: SubtaskIndex,
    pub(super) attempt: AttemptId,
    /// The how many-th file of the writer it is.
    pub(super) number: u64,
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is written to.
    InProgress,
    /// It waits for its checkpoint to be complete.
    Pending(CheckpointId),
    /// It is visible.
    Committed(CheckpointId),
}

impl Part {
    /// The name of the file at this stage. Visible files end with the suffix and sort by subtask, then
    /// checkpoint.
    pub(super) fn name(self, stage: Stage, suffix: &str) -> String {
        let Self {
            subtask: SubtaskIndex(subtask),
            attempt,
            number,
        } = self;
        match stage {
            Stage::InProgress => format!(".part-{subtask:05}-{attempt}-{number}.inprogress"),
            Stage::Pending(CheckpointId(id)) => {
                format!(".part-{subtask:05}-{id:020}-{attempt}-{number}.pending")
            }
            Stage::Committed(CheckpointId(id)) => {
                format!("part-{subtask:05}-{id:020}-{attempt}-{number}{suffix}")
            }
        }
    }

    /// Which file this is, or `None` when the name is not exactly one that [`Part::name`] gives.
    pub(super) fn parse(name: &str, suffix: &str) -> Option<(Self, Stage)> {
        let (hidden, rest) = match name.strip_prefix('.') {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let rest = rest.strip_prefix("part-")?;
        let (numbers, in_progress) = match (hidden, rest.strip_suffix(".inprogress")) {
            (true, Some(numbers)) => (numbers, true),
            (true, None) => (rest.strip_suffix(".pending")?, false),
            (false, _) => (rest.strip_suffix(suffix)?, false),
        };
        let numbers: Vec<u64> = numbers
            .split('-')
            .map(|text| text.parse().ok())
            .collect::<Option<_>>()?;
        let (subtask, stage, attempt, number) = match (hidden, in_progress, &numbers[..]) {
            (true, true, &[subtask, attempt, number]) => (subtask, Stage::InProgress, attempt, number),
            (true, false, &[subtask, checkpoint, attempt, number]) => {
                (subtask, Stage::Pending(CheckpointId(checkpoint)), attempt, number)
            }
            (false, _, &[subtask, checkpoint, attempt, number]) => (
                subtask,
                Stage::Committed(CheckpointId(checkpoint)),
                attempt,
                number,
            ),
            _ => return None,
        };
        let part = Self {
            subtask: SubtaskIndex(u32::try_from(subtask).ok()?),
            attempt: AttemptId(attempt),
            number,
        };
        // A name that is almost like ours, as with a sign or another number of zeros, is not ours.
        (part.name(stage, suffix) == name).then_some((part, stage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_file_is() {
        let part = Part {
            subtask: SubtaskIndex(3),
            attempt: AttemptId(12),
            number: 4,
        };
        let wide = Part {
            subtask: SubtaskIndex(u32::MAX),
            attempt: AttemptId(u64::MAX),
            number: 0,
        };
        let cases = [
            (part, Stage::InProgress, "", ".part-00003-12-4.inprogress"),
            (
                part,
                Stage::Pending(CheckpointId(7)),
                ".csv",
                ".part-00003-00000000000000000007-12-4.pending",
            ),
            (
                part,
                Stage::Committed(CheckpointId(7)),
                "",
                "part-00003-00000000000000000007-12-4",
            ),
            (
                part,
                Stage::Committed(CheckpointId(7)),
                ".csv",
                "part-00003-00000000000000000007-12-4.csv",
            ),
            (
                wide,
                Stage::Committed(CheckpointId(u64::MAX)),
                "-1",
                "part-4294967295-18446744073709551615-18446744073709551615-0-1",
            ),
        ];
        for (part, stage, suffix, name) in cases {
            assert_eq!(part.name(stage, suffix), name);
            assert_eq!(Part::parse(name, suffix), Some((part, stage)));
        }
    }

    #[test]
    fn other_names_are_left_alone() {
        let names = [
            "",
            "part-",
            ".part-owner",
            "part-00000",
            "part-00003-00000000000000000007-12-4.txt",
            "part-00003-00000000000000000007-12-+4",
            "part-3-00000000000000000007-12-4",
            "part-00003-7-12-4",
            "part-00003-00000000000000000007-12-4-5",
            "part-4294967296-00000000000000000007-12-4",
            "part-00003-12-4.inprogress",
            ".part-00003-12-4.pending",
            ".part-00003-00000000000000000007-12-4.inprogress",
            ".part-00003-00000000000000000007-12-4",
            "..part-00003-12-4.inprogress",
        ];
        for name in names {
            assert_eq!(Part::parse(name, ""), None, "{name}");
        }
        assert_eq!(Part::parse("part-00003-00000000000000000007-12-4", ".csv"), None);
    }
}
