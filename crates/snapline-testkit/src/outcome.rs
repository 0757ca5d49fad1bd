//! How the cases of a suite end.

/// How a case ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "a case holds, is skipped, or panics")]
pub enum Outcome {
    /// What was checked does as the sentence says.
    Held,
    /// It does not claim to, or the suite was not given the means to see; this is why.
    Skipped(&'static str),
}

impl Outcome {
    /// Says on standard error when the case was skipped.
    #[expect(clippy::print_stderr, reason = "a skipped case has to be seen")]
    pub(crate) fn tell(self, case: &str) {
        if let Self::Skipped(reason) = self {
            eprintln!("skipped {case}: {reason}");
        }
    }
}
