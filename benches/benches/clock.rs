//! What the proof of a consistent cut costs: vector clocks on each batch, the comparison of all cuts for
//! each checkpoint.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be made is of no use"
)]

use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, criterion_group, criterion_main};
use snapline_barrier::{
    ChannelClock, ChannelCut, ConsistentCut, RecordedRun, TaskClock, TaskCut, TaskHistory, VectorClock,
};
use snapline_core::{BarrierAlignment, ClockDelta, ConsistencyProof, OperatorUid, SubtaskId, SubtaskIndex};
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TASKS: [u32; 3] = [4, 16, 64];

/// A task in the middle of a shuffle, with half as many outputs as there are tasks: each batch that it
/// receives comes from the next task and tells of yet another one, each that it sends goes to the next
/// output, and is dropped there. `Off` is what the measurement itself costs.
struct Middle {
    history: TaskHistory,
    outputs: Vec<ChannelClock>,
    output: usize,
    tasks: u32,
    sender: u32,
    delta: ClockDelta,
}

impl Middle {
    fn new(proof: ConsistencyProof, tasks: u32) -> Self {
        Self {
            history: TaskHistory::new(proof, 0, tasks),
            outputs: vec![ChannelClock::default(); tasks as usize / 2],
            output: 0,
            tasks,
            sender: 1,
            delta: ClockDelta {
                own: 0,
                others: vec![(1, 0)],
            },
        }
    }

    fn receive(&mut self) {
        self.delta.own += 1;
        self.delta.others[0] = (self.tasks - self.sender, self.delta.own);
        self.history.on_receive(self.sender, black_box(&self.delta));
        self.sender = if self.sender + 1 < self.tasks {
            self.sender + 1
        } else {
            1
        };
    }

    fn send(&mut self) -> Option<ClockDelta> {
        self.output = if self.output + 1 < self.outputs.len() {
            self.output + 1
        } else {
            0
        };
        self.history.on_send(&mut self.outputs[self.output])
    }
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clock");
    let proofs = [
        ("off", ConsistencyProof::Off),
        ("auto", ConsistencyProof::Auto),
        ("full", ConsistencyProof::Full),
        ("one of 64", ConsistencyProof::Sampled { every: 64 }),
    ];
    for tasks in TASKS {
        for (name, proof) in proofs {
            let id = BenchmarkId::new(format!("receive and send a batch, {name}"), tasks);
            group.bench_function(id, |bencher| {
                let mut task = Middle::new(proof, tasks);
                bencher.iter(|| {
                    task.receive();
                    task.send()
                });
            });
        }
        let id = |name| BenchmarkId::new(name, tasks);
        group.bench_with_input(id("send a batch as a source"), &tasks, send_as_a_source);
        group.bench_with_input(id("receive what is news of all"), &tasks, receive_news_of_all);
        group.bench_with_input(id("merge"), &tasks, merge);
    }
    group.finish();
}

fn send_as_a_source(bencher: &mut Bencher<'_>, tasks: &u32) {
    let mut history = TaskHistory::new(ConsistencyProof::Full, 0, *tasks);
    let mut channel = ChannelClock::default();
    bencher.iter(|| history.on_send(black_box(&mut channel)));
}

fn receive_news_of_all(bencher: &mut Bencher<'_>, tasks: &u32) {
    let mut history = TaskHistory::new(ConsistencyProof::Full, 0, *tasks);
    let mut delta = ClockDelta {
        own: 0,
        others: (2..*tasks).map(|task| (task, 0)).collect(),
    };
    bencher.iter(|| {
        delta.own += 1;
        delta.others.iter_mut().for_each(|(_, events)| *events += 1);
        history.on_receive(1, black_box(&delta));
    });
}

fn merge(bencher: &mut Bencher<'_>, tasks: &u32) {
    let clock =
        |factor, modulus| VectorClock::from_iter((0..u64::from(*tasks)).map(|i| i * factor % modulus));
    let (left, right) = (clock(31, 17), clock(13, 19));
    bencher.iter_batched_ref(
        || left.clone(),
        |left| left.merge(black_box(&right)),
        BatchSize::SmallInput,
    );
}

/// A job in which each task has half as many inputs as there are tasks, with one batch of each recorded.
fn job(tasks: u32) -> Vec<(SubtaskId, TaskCut)> {
    let channel = ChannelCut {
        received: 1_000,
        sent: 1_001,
        recorded: vec![RecordedRun {
            from: 1_000,
            to: 1_001,
        }],
    };
    let clock = VectorClock::from_iter((0..tasks).map(|_| 1_000));
    let of_task = |task| {
        let id = SubtaskId {
            operator: OperatorUid::new("operator").unwrap(),
            index: SubtaskIndex(task),
        };
        let clock = clock.clone();
        let cut = TaskCut {
            clock: Some(TaskClock { task, clock }),
            channels: vec![channel.clone(); tasks as usize / 2],
        };
        (id, cut)
    };
    (0..tasks).map(of_task).collect()
}

fn checkpoints(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cut");
    for tasks in TASKS {
        let job = job(tasks);
        let cuts = || job.iter().map(|(id, cut)| (id, cut));
        group.bench_function(BenchmarkId::new("verify", tasks), |bencher| {
            bencher.iter(|| ConsistentCut::verify(cuts(), BarrierAlignment::Unaligned).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, batches, checkpoints);
criterion_main!(benches);
