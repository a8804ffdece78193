//! actix-web 4 over rustls with one worker thread; its accept loop is a second thread.
//!
//! A worker of actix-web accepts 256 handshakes at a time by default. That suffices: the load has 64 at a time.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, get};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

/// rustls as its documentation recommends, with tickets, which are off by default. actix-web sets ALPN.
fn config(certificate: &str, key: &str) -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, certificate, key] = arguments.as_slice() else {
        return Err("usage: contender-actix-tls ADDRESS:PORT CERTIFICATE KEY".into());
    };
    HttpServer::new(|| App::new().service(plaintext))
        .workers(1)
        .keep_alive(Duration::from_secs(75))
        .bind_rustls_0_23(listen.as_str(), config(certificate, key)?)?
        .run()
        .await?;
    Ok(())
}
