//! How often the world misbehaves.

/// Chances of each fault, 0 to 1, and sizes of the run.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// That share the source.
    pub pipelines: usize,
    pub partitions: i32,
    pub messages_per_partition: i64,
    /// An insert fails and nothing is written.
    pub insert_fails: f64,
    /// An insert is written and answers with an error.
    pub insert_lies: f64,
    /// An insert takes a minute.
    pub insert_stalls: f64,
    /// A commit is refused, or taken and answered with an error.
    pub commit_fails: f64,
    /// A record is not acknowledged, or published and not acknowledged, now or only later.
    pub publish_fails: f64,
    /// The commit log cannot be read for a while.
    pub log_fails: f64,
    /// Between two reads: partitions are taken away and given back.
    pub revoke: f64,
    /// Between two reads: the process dies and starts again.
    pub crash: f64,
    /// A process that is taken for dead lives on for a while beside the next one.
    pub linger: f64,
    /// While no process is in the group: an operator sets it back, and removes what is done again.
    pub set_back: f64,
    /// Before a call: another module is switched to, with other columns.
    pub swap: f64,
}

impl Faults {
    pub const NONE: Faults = Faults {
        pipelines: 1,
        partitions: 3,
        messages_per_partition: 120,
        insert_fails: 0.0,
        insert_lies: 0.0,
        insert_stalls: 0.0,
        commit_fails: 0.0,
        publish_fails: 0.0,
        log_fails: 0.0,
        revoke: 0.0,
        crash: 0.0,
        linger: 0.0,
        set_back: 0.0,
        swap: 0.0,
    };

    pub const ALL: Faults = Faults {
        insert_fails: 0.2,
        insert_lies: 0.1,
        insert_stalls: 0.05,
        commit_fails: 0.15,
        publish_fails: 0.1,
        log_fails: 0.2,
        revoke: 0.08,
        crash: 0.02,
        linger: 0.5,
        set_back: 0.4,
        swap: 0.1,
        ..Faults::NONE
    };
}
