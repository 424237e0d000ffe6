//! Error events as they come from many projects: a seed gives the same stream every time, and says of each message
//! what must become of it.

use std::fmt::Write;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// A message, and what must become of it.
#[derive(Clone, Debug)]
pub struct Generated {
    pub key: String,
    /// `None` is a tombstone, which the processor rejects.
    pub payload: Option<Vec<u8>>,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Becomes one row.
    Event,
    Replacement,
    /// To be dead-lettered.
    Bad(Bad),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bad {
    NotJson,
    WrongVersion,
    MissingField,
    WrongType,
    Null,
}

/// What the stream is made of.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Median of the sizes, bytes; they spread by about a half either way.
    pub median_bytes: usize,
    pub bad: f64,
    pub replacements: f64,
    pub projects: u64,
    /// Timestamp of the first event, milliseconds since 1970; the others follow, 5 ms apart.
    pub from_ms: i64,
}

/// An endless stream.
pub struct Events {
    random: StdRng,
    mix: Mix,
    number: u64,
}

impl Default for Mix {
    fn default() -> Self {
        let day_ms = 86_400_000;
        let today_ms = tidegate::clock::now_ms() / day_ms * day_ms;
        Self { median_bytes: 2048, bad: 0.005, replacements: 0.01, projects: 12, from_ms: today_ms - day_ms }
    }
}

impl Events {
    pub fn new(seed: u64, mix: Mix) -> Self {
        Self { random: StdRng::seed_from_u64(seed), mix, number: 0 }
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.choose(&mut self.random).expect("a list with words")
    }

    fn hex(&mut self) -> String {
        format!("{:032x}", self.random.random::<u128>())
    }

    /// As text: most of a run's time went into building values.
    fn event(&mut self, project: u64) -> String {
        let number = self.number;
        let at_ms = self.mix.from_ms + number as i64 * 5;
        let (platform, exception, value) = *KINDS.choose(&mut self.random).expect("a list with kinds");
        let value = json!(value).to_string();
        let value = value.trim_matches('"');
        let release = format!("shop@{}.{}.{}", number % 3, number % 7, number % 11);
        let group = self.random.random_range(1..400u64);
        let primary_hash = u128::from(group) * 0x9e37_79b9_7f4a_7c15;
        let (environment, level) =
            (self.one(&["production", "staging", "canary"]), self.one(&["error", "fatal", "warning"]));
        let (transaction, method) = (self.one(TRANSACTIONS), self.one(&["GET", "POST", "PUT"]));
        let (event_id, trace_id) = (self.hex(), self.hex());
        let span_id: u64 = self.random.random();
        let user = self.random.random_range(1..5000u32);
        let (received, timestamp) = ((at_ms + 40) as f64 / 1000.0, at_ms as f64 / 1000.0);
        let head = format!(
            r#"{{"project_id":{project},"organization_id":{},"group_id":{group},"event_id":"{event_id}","#,
            project % 4 + 1
        );
        let about = format!(
            r#""primary_hash":"{primary_hash:032x}","message":"{value} while handling {transaction}","platform":"{platform}","datetime":"{}","retention_days":{},"#,
            date_time(at_ms),
            if project.is_multiple_of(3) { 30 } else { 90 },
        );
        let data = format!(
            r#""data":{{"type":"error","version":"7","title":"{exception}: {value}","culprit":"{transaction} in handler","location":"app/handlers.py","received":{received},"timestamp":{timestamp},"#
        );
        let tags = format!(
            r#""tags":[["environment","{environment}"],["level","{level}"],["sentry:release","{release}"],["sentry:user","id:{user}"],["server_name","web-{}"],["transaction","{transaction}"],["runtime","CPython 3.12.4"]],"#,
            user % 40
        );
        let contexts = format!(
            r#""contexts":{{"runtime":{{"name":"CPython","version":"3.12.4","type":"runtime"}},"os":{{"name":"Linux","kernel_version":"6.1.0-18-amd64","type":"os"}},"trace":{{"trace_id":"{trace_id}","span_id":"{span_id:016x}","op":"http.server","status":"internal_error","sampled":true,"type":"trace"}}}},"#
        );
        let who = format!(
            r#""user":{{"id":"{user}","email":"customer{user}@example.com","ip_address":"10.{}.{}.{}","geo":{{"country_code":"AT","city":"Wien"}}}},"#,
            user % 200,
            user % 250,
            user % 240
        );
        let request = format!(
            r#""request":{{"method":"{method}","url":"https://shop.example.com{transaction}","headers":[["Accept","*/*"],["Referer","https://shop.example.com/"],["User-Agent","Mozilla/5.0 „Ümläut“"]]}},"#
        );
        let sdk = format!(
            r#""sdk":{{"name":"sentry.{platform}","version":"2.13.0","integrations":["django","logging","threading"]}},"modules":{{"django":"5.0.7","psycopg2":"2.9.9","urllib3":"2.2.2"}},"#
        );
        let exception = format!(
            r#""exception":{{"values":[{{"type":"{exception}","value":"{value}","mechanism":{{"type":"generic","handled":{}}},"stacktrace":{{"frames":["#,
            !number.is_multiple_of(4)
        );
        let mut event = [head, about, data, tags, contexts, who, request, sdk, exception].concat();
        self.fill_up(&mut event);
        event.push_str("]}}]}}}");
        event
    }

