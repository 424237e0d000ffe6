//! A real OCI registry: that of go-containerregistry, in its program `crane`.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use crate::process::{Server, free_port, prepare, watched};
use crate::{EngineError, crane};

/// A registry on the loopback, over plain HTTP, for anybody. Dropped, it ends.
pub struct Registry {
    server: Server,
    folder: PathBuf,
    port: u16,
}

impl Registry {
    /// Starts a registry whose blobs are in `folder`, fetching it first if needed. Its manifests are in memory.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start(folder: &Path) -> Result<Self, EngineError> {
        let port = free_port();
        prepare(folder, fs::create_dir_all(folder.join("blobs")))?;
        Ok(Self { server: run(folder, port)?, folder: folder.to_owned(), port })
    }

    /// `127.0.0.1:PORT`
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts again after [`kill`](Self::kill), on the same port, without its manifests.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn restart(&mut self) -> Result<(), EngineError> {
        self.server = run(&self.folder, self.port)?;
        Ok(())
    }
}

fn run(folder: &Path, port: u16) -> Result<Server, EngineError> {
    let pid_file = folder.join("pid");
    let mut command = watched(&crane()?.display().to_string(), &pid_file);
    command.args(["registry", "serve", "--address", &format!("127.0.0.1:{port}"), "--disk"]).arg(folder.join("blobs"));
    let mut server = prepare(folder, Server::start(command, folder.join("output.txt"), Some(&pid_file)))?;
    server.wait("registry", 30, || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok(server)
}
