//! Looks into the checkpoints and savepoints of Snapline: lists, shows, proves, compares, exports, copies, deletes and
//! rescales them, without the program whose state they hold.

mod arguments;
mod command;
mod entries;
mod hex;
mod location;
mod operator_states;
mod output;
mod progress;
mod stop;
mod subject;
mod time;

use arguments::Arguments;
use clap::Parser;
use output::Output;
use std::process::ExitCode;
use stop::{Stop, Verdict};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Wrong usage ends here with code 2, `--help` with 0.
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let mut output = Output::new(arguments.format());
            let outcome = runtime.block_on(command::run(arguments.noun, &mut output));
            outcome.and_then(|verdict| output.flush().map(|()| verdict).map_err(Stop::from))
        }
        Err(error) => Err(Stop::from(error)),
    };
    match outcome {
        Ok(Verdict::Fine) | Err(Stop::ClosedPipe) => ExitCode::SUCCESS,
        Ok(Verdict::NotWhole) => ExitCode::from(1),
        Err(Stop::Failed(error)) => {
            progress::say(&format!("error: {error}"));
            ExitCode::from(stop::code(&error))
        }
    }
}
