//! Small cyclic dataflows, and what has to come of them.

use std::collections::{BTreeMap, BTreeSet};

/// A sequence of numbers that depends on nothing but its seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        usize::try_from(mix(self.0) % limit as u64).unwrap()
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A record and how many tasks it may pass yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) id: u64,
    lives: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Whether it closes a loop: without these edges there is none.
    pub(crate) back: bool,
}

/// Tasks 0.. that pass records on; those without an input are the sources.
#[derive(Debug, Clone)]
pub(crate) struct Dataflow {
    pub(crate) tasks: usize,
    pub(crate) edges: Vec<Edge>,
    /// How many records each source reads.
    pub(crate) records: u64,
}

/// How often each task has processed each record.
pub(crate) type Effects = Vec<BTreeMap<u64, u32>>;

impl Dataflow {
    pub(crate) fn new(edges: &[(usize, usize)], records: u64) -> Self {
        let edge = |&(from, to)| Edge {
            from,
            to,
            back: from >= to,
        };
        Self {
            tasks: edges.iter().map(|(from, to)| from.max(to) + 1).max().unwrap(),
            edges: edges.iter().map(edge).collect(),
            records,
        }
    }

    /// One or two sources, some tasks behind them and at least one loop, which may be entered anywhere.
    pub(crate) fn random(random: &mut Random) -> Self {
        let (sources, others) = (1 + random.below(2), 2 + random.below(4));
        let tasks = sources + others;
        let mut edges = BTreeSet::new();
        for task in sources..tasks {
            for _ in 0..1 + random.below(2) {
                edges.insert((random.below(task), task));
            }
        }
        for source in 0..sources {
            edges.insert((source, sources + random.below(others)));
        }
        for _ in 0..1 + random.below(2) {
            let head = sources + random.below(others);
            edges.insert((head + random.below(tasks - head), head));
        }
        let edges: Vec<(usize, usize)> = edges.into_iter().collect();
        let mut dataflow = Self::new(&edges, 2 + random.below(4) as u64);
        // An edge against the order is no back edge unless there is a way round.
        let apart = |edge: &Edge| edge.back && !dataflow.reaches(edge.to, edge.from);
        let apart: Vec<Edge> = dataflow.edges.iter().copied().filter(apart).collect();
        dataflow.edges.retain(|edge| !apart.contains(edge));
        dataflow
    }

    pub(crate) fn has_loop(&self) -> bool {
        self.edges.iter().any(|edge| edge.back)
    }

    pub(crate) fn inputs(&self, task: usize) -> impl Iterator<Item = usize> {
        (0..self.edges.len()).filter(move |edge| self.edges[*edge].to == task)
    }

    pub(crate) fn outputs(&self, task: usize) -> impl Iterator<Item = usize> {
        (0..self.edges.len()).filter(move |edge| self.edges[*edge].from == task)
    }

    pub(crate) fn is_source(&self, task: usize) -> bool {
        self.inputs(task).next().is_none()
    }

    pub(crate) fn reaches(&self, from: usize, to: usize) -> bool {
        let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
        while let Some(task) = next.pop() {
            let new = self.outputs(task).map(|edge| self.edges[edge].to);
            next.extend(new.filter(|task| seen.insert(*task)));
        }
        seen.contains(&to)
    }

    /// The tasks of each loop, with all loops inside it.
    pub(crate) fn loops(&self) -> BTreeSet<Vec<usize>> {
        let heads = self.edges.iter().filter(|edge| edge.back).map(|edge| edge.to);
        let around =
            |head| (0..self.tasks).filter(move |task| self.reaches(head, *task) && self.reaches(*task, head));
        heads.map(|head| around(head).collect()).collect()
    }

    pub(crate) fn record(source: usize, number: u64) -> Record {
        let id = mix(number + 1_000 * source as u64);
        Record { id, lives: 7 }
    }

    /// What a task makes of a record: the edges on which something goes out, and what.
    pub(crate) fn process(&self, task: usize, record: Record) -> Vec<(usize, Record)> {
        let Some(lives) = record.lives.checked_sub(1) else {
            return Vec::new();
        };
        let child = |edge: usize| Record {
            id: mix(record.id ^ (edge as u64 + 1)),
            lives,
        };
        let goes_out = |(_, child): &(usize, Record)| child.id % 8 < 6;
        let children = self.outputs(task).map(|edge| (edge, child(edge)));
        children.filter(goes_out).collect()
    }

    /// What happens when nothing ever fails, one record after the other.
    pub(crate) fn effects(&self) -> Effects {
        let mut effects = vec![BTreeMap::new(); self.tasks];
        let sources = (0..self.tasks).filter(|task| self.is_source(*task));
        for source in sources {
            for number in 0..self.records {
                self.follow(source, Self::record(source, number), &mut effects);
            }
        }
        effects
    }

    fn follow(&self, task: usize, record: Record, effects: &mut Effects) {
        *effects[task].entry(record.id).or_insert(0) += 1;
        for (edge, child) in self.process(task, record) {
            self.follow(self.edges[edge].to, child, effects);
        }
    }
}
