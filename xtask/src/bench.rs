//! `cargo xtask bench`: measures workloads against hand-written loops, interleaved.
//!
//! Only ratios that were taken in one run on one machine count: A B A B, and the median.

mod plan;
mod report;
mod table;

use crate::workspace::{cargo, root};
use clap::Args;
use plan::{Plan, Size, Variant};
use report::Report;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What to measure, and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// Small inputs, two rounds: shows that it works.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Large inputs, seven rounds.
    #[arg(long)]
    full: bool,
    /// Shows the ratios of two earlier runs instead of measuring.
    #[arg(long, num_args = 2, value_names = ["A.jsonl", "B.jsonl"])]
    compare: Vec<PathBuf>,
    /// The workloads; all when none is given.
    names: Vec<String>,
}

/// One line of a workload, with the row of the table that it belongs to.
struct Measurement {
    plan: String,
    variant: String,
    line: Value,
}

pub(crate) fn run(options: &Options) -> Result<String, String> {
    if let [before, after] = options.compare.as_slice() {
        return Ok(table::ratios(&read(before)?, &read(after)?));
    }
    let size = match (options.quick, options.full) {
        (true, _) => Size::Quick,
        (_, true) => Size::Full,
        _ => Size::Standard,
    };
    let plans = chosen(plan::all(size), &options.names)?;
    let workload = build()?;
    let folder = root().join("target/bench");
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let (path, mut log) = new_log(&folder)?;
    let machine = line_of(Command::new(&workload).arg("machine").arg("--dir").arg(&folder))?;
    writeln!(log, "{machine}").map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let mut text = format!("machine: {machine}\n");
    let mut report = Report::new(&machine.to_string());
    for plan in &plans {
        // What was measured before is worth having.
        let measurements = measure(&workload, &folder, plan)
            .map_err(|error| format!("{text}lines: {}\n{error}", path.display()))?;
        for measurement in &measurements {
            let line = measurement.to_json();
            writeln!(log, "{line}").map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        text += &table::of_plan(&measurements).to_text();
        report.add(plan, &measurements, &folder)?;
    }
    let page = folder.join("report.md");
    report.write(&page)?;
    Ok(format!(
        "{text}lines: {}\npage: {}",
        path.display(),
        page.display()
    ))
}

fn chosen(plans: Vec<Plan>, names: &[String]) -> Result<Vec<Plan>, String> {
    let known: Vec<&str> = plans.iter().map(|plan| plan.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!(
            "there is no workload {unknown}; there are: {}",
            known.join(", ")
        ));
    }
    let wanted = |plan: &Plan| names.is_empty() || names.iter().any(|name| name == plan.name);
    Ok(plans.into_iter().filter(wanted).collect())
}

fn build() -> Result<PathBuf, String> {
    let status = cargo()
        .args([
            "build",
            "--release",
            "--package",
            "snapline-benches",
            "--bin",
            "workload",
        ])
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("the workloads do not compile".to_owned());
    }
    Ok(root().join("target/release/workload"))
}

/// The first file name that is free.
fn new_log(folder: &Path) -> Result<(PathBuf, std::fs::File), String> {
    for number in 1.. {
        let path = folder.join(format!("run-{number:04}.jsonl"));
        match std::fs::File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("cannot create {}: {error}", path.display())),
        }
    }
    Err("no file name is free".to_owned())
}

fn measure(workload: &Path, folder: &Path, plan: &Plan) -> Result<Vec<Measurement>, String> {
    make_input(workload, folder, plan)?;
    let mut measurements = Vec::new();
    for round in 1..=plan.rounds {
        for variant in &plan.variants {
            eprintln!("{} {round}/{}: {}", plan.title, plan.rounds, variant.label);
            let line = run_variant(workload, folder, plan, variant)?;
            measurements.push(Measurement {
                plan: plan.title.clone(),
                variant: variant.label.to_owned(),
                line,
            });
        }
    }
    Ok(measurements)
}

