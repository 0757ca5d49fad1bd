//! One run: one seed, one world, and as many processes as it takes.

use super::dice::Dice;
use super::executor::{Ended, SimExecutor};
use super::fate::{Fate, Met};
use super::faults::Faults;
use super::intervention::{JobEnd, User};
use super::network::SimNetwork;
use super::settings::Settings;
use super::storage::SimStorage;
use super::time::Time;
use super::trace::{Detail, SimProbe, Trace};
use super::world::World;
use snapline_core::{AlignmentSettings, CheckpointSettings, JobSettings, RestartSettings, RestoreSettings};
use snapline_dataflow::{Components, StreamExecutionEnvironment};
use snapline_runtime::{ClusterParts, LocalCluster};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The name under which the job keeps its checkpoints.
const JOB: &str = "simulation";

/// The user's program: describes its streams on the environment.
pub(crate) type Program<'a> = &'a dyn Fn(&StreamExecutionEnvironment, &World);

/// What a run was like.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) world: World,
    pub(crate) trace: Arc<Trace>,
    pub(crate) met: Met,
    pub(crate) steps: u64,
    /// Why the job did not end well.
    pub(crate) failure: Option<String>,
}

struct Run<'a> {
    settings: &'a Settings,
    seed: u64,
    time: Arc<Time>,
    fate: Arc<Fate>,
    trace: Arc<Trace>,
    world: World,
    dice: Dice,
    /// Set once somebody has stopped the job with a savepoint and starts it from there.
    restore: Option<RestoreSettings>,
    /// The same in all processes unless the job is rescaled.
    parallelism: u32,
    steps: u64,
}

/// Runs a program over crashes and restarts until its job ends, and once more after that.
pub(crate) fn run(
    settings: &Settings,
    seed: u64,
    faults: Faults,
    detail: Detail,
    program: Program<'_>,
) -> Outcome {
    let mut run = Run::new(settings, seed, faults, detail);
    let failure = run.process_by_process(program).err();
    Outcome {
        world: run.world,
        met: run.fate.met(),
        trace: run.trace,
        steps: settings.step_limit - run.steps,
        failure,
    }
}

impl<'a> Run<'a> {
    fn new(settings: &'a Settings, seed: u64, faults: Faults, detail: Detail) -> Self {
        let time = Arc::new(Time::default());
        let fate = Arc::new(Fate::new(seed, faults));
        let trace = Arc::new(Trace::new(time.clone(), detail));
        let storage = SimStorage::new(time.clone(), fate.clone(), trace.clone());
        let world = World::new(seed, time.clone(), fate.clone(), trace.clone(), storage);
        let dice = Dice::new(seed, "settings");
        Self {
            settings,
            seed,
            time,
            fate,
            trace,
            world,
            parallelism: settings.draw_parallelism(&dice),
            restore: None,
            dice,
            steps: settings.step_limit,
        }
    }

    fn process_by_process(&mut self, program: Program<'_>) -> Result<(), String> {
        let mut process = 1;
        while !self.process(process, program)? {
            process += 1;
        }
        let visible = self.world.visible().len();
        self.trace
            .note("process", || "has ended; the program is run once more".to_owned());
        self.fate.relent();
        if !self.process(process + 1, program)? || self.world.visible().len() != visible {
            return Err("the job had ended, and running it once more changed its output".to_owned());
        }
        Ok(())
    }

    /// Runs one process; false when it was killed or stopped, so that there has to be another.
    fn process(&mut self, number: u64, program: Program<'_>) -> Result<bool, String> {
        self.fate.on_process_start();
        let executor = Arc::new(SimExecutor::new(
            self.time.clone(),
            self.fate.clone(),
            self.trace.clone(),
            self.seed ^ (number << 32),
        ));
        let env = self.environment(number, executor.clone());
        let parallelism = env.settings().parallelism;
        self.trace.note("process", || {
            format!("{number} starts with parallelism {parallelism}")
        });
        catch_unwind(AssertUnwindSafe(|| program(&env, &self.world)))
            .map_err(|_| "the program panicked while it described its job".to_owned())?;
        let user = User {
            time: self.time.clone(),
            fate: self.fate.clone(),
            trace: self.trace.clone(),
            dice: Dice::new(self.seed ^ (number << 32), "user"),
            process: number,
        };
        let job = async move { user.attend(&env.execute_async(JOB).await?).await };
        let ended = executor.run(job, &mut self.steps);
        if let Some(violation) = self.world.violation() {
            return Err(violation);
        }
        match ended {
            Ended::Done(Ok(JobEnd::Finished)) => Ok(true),
            Ended::Done(Ok(JobEnd::Stopped(restore))) => {
                self.restore = restore.or(self.restore.take());
                Ok(false)
            }
            Ended::Done(Err(error)) => Err(format!("the job failed: {error}")),
            Ended::Crashed => {
                self.trace.note("process", || format!("{number} is KILLED"));
                Ok(false)
            }
            Ended::Stuck(why) => Err(format!("{why}{}", self.trace.last_steps())),
        }
    }

    fn environment(&self, process: u64, executor: Arc<SimExecutor>) -> StreamExecutionEnvironment {
        let probe = SimProbe {
            trace: self.trace.clone(),
            fate: self.fate.clone(),
        };
        let network = SimNetwork::new(self.time.clone(), self.fate.clone(), self.seed ^ (process << 32));
        let parts = ClusterParts {
            executor,
            clock: self.time.clone(),
            network: Some(Arc::new(network)),
            probe: Some(Arc::new(probe)),
            nonce: self.seed ^ (process << 32),
        };
        let components = Components::new(
            Arc::new(self.world.shared.storage.clone()),
            (self.settings.backend)(),
            Arc::new(LocalCluster::assemble(parts)),
        );
        StreamExecutionEnvironment::new(self.job_settings(), components)
    }

    fn job_settings(&self) -> JobSettings {
        let settings = self.settings;
        let one_of = |choices: &[usize]| self.dice.one_of(choices).copied().unwrap_or(1);
        let parallelism = match settings.rescale {
            true => settings.draw_parallelism(&self.dice),
            false => self.parallelism,
        };
        let alignment = self.dice.one_of(&settings.alignments).copied();
        let alignment = alignment.unwrap_or_default();
        let checkpoints = CheckpointSettings {
            timeout_ms: settings.checkpoint_timeout_ms(),
            alignment,
            max_concurrent: match alignment {
                AlignmentSettings::Aligned => self.dice.between(1..=3) as u32,
                _ => 1,
            },
            retained: one_of(&[1, 2, 3]),
            ..CheckpointSettings::every(settings.interval)
        };
        let restart = RestartSettings::ExponentialDelay {
            initial_ms: 1,
            max_ms: 50,
            multiplier: 2.0,
            reset_after_ms: 1_000,
            jitter: 0.0,
            attempts: None,
        };
        JobSettings {
            parallelism,
            checkpoints: Some(checkpoints),
            restart: Some(restart),
            restore: self.restore.clone(),
            local_recovery: self.dice.one_in(2),
            batch_records: one_of(&[1, 4, 16]),
            channel_bytes: one_of(&[1, 256, 128 * 1024]),
            loop_bytes: one_of(&[0, 256, 128 * 1024]),
            ..JobSettings::default()
        }
    }
}
