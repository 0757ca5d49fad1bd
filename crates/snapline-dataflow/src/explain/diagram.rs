//! Plans as diagrams.

use super::{ExplainedEdge, ExplainedJob, ExplainedTask};

impl ExplainedJob {
    /// A flow chart in the language of Mermaid: a box per task, a dotted arrow where records go back into a loop.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (position, task) in self.tasks.iter().enumerate() {
            text += &format!(
                "    t{position}[\"{}\"]\n",
                quoted(&label(task, "<br/>"), "#quot;")
            );
        }
        for edge in &self.edges {
            let arrow = if edge.is_back_edge { "-.->" } else { "-->" };
            let ExplainedEdge {
                from,
                to,
                partitioning,
                ..
            } = edge;
            text += &format!("    t{from} {arrow}|{partitioning}| t{to}\n");
        }
        text
    }

    /// A graph in the language DOT of Graphviz: a box per task, a dashed arrow where records go back into a loop.
    pub fn to_dot(&self) -> String {
        let name = quoted(&self.name, "\\\"");
        let mut text = format!("digraph \"{name}\" {{\n    rankdir=LR;\n    node [shape=box];\n");
        for (position, task) in self.tasks.iter().enumerate() {
            text += &format!(
                "    t{position} [label=\"{}\"];\n",
                quoted(&label(task, "\\n"), "\\\"")
            );
        }
        for edge in &self.edges {
            let style = if edge.is_back_edge { ", style=dashed" } else { "" };
            text += &format!(
                "    t{} -> t{} [label=\"{}\"{style}];\n",
                edge.from, edge.to, edge.partitioning
            );
        }
        text + "}\n"
    }
}

/// The operators of a task one below the other, and its subtasks.
fn label(task: &ExplainedTask, new_line: &str) -> String {
    let names = task.operators.iter().map(|operator| operator.name.clone());
    let lines: Vec<String> = names.chain([format!("x{}", task.parallelism)]).collect();
    lines.join(new_line)
}

fn quoted(text: &str, quote: &str) -> String {
    text.replace('"', quote)
}
