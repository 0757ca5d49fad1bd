//! `cargo xtask ci`: everything that must hold before a change is merged.

use crate::chaos::SERVERS;
use crate::process::{Output, capture};
use crate::stopwatch::Stopwatch;
use crate::workspace::cargo;
use crate::{examples, instructions, plugins, tidy};
use std::io::Write;
use std::process::Command;
use std::time::Duration;

/// A step that hangs is stopped after this long.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// What brings an HTTP client and TLS: about two minutes of processor time, and so in no other step.
pub(crate) const CLOUDS: &str = "--features=aws,azure,gcp";

struct Step {
    name: &'static str,
    work: Work,
    /// What to do when it fails.
    advice: &'static str,
}

enum Work {
    Cargo(Vec<&'static str>, &'static [(&'static str, &'static str)]),
    Here(fn() -> Result<String, String>),
}

pub(crate) fn run() -> Result<String, String> {
    let clock = Stopwatch::start();
    let mut failed = Vec::new();
    for step in steps(has_nextest()) {
        print!("{:<9}... ", step.name);
        let _ = std::io::stdout().flush();
        let step_clock = Stopwatch::start();
        let outcome = work(&step.work);
        let seconds = step_clock.elapsed().as_secs_f64();
        match outcome {
            Ok(report) => println!("ok {seconds:.1} s{report}"),
            Err(report) => {
                println!(
                    "FAILED {seconds:.1} s\n{}\n{}: {}",
                    report.trim_end(),
                    step.name,
                    step.advice
                );
                failed.push(step.name);
            }
        }
    }
    let seconds = clock.elapsed().as_secs_f64();
    if failed.is_empty() {
        return Ok(format!("all good, {seconds:.0} s"));
    }
    Err(format!("failed: {}; {seconds:.0} s", failed.join(", ")))
}

