//! ClickHouse over HTTP: an own small path, because a sink needs the same bytes again after any error, the exception's
//! code, and a say in which host is asked. The only home of `hyper`; `hosts` chooses, `tls` says whom to trust.

mod class;
mod copies;
mod hosts;
mod http;
mod rewrite;
pub mod sight;
mod statements;
mod storage;
mod tally;
mod tls;

use std::time::Duration;

use bytes::Bytes;

use crate::metrics::Metrics;
use crate::secret::Secret;
use hosts::{Another, Hosts};

pub use class::Class;
pub use copies::Copies;
pub use http::Answer;
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
        let sql = format!("DESCRIBE TABLE {} FORMAT JSONCompactEachRow", quoted(table));
        let text = self.query(&sql).await?;
        let column = |line: &str| {
            let fields: Vec<serde_json::Value> = serde_json::from_str(line).ok()?;
            let field = |index: usize| fields.get(index)?.as_str().map(str::to_owned);
            Some(Column { name: field(0)?, kind: field(1)?, default_kind: field(2)? })
        };
        let columns: Option<Vec<_>> = text.lines().map(column).collect();
        columns.ok_or_else(|| Error::Answer { host: self.settings.hosts.join(", "), text })
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

/// A table's name as an identifier; `database.table` is two.
pub(crate) fn quoted(name: &str) -> String {
    name.split('.').map(quoted_one).collect::<Vec<_>>().join(".")
}

/// One identifier; dots are part of it, as in the columns of a Nested.
pub(crate) fn quoted_one(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_cannot_end_themselves() {
        assert_eq!(quoted("db.t"), "`db`.`t`");
        assert_eq!(quoted_one("a`; DROP"), "`a\\`; DROP`");
        assert_eq!(quoted_one("tags.key"), "`tags.key`");
    }
}
