//! Subjects, and patterns of them with `*` and `>`.

use snapline_core::{Error, Result};

/// Whether a subject without wildcards, or all subjects of a pattern, are of a pattern.
pub(crate) fn covers(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            (_, None) | ("*", Some(">")) => return false,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Whether some subject is of both patterns.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let mut tokens = other.split('.');
    for wanted in one.split('.') {
        match (wanted, tokens.next()) {
            (_, None) => return false,
            (">", _) | (_, Some(">")) => return true,
            ("*", _) | (_, Some("*")) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Sees whether messages can be published to a subject.
///
/// # Errors
/// `Invalid` when it is empty, or has wildcards, white space or empty parts.
pub(crate) fn check(subject: &str) -> Result<()> {
    let is_token = |token: &str| {
        !token.is_empty() && token != "*" && token != ">" && !token.contains(char::is_whitespace)
    };
    match subject.split('.').all(is_token) {
        true => Ok(()),
        false => Err(Error::invalid(
            "messages cannot be published to this subject; it must have no wildcards, no white space and no empty parts",
        )
        .with("subject", subject)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_the_subjects_that_the_server_says() {
        let cases = [
            ("a", "a", true),
            ("a", "a.b", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("*.b", "a.b", true),
            ("*", ">", false),
            ("a.>", "a.*", true),
        ];
        for (pattern, subject, expected) in cases {
            assert_eq!(covers(pattern, subject), expected, "{pattern} {subject}");
        }
    }

    #[test]
    fn patterns_overlap_when_a_subject_is_of_both() {
        let cases = [
            ("a.*", "*.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "b.>", false),
            ("a", "a", true),
            ("a.*", "a.b.c", false),
            (">", "x", true),
            ("a.>", "a", false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn subjects_with_wildcards_cannot_be_published_to() {
        assert!(check("a.b").is_ok());
        for subject in ["", "a.", "a..b", "a.*", ">", "a b"] {
            assert!(check(subject).is_err(), "{subject:?}");
        }
    }
}
