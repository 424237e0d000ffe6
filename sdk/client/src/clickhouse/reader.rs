//! One SELECT at a time, whole or not at all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::consistency::{Consistency, Route};

/// Where to read, and what the answer must have.
#[derive(Clone, Debug)]
pub struct ReaderSettings {
    /// `http://host:port`, in the order of the cluster's configuration.
    pub hosts: Vec<String>,
    pub database: String,
    pub user: String,
    pub password: String,
    pub consistency: Consistency,
    /// Of one request to one host, also for connecting.
    pub timeout: Duration,
}

/// A SELECT, with what it needs beside its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    sql: String,
    parameters: Vec<(String, String)>,
    is_final: bool,
    filters: Vec<(String, String)>,
    tables: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("no host is named to read from")]
    NoHosts,
    #[error("failed to make an HTTP client: {0}")]
    Client(reqwest::Error),
    #[error("{host:?} is no address: {cause}\nhint: a host is http://NAME:PORT")]
    Address { host: String, cause: String },
    #[error("failed to reach {host}: {cause}")]
    Unreachable { host: String, cause: reqwest::Error },
    /// ClickHouse has refused.
    #[error("{host} refused: code {code}, {text}")]
    Refused { host: String, code: u32, text: String },
    #[error("consistency synced needs the tables that are read\nhint: name them with Query::table")]
    NoTables,
}

/// Reads from a cluster. Cheap to share behind a reference; connections are kept.
#[derive(Debug)]
pub struct Reader {
    settings: ReaderSettings,
    client: reqwest::Client,
    turn: AtomicUsize,
}

/// This replica lacks parts that a quorum has: `REPLICA_IS_NOT_IN_QUORUM`.
const NOT_IN_QUORUM: u32 = 289;

impl Query {
    /// A SELECT with its FORMAT; parameters as ClickHouse writes them: `{name:Type}`.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), ..Self::default() }
    }

    #[must_use]
    pub fn parameter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.push((format!("param_{name}"), value.into()));
        self
    }

    /// Shows of rows that were replaced only the last version (`FINAL` for all tables of the query): every part is read and
    /// merged, which costs several times the query without it.
    #[must_use]
    pub fn merged(mut self) -> Self {
        self.is_final = true;
        self
    }

    /// Shows of a table only what fulfils the condition, in the query as it is: cheaper than [`merged`](Self::merged) where
    /// flags of replacements say which groups to leave out (`group_id NOT IN (7, 8)`). The condition is SQL: compose it of
    /// numbers, not of foreign text.
    #[must_use]
    pub fn filter(mut self, table: &str, condition: &str) -> Self {
        self.filters.push((table.to_owned(), condition.to_owned()));
        self
    }

    /// A table that is read, which consistency `synced` brings up to date first.
    #[must_use]
    pub fn table(mut self, table: &str) -> Self {
        self.tables.push(table.to_owned());
        self
    }

    /// Everything that goes into the address.
    fn arguments(&self, consistency: Consistency) -> Vec<(String, String)> {
        // An error after the first bytes would come too late to be seen as one.
        let mut arguments = vec![("wait_end_of_query".to_owned(), "1".to_owned())];
        arguments.extend(
            consistency.select_settings().iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        if self.is_final {
            arguments.push(("final".to_owned(), "1".to_owned()));
        }
        if !self.filters.is_empty() {
            let filters = self.filters.iter().map(|(table, text)| format!("{}:{}", quoted(table), quoted(text)));
            let filters = format!("{{{}}}", filters.collect::<Vec<_>>().join(","));
            arguments.push(("additional_table_filters".to_owned(), filters));
        }
        arguments.extend_from_slice(&self.parameters);
        arguments
    }
}

impl Reader {
    /// # Errors
    /// If no host is named, or there is no HTTP client to be had.
    pub fn new(settings: ReaderSettings) -> Result<Self, ReadError> {
        if settings.hosts.is_empty() {
            return Err(ReadError::NoHosts);
        }
        // One that is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(settings.timeout).build().map_err(ReadError::Client)?;
        Ok(Self { settings, client, turn: AtomicUsize::new(0) })
    }

