//! A server that speaks the protocol of S3.

use super::{build_folder, run};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// moto, and what it needs to serve S3.
const VERSION: &str = "5.2.5";
const PACKAGES: [&str; 3] = ["moto[s3]==5.2.5", "flask", "flask-cors"];

/// Ends with this process, however that ends: then its standard input is at its end.
///
/// moto looks whether an object is there and writes it in two steps, between which another thread may do the same.
/// So it gets one request at a time, each with its whole body.
const PROGRAM: &str = "
import io, os, sys, threading
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
moto = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()

def one_by_one(request, answer):
    length = int(request.get('CONTENT_LENGTH') or 0)
    request['wsgi.input'] = io.BytesIO(request['wsgi.input'].read(length))
    with turn:
        return list(moto(request, answer))

run_simple('127.0.0.1', 0, one_by_one, threaded=True)
";

const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// A server with one bucket: the one of `SNAPLINE_S3_ENDPOINT`, or moto, which ends with this value.
///
/// moto keeps all in memory and checks no credentials; its conditional creates are exact here. It is installed in a
/// virtual environment beside the build, when it is not there yet.
///
/// A server of the variable needs the bucket `SNAPLINE_S3_BUCKET` and finds the keys in the variables of AWS.
#[derive(Debug)]
pub struct S3 {
    endpoint: String,
    bucket: String,
    process: Option<Child>,
}

impl S3 {
    /// Starts a server on a free port, with an empty bucket.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(bucket: &str) -> Result<Self, String> {
        if let Ok(endpoint) = std::env::var("SNAPLINE_S3_ENDPOINT") {
            let bucket = std::env::var("SNAPLINE_S3_BUCKET")
                .map_err(|_| "SNAPLINE_S3_ENDPOINT is set and SNAPLINE_S3_BUCKET is not".to_owned())?;
            return Ok(Self {
                endpoint,
                bucket,
                process: None,
            });
        }
        let folder = installed()?;
        let mut server = Self {
            endpoint: String::new(),
            bucket: bucket.to_owned(),
            process: Some(start(&folder)?),
        };
        server.endpoint = server.wait_for_address()?;
        let answer = server.request("PUT", &format!("/{bucket}"))?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(format!("moto made no bucket: {answer}"));
        }
        Ok(server)
    }

    /// Where it listens: `http://host:port`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The name of its bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Whether it was started for this test and takes any credentials.
    pub fn is_own(&self) -> bool {
        self.process.is_some()
    }

    /// The answer to a request without credentials and without a body.
    ///
    /// # Errors
    /// What went wrong.
    pub fn request(&self, method: &str, path: &str) -> Result<String, String> {
        let failed = |error: std::io::Error| format!("{method} {path} at {}: {error}", self.endpoint);
        let address = self.endpoint.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        Ok(answer)
    }

    /// Reads what the server prints until it names its address, and lets it print on.
    fn wait_for_address(&mut self) -> Result<String, String> {
        let printed = self.process.as_mut().and_then(|process| process.stderr.take());
        let printed = printed.ok_or("moto prints nothing")?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(printed).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("Running on ") {
                    let _ = sender.send(address.trim().to_owned());
                }
            }
        });
        let address = receiver.recv_timeout(STARTS_WITHIN);
        address.map_err(|_| format!("moto did not start within {} s", STARTS_WITHIN.as_secs()))
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn start(folder: &Path) -> Result<Child, String> {
    Command::new(folder.join("bin/python"))
        .args(["-u", "-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start moto: {error}"))
}

/// The virtual environment, made when it is missing. Others that need it meanwhile wait.
fn installed() -> Result<PathBuf, String> {
    let services = build_folder()?.join("services");
    let folder = services.join(format!("moto-{VERSION}"));
    let failed = |error: std::io::Error| format!("cannot use {}: {error}", services.display());
    fs::create_dir_all(&services).map_err(failed)?;
    let lock = File::create(services.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let ready = folder.join("ready");
    if !ready.exists() {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder))?;
        let mut install = Command::new(folder.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--retries", "1"]);
        run(install.args(PACKAGES))?;
        fs::write(&ready, VERSION).map_err(failed)?;
    }
    Ok(folder)
}
