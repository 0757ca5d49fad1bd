//! Connected components on a cyclic dataflow: labels go round until none gets smaller.

use crate::expected::Totals;
use crate::job::{JobOptions, environment};
use crate::random::mix;
use crate::report::Report;
use crate::usage::Usage;
use serde::{Deserialize, Serialize};
use snapline::Result;
use snapline::prelude::*;
use snapline::state::Slot;
use snapline_core::{Batch, Clock, SystemClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A graph of random edges, each of which connects two vertices, or one with itself.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "the options of a program")]
pub struct Graph {
    /// How many vertices there are, at least 1. Some may have no edge, and do not count.
    pub vertices: u64,
    /// How many edges there are.
    pub edges: u64,
}

impl Graph {
    /// The ends of an edge.
    #[inline]
    pub fn edge(self, index: u64) -> (u64, u64) {
        (mix(2 * index) % self.vertices, mix(2 * index + 1) % self.vertices)
    }
}

/// What a vertex with this label adds to the sum of a run. The label is the least vertex of its component.
#[inline]
pub fn membership(vertex: u64, label: u64) -> u64 {
    mix(vertex).wrapping_mul(label + 1)
}

/// What a vertex is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Message {
    /// It has an edge to this vertex.
    Neighbour(u64),
    /// This vertex is in its component.
    Label(u64),
}

/// What a vertex knows: the least vertex of its component so far, and to whom it has edges.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Vertex {
    label: u64,
    neighbours: Vec<u64>,
}

/// Finds the component of each vertex, while the edges come, and emits each label that is less than the one before.
///
/// How many those are, and how much goes round for them, depends on which record is ahead. So a run is about labels that are
/// emitted, not about edges.
///
/// # Errors
/// What made the job fail.
pub async fn run_components(graph: Graph, options: &JobOptions) -> Result<(Report, Totals)> {
    let env = environment(options).await?;
    let labels = Arc::new(Labels::new(graph.vertices));
    let edges = GeneratorSource::new(graph.edges, move |index| graph.edge(index));
    let messages = env.from_source(edges, "edges").flat_map(|(one, other), out| {
        out.collect((one, Message::Neighbour(other)));
        out.collect((other, Message::Neighbour(one)));
    });
    let improved = OutputTag::new("improved");
    let found = messages.iterate(|messages| {
        let tag = improved.clone();
        let told = messages
            .key_by(|(vertex, _)| *vertex)
            .process_with(move |context| {
                let (state, tag) = (context.value_state("vertex"), tag.clone());
                move |(vertex, message), context, out| {
                    let label = state.modify(context, |slot| hear(vertex, message, slot, out))?;
                    if let Some(label) = label {
                        out.side_output(&tag, (vertex, label));
                    }
                    Ok(())
                }
            });
        let found = told.side_output(&improved);
        (told, found)
    });
    let sink = labels.clone();
    found.sink_to(ForEachSink::new(move |batch: &mut Batch<(u64, u64)>| {
        sink.add(&batch.records);
    }));
    let status = env.execute("loop").await?.status;
    let seconds = labels.last_ns.load(Ordering::Relaxed) as f64 / 1e9;
    let emitted = labels.emitted.load(Ordering::Relaxed);
    let mut report = Report::new("snapline", "loop", emitted, seconds, Usage::now());
    report.add_job(options, &status);
    Ok((report, labels.totals()))
}

/// Tells a vertex something, and its neighbours what follows. Returns its label if that is new.
fn hear(
    vertex: u64,
    message: Message,
    slot: Slot<'_, Vertex>,
    out: &mut Collector<'_, (u64, Message)>,
) -> Option<u64> {
    let mut is_new = false;
    let known = match slot {
        Slot::Occupied(known) => known,
        Slot::Vacant(vacant) => {
            is_new = true;
            vacant.insert(Vertex {
                label: vertex,
                neighbours: Vec::new(),
            })
        }
    };
    match message {
        Message::Neighbour(other) => {
            known.neighbours.push(other);
            // The other one begins with itself.
            if known.label < other {
                out.collect((other, Message::Label(known.label)));
            }
        }
        Message::Label(label) if label < known.label => {
            is_new = true;
            known.label = label;
            let greater = known.neighbours.iter().filter(|other| **other > label);
            greater.for_each(|other| out.collect((*other, Message::Label(label))));
        }
        Message::Label(_) => {}
    }
    is_new.then_some(known.label)
}

/// The least label that came of each vertex, and when the last one came.
struct Labels {
    clock: SystemClock,
    least: Vec<AtomicU64>,
    emitted: AtomicU64,
    last_ns: AtomicU64,
}

impl Labels {
    /// Time runs from here.
    fn new(vertices: u64) -> Self {
        Self {
            least: (0..vertices).map(|_| AtomicU64::new(u64::MAX)).collect(),
            emitted: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
            clock: SystemClock::new(),
        }
    }

    fn add(&self, labels: &[(u64, u64)]) {
        for (vertex, label) in labels {
            self.least[*vertex as usize].fetch_min(*label, Ordering::Relaxed);
        }
        self.emitted.fetch_add(labels.len() as u64, Ordering::Relaxed);
        let now = u64::try_from(self.clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
        self.last_ns.fetch_max(now, Ordering::Relaxed);
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (vertex, label) in (0..).zip(&self.least) {
            let label = label.load(Ordering::Relaxed);
            if label < u64::MAX {
                totals.add(membership(vertex, label));
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::components::union_find;
    use crate::expected::expect_components;

    #[test]
    fn the_loop_finds_what_a_search_finds() {
        for (vertices, edges) in [(1, 1), (50, 20), (1_000, 900), (2_000, 5_000)] {
            let graph = Graph { vertices, edges };
            let expected = expect_components(graph);
            for parallelism in [1, 2] {
                let options = JobOptions::without_checkpoints(parallelism);
                let (_, totals) = futures::executor::block_on(run_components(graph, &options)).unwrap();
                assert_eq!(totals, expected, "{graph:?} {parallelism}");
            }
            let mut by_hand = Totals::default();
            union_find(graph, |vertex, label| by_hand.add(membership(vertex, label)));
            assert_eq!(by_hand, expected, "{graph:?}");
        }
    }
}
