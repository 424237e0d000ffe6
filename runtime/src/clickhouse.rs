//! ClickHouse over HTTP: an own small path, because a sink needs the same bytes again after any error, the exception's
//! code, and a say in which host is asked. The only home of `hyper`; `hosts` chooses, `tls` says whom to trust.

mod class;
mod copies;
mod hosts;
mod http;
mod names;
mod rewrite;
pub mod sight;
mod statements;
mod storage;
mod tally;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::metrics::Metrics;
use crate::secret::Secret;
use hosts::{Another, Hosts};
use names::Name;

pub use class::Class;
pub use copies::Copies;
pub use http::Answer;
pub(crate) use names::{quoted, quoted_one};
pub use statements::statements;
pub use storage::Storage;
pub use tally::{Comparable, ISLANDS_MAX, Island, Keeps, Tallied, Tally};
pub use tls::{Tls, TlsError, TlsFiles};

/// A cluster to talk to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://host:port` or `https://host:port`, in the order of preference.
    pub hosts: Vec<String>,
    /// For the hosts with `https`.
    pub tls: Tls,
    pub database: String,
    pub user: String,
    pub password: Secret,
    /// For one request, from connecting to the end of the answer.
    pub timeout: Duration,
}

/// Connections to the hosts of one cluster.
pub struct Cluster {
    client: http::Client,
    settings: Settings,
    hosts: Hosts,
}

/// A column as `DESCRIBE TABLE` tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub kind: String,
    /// `DEFAULT`, `MATERIALIZED`, `ALIAS`, `EPHEMERAL` or nothing.
    pub default_kind: String,
}

/// A request without a success.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Nobody was reached: nothing was sent.
    #[error("{host}: {cause}")]
    Connect { host: String, cause: String },
    /// Client and server do not trust each other: nothing was sent.
    #[error("{host}: {cause}")]
    Tls { host: String, cause: String },
    /// The connection broke or the time was over: what the server did is not known.
    #[error("{host}: {cause}")]
    Transport { host: String, cause: String },
    /// ClickHouse refused.
    #[error("{host}: code {code}, {text}")]
    Exception { host: String, code: u32, text: String },
    /// Something that is not ClickHouse answered, or a proxy before it.
    #[error("{host}: HTTP status {status} without a ClickHouse exception: {text}")]
    Status { host: String, status: u16, text: String },
    #[error("{host}: the answer is not understood: {text}")]
    Answer { host: String, text: String },
}

impl Cluster {
    pub fn new(settings: Settings) -> Self {
        let (client, hosts) = (http::Client::new(&settings.tls), Hosts::new(settings.hosts.clone()));
        Self { client, settings, hosts }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// From now on the hosts that fail are counted.
    pub fn report_to(&self, metrics: &Metrics) {
        self.hosts.report_to(metrics);
    }

    /// Runs a statement; the answer is its output as text.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn query(&self, sql: &str) -> Result<String, Error> {
        let parameters = [("wait_end_of_query", "1".to_owned())];
        let answer = self.post(&parameters, Bytes::from(sql.to_owned()), self.settings.timeout).await?;
        Ok(answer.text)
    }

    /// The columns of a table, in their order.
    ///
    /// # Errors
    /// See [`Error`]; code 60 if there is no such table.
    pub async fn describe(&self, table: &str) -> Result<Vec<Column>, Error> {
        let rows = self.rows(&format!("DESCRIBE TABLE {}", quoted(table))).await?;
        let column = |row: &Vec<Value>| {
            let [name, kind, default_kind, ..] = row.as_slice() else { return None };
            let text = |field: &Value| field.as_str().map(str::to_owned);
            Some(Column { name: text(name)?, kind: text(kind)?, default_kind: text(default_kind)? })
        };
        let columns: Option<Vec<_>> = rows.iter().map(column).collect();
        columns.ok_or_else(|| self.unclear(Value::from(rows.concat()).to_string()))
    }

    /// A table's engine, by its name and in full; none where there is no such table.
    async fn engine(&self, name: &Name<'_>) -> Result<Option<(String, String)>, Error> {
        let sql = format!("SELECT engine, engine_full FROM system.tables WHERE {}", name.condition("name"));
        let rows = self.rows(&sql).await?;
        Ok(rows.first().map(|row| (text(row, 0).to_owned(), text(row, 1).to_owned())))
    }

    async fn rows(&self, sql: &str) -> Result<Vec<Vec<Value>>, Error> {
        let answer = self.query(&format!("{sql} FORMAT JSONCompactEachRow")).await?;
        let rows: Result<_, _> = answer.lines().map(serde_json::from_str).collect();
        rows.map_err(|_| self.unclear(answer.clone()))
    }

    fn unclear(&self, text: String) -> Error {
        Error::Answer { host: self.settings.hosts.join(", "), text }
    }

    /// Posts to the first host that can be reached, and that has no reason to send us to another.
    pub(crate) async fn post(
        &self,
        parameters: &[(&str, String)],
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        let mut last = None;
        for index in self.hosts.order() {
            let host = &self.settings.hosts[index];
            match self.client.post(host, &self.settings, parameters, body.clone(), timeout).await {
                Ok(answer) => {
                    self.hosts.answered(index);
                    return Ok(answer);
                }
                Err(error) => match self.hosts.failed(index, &error) {
                    Another::Now => last = Some(error),
                    Another::NextTime | Another::No => return Err(error),
                },
            }
        }
        Err(last.unwrap_or_else(|| Error::Connect { host: String::new(), cause: "there are no hosts".into() }))
    }
}

/// A column of a row; empty where it is not text.
fn text(row: &[Value], index: usize) -> &str {
    row.get(index).and_then(Value::as_str).unwrap_or_default()
}
