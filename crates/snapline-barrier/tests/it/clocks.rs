//! Vector clocks against an oracle: what a task knows is what is in its causal past.

use proptest::prelude::*;
use snapline_barrier::{ChannelClock, ConsistentCut, TaskCut, TaskHistory, VectorClock};
use snapline_core::{BarrierAlignment, ClockDelta, ConsistencyProof, OperatorUid, SubtaskId, SubtaskIndex};
use std::collections::{BTreeSet, VecDeque};

/// An event: the task whose it is, and its number there, from 1.
type Event = (usize, u64);

/// What happens next, taken modulo what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    Send(usize, usize),
    Receive(usize, usize),
    Snapshot(usize),
}

/// A message: what the clock says, what the oracle says, and whether its sender had cut.
struct Message {
    delta: Option<ClockDelta>,
    past: BTreeSet<Event>,
    after_cut: bool,
}

/// Tasks that all send to each other over channels without loss or reordering. Each cuts once.
struct Job {
    tasks: Vec<Task>,
    /// By sender and receiver.
    channels: Vec<Vec<VecDeque<Message>>>,
    is_consistent: bool,
}

struct Task {
    history: TaskHistory,
    told: Vec<ChannelClock>,
    /// The oracle: all events that happened before what the task does next.
    past: BTreeSet<Event>,
    events: u64,
    cut: Option<TaskCut>,
}

impl Task {
    fn act(&mut self, me: usize) {
        self.events += 1;
        self.past.insert((me, self.events));
    }

    fn known(&self, of: usize) -> u64 {
        self.past.iter().filter(|(task, _)| *task == of).count() as u64
    }
}

impl Job {
    fn new(tasks: usize, proof: ConsistencyProof) -> Self {
        let task = |task| Task {
            history: TaskHistory::new(proof, task as u32, tasks as u32),
            told: vec![ChannelClock::default(); tasks],
            past: BTreeSet::new(),
            events: 0,
            cut: None,
        };
        let row = || (0..tasks).map(|_| VecDeque::new()).collect();
        Self {
            tasks: (0..tasks).map(task).collect(),
            channels: (0..tasks).map(|_| row()).collect(),
            is_consistent: true,
        }
    }

    fn step(&mut self, step: Step) {
        let count = self.tasks.len();
        match step {
            Step::Send(from, to) => self.send(from % count, to % count),
            Step::Receive(from, to) => self.receive(from % count, to % count),
            Step::Snapshot(task) => self.snapshot(task % count),
        }
    }

    fn send(&mut self, from: usize, to: usize) {
        let task = &mut self.tasks[from];
        task.act(from);
        let message = Message {
            delta: task.history.on_send(&mut task.told[to]),
            past: task.past.clone(),
            after_cut: task.cut.is_some(),
        };
        self.channels[from][to].push_back(message);
    }

    fn receive(&mut self, from: usize, to: usize) {
        if let Some(message) = self.channels[from][to].pop_front() {
            let task = &mut self.tasks[to];
            task.past.extend(message.past);
            self.is_consistent &= !message.after_cut || task.cut.is_some();
            if let Some(delta) = &message.delta {
                task.history.on_receive(from as u32, delta);
            }
        }
    }

    fn snapshot(&mut self, me: usize) {
        let task = &mut self.tasks[me];
        if task.cut.is_none() {
            task.act(me);
            task.cut = Some(TaskCut {
                clock: task.history.on_snapshot(),
                channels: Vec::new(),
            });
        }
    }

    fn verify(&mut self) -> bool {
        (0..self.tasks.len()).for_each(|task| self.snapshot(task));
        let id = |index| SubtaskId {
            operator: OperatorUid::new("op").unwrap(),
            index: SubtaskIndex(index),
        };
        let ids: Vec<SubtaskId> = (0..self.tasks.len() as u32).map(id).collect();
        let cuts = self.tasks.iter().map(|task| task.cut.as_ref().unwrap());
        ConsistentCut::verify(ids.iter().zip(cuts), BarrierAlignment::Unaligned).is_ok()
    }
}

