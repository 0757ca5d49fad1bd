//! `cargo xtask examples`: runs every example and compares what it prints with its header.

mod header;

use crate::process::capture;
use crate::stopwatch::Stopwatch;
use crate::workspace::{Binary, cargo, packages};
use header::{Comparison, Header};
use std::time::Duration;

/// An example that hangs is stopped after this long, its build included.
const LIMIT: Duration = Duration::from_secs(20 * 60);

const PACKAGE: &str = "snapline-examples";

pub(crate) fn run() -> Result<String, String> {
    let packages = packages()?;
    let package = packages.iter().find(|package| package.name == PACKAGE);
    let binaries = package.map_or(&[][..], |package| &package.binaries);
    let mut report = String::new();
    let mut failures = Vec::new();
    for binary in binaries {
        let clock = Stopwatch::start();
        match run_one(binary) {
            Ok(skipped) => {
                let seconds = clock.elapsed().as_secs_f64();
                report += &format!("\n{} ok {seconds:.1} s{skipped}", binary.name);
            }
            Err(reason) => failures.push(format!("{}: {reason}", binary.name)),
        }
    }
    if failures.is_empty() {
        Ok(report)
    } else {
        Err(failures.join("\n"))
    }
}

/// Why it was skipped, if it was: it wants a server that cannot be had.
fn run_one(binary: &Binary) -> Result<String, String> {
    let source = std::fs::read_to_string(&binary.source)
        .map_err(|error| format!("cannot read {}: {error}", binary.source.display()))?;
    let header = Header::parse(&source)?;
    let output = capture(cargo().args(&header.arguments), LIMIT)?;
    if !output.status.success() {
        return Err(format!(
            "`{}` ended with {}:\n{}",
            header.command(),
            output.status,
            output.text()
        ));
    }
    let text = output.text();
    if let Some(skipped) = text.lines().find(|line| line.starts_with("skipped ")) {
        return Ok(format!(", {skipped}"));
    }
    let compared = compare(&header, &output.stdout);
    compared.map(|()| String::new()).map_err(|difference| {
        format!(
            "`{}` does not print what its header says: {difference}",
            header.command()
        )
    })
}

fn compare(header: &Header, stdout: &str) -> Result<(), String> {
    let mut expected: Vec<&str> = header.expected.lines().collect();
    let printed = stdout.replace('\t', "    ");
    let mut printed: Vec<&str> = printed.lines().collect();
    match header.comparison {
        Comparison::Exact => {}
        Comparison::Sorted => {
            expected.sort_unstable();
            printed.sort_unstable();
        }
        Comparison::SomeLines => printed.retain(|line| expected.contains(line)),
    }
    if header.comparison == Comparison::SomeLines {
        let missing = expected.iter().find(|line| !printed.contains(line));
        return missing.map_or(Ok(()), |line| Err(format!("the line `{line}` is missing")));
    }
    let longest = expected.len().max(printed.len());
    let line = |lines: &[&str], index: usize| {
        lines
            .get(index)
            .map_or("nothing".to_owned(), |l| format!("`{l}`"))
    };
    match (0..longest).find(|index| expected.get(*index) != printed.get(*index)) {
        None => Ok(()),
        Some(index) => Err(format!(
            "line {} should be {} but is {}",
            index + 1,
            line(&expected, index),
            line(&printed, index)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_as_the_first_line_that_differs() {
        let cases = [
            (Comparison::Exact, "a\nb", "a\nb\n", ""),
            (Comparison::Exact, "a    1", "a\t1\n", ""),
            (
                Comparison::Exact,
                "a\nb",
                "b\na\n",
                "line 1 should be `a` but is `b`",
            ),
            (
                Comparison::Exact,
                "a\nb",
                "a\n",
                "line 2 should be `b` but is nothing",
            ),
            (
                Comparison::Exact,
                "a",
                "a\nb\n",
                "line 2 should be nothing but is `b`",
            ),
            (Comparison::Sorted, "a\nb", "b\na\n", ""),
            (
                Comparison::Sorted,
                "a\nb",
                "b\nb\n",
                "line 1 should be `a` but is `b`",
            ),
            (Comparison::SomeLines, "b", "a\nb\nc\n", ""),
            (Comparison::SomeLines, "d", "a\nb\nc\n", "the line `d` is missing"),
        ];
        for (comparison, expected, stdout, difference) in cases {
            let header = Header {
                arguments: Vec::new(),
                expected: expected.to_owned(),
                comparison,
            };
            assert_eq!(compare(&header, stdout).err().unwrap_or_default(), difference);
        }
    }
}
