//! Accounts that have moved while somebody held their handle: where they are now.
//!
//! A shard that an account left says where it went and under which epoch. Only a greater epoch is believed, so that an old
//! answer never leads back. Indexes of two groups cannot be compared: what is read at the new place is read linearizably,
//! for as long as the handle is the old one.

use std::collections::HashMap;

use buzon_model::command::{Command, NewMessage, Recipient, ShardCommand};
use buzon_model::read::ReadAt;
use buzon_model::reply::{Delivery, Outcome, Rejection, Reply};
use buzon_types::id::{AccountId, Epoch, GroupId, LogIndex};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::account::AccountHandle;
use crate::error::MetaError;
use crate::meta::Meta;
use crate::retry::backoff;

/// One entry for each account that moved while this client asked for it.
#[derive(Debug, Default)]
pub(crate) struct Homes(Mutex<HashMap<AccountId, (GroupId, Epoch)>>);

impl Homes {
    fn of(&self, account: AccountId) -> Option<(GroupId, Epoch)> {
        self.0.lock().get(&account).copied()
    }

    /// Whether that is news.
    fn learn(&self, account: AccountId, shard: GroupId, epoch: Epoch) -> bool {
        let mut homes = self.0.lock();
        let is_new = homes.get(&account).is_none_or(|(_, known)| *known < epoch);
        if is_new {
            homes.insert(account, (shard, epoch));
        }
        is_new
    }
}

/// Waits longer each time, until there is no time left.
struct Patience {
    until: Instant,
    pauses: u32,
}

impl Patience {
    fn new(meta: &Meta) -> Self {
        Self { until: Instant::now() + meta.inner.options.deadlines.total, pauses: 0 }
    }

    /// Whether to try again: at once after news.
    async fn again(&mut self, is_news: bool) -> bool {
        if !is_news {
            tokio::time::sleep(backoff(self.pauses)).await;
            self.pauses += 1;
        }
        Instant::now() < self.until
    }
}

impl Meta {
    /// The group to ask for an account whose handle names this one.
    pub(crate) fn home(&self, account: AccountId, group: GroupId) -> GroupId {
        self.inner.homes.of(account).map_or(group, |(shard, _)| shard)
    }

    /// An account's shard says that it is elsewhere; whether that is news. Who watches it hears from there from now on.
    fn moved(&self, account: AccountId, shard: GroupId, epoch: Epoch) -> bool {
        let is_new = self.inner.homes.learn(account, shard, epoch);
        if is_new {
            tracing::info!(%account, %shard, %epoch, "the account has moved");
            self.inner.feeds.moved(account, shard);
        }
        is_new
    }

    /// Reads where the account is, and follows it.
    pub(crate) async fn following<T, F>(
        &self,
        of: &AccountHandle,
        at: ReadAt,
        read: impl Fn(AccountHandle, ReadAt) -> F,
    ) -> Result<T, MetaError>
    where
        F: Future<Output = Result<T, MetaError>>,
    {
        let mut patience = Patience::new(self);
        loop {
            let (here, at) = self.here(of, at);
            match read(here, at).await {
                Err(MetaError::Rejected(Rejection::Moved { shard, epoch })) => {
                    let is_news = self.moved(of.account, shard, epoch);
                    if !patience.again(is_news).await {
                        return Err(Rejection::Moved { shard, epoch }.into());
                    }
                }
                answer => return answer,
            }
        }
    }

    fn here(&self, of: &AccountHandle, at: ReadAt) -> (AccountHandle, ReadAt) {
        match self.inner.homes.of(of.account) {
            Some((shard, epoch)) if epoch > of.epoch => {
                let at = if at == ReadAt::Local { at } else { ReadAt::Linearizable };
                (AccountHandle { shard, epoch, ..of.clone() }, at)
            }
            _ => (of.clone(), at),
        }
    }

    /// Proposes where the account is, and follows it: `Moved` is recorded there, so that the request can never apply there
    /// and may be sent elsewhere under an id of its own.
    pub(crate) async fn propose_following(
        &self,
        account: AccountId,
        group: GroupId,
        command: &Command,
    ) -> Result<(LogIndex, Outcome), MetaError> {
        let mut patience = Patience::new(self);
        loop {
            let (index, outcome) = self.propose_to(self.home(account, group), command).await?;
            let Err(Rejection::Moved { shard, epoch }) = outcome else { return Ok((index, outcome)) };
            let is_news = self.moved(account, shard, epoch);
            if !patience.again(is_news).await {
                return Ok((index, Err(Rejection::Moved { shard, epoch })));
            }
        }
    }

    /// A delivery to accounts that were on one shard: those that have moved get theirs where they are.
    pub(crate) async fn deliver_following(
        &self,
        group: GroupId,
        recipients: &[Recipient],
        message: &NewMessage,
    ) -> Result<(LogIndex, Outcome), MetaError> {
        let mut patience = Patience::new(self);
        let mut results: Vec<Option<Result<Delivery, Rejection>>> = vec![None; recipients.len()];
        let mut answered = None;
        loop {
            // Of those that are left, the ones whose shard is the first one's.
            let left = || results.iter().enumerate().filter(|(_, result)| result.is_none()).map(|(at, _)| at);
            let Some(first) = left().next() else { break };
            let shard = self.home(recipients[first].account, group);
            let some: Vec<usize> =
                left().filter(|at| self.home(recipients[*at].account, group) == shard).collect();
            let recipients_of = some.iter().map(|at| recipients[*at].clone()).collect();
            let deliver = ShardCommand::Deliver { recipients: recipients_of, message: message.clone() };
            let (index, outcome) = match self.propose_to(shard, &Command::Shard(deliver)).await {
                Ok(answer) => answer,
                // Some have theirs: the others are told to come again.
                Err(error) if answered.is_some() => {
                    tracing::warn!(error = &error as &dyn std::error::Error, %shard, "deliver to moved accounts");
                    some.iter().for_each(|at| results[*at] = Some(Err(Rejection::Frozen)));
                    continue;
                }
                Err(error) => return Err(error),
            };
            answered = Some(index);
            match outcome {
                Ok(Reply::Delivered(mut deliveries)) if deliveries.len() == some.len() => {
                    let mut is_news = true;
                    for (at, result) in some.into_iter().zip(deliveries.drain(..)) {
                        if let Err(Rejection::Moved { shard, epoch }) = result {
                            is_news &= self.moved(recipients[at].account, shard, epoch);
                            is_news |= self.home(recipients[at].account, group) == shard;
                        } else {
                            results[at] = Some(result);
                        }
                    }
                    if !patience.again(is_news).await {
                        for result in results.iter_mut().filter(|result| result.is_none()) {
                            *result = Some(Err(Rejection::Frozen));
                        }
                    }
                }
                Ok(_) => return Err(MetaError::unexpected_reply()),
                Err(rejection) => some.iter().for_each(|at| results[*at] = Some(Err(rejection.clone()))),
            }
        }
        let index = answered.unwrap_or(LogIndex(0));
        Ok((index, Ok(Reply::Delivered(results.into_iter().flatten().collect()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_greater_epoch_is_believed() {
        let homes = Homes::default();
        let account = AccountId(1);
        assert!(homes.learn(account, GroupId(2), Epoch(2)));
        assert!(!homes.learn(account, GroupId(1), Epoch(1)));
        assert!(!homes.learn(account, GroupId(3), Epoch(2)));
        assert_eq!(homes.of(account), Some((GroupId(2), Epoch(2))));
        assert!(homes.learn(account, GroupId(1), Epoch(3)));
        assert_eq!(homes.of(account), Some((GroupId(1), Epoch(3))));
    }
}
