//! Who is who: jobs, operators, subtasks, checkpoints, attempts.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number_id! {
    /// The number of a checkpoint: positive, growing over the whole life of a job.
    #[doc(alias = "epoch")]
    CheckpointId, u64
}

number_id! {
    /// The incarnation of a job. Anything from an older attempt is refused.
    AttemptId, u64
}

number_id! {
    /// The position of a parallel instance among its siblings, from 0.
    SubtaskIndex, u32
}

impl CheckpointId {
    /// Before the first checkpoint.
    pub const NONE: Self = Self(0);

    /// The id after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl AttemptId {
    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl SubtaskIndex {
    /// The index as a position in a slice.
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and keeps the text.
            ///
            /// # Errors
            /// `Invalid` unless it has 1 to 200 characters, all of them ASCII letters, digits,
            /// `-`, `_` or `.`, and does not start with a dot: it becomes part of a file name.
            pub fn new(text: impl Into<String>) -> Result<Self> {
                let text = text.into();
                if is_name(&text) {
                    return Ok(Self(text));
                }
                let rule = concat!(
                    $what, " must have 1 to 200 characters, only ASCII letters, digits, '-', '_' and '.', ",
                    "and must not start with a dot"
                );
                Err(Error::invalid(rule).with("given", format!("{text:?}")))
            }

            /// A valid id as near to this text as possible: other characters become `-`.
            pub fn from_text(text: &str) -> Self {
                let keep = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
                let name: String = text.chars().map(keep).take(200).collect();
                let name = name.trim_start_matches(['.', '-']).trim_end_matches('-');
                Self(if name.is_empty() { "unnamed".to_owned() } else { name.to_lowercase() })
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The name under which a job keeps its checkpoints. Running a program with the same job id
    /// again resumes from the newest one.
    JobId, "a job id"
}

text_id! {
    /// The stable name of an operator: its state is found under this name after a restart.
    OperatorUid, "an operator uid"
}

fn is_name(text: &str) -> bool {
    (1..=200).contains(&text.len())
        && !text.starts_with('.')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// One parallel instance of one operator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubtaskId {
    /// The operator. A task that runs a chain is named by the chain's first operator.
    pub operator: OperatorUid,
    /// Which of its parallel instances.
    pub index: SubtaskIndex,
}

impl fmt::Display for SubtaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.operator, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_would_not_be_a_file_name_is_refused_and_the_rule_is_told() {
        for text in ["", ".hidden", "a/b", "ü", &"x".repeat(201)] {
            let error = JobId::new(text).unwrap_err();
            assert!(
                error.message().starts_with("a job id must have"),
                "{text}: {error}"
            );
        }
        assert_eq!(JobId::new("word-count_1.2").unwrap().as_str(), "word-count_1.2");
    }

    #[test]
    fn any_text_becomes_an_id() {
        let cases = [
            ("WordCount Example", "wordcount-example"),
            ("../up", "up"),
            ("", "unnamed"),
            ("ü", "unnamed"),
        ];
        for (text, id) in cases {
            assert_eq!(OperatorUid::from_text(text).as_str(), id);
        }
    }

    #[test]
    fn a_stored_id_is_checked_when_it_is_read() {
        let stored = postcard::to_allocvec("a/b").unwrap();
        assert!(postcard::from_bytes::<JobId>(&stored).is_err());
    }
}
