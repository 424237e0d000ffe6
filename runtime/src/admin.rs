//! The HTTP port for health, numbers, modules, and for waiting. The only home of `axum`.

mod modules;
mod wait;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, middleware};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::control::Keepers;
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::status::Status;
use crate::wait::Waits;

#[derive(Clone)]
struct Process {
    status: Status,
    metrics: Metrics,
    keepers: Keepers,
    waits: Arc<Waits>,
}

/// A port that answers.
pub struct Admin {
    pub address: SocketAddr,
    listener: tokio::net::TcpListener,
    token: Option<Secret>,
}

/// The port while it answers.
pub struct Serving {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address} for health, numbers and modules: {cause}\n\nhint: {}", hint(cause))]
pub struct ListenError {
    address: String,
    cause: std::io::Error,
}

/// Read and not settled for this long, and not held by anything: wedged.
const WEDGED_AFTER: Duration = Duration::from_secs(600);
/// For requests under way at the end.
const STOP_TIME: Duration = Duration::from_secs(2);

impl Admin {
    /// Takes the port. With a token, all but the probes is for those who send it.
    ///
    /// # Errors
    /// If it is taken already.
    pub async fn listen(address: &str, token: Option<Secret>) -> Result<Self, ListenError> {
        let failed = |cause| ListenError { address: address.to_owned(), cause };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { address, listener, token })
    }

    /// Starts answering.
    pub fn serve(self, status: Status, metrics: Metrics, keepers: Keepers, waits: Waits) -> Serving {
        let process = Process { status, metrics, keepers, waits: waits.into() };
        let guarded = Router::new()
            .route("/status", get(|State(process): State<Process>| async move { axum::Json(process.status.to_json()) }))
            .route("/metrics", get(metrics_text))
            .merge(modules::routes())
            .merge(wait::routes())
            .route_layer(middleware::from_fn_with_state(self.token, authorize));
        let routes =
            Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).merge(guarded).with_state(process);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let serving = axum::serve(self.listener, routes).with_graceful_shutdown(async { drop(stopped.await) });
            if let Err(error) = serving.await {
                tracing::error!(%error, "the admin port gave up");
            }
        });
        Serving { stop, task }
    }
}

impl Serving {
    /// Takes no requests any more and lets those under way have their answer, but not for ever.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        if tokio::time::timeout(STOP_TIME, self.task).await.is_err() {
            tracing::warn!("requests to the admin port were cut off");
        }
    }
}

fn hint(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::AddrInUse => "another process has the port; choose one under admin.listen, or 0 for any",
        std::io::ErrorKind::PermissionDenied => "ports below 1024 are for root; choose another under admin.listen",
        _ => "admin.listen is an address of this machine and a port",
    }
}

async fn authorize(
    State(token): State<Option<Secret>>,
    request: axum::extract::Request,
    next: middleware::Next,
) -> axum::response::Response {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    match token {
        Some(token) if !given.is_some_and(|given| is_same(given, token.expose().as_bytes())) => {
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], "a token is needed\n").into_response()
        }
        _ => next.run(request).await,
    }
}

/// Digests are compared: the time says nothing of how much of the token was right.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    Sha256::digest(given) == Sha256::digest(token)
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
        ask(address, path, "").await
    }

    /// `headers` end with a line break each.
    async fn ask(address: SocketAddr, path: &str, headers: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn health_follows_the_status() {
        let (status, metrics) = (Status::new(), Metrics::new());
        let pipeline = status.pipeline("p");
        let admin = Admin::listen("127.0.0.1:0", None).await.unwrap();
        let address = admin.address;
        let serving = admin.serve(status.clone(), metrics.clone(), Keepers::default(), Waits::default());
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        pipeline.assigned([(&Partition::new("events", 0), 7)].into_iter());
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/livez").await.ends_with("live\n"));
        pipeline.hold("insert into t", "code 60, no such table");
        assert!(get(address, "/readyz").await.contains("code 60, no such table"));
        assert!(get(address, "/status").await.contains("\"events/0\":{\"read\":7"));
        metrics.pipeline("p").commit_failed();
        assert!(get(address, "/metrics").await.contains("tidegate_errors_total{pipeline=\"p\",of=\"commit\"} 1"));
        serving.stop().await;
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn numbers_are_for_those_with_the_token_and_probes_for_all() {
        let admin = Admin::listen("127.0.0.1:0", Some(Secret::new("open sesame"))).await.unwrap();
        let address = admin.address;
        let serving = admin.serve(Status::new(), Metrics::new(), Keepers::default(), Waits::default());
        for path in ["/status", "/metrics"] {
            let token = |token: &str| format!("Authorization: Bearer {token}\r\n");
            assert!(get(address, path).await.starts_with("HTTP/1.1 401"));
            assert!(ask(address, path, &token("open sesam")).await.starts_with("HTTP/1.1 401"));
            assert!(ask(address, path, &token("open sesame")).await.starts_with("HTTP/1.1 200"));
        }
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        serving.stop().await;
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error_with_a_way_out() {
        let first = Admin::listen("127.0.0.1:0", None).await.unwrap();
        let error = Admin::listen(&first.address.to_string(), None).await.err().unwrap().to_string();
        assert!(error.contains("\n\nhint: another process has the port"), "{error}");
    }
}
