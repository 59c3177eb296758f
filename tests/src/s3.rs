//! An S3 server in the test's own process, whose faults are switched on and off.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// The one bucket.
pub const BUCKET: &str = "bodies";
/// Who may use it.
pub const ACCESS_KEY: &str = "test-access";
/// And how that is shown.
pub const SECRET_KEY: &str = "test-secret";

/// What happens to every request from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Served.
    Well,
    /// Refused with 503.
    Down,
    /// Served after a second.
    Slow,
    /// One in ten is refused with 503.
    Flaky,
    /// One in ten is done, and then answered with 503.
    Forgetful,
}

const MOODS: [Mood; 5] = [Mood::Well, Mood::Down, Mood::Slow, Mood::Flaky, Mood::Forgetful];

#[derive(Debug, Default)]
struct Faults {
    /// An index of [`MOODS`].
    mood: AtomicU32,
    requests: AtomicU32,
}

/// A running server; its files go with it.
#[derive(Debug)]
pub struct S3 {
    /// Like `http://127.0.0.1:1234`.
    pub endpoint: String,
    faults: Arc<Faults>,
    root: TempDir,
    _runtime: Runtime,
}

impl S3 {
    /// On a free port of loopback.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start() -> anyhow::Result<Self> {
        let root = tempfile::Builder::new().prefix("buzon-s3-").tempdir()?;
        std::fs::create_dir(root.path().join(BUCKET))?;
        let files = s3s_fs::FileSystem::new(root.path()).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let faults = Arc::new(Faults::default());
        runtime.spawn(accept(listener, service, Arc::clone(&faults)));
        Ok(Self { endpoint, faults, root, _runtime: runtime })
    }

    /// What happens to requests from now on.
    pub fn set(&self, mood: Mood) {
        let at = MOODS.iter().position(|it| *it == mood).unwrap_or_default();
        self.faults.mood.store(at as u32, Ordering::SeqCst);
    }

    /// Where its objects are.
    pub fn folder(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }
}

async fn accept(listener: TcpListener, service: S3Service, faults: Arc<Faults>) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(serve(socket, service.clone(), Arc::clone(&faults)));
    }
}

async fn serve(socket: TcpStream, service: S3Service, faults: Arc<Faults>) {
    // An error is the client's connection that broke.
    let _ = socket.set_nodelay(true);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, faults) = (service.clone(), Arc::clone(&faults));
        async move { Ok::<_, Infallible>(answer(request, &service, &faults).await) }
    });
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
}

async fn answer(request: Request<Incoming>, service: &S3Service, faults: &Faults) -> Response<s3s::Body> {
    let number = faults.requests.fetch_add(1, Ordering::SeqCst);
    let mood = MOODS[faults.mood.load(Ordering::SeqCst) as usize];
    let is_tenth = number.is_multiple_of(10);
    if mood == Mood::Down || (mood == Mood::Flaky && is_tenth) {
        return unavailable();
    }
    if mood == Mood::Slow {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    match service.call(request.map(s3s::Body::from)).await {
        Ok(_) if mood == Mood::Forgetful && is_tenth => unavailable(),
        Ok(response) => response,
        Err(_) => unavailable(),
    }
}

fn unavailable() -> Response<s3s::Body> {
    let mut response = Response::new(s3s::Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
