//! What a run has measured, as a page with tables and drawings.

mod drawing;

use super::Measurement;
use super::plan::Plan;
use super::table::{self, median};
use drawing::Drawing;
use std::path::Path;

/// The page of one run.
pub(super) struct Report {
    markdown: String,
}

/// What is drawn over the axis of a plan: file name, title, and the figure of a run.
const DRAWN: [(&str, &str, fn(&Measurement) -> Option<f64>); 3] = [
    ("cpu", "CPU, ns for each record", cpu_ns),
    ("checkpoint", "a checkpoint, ms", |run| {
        run.line["checkpoint_ms_avg"].as_f64()
    }),
    ("memory", "peak memory, MB", |run| {
        run.line["peak_rss_mb"].as_f64()
    }),
];

fn cpu_ns(run: &Measurement) -> Option<f64> {
    (run.number("records") > 0.0).then(|| run.cpu_ns())
}

impl Report {
    pub(super) fn new(machine: &str) -> Self {
        Self {
            markdown: format!("# Measured\n\nMedians of interleaved rounds on this machine: `{machine}`\n"),
        }
    }

    /// Adds what a plan has measured, with drawings in the folder if it has an axis.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn add(
        &mut self,
        plan: &Plan,
        measurements: &[Measurement],
        folder: &Path,
    ) -> Result<(), String> {
        self.markdown += &format!("\n{}", table::of_plan(measurements).to_markdown());
        let Some(axis) = plan.axis else {
            return Ok(());
        };
        for (name, title, figure) in DRAWN {
            let points = points(plan, measurements, figure);
            if points.len() < 2 {
                continue;
            }
            let file = format!("{}-{name}.svg", plan.title.replace([':', ',', ' '], ""));
            let drawing = Drawing {
                title,
                axis: axis.label(),
                points: &points,
            };
            drawing.write(&folder.join(&file))?;
            self.markdown += &format!("\n![{title}]({file})\n");
        }
        Ok(())
    }

    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        std::fs::write(path, &self.markdown)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// The median of each variant over what its label counts.
fn points(
    plan: &Plan,
    measurements: &[Measurement],
    figure: impl Fn(&Measurement) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let point = |label: &'static str| {
        let runs = measurements.iter().filter(|run| run.variant == label);
        let value = median(runs.filter_map(&figure));
        Some((label.parse().ok()?, value)).filter(|(_, value)| value.is_finite())
    };
    plan.variants
        .iter()
        .filter_map(|variant| point(variant.label))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::{Size, all};

    #[test]
    fn a_plan_with_an_axis_is_drawn() {
        let plan = all(Size::Quick)
            .into_iter()
            .find(|plan| plan.axis.is_some())
            .unwrap();
        let run = |(variant, ns): (&str, f64)| Measurement {
            plan: plan.title.clone(),
            variant: variant.to_owned(),
            line: serde_json::json!({"records": 1e9, "cpu_seconds": ns, "seconds": 1.0}),
        };
        let runs = [("1", 20.0), ("2", 30.0), ("2", 50.0), ("4", 80.0)].map(run);
        let expected = [(1.0, 20.0), (2.0, 40.0), (4.0, 80.0)];
        assert_eq!(points(&plan, &runs, cpu_ns), expected);
        assert!(points(&plan, &runs, |run| run.line["peak_rss_mb"].as_f64()).is_empty());

        let folder = crate::workspace::root().join("target/bench/drawn");
        std::fs::create_dir_all(&folder).unwrap();
        let mut report = Report::new("{}");
        report.add(&plan, &runs, &folder).unwrap();
        assert!(report.markdown.contains("| 4 | "), "{}", report.markdown);
        let drawn = std::fs::read_to_string(folder.join("scalingparallelism-cpu.svg")).unwrap();
        assert!(drawn.contains("<svg") && drawn.contains("polyline"), "{drawn}");
    }
}
