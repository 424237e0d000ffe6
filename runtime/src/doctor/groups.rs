//! What is wrong with consumer groups and with what the commit log says of them, from what was seen.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::{Check, Finding, Mend, Severity};
use super::text;
use crate::kafka::sight::{Group, Position};

/// A group that reads a topic.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    pub bootstrap: &'a str,
    pub group: &'a str,
    pub topic: &'a str,
    /// As the configuration has it; by this our own members are known.
    pub client_id: &'a str,
    /// How long the topic keeps messages; none for ever.
    pub retention: Option<Duration>,
}

/// What the commit log says of a partition, and what the group says before and after it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub partition: i32,
    pub committed_before: Option<i64>,
    pub said: Option<i64>,
    pub committed_after: Option<i64>,
}

impl Reader<'_> {
    fn finding(&self, check: Check, severity: Severity, found: String, mend: String) -> Finding {
        let object = format!("group {} on topic {}", self.group, self.topic);
        Finding { check, severity, object, found, mend: Mend::ByHand(mend) }
    }

    /// Every check of the group itself. `unread_since_ms` is when the message that it reads next was written, by
    /// partition, in milliseconds since 1970.
    pub fn check(&self, group: &Group, unread_since_ms: &BTreeMap<i32, i64>, now_ms: i64) -> Vec<Finding> {
        let mut found: Vec<_> = group.partitions.iter().filter_map(|position| self.out_of_range(position)).collect();
        match &group.members {
            Err(cause) => found.push(super::not_looked_at(
                format!("group {}", self.group),
                &format!("its members are not told: {cause}"),
                &format!("allow DESCRIBE on group {} to the user of tidegate", self.group),
            )),
            Ok(_) => {
                found.extend(self.without_members(group));
                found.extend(self.foreign_members(group));
            }
        }
        found.extend(self.unread_expires(unread_since_ms, now_ms));
        found
    }

    fn out_of_range(&self, position: &Position) -> Option<Finding> {
        let Position { number, low, end, committed, .. } = *position;
        let committed = committed.filter(|committed| !(low..=end).contains(committed))?;
        let found = format!("partition {number}: position {committed}, and the topic has {low} to {end}");
        let mend = format!(
            "out_of_range: earliest, or stop the group and move each pipeline P of it: tidegate offsets reset CONFIG \
             --pipeline P --partition {number} --to earliest --execute"
        );
        Some(self.finding(Check::PositionOutOfRange, Severity::Error, found, mend))
    }

    /// A group that never was is one that is going to be.
    fn without_members(&self, group: &Group) -> Option<Finding> {
        let behind = |position: &Position| position.committed.map_or(0, |committed| (position.end - committed).max(0));
        let unread: i64 = group.partitions.iter().map(behind).sum();
        if unread == 0 || group.members.as_ref().is_ok_and(|members| !members.is_empty()) {
            return None;
        }
        let found = format!("{unread} messages to read, and nobody in the group");
        Some(self.finding(Check::GroupWithoutMembers, Severity::Warning, found, "tidegate run CONFIG".into()))
    }

    fn foreign_members(&self, group: &Group) -> Option<Finding> {
        let members = group.members.as_ref().ok()?;
        let foreign = members.iter().find(|member| member.client_id != self.client_id)?;
        let found = format!("member {:?} at {} is not {:?}", foreign.client_id, foreign.host, self.client_id);
        let mend = "stop that program, or give the pipeline a group of its own".to_owned();
        Some(self.finding(Check::ForeignMember, Severity::Error, found, mend))
    }

    fn unread_expires(&self, unread_since_ms: &BTreeMap<i32, i64>, now_ms: i64) -> Option<Finding> {
        let (partition, since_ms) = unread_since_ms.iter().min_by_key(|(_, since_ms)| **since_ms)?;
        let age = Duration::from_millis(u64::try_from(now_ms - since_ms).ok()?);
        let kept = self.retention.filter(|kept| age > *kept / 2)?;
        let (severity, left) = match kept.checked_sub(age) {
            Some(left) => (Severity::Warning, format!("it may be deleted in {}", text(left))),
            None => (Severity::Error, "it may be deleted at any time".to_owned()),
        };
        let found = format!("partition {partition}: the next message is {} old, and {left}", text(age));
        let (bootstrap, topic) = (self.bootstrap, self.topic);
        let wanted = format!("retention.ms={}", age.as_millis() * 2);
        let mend = super::finding::configured(bootstrap, topic, &wanted);
        Some(self.finding(Check::UnreadExpires, severity, found, mend))
    }
}

