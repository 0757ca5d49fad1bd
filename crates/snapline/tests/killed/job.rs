//! The job, as a process of its own: this test program again, with arguments in the environment.

use super::files;
#[cfg(feature = "kafka")]
use super::kafka;
#[cfg(feature = "nats")]
use super::nats;
#[cfg(feature = "aws")]
use super::objects;
use super::outside::{Form, Row, row};
#[cfg(feature = "postgres")]
use super::postgres;
use futures::executor::block_on;
use snapline::Result;
use snapline::prelude::*;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than any job takes that is not disturbed.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The variable that makes a job of the test.
pub(crate) const ARGUMENTS: &str = "SNAPLINE_CHAOS_JOB";

/// How to start it, again and again.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) form: Form,
    /// What the sink has to know, in one line.
    pub(crate) place: String,
    pub(crate) name: String,
    pub(crate) checkpoints: PathBuf,
}

impl Job {
    pub(crate) fn start(&self) -> Running {
        let checkpoints = self.checkpoints.to_str().unwrap();
        let arguments = [&self.form.name(), &self.place, &self.name, checkpoints].join("\n");
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "job", "--nocapture"])
            .env(ARGUMENTS, arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = process.stdout.take().unwrap();
        let (sender, ended) = channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = output.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        Running { process, ended }
    }
}

/// A process, which ends with this value.
pub(crate) struct Running {
    process: Child,
    /// Has what it has printed, when it has ended.
    ended: Receiver<String>,
}

impl Running {
    /// Waits for its end, but no longer than this. Whether it came.
    pub(crate) fn ends_within(&mut self, time: Duration) -> bool {
        match self.ended.recv_timeout(time) {
            Ok(printed) => {
                let status = self.process.wait().unwrap();
                assert!(status.success(), "the job has failed: {printed}");
                true
            }
            Err(_) => false,
        }
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits until it has succeeded, unless it had already.
    pub(crate) fn finish(mut self) {
        let has_ended = self
            .process
            .try_wait()
            .unwrap()
            .is_some_and(|status| status.success());
        assert!(has_ended || self.ends_within(LIMIT), "the job does not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes rows.
pub(crate) fn run(arguments: &str) -> Result<()> {
    let mut lines = arguments.lines();
    let [form, place, name, checkpoints] = [(); 4].map(|()| lines.next().unwrap());
    let env = StreamExecutionEnvironment::builder()
        .parallelism(2)
        .checkpoint_storage(FileCheckpointStorage::open(checkpoints)?)
        .restart(RestartSettings::FixedDelay {
            attempts: 1_000,
            delay_ms: 100,
        })
        .build()?;
    env.enable_checkpointing(Duration::from_millis(50));
    write(&env, Form::named(form), place, name)?;
    block_on(env.execute(name)).map(drop)
}

fn write(env: &StreamExecutionEnvironment, form: Form, place: &str, name: &str) -> Result<()> {
    match form {
        Form::Files => files::write(rows(env, form), place),
        #[cfg(feature = "aws")]
        Form::Objects => objects::write(rows(env, form), place),
        #[cfg(feature = "kafka")]
        Form::Kafka => kafka::write(rows(env, form), place, name),
        #[cfg(feature = "nats")]
        Form::Nats => nats::write(nats::read(env, place, name)?, place, name)?,
        #[cfg(feature = "postgres")]
        Form::Prepared | Form::Staged | Form::Upsert => postgres::write(rows(env, form), form, place, name)?,
        #[allow(unreachable_patterns, reason = "with all features there is no other")]
        _ => panic!("{form:?} and {name} need a feature"),
    }
    Ok(())
}

fn rows(env: &StreamExecutionEnvironment, form: Form) -> DataStream<Row> {
    env.from_source(SequenceSource::new(0..form.rows()), "numbers")
        .uid("numbers")
        .map(row)
        .rebalance()
}
