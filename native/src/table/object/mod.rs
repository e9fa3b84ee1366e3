//! The tables as Python classes.
//!
//! A table is locked only while no Python code can run: arguments are taken apart before and objects are built after,
//! so that a finalizer which comes back to the table finds it at rest. The classes are unknown to the collector: what
//! they hold are reasons and targets, terms that can't refer back to a table.

mod arguments;
mod downs;
mod monitors;
mod subscriptions;

pub use downs::{Downs, Unreads};
pub use monitors::MonitorTable;
pub use subscriptions::SubscriptionTable;
