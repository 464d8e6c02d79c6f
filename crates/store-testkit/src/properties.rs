//! The properties, by subject. Each takes a harness whose data is empty, and uses only the [`grantd_store::Store`] trait.

mod commit;
mod concurrency;
mod expiry;
mod index;
mod records;
mod resend;
mod watch;

pub use commit::*;
pub use concurrency::*;
pub use expiry::*;
pub use index::*;
pub use records::*;
pub use resend::*;
pub use watch::*;
