//! An HTTP server whose answers the test writes, byte for byte, and a client that shows what it gets the same way.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};

/// Takes one request per connection until the program ends.
pub struct Web {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// `answer` is told the first line and the headers of a request, and how many came before. None keeps the client
    /// waiting.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start(answer: impl Fn(&str, usize) -> Option<Vec<u8>> + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (port, heads) = (listener.local_addr()?.port(), Arc::new(Mutex::new(Vec::new())));
        let web = Self { port, heads: Arc::clone(&heads) };
        std::thread::spawn(move || {
            let mut waiting = Vec::new();
            for mut client in listener.incoming().flatten() {
                let Ok(head) = head(&mut client) else { continue };
                let before = {
                    let mut heads = heads.lock().expect("no test panics while it holds them");
                    heads.push(head.clone());
                    heads.len() - 1
                };
                match answer(&head, before) {
                    // A client that has seen enough closes early.
                    Some(bytes) => drop(client.write_all(&bytes)),
                    None => waiting.push(client),
                }
            }
        });
        Ok(web)
    }

    /// `127.0.0.1:PORT`
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// First lines and headers of the requests that came.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no test panics while it holds them").clone()
    }
}

/// An answer with its length; `headers` end in line breaks.
pub fn answer(status: &str, headers: &str, body: &[u8]) -> Option<Vec<u8>> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    Some([head.as_bytes(), body].concat())
}

/// Sends a request and returns the status and what follows it.
///
/// # Errors
/// If nobody answers.
pub fn request(host: &str, line: &str, headers: &str, body: &[u8]) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(host)?;
    let length = body.len();
    let head =
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(|| format!("no HTTP: {answer}"))?, answer))
}

fn head(client: &mut TcpStream) -> std::io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