    /// The answer in the query's FORMAT, whole. A host that cannot be reached, or that lacks what the profile asks for, is
    /// passed over for the next where the profile allows it.
    ///
    /// # Errors
    /// See [`ReadError`]; of several hosts, that of the last.
    pub async fn query(&self, query: &Query) -> Result<Vec<u8>, ReadError> {
        if self.settings.consistency == Consistency::Synced && query.tables.is_empty() {
            return Err(ReadError::NoTables);
        }
        let mut answer = Err(ReadError::NoHosts);
        for host in self.hosts() {
            answer = self.ask(host, query).await;
            match &answer {
                Err(ReadError::Unreachable { .. } | ReadError::Refused { code: NOT_IN_QUORUM, .. }) => {}
                _ => return answer,
            }
        }
        answer
    }

    fn hosts(&self) -> impl Iterator<Item = &str> {
        let hosts = &self.settings.hosts;
        let (first, count) = match self.settings.consistency.route() {
            Route::Any => (self.turn.fetch_add(1, Ordering::Relaxed) % hosts.len(), hosts.len()),
            Route::InOrder => (0, hosts.len()),
            Route::First => (0, 1),
        };
        hosts.iter().cycle().skip(first).take(count).map(String::as_str)
    }

    async fn ask(&self, host: &str, query: &Query) -> Result<Vec<u8>, ReadError> {
        if self.settings.consistency == Consistency::Synced {
            for table in &query.tables {
                let sync = format!("SYSTEM SYNC REPLICA {} LIGHTWEIGHT", identifier(table));
                self.send(host, sync, &[]).await?;
            }
        }
        self.send(host, query.sql.clone(), &query.arguments(self.settings.consistency)).await
    }

    async fn send(&self, host: &str, sql: String, arguments: &[(String, String)]) -> Result<Vec<u8>, ReadError> {
        let unreachable = |cause| ReadError::Unreachable { host: host.to_owned(), cause };
        let ReaderSettings { database, user, password, .. } = &self.settings;
        let url = reqwest::Url::parse_with_params(host, arguments);
        let url = url.map_err(|cause| ReadError::Address { host: host.to_owned(), cause: cause.to_string() })?;
        let request = self.client.post(url).body(sql);
        let request = request.header("X-ClickHouse-Database", database).header("X-ClickHouse-User", user);
        let request = request.header("X-ClickHouse-Key", password);
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let code =
            answer.headers().get("X-ClickHouse-Exception-Code").and_then(|code| code.to_str().ok()?.parse().ok());
        let body = answer.bytes().await.map_err(unreachable)?;
        if status.is_success() && code.is_none() {
            return Ok(body.to_vec());
        }
        let text = String::from_utf8_lossy(&body).trim().to_owned();
        let code = code.or_else(|| code_in(&text)).unwrap_or_else(|| status.as_u16().into());
        Err(ReadError::Refused { host: host.to_owned(), code, text })
    }
}

/// Old servers tell the code in the text only: `Code: 289, e.displayText() = …`.
fn code_in(text: &str) -> Option<u32> {
    text.strip_prefix("Code: ")?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A text in ClickHouse's SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// `database.table`, each in its quotes.
fn identifier(table: &str) -> String {
    let parts = table.split('.').map(|part| format!("`{}`", part.replace('\\', "\\\\").replace('`', "\\`")));
    parts.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_names_end_where_they_should() {
        assert_eq!(quoted(r"it's \ here"), r"'it\'s \\ here'");
        assert_eq!(identifier("d.a`b"), r"`d`.`a\`b`");
    }

    #[test]
    fn a_query_sends_its_profile_and_what_was_asked_for() {
        let query = Query::new("SELECT 1").parameter("n", "5").merged().filter("errors", "group_id NOT IN (7)");
        let arguments = query.arguments(Consistency::InOrder);
        let arguments: Vec<_> = arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            arguments,
            [
                "wait_end_of_query=1",
                "load_balancing=in_order",
                "prefer_localhost_replica=0",
                "final=1",
                "additional_table_filters={'errors':'group_id NOT IN (7)'}",
                "param_n=5"
            ]
        );
    }

    #[test]
    fn hosts_are_asked_in_the_order_of_the_profile() {
        let asked = |consistency| {
            let hosts = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
            let (database, user, password) = Default::default();
            let timeout = Duration::from_secs(1);
            let reader = Reader::new(ReaderSettings { hosts, database, user, password, consistency, timeout }).unwrap();
            [(); 2].map(|()| reader.hosts().collect::<String>())
        };
        assert_eq!(asked(Consistency::Eventual), ["abc", "bca"]);
        assert_eq!(asked(Consistency::Sequential), ["abc", "abc"]);
        assert_eq!(asked(Consistency::ShardLocal), ["a", "a"]);
    }
}
