//! A PostgreSQL server.

use super::process::{Files, Process, server};
use super::{debian, port, run, services_folder};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The password of the user `postgres`, without which the server lets nobody in.
const PASSWORD: &str = "secret";

/// A server: the one of `SNAPLINE_POSTGRES_URL`, or one of Debian's package `postgresql`, which ends with this value.
///
/// Its own server listens on loopback, wants the password as it is, since anything else takes a client without
/// optimizations long, keeps its data in a temporary folder, does not wait for the disk, and takes 64
/// prepared transactions. The package is installed when it is missing and the test runs as root.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    own: Option<Own>,
}

/// A server that was started here.
#[derive(Debug)]
struct Own {
    program: PathBuf,
    data: PathBuf,
    port: u16,
    settings: Vec<String>,
    process: Option<Process>,
}

impl Postgres {
    /// Starts a server on a free port.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start() -> Result<Self, String> {
        Self::start_with(&[])
    }

    /// Starts one with these settings besides, each as `name=value`. They are for a server of its own: there is none
    /// where `SNAPLINE_POSTGRES_URL` is set.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start_with(settings: &[&str]) -> Result<Self, String> {
        if let Ok(url) = std::env::var("SNAPLINE_POSTGRES_URL") {
            return match settings.is_empty() {
                true => Ok(Self { url, own: None }),
                false => Err("the server of SNAPLINE_POSTGRES_URL has settings of its own".to_owned()),
            };
        }
        let program = installed()?;
        let mut own = Own {
            data: data_folder(&program)?,
            program,
            port: port::free()?,
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            process: None,
        };
        own.run()?;
        let url = format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/postgres", own.port);
        Ok(Self { url, own: Some(own) })
    }

    /// Where it listens, with the user, the password and a database: `postgres://user:password@host:port/database`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens: `host:port`.
    pub fn address(&self) -> String {
        match &self.own {
            Some(own) => format!("127.0.0.1:{}", own.port),
            None => {
                let place = self.url.rsplit('@').next().unwrap_or_default();
                place.split('/').next().unwrap_or_default().to_owned()
            }
        }
    }

    /// Whether it was started for this test and can be stopped.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Ends it as a crash does; what was committed stays.
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
        let reason = "the server of SNAPLINE_POSTGRES_URL is not ours to stop";
        self.own.as_mut().ok_or_else(|| reason.to_owned())
    }
}

impl Own {
    /// Starts the server and waits until it is ready.
    fn run(&mut self) -> Result<(), String> {
        let mut command = server(&self.program, "QUIT", &self.data);
        command
            .arg("-D")
            .arg(&self.data)
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "max_prepared_transactions=64"])
            .args(["-c", "fsync=off"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        as_its_user(&mut command)?;
        self.process = Some(Process::start(
            "postgres",
            &mut command,
            "ready to accept connections",
        )?);
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.process.take());
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// The program `postgres`, installed when it is missing.
fn installed() -> Result<PathBuf, String> {
    let services = services_folder()?;
    debian::installed("postgresql", newest, &services.join("postgres-install.lock"))
}

/// The newest version that there is.
fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|path| version(path).is_some())
        .max_by_key(version)?;
    let program = newest.join("bin/postgres");
    program.exists().then_some(program)
}

/// A folder of an empty server. Making one takes a second, so that it is made once and copied.
fn data_folder(program: &Path) -> Result<PathBuf, String> {
    static FOLDERS: AtomicU32 = AtomicU32::new(0);
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let data = std::env::temp_dir().join(format!("snapline-postgres-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&data);
    let services = services_folder()?;
    let template = services.join("postgres-empty");
    let failed = |error: std::io::Error| format!("cannot use {}: {error}", services.display());
    let lock = File::create(services.join("postgres.lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if template.exists() {
        run(Command::new("cp").arg("-a").args([&template, &data]))?;
        return Ok(data);
    }
    initialize(program, &data)?;
    let copy = services.join("postgres-copy");
    let _ = fs::remove_dir_all(&copy);
    run(Command::new("cp").arg("-a").args([&data, &copy]))?;
    fs::rename(&copy, &template).map_err(failed)?;
    Ok(data)
}

fn initialize(program: &Path, data: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot use {}: {error}", data.display());
    let password = data.with_extension("password");
    fs::create_dir(data).map_err(failed)?;
    fs::write(&password, PASSWORD).map_err(failed)?;
    give_to_its_user(data).map_err(failed)?;
    let mut command = Command::new(program.with_file_name("initdb"));
    command
        .args(["--username=postgres", "--auth=password", "--no-locale"])
        .args(["--encoding=UTF8", "--no-sync", "--wal-segsize=1"])
        .arg(format!("--pwfile={}", password.display()))
        .arg(format!("--pgdata={}", data.display()))
        .current_dir(std::env::temp_dir());
    as_its_user(&mut command)?;
    let outcome = run(&mut command);
    let _ = fs::remove_file(&password);
    outcome
}

/// The server refuses to run as root: then it runs as the user of its package.
#[cfg(unix)]
fn as_its_user(command: &mut Command) -> Result<(), String> {
    use std::os::unix::process::CommandExt;
    if debian::is_root() {
        let (user, group) = its_user()?;
        command.uid(user).gid(group);
    }
    Ok(())
}

#[cfg(unix)]
fn give_to_its_user(data: &Path) -> std::io::Result<()> {
    if debian::is_root() {
        let (user, group) = its_user().map_err(std::io::Error::other)?;
        std::os::unix::fs::chown(data, Some(user), Some(group))?;
    }
    Ok(())
}

/// The numbers of the user `postgres` and its group.
#[cfg(unix)]
fn its_user() -> Result<(u32, u32), String> {
    let users = fs::read_to_string("/etc/passwd").map_err(|error| format!("cannot read users: {error}"))?;
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&"postgres"));
    let numbers =
        fields.and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)));
    numbers.ok_or_else(|| "there is no user postgres".to_owned())
}

#[cfg(not(unix))]
fn as_its_user(_: &mut Command) -> Result<(), String> {
    Ok(())
}

#[cfg(not(unix))]
fn give_to_its_user(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::skip;
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_server_takes_connections_until_it_is_dropped_and_leaves_no_files() {
        let Ok(mut server) = Postgres::start().map_err(skip) else {
            return;
        };
        let address = server.address();
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
