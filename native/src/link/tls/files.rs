//! The PEM files of a role, and what is wrong with one, in words.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, Error, ServerConfig, SupportedProtocolVersion};

use super::verify::{AnyPeer, Authorities};

/// Versions of the protocol that may be used.
pub type Versions = Vec<&'static SupportedProtocolVersion>;

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// How a node proves who it is, and what it asks of its peer, when it dials or when it is dialled.
#[derive(Debug, Clone, Default)]
pub struct Role {
    /// The own certificate, followed by those in between it and the authority.
    pub certfile: Option<PathBuf>,
    /// The key of the own certificate; in `certfile` if left out.
    pub keyfile: Option<PathBuf>,
    /// Certificates of authorities and of peers that are trusted.
    pub cafile: Option<PathBuf>,
    /// Whether the peer has to prove who it is.
    pub verify: bool,
    /// What may be spoken.
    pub versions: Versions,
}

impl Role {
    fn identity(&self) -> Result<Option<Identity>, String> {
        let Some(certfile) = &self.certfile else { return Ok(None) };
        let chain = certificates("certfile", certfile)?;
        let key = match &self.keyfile {
            Some(keyfile) => private_key("keyfile", keyfile)?,
            None => private_key("certfile", certfile)?,
        };
        Ok(Some((chain, key)))
    }

    fn authorities(&self) -> Result<Option<Authorities>, String> {
        if !self.verify {
            return Ok(None);
        }
        let cafile = self.cafile.as_ref().ok_or("cafile is missing: without it no peer can be verified")?;
        let authorities = Authorities::new(certificates("cafile", cafile)?);
        authorities.map(Some).map_err(|error| fault("cafile", cafile, &error))
    }

    fn identity_fault(&self, error: &Error) -> String {
        let certfile = self.certfile.as_deref().unwrap_or(Path::new(""));
        let (what, keyfile) = match &self.keyfile {
            Some(keyfile) => ("keyfile", keyfile.as_path()),
            None => ("certfile", certfile),
        };
        match error {
            Error::InconsistentKeys(_) => {
                fault(what, keyfile, &format!("its key is not the key of the certificate in {}", certfile.display()))
            }
            Error::InvalidCertificate(_) => fault("certfile", certfile, "holds a certificate that can't be read"),
            other => fault(what, keyfile, &format!("holds a key that can't be used: {other}")),
        }
    }
}

fn fault(what: &str, path: &Path, wrong: &str) -> String {
    format!("{what} {}: {wrong}", path.display())
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| fault(what, path, &system_words(&error)))
}

/// The system's words without the number.
fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(what, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(fault(what, path, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")),
        Err(error) => Err(fault(what, path, &format!("is no PEM: {error}"))),
    }
}

fn private_key(what: &str, path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read(what, path)?;
    if is_encrypted(&pem) {
        return Err(fault(what, path, "its key is encrypted: give one without a password (see openssl pkey)"));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        PemError::NoItemsFound => fault(what, path, "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"),
        other => fault(what, path, &format!("is no PEM: {other}")),
    })
}

/// Both forms that OpenSSL writes: PKCS #8, and the older one with a header.
fn is_encrypted(pem: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    pem.split(|byte| *byte == b'\n').any(|line| marks.iter().any(|mark| line.starts_with(mark)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn no_version(error: Error) -> String {
    format!("the TLS versions can't be used: {error}")
}

/// Settings for connections that are dialled by others.
pub fn server_config(role: &Role) -> Result<ServerConfig, String> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_protocol_versions(&role.versions).map_err(no_version)?;
    let builder = match role.authorities()? {
        Some(authorities) => builder.with_client_cert_verifier(Arc::new(authorities)),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = role.identity()?.ok_or("certfile is missing: without it nobody can connect to this node")?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| role.identity_fault(&error))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Settings for connections that this node dials.
pub fn client_config(role: &Role) -> Result<ClientConfig, String> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_protocol_versions(&role.versions).map_err(no_version)?;
    let builder = builder.dangerous();
    let builder = match role.authorities()? {
        Some(authorities) => builder.with_custom_certificate_verifier(Arc::new(authorities)),
        None => builder.with_custom_certificate_verifier(Arc::new(AnyPeer)),
    };
    let mut config = match role.identity()? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| role.identity_fault(&error))?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_encrypted_keys_are_known() {
        assert!(is_encrypted(b"text\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        assert!(is_encrypted(b"-----BEGIN EC PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\n"));
        assert!(!is_encrypted(b"-----BEGIN PRIVATE KEY-----\nENCRYPTED\n"));
    }

    #[test]
    fn a_role_that_verifies_needs_authorities() {
        let role = Role { verify: true, versions: rustls::ALL_VERSIONS.to_vec(), ..Role::default() };

        assert!(client_config(&role).unwrap_err().starts_with("cafile is missing"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let role = Role {
            certfile: Some("/nowhere/cert.pem".into()),
            versions: rustls::ALL_VERSIONS.to_vec(),
            ..Role::default()
        };

        assert_eq!(server_config(&role).unwrap_err(), "certfile /nowhere/cert.pem: no such file or directory");
    }
}
