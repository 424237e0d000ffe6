//! A position in a partition that a reader may wait for.

use std::fmt;

use tidegate_commit_log::Partition;

/// A place to wait for: everything before `position` must be written. Printed and read as `events/3@1043`, so that it can
/// travel in a header or a cookie.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    pub partition: Partition,
    /// The offset after the last message that must be written.
    pub position: i64,
}

/// A text that is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no token\nhint: a token is TOPIC/PARTITION@POSITION, as in events/3@1043")]
pub struct TokenError(String);

impl Token {
    /// The token of one message, whose offset a delivery report says.
    pub fn of_message(partition: Partition, offset: i64) -> Self {
        Self { partition, position: offset + 1 }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.position)
    }
}

impl std::str::FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let parsed = || {
            let (partition, position) = text.rsplit_once('@')?;
            let (topic, number) = partition.rsplit_once('/')?;
            let (number, position): (i32, i64) = (number.parse().ok()?, position.parse().ok()?);
            let valid = !topic.is_empty() && number >= 0 && position >= 0;
            valid.then(|| Self { partition: Partition::new(topic, number), position })
        };
        parsed().ok_or_else(|| TokenError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_printed() {
        let token = Token::of_message(Partition::new("events", 3), 1042);
        assert_eq!(token.to_string(), "events/3@1043");
        assert_eq!("events/3@1043".parse(), Ok(token));
        for wrong in ["", "events", "events/3", "events@3", "/3@4", "events/-1@4", "events/3@-4", "events/x@4"] {
            assert_eq!(wrong.parse::<Token>(), Err(TokenError(wrong.to_owned())));
        }
    }
}
