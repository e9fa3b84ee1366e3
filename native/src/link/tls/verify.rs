//! Certificates of peers: those that dial and those that are dialled are judged by the same rules.
//!
//! A certificate is accepted when an authority vouches for it, or when exactly this certificate stands in `cafile`. A
//! certificate of `cafile` that is no authority's vouches for nothing but itself.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Who is believed.
#[derive(Debug)]
pub struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    pinned: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Authorities {
    /// Trust these certificates. An error says what is wrong with one.
    pub fn new(trusted: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let algorithms = algorithms();
        let mut anchors = Vec::new();
        for certificate in &trusted {
            let anchor = anchor_from_trusted_cert(certificate);
            let anchor = anchor.map_err(|error| format!("holds a certificate that can't be read: {error}"))?;
            if is_authority(certificate, &algorithms) {
                anchors.push(anchor.to_owned());
            }
        }
        Ok(Self { anchors, pinned: trusted, algorithms })
    }

    /// Whether a certificate is believed at this time; names are another question.
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let parsed = EndEntityCert::try_from(certificate).map_err(in_tls)?;
        let pinned = self.pinned.contains(certificate);
        // Who is pinned needs nobody else; webpki still judges time and purpose.
        let anchors = if pinned { &[] } else { self.anchors.as_slice() };
        match parsed.verify_for_usage(self.algorithms.all, anchors, between, now, usage, None, None) {
            Ok(_) => Ok(()),
            Err(webpki::Error::UnknownIssuer | webpki::Error::CaUsedAsEndEntity) if pinned => Ok(()),
            Err(error) => Err(in_tls(error)),
        }
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    ring::default_provider().signature_verification_algorithms
}

/// Whether a certificate may vouch for others; webpki tells, in the course of judging it as one that may not.
fn is_authority(certificate: &CertificateDer<'_>, algorithms: &WebPkiSupportedAlgorithms) -> bool {
    // The first versions of X.509 can't say it.
    let Ok(parsed) = EndEntityCert::try_from(certificate) else { return true };
    let judge = |time| {
        let usage = KeyUsage::server_auth();
        parsed.verify_for_usage(algorithms.all, &[], &[], time, usage, None, None).err()
    };
    let verdict = match judge(UnixTime::now()) {
        Some(
            webpki::Error::CertExpired { not_after: valid, .. }
            | webpki::Error::CertNotValidYet { not_before: valid, .. },
        ) => judge(valid),
        verdict => verdict,
    };
    matches!(verdict, Some(webpki::Error::CaUsedAsEndEntity))
}

/// Whether a certificate is for this host, by its alternative names; `host` may be an address.
pub fn is_for(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok(name) = ServerName::try_from(host) else { return false };
    check_name(certificate, &name).is_ok()
}

fn check_name(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let parsed = EndEntityCert::try_from(certificate).map_err(in_tls)?;
    parsed.verify_is_valid_for_subject_name(name).map_err(in_tls)
}

/// In the terms of TLS, which decide what the peer is told.
fn in_tls(error: webpki::Error) -> Error {
    use webpki::Error as Fault;
    let error = match error {
        Fault::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        Fault::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        Fault::CertNotValidForName(names) => {
            CertificateError::NotValidForNameContext { expected: names.expected, presented: names.presented }
        }
        Fault::UnknownIssuer => CertificateError::UnknownIssuer,
        Fault::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Fault::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        Fault::BadDer | Fault::BadDerTime | Fault::TrailingData(_) => CertificateError::BadEncoding,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    error.into()
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, now, KeyUsage::server_auth())?;
        check_name(end_entity, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Authorities {
    /// None: a pinned certificate has no authority, and a peer should not choose by the names of ours.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Believes every peer that is dialled, as long as it has the key of the certificate that it shows.
#[derive(Debug)]
pub struct AnyPeer;

impl ServerCertVerifier for AnyPeer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}
