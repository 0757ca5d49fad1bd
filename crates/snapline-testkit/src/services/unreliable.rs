//! A network that breaks.

use crate::fault::{Operation, Schedule};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;

/// A port on loopback that passes connections on to a server, or breaks them off.
///
/// It listens as long as the process lives.
#[derive(Debug)]
pub struct Unreliable {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    server: String,
    schedule: Schedule,
    is_cut: AtomicBool,
    accepted: AtomicU64,
    open: Mutex<Vec<Weak<TcpStream>>>,
    refused: Mutex<u64>,
    changed: Condvar,
}

impl Unreliable {
    /// Passes on to the server at `http://host:port`; connections that the schedule strikes, each counted as a get,
    /// are broken off: in turns before the request is sent and when the answer comes.
    ///
    /// # Errors
    /// There is no free port.
    pub fn before(endpoint: &str, schedule: Schedule) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let state = Arc::new(State {
            server: endpoint.trim_start_matches("http://").to_owned(),
            schedule,
            is_cut: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            open: Mutex::default(),
            refused: Mutex::new(0),
            changed: Condvar::new(),
        });
        let address = listener.local_addr()?;
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                let client = Arc::new(client);
                thread::spawn(move || state.serve(&client));
            }
        });
        Ok(Self { address, state })
    }

    /// Where it listens: `http://host:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks off all connections: those that there are, and those that come from now on.
    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
        for client in self.state.open().drain(..).filter_map(|client| client.upgrade()) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Passes connections on again.
    pub fn mend(&self) {
        self.state.is_cut.store(false, Ordering::SeqCst);
    }

    /// How many connections there were.
    pub fn accepted(&self) -> u64 {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Waits until so many connections, counted from the first, were broken off.
    pub fn wait_for_refused(&self, count: u64) {
        let mut refused = self.state.refused();
        while *refused < count {
            let woken = self.state.changed.wait(refused);
            refused = woken.unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

impl State {
    fn serve(&self, client: &Arc<TcpStream>) {
        let number = self.accepted.fetch_add(1, Ordering::SeqCst);
        self.note_open(client);
        let strikes = self.schedule.strikes(Operation::Get);
        let is_cut = self.is_cut.load(Ordering::SeqCst);
        // A broken connection is what this is about.
        let _ = match (is_cut, strikes, number % 2) {
            (true, ..) | (_, true, 0) => Ok(()),
            (_, true, _) => self.pass_on(client, |_| ()),
            _ => self.pass_on(client, |server| {
                let _ = io::copy(&mut &*server, &mut &**client);
            }),
        };
        if is_cut || strikes {
            *self.refused() += 1;
            self.changed.notify_all();
        }
        let _ = client.shutdown(Shutdown::Both);
    }

    fn pass_on(&self, client: &TcpStream, answer: impl FnOnce(&TcpStream)) -> io::Result<()> {
        let server = TcpStream::connect(&self.server)?;
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || io::copy(&mut &from, &mut &to));
        // The first byte of an answer says that the request was done.
        server.peek(&mut [0])?;
        answer(&server);
        server.shutdown(Shutdown::Both)
    }

    /// Before anybody looks whether the network is cut, so that none is missed.
    fn note_open(&self, client: &Arc<TcpStream>) {
        let mut open = self.open();
        open.retain(|client| client.strong_count() > 0);
        open.push(Arc::downgrade(client));
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Vec<Weak<TcpStream>>> {
        self.open
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, u64> {
        self.refused
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
