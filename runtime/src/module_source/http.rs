//! Modules from HTTP servers: one GET, bounded in time, size and redirects.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};

use super::{Auth, FetchError, FetchSettings};

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REDIRECTS_MAX: usize = 5;

pub(super) async fn get(url: &Url, settings: &FetchSettings) -> Result<Bytes, FetchError> {
    use_ring();
    let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(Policy::custom(redirect)).build();
    let client = client.map_err(|error| FetchError::Tls { cause: innermost(&error) })?;
    let request = match &settings.auth {
        Some(Auth::Basic { user, password }) => client.get(url.clone()).basic_auth(user, Some(password.expose())),
        Some(Auth::Bearer(token)) => client.get(url.clone()).bearer_auth(token.expose()),
        None => client.get(url.clone()),
    };
    let mut response = request.send().await.map_err(|error| of_transport(url.as_str(), &error))?;
    let status = response.status();
    if !status.is_success() {
        return Err(FetchError::of_status(url.to_string(), status.as_u16(), format!("status {status}")));
    }
    let mut wasm = Limited::new(url.as_str(), settings.bytes_max);
    wasm.expect(response.content_length())?;
    while let Some(chunk) = response.chunk().await.map_err(|error| of_transport(url.as_str(), &error))? {
        wasm.push(&chunk)?;
    }
    Ok(wasm.bytes.freeze())
}

/// What has come so far, and not more than may come.
pub(super) struct Limited {
    from: String,
    pub(super) bytes: BytesMut,
    bytes_max: u64,
}

impl Limited {
    pub(super) fn new(from: &str, bytes_max: u64) -> Self {
        Self { from: from.to_owned(), bytes: BytesMut::new(), bytes_max }
    }

    /// What is announced, and may be a lie.
    pub(super) fn expect(&self, bytes: Option<u64>) -> Result<(), FetchError> {
        match bytes {
            Some(bytes) if bytes > self.bytes_max => {
                Err(FetchError::TooLarge { from: self.from.clone(), bytes_max: self.bytes_max })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        self.expect(Some((self.bytes.len() + chunk.len()) as u64))?;
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

/// The process has one cryptography; another part of it may have said the same already.
pub(crate) fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let downgraded = attempt.previous().last().is_some_and(|from| from.scheme() == "https");
    if attempt.previous().len() > REDIRECTS_MAX {
        attempt.error(format!("more than {REDIRECTS_MAX} redirects"))
    } else if downgraded && attempt.url().scheme() != "https" {
        attempt.error("redirected from https to http")
    } else {
        attempt.follow()
    }
}

pub(super) fn of_transport(from: &str, error: &reqwest::Error) -> FetchError {
    let (from, cause) = (from.to_owned(), innermost(error));
    if error.is_redirect() {
        FetchError::Redirect { from, cause }
    } else if error.is_connect() {
        FetchError::Connect { from, cause }
    } else {
        FetchError::Broken { from, cause }
    }
}

fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "10.0.0.1", "127.0.0.1.example", "localhost.example", "[::2]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn what_grows_past_its_limit_is_refused() {
        let mut bytes = Limited::new("here", 4);
        assert!(bytes.expect(Some(4)).is_ok() && bytes.expect(None).is_ok());
        bytes.push(b"abcd").unwrap();
        assert_eq!(bytes.push(b"e").unwrap_err().to_string(), "the module at here is larger than 4 bytes");
    }
}
