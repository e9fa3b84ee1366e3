//! Large parts of messages that stay where they are until they are written.

use std::fmt;
use std::sync::Arc;

/// Bytes that somebody has lent. The owner keeps one clone, and is the last to let go of them.
#[derive(Clone)]
pub struct Loan(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl Loan {
    /// Lend bytes that nobody changes.
    pub fn new(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        (*self.0).as_ref()
    }

    /// Whether this is the only clone that is left.
    pub fn is_returned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Loan({} bytes)", self.bytes().len())
    }
}
