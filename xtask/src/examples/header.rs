//! What the header of an example says: how to run it, and what it prints.

/// The command and the expected output of an example.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// The arguments of cargo.
    pub(super) arguments: Vec<String>,
    pub(super) expected: String,
    pub(super) comparison: Comparison,
}

/// What must be the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    /// Every line, in order: `Expected output:`.
    Exact,
    /// Every line, in any order: `Expected output (sorted):`.
    Sorted,
    /// Only these lines, wherever they are: `Expected output (some lines):`.
    SomeLines,
}

const FENCE: &str = "```";
const TITLES: [(&str, Comparison); 3] = [
    ("Expected output:", Comparison::Exact),
    ("Expected output (sorted):", Comparison::Sorted),
    ("Expected output (some lines):", Comparison::SomeLines),
];

impl Header {
    /// Reads the `//!` lines at the beginning of a file.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let comment = |line: &'_ str| {
            let text = line.strip_prefix("//!")?;
            Some(text.strip_prefix(' ').unwrap_or(text).to_owned())
        };
        let lines: Vec<String> = source.lines().map_while(comment).collect();
        let command = lines.iter().find(|line| line.starts_with("cargo run"));
        let command = command.ok_or("its header has no line that begins with `cargo run`")?;
        let title = |line: &String| {
            TITLES
                .iter()
                .find(|(title, _)| line == title)
                .map(|(_, comparison)| *comparison)
        };
        let at = lines.iter().position(|line| title(line).is_some());
        let at = at.ok_or("its header has no line `Expected output:`")?;
        Ok(Self {
            arguments: command.split_whitespace().skip(1).map(str::to_owned).collect(),
            expected: fenced(&lines[at..])
                .ok_or("its header has no block fenced by ```text below `Expected output:`")?,
            comparison: title(&lines[at]).unwrap_or(Comparison::Exact),
        })
    }

    /// The command as the header has it.
    pub(super) fn command(&self) -> String {
        format!("cargo {}", self.arguments.join(" "))
    }
}

fn fenced(lines: &[String]) -> Option<String> {
    let opens = lines.iter().position(|line| line.starts_with(FENCE))?;
    let block = &lines[opens + 1..];
    let closes = block.iter().position(|line| line.starts_with(FENCE))?;
    Some(block[..closes].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_and_the_expected_output_are_read() {
        let source = "//! Idea.\n//!\n//! ```text\n//! cargo run --bin a -- --quiet\n//! ```\n//!\n\
                      //! Expected output (sorted):\n//!\n//! ```text\n//! b\n//! a  1\n//! ```\n\nfn main() {}\n";
        let header = Header::parse(source).unwrap();
        assert_eq!(header.command(), "cargo run --bin a -- --quiet");
        assert_eq!(
            (header.expected.as_str(), header.comparison),
            ("b\na  1", Comparison::Sorted)
        );
    }

    #[test]
    fn a_header_that_lacks_something_is_told_what() {
        let cases = [
            ("fn main() {}", "no line that begins with `cargo run`"),
            ("//! cargo run --bin a\n", "no line `Expected output:`"),
            (
                "//! cargo run --bin a\n//! Expected output:\n",
                "no block fenced by ```text",
            ),
        ];
        for (source, message) in cases {
            let error = Header::parse(source).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
