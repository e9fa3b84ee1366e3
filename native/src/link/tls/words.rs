//! What went wrong on an encrypted connection, in words.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// How every reason begins that TLS is at fault for.
pub const PREFIX: &str = "TLS: ";

/// The reason of a connection whose peer lets the time pass.
pub const NO_ANSWER: &str = "TLS: the peer did not finish the TLS handshake in time: it may not speak TLS";

/// The error of a connection that the peer closes too early.
pub fn closed() -> io::Error {
    in_words("the peer closed the connection in the TLS handshake: it may not speak TLS, or its log tells")
}

fn in_words(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{PREFIX}{text}"))
}

/// The error of a connection, as the I/O of the link sees it.
pub fn error(error: &Error) -> io::Error {
    in_words(&match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => refused(*alert),
        Error::NoCertificatesPresented => "the peer has shown no certificate".to_owned(),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => "the peer does not speak TLS".to_owned(),
        Error::PeerIncompatible(error) => incompatible(error),
        other => other.to_string(),
    })
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "the peer's certificate is from an unknown authority: cafile does not vouch for it".to_owned()
        }
        CertificateError::ExpiredContext { .. } => "the peer's certificate has expired".to_owned(),
        CertificateError::NotValidYetContext { .. } => "the peer's certificate is not valid yet".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!("the peer's certificate is not for {} but for {names}", expected.to_str())
        }
        CertificateError::BadSignature => "the signature of the peer's certificate is wrong".to_owned(),
        CertificateError::InvalidPurpose => {
            "the peer's certificate is for another purpose: nodes need both serverAuth and clientAuth".to_owned()
        }
        other => format!("the peer's certificate can't be used: {other}"),
    }
}

/// A name without the kind that webpki puts around it, as in `DnsName("host")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"')
}

fn refused(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::UnknownCA => "it does not know the authority of this node's certificate",
        AlertDescription::CertificateExpired => "it finds this node's certificate expired",
        AlertDescription::CertificateRequired => "it wants a certificate of this node",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => "it does not accept this node's certificate",
        AlertDescription::HandshakeFailure => {
            "it finds nothing in common, or does not accept this node's certificate or the lack of one"
        }
        AlertDescription::ProtocolVersion => "it wants another version of TLS",
        _ => "its log may tell why",
    };
    format!("the peer refused, {why} (alert {alert:?})")
}

fn incompatible(error: &PeerIncompatible) -> String {
    match error {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => "no version of TLS in common with the peer".to_owned(),
        other => format!("nothing in common with the peer: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::InvalidMessage;

    #[test]
    fn names_are_told_as_people_write_them() {
        assert_eq!(
            [bare("DnsName(\"a.b\")"), bare("IpAddress(127.0.0.1)"), bare("other")],
            ["a.b", "127.0.0.1", "other"]
        );
    }

    #[test]
    fn every_reason_begins_alike_and_goes_on_in_words() {
        let told = |fault: Error| error(&fault).to_string();

        assert_eq!(told(Error::InvalidMessage(InvalidMessage::InvalidContentType)), "TLS: the peer does not speak TLS");
        assert_eq!(told(Error::NoCertificatesPresented), "TLS: the peer has shown no certificate");
        assert_eq!(
            told(Error::AlertReceived(AlertDescription::CertificateRequired)),
            "TLS: the peer refused, it wants a certificate of this node (alert CertificateRequired)"
        );
        assert_eq!(
            told(PeerIncompatible::Tls12NotOfferedOrEnabled.into()),
            "TLS: no version of TLS in common with the peer"
        );
        assert!(closed().to_string().starts_with(PREFIX) && NO_ANSWER.starts_with(PREFIX));
    }
}
