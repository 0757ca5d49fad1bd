//! One thread, virtual time, and the seed decides who runs next.

use super::dice::Dice;
use super::fate::Fate;
use super::time::Time;
use super::trace::Trace;
use futures::FutureExt;
use futures::future::BoxFuture;
use snapline_runtime::Executor;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// The longest time for which a task is kept from running, in microseconds.
const LONGEST_DELAY: u64 = 3_000;

/// Runs the futures of one simulated process.
#[derive(Debug)]
pub(crate) struct SimExecutor {
    time: Arc<Time>,
    fate: Arc<Fate>,
    trace: Arc<Trace>,
    ready: Arc<Ready>,
    tasks: Mutex<Tasks>,
    dice: Dice,
}

/// Why a process has ended.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// Its main task has.
    Done(T),
    /// It was killed.
    Crashed,
    /// It would run for ever, or wait for ever.
    Stuck(String),
}

#[derive(Default)]
struct Tasks {
    running: BTreeMap<usize, (BoxFuture<'static, ()>, Waker)>,
    next: usize,
}

/// The tasks that were woken, in the order of their ids: so nothing depends on who was woken first.
#[derive(Debug, Default)]
struct Ready(Mutex<Vec<usize>>);

struct TaskWaker {
    id: usize,
    ready: Arc<Ready>,
}

impl SimExecutor {
    pub(crate) fn new(time: Arc<Time>, fate: Arc<Fate>, trace: Arc<Trace>, seed: u64) -> Self {
        Self {
            time,
            fate,
            trace,
            ready: Arc::default(),
            tasks: Mutex::default(),
            dice: Dice::new(seed, "schedule"),
        }
    }

    /// Runs a process until its main task ends, or it is killed; `steps` is how many steps it may
    /// take and is counted down.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        main: impl Future<Output = T> + Send + 'static,
        steps: &mut u64,
    ) -> Ended<T> {
        let output = Arc::new(Mutex::new(None));
        let slot = output.clone();
        let ended = main.map(move |output| *lock(&slot) = Some(output));
        self.spawn(ended.boxed());
        let outcome = loop {
            if let Some(output) = lock(&output).take() {
                break Ended::Done(output);
            }
            if self.fate.is_crash_due() {
                break Ended::Crashed;
            }
            if *steps == 0 {
                break Ended::Stuck("the job does not end within the step limit".to_owned());
            }
            *steps -= 1;
            if !self.step() {
                break Ended::Stuck("no task can run and nobody waits for the time".to_owned());
            }
        };
        self.die();
        outcome
    }

    /// Lets one task run, or time pass. False when neither is possible.
    fn step(&self) -> bool {
        self.time.pass(self.dice.between(1..=10));
        let Some(id) = self.ready.draw(&self.dice) else {
            return self.time.jump();
        };
        let Some((mut future, waker)) = lock(&self.tasks).running.remove(&id) else {
            return true;
        };
        if self.fate.delays_a_step() {
            let micros = self.dice.scale(LONGEST_DELAY);
            self.time.wake_after(micros, waker.clone());
            lock(&self.tasks).running.insert(id, (future, waker));
            return true;
        }
        self.trace.hash(id);
        let mut cx = Context::from_waker(&waker);
        let poll = std::panic::AssertUnwindSafe(|| future.poll_unpin(&mut cx));
        match std::panic::catch_unwind(poll) {
            Ok(Poll::Pending) => _ = lock(&self.tasks).running.insert(id, (future, waker)),
            Ok(Poll::Ready(())) => {}
            Err(_) => self
                .trace
                .note("executor", || "a background task panicked".into()),
        }
        true
    }

    /// Drops everything that still runs, as the end of a process does.
    fn die(&self) {
        let running = std::mem::take(&mut lock(&self.tasks).running);
        for (future, _) in running.into_values() {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(future)));
        }
        let late = std::mem::take(&mut lock(&self.tasks).running);
        drop(late);
        self.time.forget_all();
    }
}

impl Executor for SimExecutor {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        let mut tasks = lock(&self.tasks);
        let id = tasks.next;
        tasks.next += 1;
        let waker = Waker::from(Arc::new(TaskWaker {
            id,
            ready: self.ready.clone(),
        }));
        waker.wake_by_ref();
        tasks.running.insert(id, (future, waker));
    }

    fn spawn_io(&self, future: BoxFuture<'static, ()>) {
        self.spawn(future);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.time.sleep(duration).boxed()
    }
}

impl Ready {
    /// Takes out one of them.
    fn draw(&self, dice: &Dice) -> Option<usize> {
        let mut ready = lock(&self.0);
        if ready.is_empty() {
            return None;
        }
        let position = dice.below(ready.len() as u64) as usize;
        Some(ready.remove(position))
    }

    fn add(&self, id: usize) {
        let mut ready = lock(&self.0);
        if let Err(position) = ready.binary_search(&id) {
            ready.insert(position, id);
        }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.add(self.id);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.add(self.id);
    }
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks")
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
