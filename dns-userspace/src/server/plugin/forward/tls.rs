//! TLS to upstreams (RFC 7858), from the files and names that the Corefile gives.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;

use crate::corefile::{Server, Tls};

/// How TLS is spoken to an upstream, and the name that its certificate is to have.
///
/// # Errors
///
/// A file that cannot be read or is no certificate or key, or a name that is none.
pub(super) fn connector(tls: &Tls, server: &Server) -> Result<(TlsConnector, ServerName<'static>)> {
    let place = || match &tls.span {
        Some(span) => format!("{span}: `tls`"),
        None => format!("tls://{}", server.address),
    };
    let config = config(tls).with_context(place)?;
    let name = name(tls, server).with_context(place)?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn config(tls: &Tls) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities(tls.authorities.as_deref())?);
    Ok(match &tls.identity {
        Some((certificate, key)) => {
            let read = || format!("{} is no key in PEM form", key.display());
            let key = PrivateKeyDer::from_pem_file(key).with_context(read)?;
            builder.with_client_auth_cert(certificates(certificate)?, key)?
        }
        None => builder.with_no_client_auth(),
    })
}

/// The authorities of a file, or those that the host trusts.
fn authorities(file: Option<&Path>) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file)? {
                store.add(certificate)?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let advice = "give a file of them, as in `tls /path/ca.crt`";
            ensure!(!store.is_empty(), "the host trusts no authority; {advice}");
        }
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || format!("cannot read {}", file.display());
    let found = CertificateDer::pem_file_iter(file).with_context(read)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().with_context(read)?;
    ensure!(!found.is_empty(), "{} has no certificate in PEM form", file.display());
    Ok(found)
}

fn name(tls: &Tls, server: &Server) -> Result<ServerName<'static>> {
    let Some(name) = tls.server_name.as_ref().or(server.name.as_ref()) else {
        return Ok(ServerName::IpAddress(IpAddr::into(server.address.ip())));
    };
    ServerName::try_from(name.clone()).with_context(|| format!("`{name}` is no name of a server"))
}
