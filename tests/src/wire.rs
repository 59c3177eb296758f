//! A wire between two processes that takes its time: what comes is passed on so much later, both ways.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Pieces on the way at most, so that a stopped receiver stops its sender too.
const PIECES_MAX: usize = 256;

/// See the module. Goes on to the end of the test's process.
#[derive(Debug)]
pub struct Wire {
    /// Where it begins, on loopback.
    pub port: u16,
    delay_ms: Arc<AtomicU64>,
}

impl Wire {
    /// To the port of an address on loopback, without delay.
    ///
    /// # Errors
    /// If no port is free.
    pub fn to(address: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let port_to = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let to = SocketAddr::from(([127, 0, 0, 1], port_to.unwrap_or_default()));
        let delay_ms = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&delay_ms);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // What is refused there is closed here.
                let _ = TcpStream::connect(to).and_then(|far| join(near, far, &delay));
            }
        });
        Ok(Self { port, delay_ms })
    }

    /// From now on each piece arrives so much later.
    pub fn delay(&self, milliseconds: u64) {
        self.delay_ms.store(milliseconds, Ordering::Release);
    }
}

fn join(near: TcpStream, far: TcpStream, delay: &Arc<AtomicU64>) -> std::io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    pass(near.try_clone()?, far.try_clone()?, Arc::clone(delay));
    pass(far, near, Arc::clone(delay));
    Ok(())
}

/// Passes on what comes, in order, until either side ends.
fn pass(mut from: TcpStream, mut to: TcpStream, delay: Arc<AtomicU64>) {
    let (send, pieces) = mpsc::sync_channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length) = from.read(&mut buffer) {
            let due = Instant::now() + Duration::from_millis(delay.load(Ordering::Acquire));
            if length == 0 || send.send((due, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, piece) in pieces {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both); // may be gone
    });
}
