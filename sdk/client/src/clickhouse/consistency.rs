//! Consistency profiles: their names, and what each asks of an insert and of a read. The only home of both, because half of
//! a profile promises nothing. `docs/client.md` has them as a table.

use std::fmt;
use std::time::Duration;

/// What a read may rely on if the inserts had the same profile.
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
#[error("there is no consistency {0:?}\nhint: known are {names}", names = Consistency::ALL.map(Consistency::name).join(", "))]
pub struct UnknownConsistency(String);

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
    pub const ALL: [Self; 7] = [
        Self::Eventual,
        Self::InOrder,
        Self::InOrderQuorum,
        Self::Quorum,
        Self::Sequential,
        Self::Synced,
        Self::ShardLocal,
    ];

    /// As the configuration and the command line have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eventual => "eventual",
            Self::InOrder => "in-order",
            Self::InOrderQuorum => "in-order+quorum",
            Self::Quorum => "quorum",
            Self::Sequential => "sequential",
            Self::Synced => "synced",
            Self::ShardLocal => "shard-local",
        }
    }

    /// Whether an insert waits for a majority of the replicas.
    pub fn has_quorum(self) -> bool {
        matches!(self, Self::InOrderQuorum | Self::Quorum | Self::Sequential | Self::Synced)
    }

    /// What is sent with each INSERT whose request may take `timeout`. The server gives up waiting for its replicas after
    /// three quarters of that, so that it is the one to say so.
    ///
    /// A Distributed table would take rows into a queue of its own and call them written: whatever promises something asks
    /// it not to. `select_sequential_consistency` is silently stale unless inserts say `insert_quorum_parallel=0`.
    pub fn insert_settings(self, timeout: Duration) -> Vec<(&'static str, String)> {
        let mut settings = Vec::new();
        let mut add = |name, value: &str| settings.push((name, value.to_owned()));
        if !matches!(self, Self::Eventual | Self::ShardLocal) {
            add("distributed_foreground_insert", "1");
        }
        if matches!(self, Self::InOrder | Self::InOrderQuorum) {
            IN_ORDER.iter().for_each(|(name, value)| add(name, value));
        }
        if self.has_quorum() {
            add("insert_quorum", "auto");
            add("insert_quorum_timeout", &(timeout * 3 / 4).as_millis().to_string());
        }
        if self == Self::Sequential {
            add("insert_quorum_parallel", "0");
        }
        settings
    }

    /// What is sent with each SELECT.
    pub fn select_settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::InOrder | Self::InOrderQuorum => &IN_ORDER,
            Self::Sequential => &[("select_sequential_consistency", "1")],
            Self::Eventual | Self::Quorum | Self::Synced | Self::ShardLocal => &[],
        }
    }

    /// What it costs whoever writes and reads, in one line; nothing for [`Eventual`](Self::Eventual).
    pub fn price(self) -> Option<&'static str> {
        match self {
            Self::Eventual => None,
            Self::InOrder => Some("the first replica has all inserts and all reads"),
            Self::InOrderQuorum => Some(
                "the first replica has all inserts and all reads; 20–100 ms more an insert, which waits for a majority of \
                 the replicas: with two, one that is down stops writes",
            ),
            Self::Quorum => Some(
                "20–100 ms more an insert, which waits for a majority of the replicas: with two, one that is down stops \
                 writes; with more, reads may be stale",
            ),
            Self::Sequential => Some(
                "about 10 inserts a second into the table, one at a time, whoever writes; with two replicas, one that is \
                 down stops writes; reads may be refused",
            ),
            Self::Synced => Some(
                "20–100 ms more an insert, which waits for a majority of the replicas: with two, one that is down stops \
                 writes; a command before each read, and the privilege for it",
            ),
            Self::ShardLocal => Some("while its one node is down, everything that reads or writes waits"),
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

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Consistency {
    type Err = UnknownConsistency;

    fn from_str(text: &str) -> Result<Self, UnknownConsistency> {
        let found = Self::ALL.into_iter().find(|consistency| consistency.name() == text);
        found.ok_or_else(|| UnknownConsistency(text.to_owned()))
    }
}

/// The node that is asked would prefer itself without the second, whatever the order.
const IN_ORDER: [(&str, &str); 2] = [("load_balancing", "in_order"), ("prefer_localhost_replica", "0")];

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

    /// A writer and a reader look at the same table, people look at this one.
    #[test]
    fn the_documentation_has_every_profile_with_its_settings() {
        let page = include_str!("../../../../docs/client.md");
        for consistency in Consistency::ALL {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{consistency}` |")));
            let cells: Vec<&str> = row.unwrap_or_else(|| panic!("{consistency} has no row")).split(" | ").collect();
            let of_insert = consistency.insert_settings(Duration::from_secs(1));
            let of_insert = of_insert.iter().filter(|(name, _)| *name != "insert_quorum_timeout");
            let of_insert: Vec<_> = of_insert.map(|(name, value)| format!("`{name}={value}`")).collect();
            let of_select = consistency.select_settings().iter();
            let of_select: Vec<_> = of_select.map(|(name, value)| format!("`{name}={value}`")).collect();
            let said = |cell: &str| -> Vec<String> {
                let words = cell.split('`').skip(1).step_by(2).filter(|word| word.contains('='));
                words.map(|word| format!("`{word}`")).collect()
            };
            assert_eq!(said(cells[1]), of_insert, "{consistency}, inserts");
            assert_eq!(said(cells[2]), of_select, "{consistency}, reads");
        }
    }

    #[test]
    fn the_server_gives_up_on_a_quorum_before_the_request_does() {
        for consistency in Consistency::ALL {
            let settings = consistency.insert_settings(Duration::from_secs(2));
            let timeout = settings.iter().find(|(name, _)| *name == "insert_quorum_timeout");
            assert_eq!(timeout.map(|(_, value)| value.as_str()), consistency.has_quorum().then_some("1500"));
        }
    }
}
