//! PostgreSQL tables as sources and exactly-once sinks for Snapline.
//!
//! | | guarantee | needs from the server | in flight at a crash |
//! |---|---|---|---|
//! | [`PostgresSink`] | exactly once | `max_prepared_transactions`, or a staging table; two small tables of its own | open transactions end with their sessions, prepared ones of no checkpoint are rolled back at the next start; their records are written anew |
//! | [`PostgresUpsertSink`] | at least once, effectively once by key | a unique index of the key; two small tables of its own | rows may be visible already; their records come again and replace them |
//! | [`PostgresSource`] | exactly once, for rows that are inserted with growing keys | version 13; an index of the key | the checkpoint has the key of the last row; reading goes on behind it |
//!
//! All calls run on one thread for each sink or source, whatever executor the job has; rows are made and read in the
//! tasks. The tests run against PostgreSQL 15, which they start from Debian's packages.

mod encode;
mod events;
mod failure;
mod ledger;
mod outlet;
mod owner;
mod row;
mod server;
mod sink;
mod source;
mod table;
mod upsert;

pub use row::Row;
pub use server::PostgresServer;
pub use sink::{ExistingRows, PostgresPart, PostgresSink};
pub use source::{PostgresSource, PostgresSplit};
/// The client of PostgreSQL that this crate is made with.
pub use tokio_postgres;
pub use upsert::PostgresUpsertSink;
