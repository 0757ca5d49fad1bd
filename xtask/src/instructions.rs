//! `cargo xtask instructions`: how many instructions two small workloads take, compared with what is recorded.
//!
//! Times on a shared machine vary by more than most regressions are large; the number of instructions does not.

mod callgrind;
mod record;

use crate::process::capture;
use crate::workspace::{cargo, root};
use callgrind::{Callgrind, Found};
use clap::Args;
use record::{Change, Record};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Whether to compare or to record.
#[derive(Args)]
pub(crate) struct Options {
    /// Records the counts instead of comparing them.
    #[arg(long)]
    record: bool,
}

/// A workload that is small and has the same input each time.
struct Counted {
    name: &'static str,
    arguments: &'static [&'static str],
    text: Option<Text>,
}

/// A text as `workload make-text` makes it.
struct Text {
    bytes: &'static str,
    vocabulary: &'static str,
}

const COUNTED: [Counted; 2] = [
    Counted {
        name: "wordcount",
        arguments: &["wordcount"],
        text: Some(Text {
            bytes: "2000000",
            vocabulary: "5000",
        }),
    },
    Counted {
        name: "keyed-sum",
        arguments: &["keyed-sum", "--records", "1000000", "--keys", "1000"],
        text: None,
    },
];

/// Without checkpoints: how many there are depends on the time.
const ALWAYS: [&str; 4] = ["--parallelism", "1", "--checkpoint-interval-ms", "0"];

/// Valgrind is about fifty times slower than the machine, and a build takes a minute or two.
const LIMIT: Duration = Duration::from_secs(20 * 60);

pub(crate) fn run(options: &Options) -> Result<String, String> {
    let callgrind = match callgrind::find() {
        Found::Here(callgrind) => callgrind,
        Found::Missing(reason) => return Ok(format!("skipped the instruction counts: {reason}")),
    };
    let folder = root().join("target/instructions-counted");
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let workload = build()?;
    let mut now = Record::new()?;
    for counted in &COUNTED {
        now.counts.push((
            counted.name.to_owned(),
            count(&callgrind, &workload, &folder, counted)?,
        ));
    }
    if options.record {
        now.write()?;
        return Ok(format!("{}recorded in {}", now.show(), record::FILE));
    }
    judge(&Record::read()?, &now, &folder)
}

/// The step of CI.
pub(crate) fn check() -> Result<String, String> {
    run(&Options { record: false }).map(|report| format!("\n{}", report.trim_end()))
}

fn build() -> Result<PathBuf, String> {
    let arguments = [
        "build",
        "--profile=instructions",
        "--package=snapline-benches",
        "--bin=workload",
    ];
    let output = capture(cargo().args(arguments), LIMIT)?;
    if output.status.success() {
        Ok(root().join("target/instructions/workload"))
    } else {
        Err(format!("the workloads do not compile:\n{}", output.text()))
    }
}

fn count(callgrind: &Callgrind, workload: &Path, folder: &Path, counted: &Counted) -> Result<u64, String> {
    let mut command = callgrind.command(workload, &profile_of(folder, counted.name));
    command.args(counted.arguments).args(ALWAYS);
    if let Some(text) = &counted.text {
        command.arg("--input").arg(text.make(workload, folder)?);
    }
    let output = capture(&mut command, LIMIT)?;
    if !output.status.success() || !output.stdout.contains("\"verified\":true") {
        return Err(format!(
            "{} gave a wrong result:\n{}",
            counted.name,
            output.text()
        ));
    }
    callgrind::instructions(&profile_of(folder, counted.name))
}

fn profile_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.callgrind"))
}

impl Text {
    fn make(&self, workload: &Path, folder: &Path) -> Result<PathBuf, String> {
        let path = folder.join("text.txt");
        let mut command = Command::new(workload);
        command.args(["make-text", "--bytes", self.bytes]);
        command
            .args(["--vocabulary", self.vocabulary, "--output"])
            .arg(&path);
        let output = capture(&mut command, LIMIT)?;
        if output.status.success() {
            return Ok(path);
        }
        Err(format!("the input text could not be made:\n{}", output.text()))
    }
}

/// What to print, or what has become slower and what to do about it.
fn judge(recorded: &Record, now: &Record, folder: &Path) -> Result<String, String> {
    let changes = now.since(recorded);
    let lines: String = changes.iter().map(Change::line).collect();
    if changes.iter().all(|change| !change.is_slower()) {
        return Ok(lines);
    }
    let compiler = if recorded.compiler == now.compiler {
        String::new()
    } else {
        format!(
            "it was recorded with {}, and this is {}\n",
            recorded.compiler, now.compiler
        )
    };
    Err(format!(
        "{lines}{compiler}where they are: callgrind_annotate {}\n\
         if they are worth it: cargo xtask instructions --record",
        folder.join("NAME.callgrind.1").display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(compiler: &str, counts: &[(&str, u64)]) -> Record {
        let counts = counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect();
        Record {
            compiler: compiler.to_owned(),
            counts,
        }
    }

    #[test]
    fn only_more_than_the_margin_is_too_much() {
        let recorded = record("rustc 1", &[("a", 1000), ("b", 1000)]);
        let verdict = |a, b| {
            judge(
                &recorded,
                &record("rustc 1", &[("a", a), ("b", b)]),
                Path::new("here"),
            )
        };
        assert!(verdict(1050, 1000).is_ok());
        assert!(verdict(1000, 500).unwrap().contains("record"));
        let reason = verdict(1000, 1051).unwrap_err();
        assert!(
            reason.contains("here/NAME.callgrind.1") && reason.contains("--record"),
            "{reason}"
        );
        assert!(!reason.contains("recorded with"), "{reason}");
    }

    #[test]
    fn another_compiler_is_named() {
        let recorded = record("rustc 1", &[("a", 1000)]);
        let reason = judge(&recorded, &record("rustc 2", &[("a", 2000)]), Path::new("")).unwrap_err();
        assert!(
            reason.contains("recorded with rustc 1, and this is rustc 2"),
            "{reason}"
        );
    }

    #[test]
    fn a_workload_without_a_record_is_told_so() {
        let now = record("rustc 1", &[("a", 1000)]);
        let reason = judge(&record("rustc 1", &[]), &now, Path::new("")).unwrap_err();
        assert!(
            reason.contains("a  ") && reason.contains("not recorded"),
            "{reason}"
        );
    }
}
