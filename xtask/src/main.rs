//! The tasks of this repository: `cargo xtask ci | tidy | examples | plugins | bench | instructions | chaos | sim | deep`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program, not a library"
)]

mod bench;
mod chaos;
mod ci;
mod debian;
mod deep;
mod examples;
mod instructions;
mod plugins;
mod process;
mod sim;
mod stopwatch;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "The tasks of this repository", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must hold before a change is merged: the same that CI runs.
    Ci,
    /// The rules of this house that no other tool knows.
    Tidy,
    /// Runs every example and compares what it prints with its header.
    Examples,
    /// Builds and tests the storage and the state backend that stand for those of others.
    Plugins,
    /// Measures workloads against hand-written loops, interleaved.
    Bench(bench::Options),
    /// Counts the instructions of two small workloads and compares them with what is recorded.
    Instructions(instructions::Options),
    /// Kills WordCount again and again and checks that every word counts exactly once.
    Chaos(chaos::Options),
    /// Runs the simulated jobs with many seeds.
    Sim(sim::Options),
    /// Runs the tests of object storage on servers that take too long to install for CI.
    Deep(deep::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Ci => ci::run(),
        Task::Tidy => tidy::run(),
        Task::Examples => examples::run(),
        Task::Plugins => plugins::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Instructions(options) => instructions::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::Sim(options) => sim::run(&options),
        Task::Deep(options) => deep::run(&options),
    };
    match outcome {
        Ok(report) => {
            println!("{}", report.trim_start());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
