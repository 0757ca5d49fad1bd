//! How a table is written: aligned for a terminal, or in Markdown.

/// Rows below a header, with labels in the first column.
pub(in crate::bench) struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(title: String, header: &[&str]) -> Self {
        Self {
            title,
            header: header.iter().map(|cell| (*cell).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, label: &str, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push([label.to_owned()].into_iter().chain(cells).collect());
    }

    /// For a terminal.
    pub(in crate::bench) fn to_text(&self) -> String {
        let rows = [&self.header].into_iter().chain(&self.rows);
        let rows: String = rows.map(|row| aligned(row)).collect();
        format!("\n{}\n{rows}", self.title)
    }

    pub(in crate::bench) fn to_markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = "|---|".to_owned() + &"---:|".repeat(self.header.len().saturating_sub(1)) + "\n";
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("## {}\n\n{}{rule}{rows}", self.title, line(&self.header))
    }
}

fn aligned(cells: &[String]) -> String {
    let Some((first, rest)) = cells.split_first() else {
        return String::new();
    };
    let start = format!("{first:<26}");
    rest.iter()
        .fold(start, |line, cell| line + &format!(" {cell:>13}"))
        + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_have_the_same_cells() {
        let mut table = Table::new("sizes".to_owned(), &["variant", "MB", "times"]);
        table.row("small", ["1.5".to_owned(), "1.00x".to_owned()]);
        let markdown = "## sizes\n\n| variant | MB | times |\n|---|---:|---:|\n| small | 1.5 | 1.00x |\n";
        assert_eq!(table.to_markdown(), markdown);
        let text = table.to_text();
        assert!(text.starts_with("\nsizes\nvariant "), "{text}");
        assert!(text.ends_with(" 1.5         1.00x\n"), "{text}");
    }
}
