//! Lost answers, lost leaders, lost instances: a mutation applies once or says that it does not know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::error::{MetaError, WriteOutcome};
use buzon_meta_client::meta::{Meta, Options};
use buzon_meta_client::transport::Transport;
use buzon_metad::groups::Replica;
use buzon_model::command::{Command, ShardCommand};
use buzon_model::reply::Reply;
use buzon_types::id::MailboxKey;
use buzon_types::request::InstanceId;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{BoxError, Service, ServiceExt};

use crate::world::{World, message, options_fast};

pub(crate) type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// What happens to answers on their way.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// This many answers to proposals are lost.
    pub(crate) lose: Arc<AtomicU32>,
    /// Runs before the next lost answer is noticed.
    pub(crate) meanwhile: Arc<Mutex<Option<Hook>>>,
    /// Runs after so many proposals, before the next is sent.
    pub(crate) between: Arc<Mutex<Option<(u32, Hook)>>>,
}

impl Faults {
    fn between(&self) -> Option<Hook> {
        let mut between = self.between.lock();
        match between.as_mut() {
            Some((0, _)) => between.take().map(|(_, hook)| hook),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        }
    }
}

#[derive(Clone)]
struct Lossy {
    inner: Routes,
    faults: Faults,
}

impl Service<http::Request<Body>> for Lossy {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (inner, faults) = (self.inner.clone(), self.faults.clone());
        Box::pin(async move {
            let is_proposal = request.uri().path().ends_with("/Propose");
            let between = if is_proposal { faults.between() } else { None };
            if let Some(hook) = between {
                hook().await;
            }
            let response = inner.oneshot(request).await?;
            let loses = |left: u32| left.checked_sub(1);
            if is_proposal && faults.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, loses).is_ok() {
                let hook = faults.meanwhile.lock().take();
                if let Some(hook) = hook {
                    hook().await;
                }
                return Err("connection is lost".into());
            }
            Ok(response)
        })
    }
}

pub(crate) fn client(world: &World, options: Options) -> (Meta, Faults) {
    let faults = Faults::default();
    let inner = world.server.internal_routes().prepare();
    let lossy = Lossy { inner, faults: faults.clone() };
    (Meta::with_transport(Transport::new(lossy), options), faults)
}

pub(crate) async fn append(meta: &Meta, of: &AccountHandle, mailbox: MailboxKey) -> Result<u32, MetaError> {
    let append = ShardCommand::Append { mailbox, messages: vec![message()] };
    let outcome = meta.propose(of.shard, Command::Shard(append)).await?.1;
    let Ok(Reply::Appended { uids, .. }) = outcome else { panic!("{outcome:?}") };
    Ok(uids.first().unwrap().get())
}

#[tokio::test]
async fn a_lost_answer_is_given_again() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    let (meta, faults) = client(&world, options_fast());
    for uid in 1..=10 {
        faults.lose.store(uid % 4, Ordering::SeqCst);
        assert_eq!(append(&meta, &ana, inbox).await.unwrap(), uid);
    }
    assert_eq!(world.open(&ana, "INBOX").await.row.counters.messages, 10);
}

#[tokio::test]
async fn many_at_a_time_each_apply_once() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    let (meta, faults) = client(&world, options_fast());
    // Opens the instance, so that the losses are of appends.
    assert_eq!(append(&meta, &ana, inbox).await.unwrap(), 1);
    faults.lose.store(30, Ordering::SeqCst);
    let all = futures::future::join_all((0..100).map(|_| append(&meta, &ana, inbox))).await;
    let mut uids: Vec<u32> = all.into_iter().map(Result::unwrap).collect();
    uids.sort_unstable();
    assert_eq!(uids, (2..=101).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_leader_that_comes_back_is_waited_for() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.shard.leads.store(false, Ordering::SeqCst);
    let pending = append(&world.meta, &ana, inbox);
    let shard = Arc::clone(&world.shard);
    let back = async {
        // Let the first attempts be refused.
        tokio::task::yield_now().await;
        shard.leads.store(true, Ordering::SeqCst);
    };
    let (uid, ()) = futures::future::join(pending, back).await;
    assert_eq!(uid.unwrap(), 1);
}

