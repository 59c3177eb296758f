//! The rows of an account that moves, page by page.

use buzon_model::command::{ArrivingRows, Step};
use buzon_proto::pb::mail::v1::ExportAccountRequest;
use buzon_types::id::GroupId;
use bytes::Bytes;

use crate::calls::Mail;
use crate::error::MetaError;
use crate::meta::Meta;

/// See [`Meta::export_account`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedPage {
    /// What it holds.
    pub rows: ArrivingRows,
    /// Where the next one begins.
    pub cursor: Bytes,
    /// A round ends with this page, and had so many messages and tombstones.
    pub round_messages: Option<u64>,
}

impl Meta {
    /// A page of an account in its source shard; the first one begins at an empty cursor.
    ///
    /// # Errors
    /// After all retries.
    pub async fn export_account(
        &self,
        group: GroupId,
        step: Step,
        cursor: Bytes,
    ) -> Result<ExportedPage, MetaError> {
        let request = ExportAccountRequest { group: group.0, step: Some(step.into()), cursor };
        let answer = self.ask(group, |transport| Mail::of(transport).export_account(request.clone()));
        let answer = answer.await?;
        let rows = answer.rows.unwrap_or_default().try_into()?;
        Ok(ExportedPage { rows, cursor: answer.cursor, round_messages: answer.round_messages })
    }
}
