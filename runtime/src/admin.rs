//! The HTTP port for health and numbers. The only home of `axum`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::metrics::Metrics;
use crate::status::Status;

#[derive(Clone)]
struct Process {
    status: Status,
    metrics: Metrics,
}

/// A port that answers.
pub struct Admin {
    pub address: SocketAddr,
    listener: tokio::net::TcpListener,
}

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address} for /livez, /readyz, /status and /metrics: {cause}")]
pub struct ListenError {
    address: String,
    cause: std::io::Error,
}

/// Read and not settled for this long, and not held by anything: wedged.
const WEDGED_AFTER: Duration = Duration::from_secs(600);

impl Admin {
    /// Takes the port.
    ///
    /// # Errors
    /// If it is taken already.
    pub async fn listen(address: &str) -> Result<Self, ListenError> {
        let failed = |cause| ListenError { address: address.to_owned(), cause };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { address, listener })
    }

    /// Answers until dropped.
    pub async fn serve(self, status: Status, metrics: Metrics) {
        let process = Process { status, metrics };
        let routes = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/status", get(|State(process): State<Process>| async move { axum::Json(process.status.to_json()) }))
            .route("/metrics", get(metrics_text))
            .with_state(process);
        if let Err(error) = axum::serve(self.listener, routes).await {
            tracing::error!(%error, "the admin port gave up");
        }
    }
}

async fn livez(State(process): State<Process>) -> impl IntoResponse {
    match process.status.wedged(WEDGED_AFTER) {
        wedged if wedged.is_empty() => (StatusCode::OK, "live\n".to_owned()),
        wedged => (StatusCode::SERVICE_UNAVAILABLE, format!("wedged: {}\n", wedged.join(", "))),
    }
}

async fn readyz(State(process): State<Process>) -> impl IntoResponse {
    match process.status.not_ready() {
        reasons if reasons.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
        reasons => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n"))),
    }
}

async fn metrics_text(State(process): State<Process>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(axum::http::header::CONTENT_TYPE, kind)], process.metrics.encode())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::offset::Partition;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn health_follows_the_status() {
        let (status, metrics) = (Status::new(), Metrics::new());
        let pipeline = status.pipeline("p");
        let admin = Admin::listen("127.0.0.1:0").await.unwrap();
        let address = admin.address;
        let serving = tokio::spawn(admin.serve(status.clone(), metrics.clone()));
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        pipeline.assigned([(&Partition::new("events", 0), 7)].into_iter());
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/livez").await.ends_with("live\n"));
        pipeline.hold("insert into t", "code 60, no such table");
        assert!(get(address, "/readyz").await.contains("code 60, no such table"));
        assert!(get(address, "/status").await.contains("\"events/0\":{\"read\":7"));
        metrics.pipeline("p").commit_failed();
        assert!(get(address, "/metrics").await.contains("tidegate_errors_total{pipeline=\"p\",of=\"commit\"} 1"));
        serving.abort();
    }
}