#[tokio::test]
async fn without_a_leader_nothing_was_applied() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    let mut options = options_fast();
    options.deadlines.total = Duration::from_millis(100);
    let (meta, _) = client(&world, options);
    world.shard.leads.store(false, Ordering::SeqCst);
    let error = append(&meta, &ana, inbox).await.unwrap_err();
    assert_eq!(error.outcome(), WriteOutcome::NotApplied, "{error:?}");
}

/// The instance that the client has in the shard: the last that was opened.
pub(crate) async fn instance(world: &World) -> InstanceId {
    let seed = world.shard.rows().await.unwrap().seed(world.shard.id()).await.unwrap();
    seed.instances.into_iter().max_by_key(|(_, opened, _)| *opened).unwrap().0
}

#[tokio::test]
async fn a_lost_instance_makes_sent_requests_unknown_and_later_ones_work() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    let (meta, faults) = client(&world, options_fast());
    assert_eq!(append(&meta, &ana, inbox).await.unwrap(), 1);

    let (shard, lost) = (Arc::clone(&world.shard), instance(&world).await);
    let closes: Hook = Box::new(move || {
        Box::pin(async move {
            shard.propose(None, Command::CloseInstance(lost)).await.unwrap().1.unwrap();
        })
    });
    *faults.meanwhile.lock() = Some(closes);
    faults.lose.store(1, Ordering::SeqCst);
    let error = append(&meta, &ana, inbox).await.unwrap_err();
    assert_eq!(error.outcome(), WriteOutcome::Unknown, "{error:?}");
    // It had been applied, once; and the client goes on under a new instance.
    assert_eq!(append(&meta, &ana, inbox).await.unwrap(), 3);
}

#[tokio::test]
async fn a_request_never_sent_before_opens_a_new_instance() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    assert_eq!(append(&world.meta, &ana, inbox).await.unwrap(), 1);
    let lost = instance(&world).await;
    world.shard.propose(None, Command::CloseInstance(lost)).await.unwrap().1.unwrap();
    assert_eq!(append(&world.meta, &ana, inbox).await.unwrap(), 2);
}

#[tokio::test]
async fn closing_removes_the_records() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    append(&world.meta, &ana, inbox).await.unwrap();
    let open = instance(&world).await;
    world.meta.close().await.unwrap();
    let seed = world.shard.rows().await.unwrap().seed(world.shard.id()).await.unwrap();
    assert!(seed.instances.iter().all(|(id, _, _)| *id != open));
    assert!(seed.records.iter().all(|(id, ..)| *id != open));
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_not_sent() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    let applied = *world.shard.applied.borrow();
    let mut large = message();
    large.summary = vec![0; 1 << 20].into();
    let append = ShardCommand::Append { mailbox: inbox, messages: vec![large] };
    let error = world.meta.propose(ana.shard, Command::Shard(append)).await.unwrap_err();
    assert!(matches!(error, MetaError::TooLarge { .. }), "{error:?}");
    assert_eq!(*world.shard.applied.borrow(), applied);
}

#[tokio::test]
async fn too_many_in_flight_are_refused_at_once() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    let (meta, faults) = client(&world, Options { in_flight_max: 1, ..options_fast() });
    let (second, refused) = (meta.clone(), Arc::new(AtomicBool::new(false)));
    append(&meta, &ana, inbox).await.unwrap();
    let (of, seen) = (ana.clone(), Arc::clone(&refused));
    let tries: Hook = Box::new(move || {
        Box::pin(async move {
            let error = append(&second, &of, inbox).await.unwrap_err();
            assert_eq!(error.outcome(), WriteOutcome::NotApplied);
            seen.store(true, Ordering::SeqCst);
        })
    });
    *faults.meanwhile.lock() = Some(tries);
    faults.lose.store(1, Ordering::SeqCst);
    append(&meta, &ana, inbox).await.unwrap();
    assert!(refused.load(Ordering::SeqCst));
}
