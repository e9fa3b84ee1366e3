//! TLS for every connection of a node.
//!
//! ```text
//! files.rs     PEM files -> settings of both roles; what is wrong with a file, in words
//! verify.rs    certificates of peers: authorities, pinned certificates, names
//! stream.rs    one connection that is encrypted
//! words.rs     what went wrong on a connection
//! python.rs    what Python sees
//! ```
//!
//! No session is resumed: each connection verifies its peer anew.

mod files;
mod stream;
mod verify;
mod words;

#[cfg(feature = "python")]
mod python;

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

pub use files::{Role, Versions};
pub use stream::TlsStream;
pub use verify::is_for;
pub use words::{NO_ANSWER, PREFIX};

#[cfg(feature = "python")]
pub use python::TLSContext;

/// What all encrypted connections of a node have in common.
#[derive(Debug, Clone)]
pub struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// Read the files of both roles. An error names the file and what is wrong with it.
    pub fn new(server: &Role, client: &Role) -> Result<Self, String> {
        Ok(Self { server: Arc::new(files::server_config(server)?), client: Arc::new(files::client_config(client)?) })
    }

    /// A session that dials the host called `name`.
    pub(super) fn dialling(&self, name: ServerName<'static>) -> Result<Connection, rustls::Error> {
        Ok(ClientConnection::new(self.client.clone(), name)?.into())
    }

    /// A session that was dialled.
    pub(super) fn dialled(&self) -> Result<Connection, rustls::Error> {
        Ok(ServerConnection::new(self.server.clone())?.into())
    }
}
