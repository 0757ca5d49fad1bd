//! The job, as a process of its own: this test program again, with arguments in the environment.

use super::{FORMS, Form, LIMIT};
use futures::executor::block_on;
use snapline::Result;
use snapline::connectors::postgres::{PostgresServer, PostgresSink, PostgresUpsertSink, Row};
use snapline::prelude::*;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The variable that makes a job of the test.
pub(crate) const ARGUMENTS: &str = "SNAPLINE_CHAOS_JOB";

/// How to start it, again and again.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) url: String,
    pub(crate) form: Form,
    pub(crate) table: String,
    pub(crate) checkpoints: PathBuf,
}

impl Job {
    pub(crate) fn start(&self) -> Running {
        let checkpoints = self.checkpoints.to_str().unwrap();
        let arguments = [&self.url, &format!("{:?}", self.form), &self.table, checkpoints].join("\n");
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

/// Writes numbers to the table.
pub(crate) fn run(arguments: &str) -> Result<()> {
    let mut lines = arguments.lines();
    let [url, form, table, checkpoints] = [(); 4].map(|()| lines.next().unwrap());
    let form = FORMS
        .into_iter()
        .find(|known| format!("{known:?}") == form)
        .unwrap();
    let env = StreamExecutionEnvironment::builder()
        .parallelism(2)
        .checkpoint_storage(FileCheckpointStorage::open(checkpoints)?)
        .restart(RestartSettings::FixedDelay {
            attempts: 1_000,
            delay_ms: 100,
        })
        .build()?;
    env.enable_checkpointing(Duration::from_millis(50));
    let numbers = env
        .from_source(SequenceSource::new(0..form.rows()), "numbers")
        .uid("numbers")
        .map(|number| (number as i64, (number * 7) as i64))
        .rebalance();
    let server = PostgresServer::new(url)?;
    let fill = |(key, value): &(i64, i64), row: &mut Row<'_>| {
        row.put(key).put(value);
    };
    let appending = || PostgresSink::new(server.clone(), table, ["key", "value"], fill);
    let sink = match form {
        Form::Prepared => numbers.sink_to(appending()),
        Form::Staged => numbers.sink_to(appending().without_prepared_transactions()),
        Form::Upsert => numbers.sink_to(PostgresUpsertSink::new(
            server.clone(),
            table,
            ["key"],
            ["value"],
            fill,
        )),
    };
    sink.uid("rows");
    block_on(env.execute(table)).map(drop)
}