/// The steps, cheap ones first. None changes `RUSTFLAGS`, and only the last one the profile:
/// nothing else is built twice.
fn steps(nextest: bool) -> Vec<Step> {
    let test = if nextest {
        vec![
            "nextest",
            "run",
            "--workspace",
            "--exclude=snapline-connector-nats",
            "--exclude=snapline-connector-postgres",
            "--no-fail-fast",
            "--status-level",
            "fail",
        ]
    } else {
        vec![
            "test",
            "--workspace",
            "--exclude=snapline-connector-nats",
            "--exclude=snapline-connector-postgres",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
        ]
    };
    let s3 = if nextest {
        vec![
            "nextest",
            "run",
            "--package=snapline-state-object",
            "--package=snapline-connector-object",
            "--package=snapline",
            "--package=snapline-cli",
            CLOUDS,
            "--test=s3",
            "--no-fail-fast",
            "--status-level=fail",
            "--success-output=final",
        ]
    } else {
        vec![
            "test",
            "--package=snapline-state-object",
            "--package=snapline-connector-object",
            "--package=snapline",
            "--package=snapline-cli",
            CLOUDS,
            "--test=s3",
            "--",
            "--nocapture",
        ]
    };
    let servers = if nextest {
        vec![
            "nextest",
            "run",
            "--package=snapline-connector-nats",
            "--package=snapline-connector-postgres",
            "--no-fail-fast",
            "--status-level=fail",
            "--success-output=final",
        ]
    } else {
        vec![
            "test",
            "--package=snapline-connector-nats",
            "--package=snapline-connector-postgres",
            "--",
            "--nocapture",
        ]
    };
    let killed = vec![
        "test",
        "--package=snapline",
        CLOUDS,
        SERVERS,
        "--test=killed",
        "--",
        "--nocapture",
        "--test-threads=1",
        // The step "test" has that of files, which needs no feature.
        "--skip=in_files",
    ];
    vec![
        Step {
            name: "fmt",
            work: Work::Cargo(vec!["fmt", "--all", "--check"], &[]),
            advice: "run `cargo fmt --all` and look at what it changed",
        },
        Step {
            name: "tidy",
            work: Work::Here(tidy::run),
            advice: "each line above names a file, a rule and what to do; CONTRIBUTING.md has the reasons",
        },
        Step {
            name: "clippy",
            work: Work::Cargo(
                vec!["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
                &[],
            ),
            advice: "fix the warnings; an exception is `#[expect(lint, reason = \"...\")]` where it is needed",
        },
        Step {
            name: "test",
            work: Work::Cargo(test, &[]),
            advice: "the names of failed tests are sentences that do not hold any more; seeds stand in their output",
        },
        Step {
            name: "lint s3",
            work: Work::Cargo(
                vec![
                    "clippy",
                    "--package=snapline-state-object",
                    "--package=snapline-connector-object",
                    "--package=snapline",
                    "--package=snapline-cli",
                    CLOUDS,
                    "--features=snapline/kafka,snapline/nats,snapline/postgres",
                    "--all-targets",
                    "--",
                    "-D",
                    "warnings",
                ],
                &[],
            ),
            advice: "fix the warnings; these files are built only with the features of the clouds",
        },
        Step {
            name: "s3",
            work: Work::Cargo(s3, &[]),
            advice: "the tests run against moto, which they install in target/services; they are skipped without python3 or a network",
        },
        Step {
            name: "servers",
            work: Work::Cargo(servers, &[]),
            advice: "the tests run against PostgreSQL and NATS, which they install from Debian's packages as root and else skip; SNAPLINE_POSTGRES_URL and SNAPLINE_NATS_URL name servers that run",
        },
        Step {
            name: "killed",
            work: Work::Cargo(killed, &[]),
            advice: "a job, or the server to which it writes, was killed, and rows are missing, repeated or left behind; the seed stands in the output",
        },
        Step {
            name: "doctest",
            work: Work::Cargo(vec!["test", "--doc", "--workspace", "--no-fail-fast"], &[]),
            advice: "an example in the documentation does not compile or does not hold any more",
        },
        Step {
            name: "rustdoc",
            work: Work::Cargo(
                vec!["doc", "--workspace", "--no-deps"],
                &[("RUSTDOCFLAGS", "-D warnings")],
            ),
            advice: "mend the links and the missing documentation",
        },
        Step {
            name: "examples",
            work: Work::Here(examples::run),
            advice: "change the example, or the expected output in its header if the new output is right",
        },
        Step {
            name: "plugins",
            work: Work::Here(plugins::run),
            advice: "a trait or a suite has changed for those who implement it: see whether they have to, and tell them in the changelog",
        },
        Step {
            name: "count",
            work: Work::Here(instructions::check),
            advice: "more instructions for the same work: find where, or record them if they are worth it, and say why in the commit",
        },
    ]
}

fn has_nextest() -> bool {
    let mut version: Command = cargo();
    version.args(["nextest", "--version"]);
    capture(&mut version, Duration::from_secs(60)).is_ok_and(|output| output.status.success())
}

/// What to print behind "ok", or what went wrong.
fn work(work: &Work) -> Result<String, String> {
    match work {
        Work::Here(task) => task(),
        Work::Cargo(arguments, environment) => {
            let mut command = cargo();
            command.args(arguments).envs(environment.iter().copied());
            let output = capture(&mut command, LIMIT)?;
            judge(arguments, &output)
        }
    }
}

/// What to print of a command of cargo: the sums of its tests, or all when it failed.
pub(crate) fn judge(arguments: &[&str], output: &Output) -> Result<String, String> {
    if !output.status.success() {
        return Err(format!("$ cargo {}\n{}", arguments.join(" "), output.text()));
    }
    let text = output.text();
    let of_each_process = |line: &str| line.trim_start().starts_with(OF_A_PROCESS);
    let (whole, parts): (Vec<&str>, Vec<&str>) = text
        .lines()
        .filter(|line| is_summary(line) || is_skipped(line))
        .partition(|line| !of_each_process(line));
    // A runner with a process for each test sums up what they say.
    let summary = if whole.iter().any(|line| is_summary(line)) {
        whole
    } else {
        [whole, parts].concat()
    };
    Ok(summary
        .into_iter()
        .fold(String::new(), |report, line| report + "\n" + line))
}

/// How a process with tests sums up.
const OF_A_PROCESS: &str = "test result:";

/// Whether a test runner sums up in this line: whoever reads the log of CI counts tests by them.
fn is_summary(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("Summary [") || line.starts_with(OF_A_PROCESS)
}

/// Whether a test says in this line why it did not take place.
fn is_skipped(line: &str) -> bool {
    line.trim_start().starts_with("skipped ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_did_not_take_place_are_shown() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo '    skipped a_sentence: cannot run python3'; echo else",
        ]);
        let output = capture(&mut command, Duration::from_secs(60)).unwrap();
        let report = judge(&["test"], &output).unwrap();
        assert_eq!(report, "\n    skipped a_sentence: cannot run python3");
    }

    #[test]
    fn what_single_processes_say_is_not_counted_twice() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo 'test result: ok. 1 passed'; echo 'Summary [ 1 s ] 1 passed'",
        ]);
        let output = capture(&mut command, Duration::from_secs(60)).unwrap();
        assert_eq!(judge(&["test"], &output).unwrap(), "\nSummary [ 1 s ] 1 passed");
    }

    #[test]
    fn the_summaries_of_both_test_runners_are_shown() {
        let cases = [
            (
                "     Summary [   0.018s] 12 tests run: 12 passed, 0 skipped",
                true,
            ),
            ("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured", true),
            ("test a_sentence ... ok", false),
            ("    Finished `test` profile", false),
        ];
        for (line, expected) in cases {
            assert_eq!(is_summary(line), expected, "{line}");
        }
    }

    #[test]
    fn a_failed_step_shows_its_command_and_its_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken; exit 1"]);
        let output = capture(&mut command, Duration::from_secs(60)).unwrap();
        let report = judge(&["fmt"], &output).unwrap_err();
        assert_eq!(report, "$ cargo fmt\nbroken\n");
    }

    #[test]
    fn every_step_gives_advice_and_none_changes_the_compiler_flags() {
        for step in [steps(true), steps(false)].into_iter().flatten() {
            assert!(step.advice.len() > 20, "{}", step.name);
            if let Work::Cargo(_, environment) = step.work {
                assert!(
                    environment.iter().all(|(name, _)| *name != "RUSTFLAGS"),
                    "{}",
                    step.name
                );
            }
        }
    }
}
