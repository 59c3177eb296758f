//! A node's tasks and its work that blocks. In the simulation tasks know whose they are, so that a crash ends them all at
//! once, and nothing runs on another thread; everywhere else this is tokio.

#[cfg(not(test))]
pub(crate) use tokio::spawn;
use tokio::task::JoinError;
#[cfg(test)]
use tokio::task::JoinHandle;

#[cfg(test)]
use crate::simulation::life;

/// A task of the node whose task this is called from.
#[cfg(test)]
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match life::current() {
        Some(life) => life.spawn(future),
        None => tokio::spawn(future),
    }
}

/// Work that blocks, on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    #[cfg(test)]
    if life::current().is_some() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

/// A future that blocks now and then, on a thread that may; nobody waits for it.
pub(crate) fn spawn_blocking(work: impl Future<Output = ()> + Send + 'static) {
    #[cfg(test)]
    if let Some(life) = life::current() {
        life.spawn(work);
        return;
    }
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(work));
}
