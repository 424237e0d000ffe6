//! What travels from stage to stage: data, and between the data, in order, what concerns the partitions.

use crate::offset::{Assignment, Partition};
use crate::source::{Assigned, Flush};

/// One thing on its way through the stages. A sign never overtakes data that was sent before it.
#[derive(Debug)]
pub enum Flow<T> {
    Data(T),
    Sign(Sign),
}

/// What concerns partitions rather than messages.
#[derive(Debug)]
pub enum Sign {
    Assigned(Vec<Assigned>),
    Flush(Flush),
    Revoked(Vec<(Partition, Assignment)>),
}