/// Text is made once and kept.
fn make_input(workload: &Path, folder: &Path, plan: &Plan) -> Result<(), String> {
    let Some(bytes) = plan.text_bytes else {
        return Ok(());
    };
    let path = plan.text_file(folder, bytes);
    if path.exists() {
        return Ok(());
    }
    let draft = path.with_extension("draft");
    let mut command = Command::new(workload);
    command
        .args([
            "make-text",
            "--seed",
            "1",
            "--bytes",
            &bytes.to_string(),
            "--output",
        ])
        .arg(&draft);
    let status = command
        .status()
        .map_err(|error| format!("cannot run the workload: {error}"))?;
    if !status.success() {
        return Err("the input text could not be made".to_owned());
    }
    std::fs::rename(&draft, &path).map_err(|error| format!("cannot rename {}: {error}", draft.display()))
}

fn run_variant(workload: &Path, folder: &Path, plan: &Plan, variant: &Variant) -> Result<Value, String> {
    let checkpoints = folder.join("checkpoints");
    // Every run starts at the beginning.
    let _ = std::fs::remove_dir_all(&checkpoints);
    let mut command = Command::new(workload);
    command
        .arg(plan.workload)
        .args(&plan.arguments)
        .args(variant.arguments);
    if let Some(bytes) = plan.text_bytes {
        command.arg("--input").arg(plan.text_file(folder, bytes));
    }
    command.arg("--checkpoint-dir").arg(&checkpoints);
    let line = line_of(&mut command)?;
    if line["verified"] != true {
        return Err(format!(
            "{} ({}) gave a wrong result: {line}",
            plan.title, variant.label
        ));
    }
    Ok(line)
}

/// Runs a command whose stdout is one line of JSON.
fn line_of(command: &mut Command) -> Result<Value, String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    if !output.status.success() {
        return Err(format!("{command:?} ended with {}:\n{stderr}", output.status));
    }
    serde_json::from_str(stdout.trim()).map_err(|error| format!("{command:?} printed no JSON line: {error}"))
}

fn read(path: &Path) -> Result<Vec<Measurement>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let lines = text.lines().map(serde_json::from_str::<Value>);
    let lines: Result<Vec<Value>, _> = lines.collect();
    let lines = lines.map_err(|error| format!("{} has a line that is no JSON: {error}", path.display()))?;
    Ok(lines.iter().filter_map(Measurement::from_json).collect())
}

impl Measurement {
    fn to_json(&self) -> Value {
        let mut line = self.line.clone();
        line["plan"] = Value::from(self.plan.as_str());
        line["variant"] = Value::from(self.variant.as_str());
        line
    }

    fn from_json(line: &Value) -> Option<Self> {
        Some(Self {
            plan: line["plan"].as_str()?.to_owned(),
            variant: line["variant"].as_str()?.to_owned(),
            line: line.clone(),
        })
    }

    /// CPU time for each record in nanoseconds.
    fn cpu_ns(&self) -> f64 {
        self.number("cpu_seconds") * 1e9 / self.number("records").max(1.0)
    }

    /// What two runs are compared by: the time of the run; where a job was hit, how soon it went on; where it was rescaled,
    /// how long no result came; where its sink was slow, how long a checkpoint took; where records came at a given rate, how long they took.
    fn duration(&self) -> f64 {
        self.line[table::KILL_MEDIAN]
            .as_f64()
            .or_else(|| self.line[table::LATENCY].as_f64())
            .or_else(|| self.line[table::GAP_UP].as_f64())
            .or_else(|| {
                self.line[table::IN_FLIGHT]
                    .as_f64()
                    .map(|_| self.number("checkpoint_ms_avg"))
            })
            .unwrap_or_else(|| self.number("seconds"))
    }

    /// A figure of the line, 0 when it is absent.
    fn number(&self, name: &str) -> f64 {
        self.line[name].as_f64().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_workload_is_named_with_those_that_exist() {
        let error = chosen(plan::all(Size::Quick), &["wordcuont".to_owned()])
            .err()
            .unwrap();
        assert!(
            error.starts_with("there is no workload wordcuont; there are: wordcount"),
            "{error}"
        );
        assert_eq!(
            chosen(plan::all(Size::Quick), &["wordcount".to_owned()])
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn a_measurement_survives_its_file() {
        let line = serde_json::json!({"records": 4, "cpu_seconds": 2e-9});
        let measurement = Measurement {
            plan: "p".to_owned(),
            variant: "v".to_owned(),
            line,
        };
        let again = Measurement::from_json(&measurement.to_json()).unwrap();
        assert_eq!(
            (again.plan.as_str(), again.variant.as_str(), again.cpu_ns()),
            ("p", "v", 0.5)
        );
    }
}
