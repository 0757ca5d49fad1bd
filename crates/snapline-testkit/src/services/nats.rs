//! A NATS server with JetStream.

use super::process::{Files, Process, server};
use super::{debian, port, services_folder};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// The user and the password without which the server lets nobody in.
const USER: &str = "snapline:secret";

/// A server: the one of `SNAPLINE_NATS_URL`, or one of Debian's package `nats-server`, which ends with this value.
///
/// Its own server listens on loopback, wants a password, and keeps its streams in a temporary folder. The package is
/// installed when it is missing and the test runs as root.
#[derive(Debug)]
pub struct Nats {
    url: String,
    own: Option<Own>,
}

/// A server that was started here.
#[derive(Debug)]
struct Own {
    program: PathBuf,
    data: PathBuf,
    process: Option<Process>,
}

impl Nats {
    /// Starts a server on a free port.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start() -> Result<Self, String> {
        Self::start_with(&[])
    }

    /// Starts one with these lines in its configuration besides. They are for a server of its own: there is none where
    /// `SNAPLINE_NATS_URL` is set.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start_with(settings: &[&str]) -> Result<Self, String> {
        if let Ok(url) = std::env::var("SNAPLINE_NATS_URL") {
            return match settings.is_empty() {
                true => Ok(Self { url, own: None }),
                false => Err("the server of SNAPLINE_NATS_URL has settings of its own".to_owned()),
            };
        }
        let program = installed()?;
        let port = port::free()?;
        let mut own = Own {
            data: data_folder(port, settings)?,
            program,
            process: None,
        };
        own.run()?;
        let url = format!("nats://{USER}@127.0.0.1:{port}");
        Ok(Self { url, own: Some(own) })
    }

    /// Where it listens, with the user and the password: `nats://user:password@host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens: `host:port`.
    pub fn address(&self) -> &str {
        let place = self.url.rsplit('@').next().unwrap_or_default();
        place.trim_start_matches("nats://").trim_end_matches('/')
    }

    /// Whether it was started for this test and can be stopped.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Kills it; what it has acknowledged stays.
    ///
    /// # Errors
    /// It is not its own, or does not end.
    pub fn crash(&mut self) -> Result<(), String> {
        let process = self.own()?.process.take();
        process.map_or(Ok(()), |process| process.end(Files::Keep))
    }

    /// Starts it again after a crash.
    ///
    /// # Errors
    /// It is not its own, or does not start.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.own()?.run()
    }

    fn own(&mut self) -> Result<&mut Own, String> {
        let reason = "the server of SNAPLINE_NATS_URL is not ours to stop";
        self.own.as_mut().ok_or_else(|| reason.to_owned())
    }
}

impl Own {
    /// Starts the server and waits until it is ready.
    fn run(&mut self) -> Result<(), String> {
        let mut command = server(&self.program, "KILL", &self.data);
        command.arg("-c").arg(self.data.join("nats.conf"));
        self.process = Some(Process::start("nats-server", &mut command, "Server is ready")?);
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.process.take());
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// The program `nats-server`, installed when it is missing.
fn installed() -> Result<PathBuf, String> {
    let find = || {
        let places = [
            "/usr/sbin/nats-server",
            "/usr/bin/nats-server",
            "/usr/local/bin/nats-server",
        ];
        places.iter().map(PathBuf::from).find(|place| place.exists())
    };
    debian::installed("nats-server", find, &services_folder()?.join("nats-install.lock"))
}

/// A new folder with the configuration of the server.
fn data_folder(port: u16, settings: &[&str]) -> Result<PathBuf, String> {
    static FOLDERS: AtomicU32 = AtomicU32::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let data = std::env::temp_dir().join(format!("snapline-nats-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&data);
    let (user, password) = USER.split_once(':').unwrap_or_default();
    let configuration = format!(
        "listen: \"127.0.0.1:{port}\"\nauthorization {{ user: {user}, password: {password} }}\n\
         jetstream {{ store_dir: \"{}\" }}\n{}\n",
        data.join("jetstream").display(),
        settings.join("\n")
    );
    let written = fs::create_dir(&data).and_then(|()| fs::write(data.join("nats.conf"), configuration));
    written.map_err(|error| format!("cannot use {}: {error}", data.display()))?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::super::skip;
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_nats_server_takes_connections_until_it_is_dropped_and_leaves_no_files() {
        let Ok(mut server) = Nats::start().map_err(skip) else {
            return;
        };
        let address = server.address().to_owned();
        TcpStream::connect(&address).unwrap();
        if !server.is_own() {
            return;
        }
        server.crash().unwrap();
        TcpStream::connect(&address).unwrap_err();
        server.start_again().unwrap();
        TcpStream::connect(&address).unwrap();
        let data = server.own.as_ref().unwrap().data.clone();
        assert!(data.exists());
        drop(server);
        TcpStream::connect(&address).unwrap_err();
        assert!(!data.exists());
    }
}
