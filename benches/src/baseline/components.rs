//! Connected components by hand: a forest in which the least vertex of a component is its root.

use crate::components::Graph;

/// A vertex that no edge has named yet.
const UNKNOWN: u64 = u64::MAX;

/// Hands each vertex that has an edge to `sink`, with the least vertex of its component.
pub fn union_find(graph: Graph, mut sink: impl FnMut(u64, u64)) {
    let mut forest = Forest {
        parents: vec![UNKNOWN; usize::try_from(graph.vertices).unwrap_or(usize::MAX)],
    };
    for index in 0..graph.edges {
        let (one, other) = graph.edge(index);
        let (one, other) = (forest.root(one), forest.root(other));
        forest.parents[one.max(other) as usize] = one.min(other);
    }
    for vertex in 0..graph.vertices {
        if forest.parents[vertex as usize] != UNKNOWN {
            sink(vertex, forest.root(vertex));
        }
    }
}

struct Forest {
    /// Above each vertex, a lesser one; itself at the root.
    parents: Vec<u64>,
}

impl Forest {
    /// The root of a vertex, to which the way becomes half as long.
    fn root(&mut self, mut vertex: u64) -> u64 {
        loop {
            let parent = self.parents[vertex as usize];
            if parent == UNKNOWN {
                self.parents[vertex as usize] = vertex;
                return vertex;
            }
            if parent == vertex {
                return vertex;
            }
            let above = self.parents[parent as usize];
            self.parents[vertex as usize] = above;
            vertex = above;
        }
    }
}
