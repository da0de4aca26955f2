//! Resolves each name that it reads, a line each, by getaddrinfo, and prints how many nanoseconds that took and the
//! addresses, none where there are none.
//!
//! A package of its own, without any dependencies, so that it is easily built for each C library: glibc and musl search and
//! ask in ways of their own.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write, stdin, stdout};
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Instant;

fn main() -> io::Result<()> {
    let mut output = BufWriter::new(stdout());
    for name in stdin().lines() {
        let name = name?;
        let start = Instant::now();
        let found = (name.as_str(), 0).to_socket_addrs();
        let time = start.elapsed().as_nanos();
        let addresses: BTreeSet<IpAddr> = found.into_iter().flatten().map(|address| address.ip()).collect();
        write!(output, "{time}")?;
        for address in addresses {
            write!(output, " {address}")?;
        }
        writeln!(output)?;
    }
    output.flush()
}
