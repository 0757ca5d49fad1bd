//! s3s-fs, a server whose conditional creates race.

use super::{Server, done, free_port, fresh_folder};
use crate::workspace::{cargo, root};
use std::fs;
use std::process::Command;

/// The newest that the compiler of this repository builds; about 155 seconds of processor time.
const VERSION: &str = "0.14.1";

const BUCKET: &str = "snapline";

/// A server that is about to answer.
pub(super) struct Racing {
    endpoint: String,
    _server: Server,
}

impl Racing {
    /// What the tests have to know.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SNAPLINE_UNFIT_S3_ENDPOINT", self.endpoint.clone()),
            ("SNAPLINE_UNFIT_S3_BUCKET", BUCKET.to_owned()),
        ]
    }
}

/// Builds the server when it is not there yet, and starts it.
///
/// # Errors
/// What went wrong.
pub(super) fn start() -> Result<Racing, String> {
    let installed = root().join("target/services").join(format!("s3s-fs-{VERSION}"));
    let program = installed.join("bin/s3s-fs");
    if !program.exists() {
        let mut install = cargo();
        install.args([
            "install",
            "s3s-fs",
            "--version",
            VERSION,
            "--locked",
            "--features=binary",
        ]);
        install.arg("--root").arg(&installed);
        install.env("CARGO_TARGET_DIR", root().join("target/services/build"));
        done(&mut install).map_err(|reason| format!("not run, because it cannot be built: {reason}"))?;
    }
    let mut server = Server::in_folder(fresh_folder("s3s-fs")?);
    let bucket = server.folder.join(BUCKET);
    fs::create_dir(&bucket).map_err(|error| format!("cannot create {}: {error}", bucket.display()))?;
    let port = free_port()?;
    let mut command = Command::new(program);
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--access-key", "key", "--secret-key", "secret"]);
    command.arg(server.folder.clone());
    server.start(&mut command)?;
    Ok(Racing {
        endpoint: format!("http://127.0.0.1:{port}"),
        _server: server,
    })
}
