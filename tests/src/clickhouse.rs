//! Asking ClickHouse, as a test does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tidegate::clickhouse::{Cluster, Settings, Tls};
use tidegate::secret::Secret;

/// A database of a server.
#[derive(Clone, Debug)]
pub struct Database {
    port: u16,
    pub name: String,
}

impl Database {
    /// Makes the database if it is not there.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn create(port: u16, name: &str) -> Result<Self> {
        Self { port, name: "default".into() }.run(&format!("CREATE DATABASE IF NOT EXISTS {name}"))?;
        Ok(Self { port, name: name.into() })
    }

    /// The same database as tidegate reaches it.
    pub fn cluster(&self) -> Arc<Cluster> {
        Arc::new(Cluster::new(Settings {
            hosts: vec![format!("http://127.0.0.1:{}", self.port)],
            tls: Tls::default(),
            database: self.name.clone(),
            user: "default".into(),
            password: Secret::default(),
            timeout: Duration::from_secs(20),
        }))
    }

    /// The answer as text.
    ///
    /// # Errors
    /// With ClickHouse's exception.
    pub fn run(&self, sql: &str) -> Result<String> {
        self.run_with(sql, &[])
    }

    /// The same with settings for this statement only.
    ///
    /// # Errors
    /// With ClickHouse's exception.
    pub fn run_with(&self, sql: &str, settings: &[(&str, String)]) -> Result<String> {
        let settings: String = settings.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let head = format!(
            "POST /?database={}&wait_end_of_query=1{settings} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            self.name,
            sql.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(sql.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
        if !head.lines().next().is_some_and(|line| line.contains(" 200 ")) {
            bail!("{sql}: {body}");
        }
        Ok(body.to_owned())
    }

    /// Runs the statements of a file.
    ///
    /// # Errors
    /// With ClickHouse's exception.
    pub fn run_all(&self, statements: &str) -> Result<()> {
        for statement in tidegate::clickhouse::statements(statements) {
            self.run(&statement)?;
        }
        Ok(())
    }

    /// A single number.
    ///
    /// # Errors
    /// If the answer is another.
    pub fn number(&self, sql: &str) -> Result<u64> {
        let answer = self.run(sql)?;
        answer.trim().parse().with_context(|| format!("{sql}: {answer}"))
    }
}
