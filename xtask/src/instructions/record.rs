//! The counts in the repository, and how others differ from them.

use crate::process::capture;
use crate::workspace::root;
use serde_json::{Map, Value, json};
use std::process::Command;
use std::time::Duration;

/// Where they are, from the root.
pub(super) const FILE: &str = "benches/instructions.json";

/// By how much a count may grow: more than it varies, less than what a user would notice.
const MARGIN: f64 = 0.05;

/// How many instructions each workload takes.
pub(super) struct Record {
    /// With which compiler it was built.
    pub(super) compiler: String,
    pub(super) counts: Vec<(String, u64)>,
}

impl Record {
    /// Without counts, for the compiler of this machine.
    pub(super) fn new() -> Result<Self, String> {
        let output = capture(
            Command::new("rustc").arg("--version").current_dir(root()),
            Duration::from_secs(60),
        )?;
        Ok(Self {
            compiler: output.stdout.trim().to_owned(),
            counts: Vec::new(),
        })
    }

    pub(super) fn read() -> Result<Self, String> {
        let text = std::fs::read_to_string(root().join(FILE));
        let text = text.map_err(|error| format!("cannot read {FILE}: {error}"))?;
        Self::from_text(&text).ok_or_else(|| format!("{FILE} is not what --record writes"))
    }

    pub(super) fn write(&self) -> Result<(), String> {
        std::fs::write(root().join(FILE), self.text())
            .map_err(|error| format!("cannot write {FILE}: {error}"))
    }

    fn from_text(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let counts = value["instructions"].as_object()?;
        let count = |(name, count): (&String, &Value)| Some((name.clone(), count.as_u64()?));
        Some(Self {
            compiler: value["compiler"].as_str()?.to_owned(),
            counts: counts.iter().map(count).collect::<Option<_>>()?,
        })
    }

    fn text(&self) -> String {
        let counts: Map<String, Value> = self
            .counts
            .iter()
            .map(|(name, count)| (name.clone(), Value::from(*count)))
            .collect();
        format!(
            "{:#}\n",
            json!({"compiler": self.compiler, "instructions": counts})
        )
    }

    pub(super) fn show(&self) -> String {
        self.since(self).iter().map(Change::line).collect()
    }

    /// How each workload has changed since then.
    pub(super) fn since(&self, before: &Self) -> Vec<Change> {
        let of = |name: &str| before.counts.iter().find(|(known, _)| known == name);
        let change = |(name, now): &(String, u64)| Change {
            name: name.clone(),
            before: of(name).map(|(_, count)| *count),
            now: *now,
        };
        self.counts.iter().map(change).collect()
    }
}

/// What one workload took before, and what it takes now.
pub(super) struct Change {
    name: String,
    before: Option<u64>,
    now: u64,
}

impl Change {
    /// Whether it takes so many more that somebody has to look.
    pub(super) fn is_slower(&self) -> bool {
        self.ratio().is_none_or(|ratio| ratio > 1.0 + MARGIN)
    }

    fn ratio(&self) -> Option<f64> {
        self.before.map(|before| self.now as f64 / before as f64)
    }

    pub(super) fn line(&self) -> String {
        let millions = self.now as f64 / 1e6;
        let verdict = match self.ratio() {
            None => "not recorded yet".to_owned(),
            Some(ratio) if ratio < 1.0 - MARGIN => {
                format!("{ratio:.3}x: `cargo xtask instructions --record` keeps it so")
            }
            Some(ratio) if self.is_slower() => format!("{ratio:.3}x: too many"),
            Some(ratio) => format!("{ratio:.3}x"),
        };
        format!(
            "    {:<10} {millions:>8.1} M instructions, {verdict}\n",
            self.name
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_file() {
        let record = Record {
            compiler: "rustc 1".to_owned(),
            counts: vec![("a".to_owned(), 7), ("b".to_owned(), 9)],
        };
        let again = Record::from_text(&record.text()).unwrap();
        assert_eq!(
            (again.compiler, again.counts),
            ("rustc 1".to_owned(), record.counts)
        );
        assert!(Record::from_text("{}").is_none());
    }
}
