//! Standard output: aligned tables for people, JSON for programs.

use crate::time::{bytes, seconds};
use serde_json::Value;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::time::Duration;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Aligned columns.
    Table,
    /// One JSON document, or one for each line where results are many.
    Json,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Section {
    name: &'static str,
    head: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

/// A field of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Unknown, or it does not apply.
    None,
    Text(String),
    Count(u64),
    Bytes(u64),
    /// In JSON, milliseconds.
    Duration(Duration),
}

impl Section {
    /// A table without rows.
    pub(crate) fn new(name: &'static str, head: &'static [&'static str]) -> Self {
        Self {
            name,
            head,
            rows: Vec::new(),
        }
    }

    /// Adds a row, with a cell for each title.
    pub(crate) fn push<const N: usize>(&mut self, row: [Cell; N]) {
        self.rows.push(row.into());
    }

    /// A list of objects.
    pub(crate) fn json(&self) -> Value {
        let object = |row: &Vec<Cell>| {
            let fields = self.head.iter().zip(row);
            Value::Object(
                fields
                    .map(|(title, cell)| ((*title).to_owned(), cell.json()))
                    .collect(),
            )
        };
        Value::Array(self.rows.iter().map(object).collect())
    }
}

impl Cell {
    pub(crate) fn text_of(value: impl std::fmt::Display) -> Self {
        Self::Text(value.to_string())
    }

    /// A word as it stands in a manifest.
    pub(crate) fn word(value: serde_json::Result<Value>) -> Self {
        let value = value.ok();
        value
            .as_ref()
            .and_then(Value::as_str)
            .map_or(Self::None, Self::from)
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::None => "-".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Bytes(len) => bytes(*len),
            Self::Duration(duration) => seconds(*duration),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Text(text) => text.as_str().into(),
            Self::Count(number) | Self::Bytes(number) => (*number).into(),
            Self::Duration(duration) => u64::try_from(duration.as_millis()).ok().into(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Standard output, locked.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            stdout: BufWriter::new(io::stdout().lock()),
            format,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.stdout, "{text}")
    }

    /// Writes one JSON document in one line.
    pub(crate) fn json(&mut self, value: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.stdout, value)?;
        writeln!(self.stdout)
    }

    /// Writes tables under their names, and those that are empty not at all; or one JSON object of them all.
    pub(crate) fn sections(&mut self, sections: &[Section]) -> io::Result<()> {
        if self.is_json() {
            let all = sections
                .iter()
                .map(|section| (section.name.to_owned(), section.json()));
            return self.json(&Value::Object(all.collect()));
        }
        let shown = sections.iter().filter(|section| !section.rows.is_empty());
        for (index, section) in shown.enumerate() {
            if index > 0 {
                self.line("")?;
            }
            if sections.len() > 1 {
                self.line(&format!("{}:", section.name))?;
            }
            self.table(section)?;
        }
        Ok(())
    }

    /// Writes rows under a head, in columns as wide as they need; numbers stand on the right.
    fn table(&mut self, section: &Section) -> io::Result<()> {
        let head = section
            .head
            .iter()
            .map(|title| title.to_uppercase().replace('_', " "));
        let mut rows: Vec<Vec<String>> = vec![head.collect()];
        let texts = section
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::text).collect());
        rows.extend(texts);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..section.head.len()).map(width).collect();
        let is_number = |column: usize| {
            let cells = || section.rows.iter().filter_map(|row| row.get(column));
            let is_text = |cell: &Cell| matches!(cell, Cell::Text(_));
            !cells().any(is_text) && cells().any(|cell| *cell != Cell::None)
        };
        for row in &rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width - cell.chars().count());
                match is_number(column) {
                    true => line.extend([padding.as_str(), cell, "  "]),
                    false => line.extend([cell.as_str(), &padding, "  "]),
                }
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}
