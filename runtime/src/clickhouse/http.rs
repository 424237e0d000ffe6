//! One POST to one host: keep-alive, a body of known length, the exception's code out of the answer.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;

use super::{Error, Settings, Tls, tls};

/// Connections, reused while the server keeps them.
pub(super) struct Client(hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// A success.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub text: String,
    pub summary: Summary,
}

/// What a statement did: the header `X-ClickHouse-Summary`, whose numbers are texts. Zeros where there is none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Summary {
    pub read_rows: String,
    pub read_bytes: String,
    pub written_rows: String,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than any server's (ClickHouse closes after 10 to 30 s, before 20.x after 3 s).
const IDLE_TIMEOUT: Duration = Duration::from_millis(2500);
/// A rewrite says nothing for minutes; what is between must not forget the connection.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Of an exception's text, which may quote the data.
const TEXT_BYTES_MAX: usize = 500;

impl Client {
    pub(super) fn new(trust: &Tls) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.enforce_http(false);
        let tls = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(trust.config())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(tls);
        Self(client)
    }

    pub(super) async fn post(
        &self,
        host: &str,
        settings: &Settings,
        parameters: &[(&str, String)],
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        let at = || host.to_owned();
        let request = Request::post(uri(host, parameters))
            .header("X-ClickHouse-User", &settings.user)
            .header("X-ClickHouse-Key", settings.password.expose())
            .header("X-ClickHouse-Database", &settings.database)
            .body(Full::new(body))
            .map_err(|error| Error::Connect { host: at(), cause: error.to_string() })?;
        let exchange = async {
            let response = self.0.request(request).await.map_err(|error| of_transport(host, &error))?;
            let (head, body) = response.into_parts();
            let body =
                body.collect().await.map_err(|error| Error::Transport { host: at(), cause: error.to_string() })?;
            Ok((head, body.to_bytes()))
        };
        let timed = tokio::time::timeout(timeout, exchange).await;
        let (head, body) = timed.unwrap_or_else(|_| {
            let cause = format!("no answer within {timeout:?}");
            Err(Error::Transport { host: at(), cause })
        })?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let code = head.headers.get("X-ClickHouse-Exception-Code").and_then(|value| value.to_str().ok()?.parse().ok());
        match code.or_else(|| code_in(&text)) {
            Some(code) => Err(Error::Exception { host: at(), code, text: short(&text) }),
            None if head.status == StatusCode::OK => Ok(Answer { text, summary: summary(&head.headers) }),
            None => Err(Error::Status { host: at(), status: head.status.as_u16(), text: short(&text) }),
        }
    }
}

fn summary(headers: &HeaderMap) -> Summary {
    let header = headers.get("X-ClickHouse-Summary").map(HeaderValue::as_bytes);
    header.and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default()
}

fn of_transport(host: &str, error: &hyper_util::client::legacy::Error) -> Error {
    if let Some(cause) = tls::refusal(error) {
        return Error::Tls { host: host.to_owned(), cause };
    }
    let (mut cause, mut maybe_https) = (error.to_string(), false);
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        cause = inner.to_string();
        maybe_https |= host.starts_with("http://") && is_like_https(inner);
        source = inner.source();
    }
    if maybe_https {
        cause += " (or is this its HTTPS port? then write https://)";
    }
    let host = host.to_owned();
    if error.is_connect() { Error::Connect { host, cause } } else { Error::Transport { host, cause } }
}

/// An HTTPS port answers HTTP with an alert, or closes.
fn is_like_https(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_http = error.downcast_ref::<hyper::Error>();
    let of_tcp = error.downcast_ref::<std::io::Error>();
    of_http.is_some_and(|error| error.is_parse() || error.is_incomplete_message())
        || of_tcp.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

/// Old servers tell the code in the text only: `Code: 60, e.displayText() = …`.
fn code_in(text: &str) -> Option<u32> {
    let rest = text.strip_prefix("Code: ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}

fn short(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line[..line.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

fn uri(host: &str, parameters: &[(&str, String)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value)));
    format!("{}/?{}", host.trim_end_matches('/'), pairs.collect::<Vec<_>>().join("&"))
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_code_of_old_servers() {
        assert_eq!(code_in("Code: 60, e.displayText() = DB::Exception: Table"), Some(60));
        assert_eq!(code_in("hello"), None);
    }

    #[test]
    fn parameters_are_encoded() {
        let uri = uri("http://h:1/", &[("query", "INSERT INTO `t` (a)".to_owned())]);
        assert_eq!(uri, "http://h:1/?query=INSERT%20INTO%20%60t%60%20%28a%29");
    }
}
