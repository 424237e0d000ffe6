//! Consistency profiles, as a read needs them. What they ask of the insert is the writer's to do: without it they promise
//! nothing.

/// What a read may rely on. Prices are those of the read; the insert has its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// Nothing, for nothing: any replica answers, however far behind.
    #[default]
    Eventual,
    /// The first replica that is healthy answers, which is the one that inserts go to: one's own writes are seen while it
    /// stays up. It carries the load.
    InOrder,
    /// As `InOrder`, and another replica of the quorum has the rows when the first one fails.
    InOrderQuorum,
    /// Any replica of the quorum. With two replicas that is all of them; with three, one read in three may be stale.
    Quorum,
    /// A replica that lacks confirmed parts refuses, and the next is asked: 1–10 ms for a look into the keeper. Needs
    /// inserts with `insert_quorum_parallel=0`, else the answer is silently stale.
    Sequential,
    /// The replica that answers first fetches what it lacks (`SYSTEM SYNC REPLICA … LIGHTWEIGHT`, ClickHouse 23.5): needs
    /// that privilege, and the tables named with the query.
    Synced,
    /// The one node that is written to is read; there is no other.
    ShardLocal,
}

/// A name that no profile has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no consistency {0:?}\nhint: known are {names}", names = NAMES.map(|(name, _)| name).join(", "))]
pub struct UnknownConsistency(String);

const NAMES: [(&str, Consistency); 7] = [
    ("eventual", Consistency::Eventual),
    ("in-order", Consistency::InOrder),
    ("in-order+quorum", Consistency::InOrderQuorum),
    ("quorum", Consistency::Quorum),
    ("sequential", Consistency::Sequential),
    ("synced", Consistency::Synced),
    ("shard-local", Consistency::ShardLocal),
];

/// Which node is asked first, and whether another may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// They take turns.
    Any,
    /// The first that can be reached.
    InOrder,
    /// The first and no other.
    First,
}

impl Consistency {
    /// What is sent with each SELECT. Without `prefer_localhost_replica=0` the node that is asked would prefer itself,
    /// whatever the order.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::InOrder | Self::InOrderQuorum => &[("load_balancing", "in_order"), ("prefer_localhost_replica", "0")],
            Self::Sequential => &[("select_sequential_consistency", "1")],
            Self::Eventual | Self::Quorum | Self::Synced | Self::ShardLocal => &[],
        }
    }

    pub(super) fn route(self) -> Route {
        match self {
            Self::Eventual | Self::Quorum => Route::Any,
            Self::InOrder | Self::InOrderQuorum | Self::Sequential | Self::Synced => Route::InOrder,
            Self::ShardLocal => Route::First,
        }
    }
}

impl std::str::FromStr for Consistency {
    type Err = UnknownConsistency;

    fn from_str(text: &str) -> Result<Self, UnknownConsistency> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, consistency)| *consistency).ok_or_else(|| UnknownConsistency(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_configuration() {
        assert_eq!("in-order+quorum".parse(), Ok(Consistency::InOrderQuorum));
        let error = "strong".parse::<Consistency>().unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no consistency \"strong\"\nhint: known are eventual, in-order, in-order+quorum, quorum, sequential, \
             synced, shard-local"
        );
    }
}
