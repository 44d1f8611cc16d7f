//! The task inbox port: items that belong to no run's append.

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::{JournalError, TaskItem};
use baton_ports::task_inbox::TaskInbox;
use rusqlite::{OptionalExtension, params};

use super::SqliteStore;
use super::append::open_task_item;

/// Approximate size of one item's row without its details, in bytes.
const ROW_BYTES: usize = 256;

#[async_trait]
impl TaskInbox for SqliteStore {
    async fn open_task(&self, item: TaskItem) -> Result<bool, JournalError> {
        let details = item.details.to_string();
        self.write(ROW_BYTES + details.len(), move |session| {
            let mut open = session.statement("SELECT 1 FROM desk WHERE id = $1 AND closed_at IS NULL")?;
            let is_open = open.query_row(params![item.id], |_| Ok(())).optional()?.is_some();
            if !is_open {
                open_task_item(session, &item, &details)?;
            }
            Ok(Ok(!is_open))
        })
        .await
    }

    async fn close_task(&self, tenant: &TenantId, id: &str, outcome: &str, at: Time) -> Result<(), JournalError> {
        let (tenant, id, outcome) = (tenant.clone(), id.to_owned(), outcome.to_owned());
        self.write(ROW_BYTES, move |session| {
            let mut close = session.statement(
                "UPDATE desk SET closed_at = $3, outcome = $4 WHERE id = $1 AND tenant = $2 AND closed_at IS NULL",
            )?;
            close.execute(params![id, tenant.as_str(), at.as_ms(), outcome])?;
            Ok(Ok(()))
        })
        .await
    }
}
