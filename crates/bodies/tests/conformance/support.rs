//! An S3 server in this process, with a fault plan in front of it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use buzon_bodies::{Addressing, Backend, Options, S3Options};
use buzon_types::secret::Secret;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opentelemetry::metrics::{Meter, MeterProvider, noop::NoopMeterProvider};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

const BUCKET: &str = "bodies";
const ACCESS_KEY: &str = "test-access";
const SECRET_KEY: &str = "test-secret";

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refused with 503 before anything is done.
    Refuse,
    /// Done, and then answered with 503.
    LoseAnswer,
    /// Never answered.
    Hang,
    /// The first request for which it is meant goes through.
    None,
}

/// Faults for requests to come, by method, in order; and what was asked so far.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    faults: Mutex<Vec<(Method, VecDeque<Fault>)>>,
    seen: Mutex<Vec<(Method, String)>>,
}

impl Plan {
    /// The next requests of this method meet these faults.
    pub(crate) fn next(&self, method: Method, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().push((method, faults.into_iter().collect()));
    }

    /// How many requests of this method came, all in all.
    pub(crate) fn count(&self, method: &Method) -> usize {
        self.seen.lock().unwrap().iter().filter(|(seen, _)| seen == method).count()
    }

    fn take(&self, request: &Request<Incoming>) -> Fault {
        self.seen.lock().unwrap().push((request.method().clone(), request.uri().to_string()));
        let mut faults = self.faults.lock().unwrap();
        let planned = faults.iter_mut().find(|(method, left)| method == request.method() && !left.is_empty());
        planned.and_then(|(_, left)| left.pop_front()).unwrap_or(Fault::None)
    }
}

/// A running server; its files go with it.
pub(crate) struct S3 {
    endpoint: String,
    pub(crate) plan: Arc<Plan>,
    _root: TempDir,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let files = s3s_fs::FileSystem::new(root.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let plan = Arc::new(Plan::default());
        tokio::spawn(accept(listener, service, plan.clone()));
        Self { endpoint, plan, _root: root }
    }

    pub(crate) fn options(&self) -> Options {
        Options::new(Backend::S3(S3Options {
            endpoint: Some(self.endpoint.clone()),
            bucket: BUCKET.into(),
            region: "us-east-1".into(),
            access_key_id: ACCESS_KEY.into(),
            secret_access_key: Secret::new(SECRET_KEY.into()),
            allow_http: true,
            addressing: Addressing::Path,
        }))
    }
}

async fn accept(listener: TcpListener, service: S3Service, plan: Arc<Plan>) {
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).unwrap();
        tokio::spawn(serve(socket, service.clone(), plan.clone()));
    }
}

async fn serve(socket: TcpStream, service: S3Service, plan: Arc<Plan>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, fault) = (service.clone(), plan.take(&request));
        async move {
            if fault == Fault::Hang {
                std::future::pending::<()>().await;
            }
            if fault == Fault::Refuse {
                return Ok(unavailable());
            }
            let answer = service.call(request.map(s3s::Body::from)).await.unwrap_or_else(|_| unavailable());
            Ok::<_, Infallible>(if fault == Fault::LoseAnswer { unavailable() } else { answer })
        }
    });
    // A connection that breaks is the client's affair.
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
}

fn unavailable() -> Response<s3s::Body> {
    let mut response = Response::new(s3s::Body::from(String::from("busy")));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// A meter that counts nothing.
pub(crate) fn meter() -> Meter {
    NoopMeterProvider::new().meter("test")
}

/// Bytes in which every place differs from its neighbours.
pub(crate) fn bytes(length: usize) -> bytes::Bytes {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}