fn proofs() -> impl Strategy<Value = ConsistencyProof> {
    prop_oneof![
        Just(ConsistencyProof::Full),
        Just(ConsistencyProof::Auto),
        (1..9_u32).prop_map(|every| ConsistencyProof::Sampled { every }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..9_usize, 0..9_usize).prop_map(|(from, to)| Step::Send(from, to)),
        5 => (0..9_usize, 0..9_usize).prop_map(|(from, to)| Step::Receive(from, to)),
        1 => (0..9_usize).prop_map(Step::Snapshot),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Also on channels to oneself, and in cycles.
    #[test]
    fn a_task_knows_exactly_what_happened_before(tasks in 1..5_usize, steps in steps()) {
        let mut job = Job::new(tasks, ConsistencyProof::Full);
        for step in steps {
            job.step(step);
            for task in &job.tasks {
                let clock = task.history.clock().unwrap();
                for of in 0..tasks {
                    prop_assert_eq!(clock.get(of as u32), task.known(of));
                }
            }
        }
    }

    /// Where not every batch tells all, a task knows less, but it counts all its own events.
    #[test]
    fn with_sampling_a_task_knows_no_more_than_what_happened(
        tasks in 1..10_usize, proof in proofs(), steps in steps(),
    ) {
        let mut job = Job::new(tasks, proof);
        for step in steps {
            job.step(step);
        }
        for (me, task) in job.tasks.iter().enumerate() {
            let clock = task.history.clock().unwrap();
            prop_assert_eq!(clock.get(me as u32), task.events);
            for of in 0..tasks {
                prop_assert!(clock.get(of as u32) <= task.known(of));
            }
        }
    }

    /// The cut is consistent if and only if no message goes from after a cut to before a cut; sampling
    /// changes nothing about that.
    #[test]
    fn the_clocks_find_every_inconsistent_cut_and_no_other(
        tasks in 1..10_usize, proof in proofs(), steps in steps(),
    ) {
        let mut job = Job::new(tasks, proof);
        for step in steps {
            job.step(step);
        }
        prop_assert_eq!(job.verify(), job.is_consistent);
    }

    #[test]
    fn a_clock_that_is_told_the_differences_knows_as_much_as_after_a_merge(
        own in 0..6_u32,
        earlier in prop::collection::vec(0..5_u64, 0..6),
        news in prop::collection::vec(0..5_u64, 0..6),
        other in prop::collection::vec(0..5_u64, 0..6),
    ) {
        let earlier = VectorClock::from_iter(earlier);
        let mut sender = earlier.clone();
        sender.merge(&VectorClock::from_iter(news));
        let mut merged = VectorClock::from_iter(other);
        merged.merge(&earlier);
        let mut told = merged.clone();
        merged.merge(&sender);
        told.apply(own, &sender.delta_since(own, &earlier));
        prop_assert!(told.covers(&merged) && merged.covers(&told));
        prop_assert!(told.covers(&sender) && told.covers(&earlier));
        let all_known = (0..6).all(|task| told.get(task) >= sender.get(task));
        prop_assert!(all_known);
    }
}

fn own_entries(proof: ConsistencyProof, tasks: u32, sends: usize) -> Vec<Option<u64>> {
    let mut history = TaskHistory::new(proof, 0, tasks);
    let mut channel = ChannelClock::default();
    let mut send = || history.on_send(&mut channel).map(|delta| delta.own);
    (0..sends).map(|_| send()).collect()
}

#[test]
fn the_settings_say_which_batches_tell() {
    let full: Vec<Option<u64>> = (1..=200).map(Some).collect();
    let one_of =
        |every| -> Vec<Option<u64>> { (0..200).map(|at| (at % every == 0).then_some(at + 1)).collect() };
    let cases = [
        (ConsistencyProof::Full, 200, full.clone()),
        (ConsistencyProof::Auto, 64, full.clone()),
        (ConsistencyProof::Auto, 65, one_of(64)),
        (ConsistencyProof::Sampled { every: 5 }, 2, one_of(5)),
        (ConsistencyProof::Sampled { every: 1 }, 2, full.clone()),
        (ConsistencyProof::Sampled { every: 0 }, 2, full),
        (ConsistencyProof::Off, 2, vec![None; 200]),
    ];
    for (proof, tasks, expected) in cases {
        assert_eq!(
            own_entries(proof, tasks, 200),
            expected,
            "{proof:?}, {tasks} tasks"
        );
    }
}

#[test]
fn the_first_batch_of_each_channel_after_a_snapshot_tells_of_it() {
    let mut history = TaskHistory::new(ConsistencyProof::Sampled { every: 100 }, 0, 2);
    let mut channels = [ChannelClock::default(), ChannelClock::default()];
    for round in 0..3 {
        for channel in &mut channels {
            assert!(history.on_send(channel).is_some(), "round {round}");
            assert!(history.on_send(channel).is_none(), "round {round}");
        }
        history.on_snapshot().unwrap();
    }
}

/// How many others each batch tells of, when the task learns of all of them before each.
fn others_told(proof: ConsistencyProof, tasks: u32, sends: u64) -> Vec<usize> {
    let mut history = TaskHistory::new(proof, 0, tasks);
    let mut channel = ChannelClock::default();
    let mut send = |own| {
        let others = (2..tasks).map(|task| (task, own)).collect();
        history.on_receive(1, &ClockDelta { own, others });
        history.on_send(&mut channel).unwrap().others.len()
    };
    (1..=sends).map(&mut send).collect()
}

#[test]
fn telling_of_many_others_is_made_up_for_by_telling_of_none() {
    assert_eq!(others_told(ConsistencyProof::Full, 64, 4), [63, 63, 63, 63]);
    assert_eq!(others_told(ConsistencyProof::Auto, 4, 4), [3, 3, 3, 3]);
    assert_eq!(others_told(ConsistencyProof::Auto, 9, 7), [8, 0, 0, 8, 0, 0, 8]);
}

#[test]
fn a_task_that_learns_of_nobody_tells_only_of_itself() {
    let mut history = TaskHistory::new(ConsistencyProof::Full, 3, 9);
    let mut channel = ChannelClock::default();
    for own in 1..10 {
        let delta = history.on_send(&mut channel).unwrap();
        assert_eq!((delta.own, delta.others.capacity()), (own, 0));
    }
}

#[test]
fn a_task_is_told_nothing_new_of_itself_nor_of_tasks_that_do_not_exist() {
    let mut history = TaskHistory::new(ConsistencyProof::Full, 0, 2);
    let others = vec![(0, 99), (2, 5), (u32::MAX, 5)];
    history.on_receive(1, &ClockDelta { own: 3, others });
    assert_eq!(history.clock(), Some(&VectorClock::from_iter([0, 3])));
}

#[test]
fn a_task_that_keeps_no_clock_does_nothing() {
    let mut history = TaskHistory::off();
    let delta = ClockDelta {
        own: 3,
        others: vec![(0, 99)],
    };
    history.on_receive(1, &delta);
    assert_eq!(history.on_send(&mut ChannelClock::default()), None);
    assert_eq!(history.on_snapshot(), None);
    assert_eq!(history.clock(), None);
}