/// What a commit log says of a group, under this name, and of the topic that it reads. `is_read` where somebody does.
pub fn check_commit_log(log: &str, name: &str, topic: &str, is_read: bool, progress: &[Progress]) -> Vec<Finding> {
    let object = format!("commit log {log}, group {name}");
    let finding = |check, severity, found, mend: String| Finding {
        check,
        severity,
        object: object.clone(),
        found,
        mend: Mend::ByHand(mend),
    };
    let partition = |progress: &Progress| {
        let at = format!("{topic}/{}", progress.partition);
        if let Some((said, committed)) = progress.ahead() {
            let found = format!("{at} is written up to {said}, and the group is at {committed}");
            let mend = "start it: the log goes on with the next epoch, and readers downstream wait again";
            return Some(finding(Check::CommitLogAhead, Severity::Error, found, mend.into()));
        }
        let (said, committed) = progress.behind()?;
        let said = said.map_or("nothing is said".to_owned(), |said| format!("said to be written up to {said}"));
        let found = format!("{at}: {said}, and the group is at {committed}");
        let (severity, mend) = match is_read {
            true => (Severity::Error, "restart the process that reads it: it says again what is committed"),
            false => (Severity::Warning, "tidegate run CONFIG: it says again what is committed"),
        };
        Some(finding(Check::CommitLogBehind, severity, found, mend.into()))
    };
    progress.iter().filter_map(partition).collect()
}

impl Progress {
    /// A commit comes before its record.
    fn ahead(&self) -> Option<(i64, i64)> {
        let said = self.said?;
        let committed = self.committed_after.unwrap_or(0);
        (said > committed).then_some((said, committed))
    }

    /// The record of what was committed before the log was read.
    pub fn behind(&self) -> Option<(Option<i64>, i64)> {
        let committed = self.committed_before.filter(|committed| *committed > 0)?;
        self.said.is_none_or(|said| said < committed).then_some((self.said, committed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Member;

    const HOUR_MS: i64 = 3_600_000;

    fn reader() -> Reader<'static> {
        let retention = Some(Duration::from_secs(10 * 3600));
        Reader { bootstrap: "kafka:9092", group: "g", topic: "t", client_id: "tidegate", retention }
    }

    fn group(members: &[&str], committed: Option<i64>) -> Group {
        let member = |id: &&str| Member { client_id: (*id).to_owned(), host: "/10.0.0.1".into() };
        let members = Ok(members.iter().map(member).collect());
        let position = Position { number: 0, low: 10, end: 20, committed, places: BTreeMap::new() };
        Group { members, partitions: vec![position] }
    }

    fn found(group: &Group, age_hours: i64) -> Vec<(&'static str, &'static str)> {
        let since = [(0, 100 * HOUR_MS - age_hours * HOUR_MS)].into();
        let found = reader().check(group, &since, 100 * HOUR_MS);
        found.iter().map(|found| (found.check.id(), found.severity.as_str())).collect()
    }

    #[test]
    fn a_group_at_work_has_no_findings_and_nor_has_one_that_never_was() {
        assert_eq!(found(&group(&["tidegate", "tidegate"], Some(15)), 1), []);
        assert_eq!(found(&group(&[], None), 1), []);
        assert_eq!(found(&group(&[], Some(20)), 1), []);
    }

    #[test]
    fn who_is_in_the_group() {
        assert_eq!(found(&group(&[], Some(19)), 1), [("group-without-members", "warning")]);
        assert_eq!(found(&group(&["tidegate", "other"], Some(15)), 1), [("foreign-member", "error")]);
        let refused = Group { members: Err("not authorized".into()), ..group(&[], Some(15)) };
        assert_eq!(found(&refused, 1), [("not-looked-at", "warning")]);
    }

    #[test]
    fn positions_are_in_the_topic() {
        for (committed, is_found) in [(9, true), (10, false), (20, false), (21, true)] {
            let found = found(&group(&["tidegate"], Some(committed)), 1);
            assert_eq!(found == [("position-out-of-range", "error")], is_found, "{committed}: {found:?}");
        }
    }

    #[test]
    fn what_is_not_read_in_time_is_deleted() {
        let group = group(&["tidegate"], Some(15));
        assert_eq!(found(&group, 5), []);
        assert_eq!(found(&group, 6), [("unread-expires", "warning")]);
        assert_eq!(found(&group, 11), [("unread-expires", "error")]);
    }

    #[test]
    fn the_log_is_between_what_was_committed_before_and_after() {
        let check = |before, said, after, is_read| {
            let progress =
                Progress { partition: 0, committed_before: Some(before), said, committed_after: Some(after) };
            let found = check_commit_log("log", "g", "t", is_read, &[progress]);
            found.iter().map(|found| (found.check.id(), found.severity.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(check(5, Some(5), 5, true), []);
        assert_eq!(check(5, Some(7), 9, true), []);
        assert_eq!(check(0, None, 0, true), []);
        assert_eq!(check(5, Some(6), 5, true), [("commit-log-ahead", "error")]);
        assert_eq!(check(5, Some(4), 5, true), [("commit-log-behind", "error")]);
        assert_eq!(check(5, None, 5, false), [("commit-log-behind", "warning")]);
    }
}
