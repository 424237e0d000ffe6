//! A TCP proxy before ClickHouse that can fail in the ways networks and proxies do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;

use crate::servers;

/// What happens to the next connections and requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    None,
    /// Connections are closed at once.
    Refuse,
    /// The connection is reset in the middle of the body.
    ResetMidBody,
    /// The body is taken and answered with status 500 and no exception.
    Status500,
    /// Everything reaches the server, and its answer is thrown away.
    LoseAnswer,
    /// Everything reaches the server a while later.
    Late,
}

/// Listens until the program ends.
pub struct Proxy {
    port: u16,
    fault: Arc<AtomicU8>,
    faults: Arc<AtomicU32>,
}

const FAULTS: [Fault; 6] =
    [Fault::None, Fault::Refuse, Fault::ResetMidBody, Fault::Status500, Fault::LoseAnswer, Fault::Late];
const LATE: Duration = Duration::from_millis(300);

impl Proxy {
    /// # Errors
    /// If there is no port.
    pub fn before(port: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (fault, faults) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicU32::new(0)));
        let proxy = Self { port: listener.local_addr()?.port(), fault: fault.clone(), faults: faults.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (fault, faults) = (fault.clone(), faults.clone());
                // A connection that breaks is what this is for.
                std::thread::spawn(move || drop(serve(client, port, &fault, &faults)));
            }
        });
        Ok(proxy)
    }

    /// Before the ClickHouse that all tests of a program share.
    ///
    /// # Errors
    /// As above.
    pub fn before_shared() -> Result<Self> {
        Self::before(servers::clickhouse_port())
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::Release);
    }

    /// Requests that failed on purpose so far.
    pub fn faults(&self) -> u32 {
        self.faults.load(Ordering::Acquire)
    }
}

/// One request after the other, so that the fault of the moment is that of a request.
fn serve(mut client: TcpStream, port: u16, fault: &AtomicU8, faults: &AtomicU32) -> Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    loop {
        let head = read_head(&mut client)?;
        let text = String::from_utf8_lossy(&head).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<u64>().ok());
        let fault = FAULTS[usize::from(fault.load(Ordering::Acquire))];
        let mut body = (&mut client).take(length.unwrap_or(0));
        faults.fetch_add(u32::from(fault != Fault::None), Ordering::AcqRel);
        match fault {
            Fault::None | Fault::LoseAnswer | Fault::Late => {
                if fault == Fault::Late {
                    std::thread::sleep(LATE);
                }
                server.write_all(&head)?;
                std::io::copy(&mut body, &mut server)?;
                let answer = read_answer(&mut server)?;
                if fault == Fault::LoseAnswer {
                    return Ok(client.shutdown(Shutdown::Both)?);
                }
                client.write_all(&answer)?;
            }
            Fault::Refuse => return Ok(client.shutdown(Shutdown::Both)?),
            Fault::ResetMidBody => {
                server.write_all(&head)?;
                std::io::copy(&mut body.take(length.unwrap_or(0) / 2), &mut server)?;
                return Ok(client.shutdown(Shutdown::Both)?);
            }
            Fault::Status500 => {
                std::io::copy(&mut body, &mut std::io::sink())?;
                client.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nnope\n")?;
            }
        }
    }
}

fn read_head(from: &mut TcpStream) -> Result<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

/// ClickHouse answers an insert in one chunk, or with a length.
fn read_answer(server: &mut TcpStream) -> Result<Vec<u8>> {
    let mut answer = read_head(server)?;
    let text = String::from_utf8_lossy(&answer).to_lowercase();
    if let Some(length) =
        text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<u64>().ok())
    {
        server.take(length).read_to_end(&mut answer)?;
    } else if text.contains("transfer-encoding: chunked") {
        let mut byte = [0];
        while !answer.ends_with(b"\r\n0\r\n\r\n") && !answer.ends_with(b"\r\n\r\n0\r\n\r\n") {
            server.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
    }
    Ok(answer)
}
