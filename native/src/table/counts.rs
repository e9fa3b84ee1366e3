//! What an operator is told of the Local half: how much there is, and how much there has been.

/// Counts of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// References at any stage.
    pub references: usize,
    /// References that have not fired.
    pub live: usize,
    /// References whose DOWN waits for demand.
    pub fired: usize,
    /// Targets, those whose references have fired included.
    pub targets: usize,
    /// Processes that monitor, or did until a moment ago.
    pub subscribers: usize,
    /// Nodes with live references or pending instructions.
    pub nodes: usize,
    /// Targets that need an instruction.
    pub pending: usize,
    /// Reasons kept.
    pub reasons: usize,
    /// Decisions that are not carried out to the end.
    pub batches: usize,
    /// ERTS monitors that stand for a target, or wait to be taken back.
    pub erts_monitors: usize,
}

/// What has happened since the table was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// References made.
    pub monitors: u64,
    /// References given up, unknown ones included.
    pub demonitors: u64,
    /// References that have fired.
    pub fired: u64,
    /// Subscribes that the link took.
    pub subscribes: u64,
    /// Unsubscribes that the link took.
    pub unsubscribes: u64,
}
