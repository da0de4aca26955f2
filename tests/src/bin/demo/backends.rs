//! What stands behind the demo's Services and beyond its cluster: a web server and a name server, each a thread.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::thread;

use anyhow::{Context, Result};
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Rtype, Ttl};
use domain::rdata::A;

/// The only name that the upstream server knows.
pub(crate) const UPSTREAM_NAME: &str = "www.example.com";
/// Its address, from the block for documentation.
pub(crate) const UPSTREAM_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 80);

const PAGE: &str = "<h1>Welcome to NGINX!</h1>\n";

/// Welcomes every HTTP request.
pub(crate) fn serve_web(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that went away needs no page.
            let _ = welcome(stream);
        }
    });
}

/// Answers DNS questions as an upstream server: one name, else NXDOMAIN.
pub(crate) fn serve_upstream(socket: UdpSocket) {
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            if let Ok(reply) = answer(&buffer[..length]) {
                // A client that went away needs no reply.
                let _ = socket.send_to(&reply, client);
            }
        }
    });
}

fn welcome(mut stream: impl Read + Write) -> Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        request.extend_from_slice(&buffer[..length]);
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        PAGE.len()
    );
    stream.write_all((head + PAGE).as_bytes())?;
    Ok(())
}

fn answer(query: &[u8]) -> Result<Vec<u8>> {
    let query = Message::from_octets(query).context("shorter than a header")?;
    let question = query.sole_question()?;
    let known = question.qname().to_string().eq_ignore_ascii_case(UPSTREAM_NAME);
    let rcode = if known { Rcode::NOERROR } else { Rcode::NXDOMAIN };
    let mut reply = MessageBuilder::new_vec().start_answer(&query, rcode)?;
    reply.header_mut().set_ra(true);
    if known && question.qtype() == Rtype::A {
        reply.push((
            question.qname(),
            Class::IN,
            Ttl::from_secs(300),
            A::new(UPSTREAM_ADDRESS),
        ))?;
    }
    Ok(reply.finish())
}
