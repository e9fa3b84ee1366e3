//! The rows of `ZenMonitor` that are per monitor.
//!
//! Two tables that know nothing of each other and nothing of Python: `Monitors` for the Local half, `Subscriptions`
//! for the Proxy half. Rows are compact (no object per pid or reference), and no call takes time for rows that it
//! does not answer: a million monitors can end without a pause.

mod counts;
mod covers;
mod fallback;
mod firing;
mod held;
mod identity;
mod index;
mod list;
mod monitors;
#[cfg(feature = "python")]
mod object;
mod rows;
mod shared;
mod slab;
mod subscriptions;
mod sweep;
mod unread;
mod views;

#[cfg(test)]
mod model;
#[cfg(test)]
mod subscriptions_model;

pub use counts::{Counts, Sizes};
pub use firing::{Dispatch, Object};
#[cfg(test)]
pub use held::Held;
pub use identity::Identity;
pub use monitors::{Monitors, News, Removed};
pub use rows::Words;
pub use subscriptions::{Echo, Needs, SubscriptionSizes, Subscriptions};
pub use sweep::Instruction;
pub use unread::Unread;

/// Add the types and functions of this module to `pyzen._native`.
#[cfg(feature = "python")]
pub fn register(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    use pyo3::types::PyModuleMethods as _;

    module.add_class::<object::Downs>()?;
    module.add_class::<object::MonitorTable>()?;
    module.add_class::<object::SubscriptionTable>()?;
    module.add_class::<object::Unreads>()
}
