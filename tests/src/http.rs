//! HTTP, as much of it as reading metrics and asking whether a program is ready takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::namespace::Namespace;

const LIMIT: Duration = Duration::from_secs(2);

/// Fetches the text at `http://ADDRESS/PATH` from inside the namespace; anything but the status 200 is an error.
pub fn get(namespace: &Namespace, address: SocketAddr, path: &str) -> Result<String> {
    let reply = namespace
        .inside(|| exchange(address, path))?
        .with_context(|| format!("nothing from {address}{path}"))?;
    match reply.split_once("\r\n\r\n") {
        Some((head, text)) if head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200") => {
            Ok(text.to_owned())
        }
        _ => bail!(
            "nothing from {address}{path}: {:?}",
            reply.lines().next().unwrap_or_default()
        ),
    }
}

/// HTTP/1.0, so that the reply comes in one piece and ends with the connection.
fn exchange(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}