    /// Adds frames until the size is reached.
    fn fill_up(&mut self, event: &mut String) {
        let spread = 0.5 + self.random.random::<f64>() + self.random.random::<f64>() * 0.5;
        let wanted = (self.mix.median_bytes as f64 * spread / 1.25) as usize;
        let mut comma = "";
        while event.len() + 200 < wanted {
            let line = self.random.random_range(1..900);
            let function = self.one(FUNCTIONS);
            let _ = write!(
                event,
                r#"{comma}{{"function":"{function}","module":"app.{function}","filename":"app/{function}.py","abs_path":"/srv/app/{function}.py","lineno":{line},"in_app":{},"context_line":"    return {function}(request, order_id=order.id)"}}"#,
                line % 2 == 0
            );
            comma = ",";
        }
    }

    fn bad(&mut self, project: u64) -> (Bad, Option<Vec<u8>>) {
        let mut event: Value = serde_json::from_str(&self.event(project)).expect("an event is JSON");
        let state = json!({"is_new": false});
        match self.random.random_range(0..5) {
            0 => (Bad::NotJson, Some(format!("[2, \"insert\", {{\"project_id\": {project}, \"data\"").into_bytes())),
            1 => (Bad::WrongVersion, Some(json!([3, "insert", event, state]).to_string().into_bytes())),
            2 => {
                event.as_object_mut().expect("an object").remove("group_id");
                (Bad::MissingField, Some(json!([2, "insert", event, state]).to_string().into_bytes()))
            }
            3 => {
                event["project_id"] = "twelve".into();
                (Bad::WrongType, Some(json!([2, "insert", event, state]).to_string().into_bytes()))
            }
            _ => (Bad::Null, None),
        }
    }

    fn replacement(&mut self, project: u64) -> Value {
        let at = date_time(self.mix.from_ms + self.number as i64 * 5);
        let group = self.random.random_range(1..400u64);
        match self.random.random_range(0..3) {
            0 => json!([2, "end_delete_groups", {"project_id": project, "group_ids": [group], "datetime": at}]),
            1 => {
                json!([2, "end_merge", {"project_id": project, "previous_group_ids": [group], "new_group_id": group + 1, "datetime": at}])
            }
            _ => json!([2, "tombstone_events", {"project_id": project, "event_ids": [self.hex()], "datetime": at}]),
        }
    }
}

impl Iterator for Events {
    type Item = Generated;

    fn next(&mut self) -> Option<Generated> {
        self.number += 1;
        let project = self.random.random_range(1..=self.mix.projects);
        let key = project.to_string();
        let dice: f64 = self.random.random();
        let (kind, payload) = if dice < self.mix.bad {
            let (bad, payload) = self.bad(project);
            (Kind::Bad(bad), payload)
        } else if dice < self.mix.bad + self.mix.replacements {
            (Kind::Replacement, Some(self.replacement(project).to_string().into_bytes()))
        } else {
            let event = self.event(project);
            let state = r#"{"is_new":false,"queue":"post_process_errors"}"#;
            (Kind::Event, Some(format!(r#"[2,"insert",{event},{state}]"#).into_bytes()))
        };
        Some(Generated { key, payload, kind })
    }
}

/// `2023-02-27T15:40:12.223000Z`
fn date_time(at_ms: i64) -> String {
    let (days, of_day) = (at_ms.div_euclid(86_400_000), at_ms.rem_euclid(86_400_000));
    let (mut year, mut day) = (1970, days);
    let length = |year: i64| 365 + i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    while day >= length(year) {
        day -= length(year);
        year += 1;
    }
    let months = [31, length(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= months[month] {
        day -= months[month];
        month += 1;
    }
    let (seconds, ms) = (of_day / 1000, of_day % 1000);
    let clock = format!("{:02}:{:02}:{:02}.{ms:03}000", seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{:02}-{:02}T{clock}Z", month + 1, day + 1)
}

const KINDS: &[(&str, &str, &str)] = &[
    ("python", "ValueError", "could not convert string to float: '12,50 €'"),
    ("python", "OperationalError", "server closed the connection unexpectedly\n\tThis probably means trouble"),
    ("javascript", "TypeError", "Cannot read properties of undefined (reading \"price\")"),
    ("java", "NullPointerException", "order must not be null"),
    ("php", "PDOException", "SQLSTATE[HY000] [2002] Connection refused"),
];
const TRANSACTIONS: &[&str] =
    &["/api/cart", "/api/orders/{id}", "/checkout", "/search", "/account/settings", "worker.send_invoice"];
const FUNCTIONS: &[&str] = &["checkout", "load_cart", "render", "dispatch", "get_response", "price_of", "retry_call"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_what_the_mix_says() {
        let mix = Mix { from_ms: 1_700_000_000_000, ..Mix::default() };
        let events: Vec<_> = Events::new(7, mix).take(20_000).collect();
        let share = |of: fn(&Kind) -> bool| events.iter().filter(|event| of(&event.kind)).count() as f64 / 20_000.0;
        assert!((0.003..0.007).contains(&share(|kind| matches!(kind, Kind::Bad(_)))));
        assert!((0.008..0.012).contains(&share(|kind| *kind == Kind::Replacement)));
        let mut sizes: Vec<_> = events.iter().filter_map(|event| Some(event.payload.as_ref()?.len())).collect();
        sizes.sort_unstable();
        let median = sizes[sizes.len() / 2];
        assert!((1800..2400).contains(&median), "median {median}");
        let wrong =
            |event: &&Generated| serde_json::from_slice::<Value>(event.payload.as_ref().expect("a payload")).is_err();
        assert_eq!(events.iter().filter(|event| event.kind == Kind::Event).find(wrong).map(|event| &event.key), None);
        let again: Vec<_> = Events::new(7, mix).take(100).map(|event| event.payload).collect();
        assert!(events.iter().zip(again).all(|(event, payload)| event.payload == payload));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date_time(1_677_512_412_223), "2023-02-27T15:40:12.223000Z");
        assert_eq!(date_time(1_709_164_800_000), "2024-02-29T00:00:00.000000Z");
    }
}
