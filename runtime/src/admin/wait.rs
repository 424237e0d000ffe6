//! Waiting over HTTP, for readers in any language.
//!
//! ```text
//! GET /wait?token=TOPIC/PARTITION@POSITION                  until everything before the position is written
//! GET /wait?topic=T&partition=P&offset=N                    until this message is, and everything before it
//!     &group=G&group=…                                      by these only, as the commit log names them
//!     &timeout=30s
//!
//! 200 {"token", "groups", "seconds"}    written
//! 504 {"error", "reached": {group: position or null}}       not in time
//! 400 {"error"}                         nobody writes that, or it is no question
//! 503 {"error"}                         the commit log cannot be read
//! ```

use std::str::FromStr;
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tidegate_client::{Partition, Token, WaitError};

use super::Process;
use crate::config;
use crate::kafka::WaitFailed;

/// What can be asked.
#[derive(Default)]
struct Asked {
    token: Option<Token>,
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    groups: Vec<String>,
    timeout: Option<config::Duration>,
}

/// Unless said otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn routes() -> Router<Process> {
    Router::new().route("/wait", get(wait))
}

async fn wait(State(process): State<Process>, Query(given): Query<Vec<(String, String)>>) -> Response {
    let asked = Asked::of(given).and_then(|asked| Ok((asked.token()?, asked)));
    let (token, Asked { groups, timeout, .. }) = match asked {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    let timeout = timeout.map_or(TIMEOUT, |timeout| timeout.0);
    let wait = match process.waits.resolve(token, &groups, timeout) {
        Ok(wait) => wait,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let started = Instant::now();
    match process.waits.wait(&wait).await {
        Ok(()) => {
            let seconds = started.elapsed().as_secs_f64();
            let answer = json!({ "token": wait.token.to_string(), "groups": wait.groups, "seconds": seconds });
            Json(answer).into_response()
        }
        Err(WaitFailed::NotWritten(ref error @ WaitError::TimedOut { ref reached, .. })) => not_in_time(error, reached),
        Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

fn not_in_time(error: &WaitError, reached: &[(String, Option<i64>)]) -> Response {
    let reached: Map<String, Value> = reached.iter().map(|(group, at)| (group.clone(), json!(at))).collect();
    let answer = json!({ "error": error.to_string(), "reached": reached });
    (StatusCode::GATEWAY_TIMEOUT, Json(answer)).into_response()
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

impl Asked {
    fn of(given: Vec<(String, String)>) -> Result<Self, String> {
        let mut asked = Self::default();
        for (name, value) in given {
            match name.as_str() {
                "token" => asked.token = Some(parsed(&name, &value)?),
                "topic" => asked.topic = Some(value),
                "partition" => asked.partition = Some(parsed(&name, &value)?),
                "offset" => asked.offset = Some(parsed(&name, &value)?),
                "group" => asked.groups.push(value),
                "timeout" => asked.timeout = Some(parsed(&name, &value)?),
                _ => return Err(format!("there is no {name:?} here\n\nhint: {USAGE}")),
            }
        }
        Ok(asked)
    }

    fn token(&self) -> Result<Token, String> {
        match (&self.token, &self.topic, self.partition, self.offset) {
            (Some(token), None, None, None) => Ok(token.clone()),
            (None, Some(topic), Some(partition @ 0..), Some(offset @ 0..)) => {
                Ok(Token::of_message(Partition::new(topic.as_str(), partition), offset))
            }
            _ => Err(format!("it is not said what to wait for\n\nhint: {USAGE}")),
        }
    }
}

const USAGE: &str = "ask /wait?token=TOPIC/PARTITION@POSITION, or /wait?topic=T&partition=P&offset=N; with &group=G, again for \
                     several, and &timeout=30s";

fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{name} is {value:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &[(&str, &str)]) -> Result<Token, String> {
        let given = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Asked::of(given)?.token()
    }

    #[test]
    fn a_message_and_the_position_after_it_are_the_same_question() {
        let token = Token::of_message(Partition::new("events", 3), 1042);
        assert_eq!(asked(&[("token", "events/3@1043")]), Ok(token.clone()));
        assert_eq!(asked(&[("topic", "events"), ("partition", "3"), ("offset", "1042")]), Ok(token));
    }

    #[test]
    fn what_is_no_question_is_told_with_the_way_out() {
        for (query, why) in [
            (&[][..], "it is not said what to wait for"),
            (&[("topic", "events"), ("partition", "3")], "it is not said what to wait for"),
            (&[("token", "events/3@1043"), ("topic", "events")], "it is not said what to wait for"),
            (&[("topic", "events"), ("partition", "-1"), ("offset", "1")], "it is not said what to wait for"),
            (&[("token", "events")], "a token is TOPIC/PARTITION@POSITION"),
            (&[("partition", "x")], "partition is \"x\""),
            (&[("timeout", "soon")], "timeout is \"soon\""),
            (&[("tokens", "events/3@1043")], "there is no \"tokens\" here"),
        ] {
            let error = asked(query).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
