//! Seeing changes come through: asks for all that is on its way, in turns, until each answer is right.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kxdns_tests::dns::Reply;

use super::probe::{Expectation, Probe};
use super::slices::{Slice, Slices};

/// How exactly a change's time is known, while no other is open.
pub(crate) const PAUSE: Duration = Duration::from_micros(100);
/// No change takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A change that the API server has taken.
pub(crate) struct Change {
    /// What is to be answered as soon as it gets through.
    pub(crate) expected: Expectation,
    /// When the API server's reply came.
    pub(crate) replied: Instant,
    /// What was changed, to be put back.
    pub(crate) slice: Slice,
}

/// Follows changes until no more come and all have come through, and returns the time of each. If it fails, their sender
/// notices.
pub(crate) fn follow(mut probe: Probe, changes: Receiver<Change>, slices: &Slices) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut open = VecDeque::new();
    while let Some(change) = next(&changes, &mut open) {
        if let Some(time) = look(&mut probe, &change)? {
            times.push(time);
            slices.put_back(change.slice);
        } else {
            open.push_back(change);
            // After every question: what it costs does not depend on how much is open.
            sleep(PAUSE);
        }
    }
    Ok(times)
}

/// The change whose turn it is; waits for one where nothing is open. None where nothing is and nothing comes any more.
fn next(changes: &Receiver<Change>, open: &mut VecDeque<Change>) -> Option<Change> {
    if open.is_empty() {
        open.extend(changes.recv());
    }
    open.extend(changes.try_iter());
    open.pop_front()
}

/// The time that a change has taken, if it has come through.
fn look(probe: &mut Probe, change: &Change) -> Result<Option<Duration>> {
    let Change { expected, replied, .. } = change;
    let reply = probe.ask(&expected.name)?;
    let time = replied.elapsed();
    ensure!(
        time < LIMIT,
        "not answered within {LIMIT:?}: {expected:?}, but {reply:?}"
    );
    let Some(reply) = reply else { return Ok(None) };
    if expected.is_met(&reply) {
        return Ok(Some(time));
    }
    ensure!(
        is_earlier(&reply, expected),
        "a wrong reply: {reply:?}, not {expected:?}"
    );
    Ok(None)
}

/// Whether a reply may be of a time before the change: all changes of a Service are of the same endpoint.
fn is_earlier(reply: &Reply, expected: &Expectation) -> bool {
    let stayed = reply.addresses.iter().filter(|it| expected.addresses.contains(it));
    reply.addresses.len() == expected.addresses.len() && stayed.count() + 1 == reply.addresses.len()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use domain::base::iana::Rcode;

    use super::*;

    #[test]
    fn a_reply_is_of_earlier_if_one_address_is_another() {
        let expected = Expectation {
            name: "a".to_owned(),
            addresses: [1, 2, 3].map(address).into(),
        };
        for (addresses, earlier) in [
            (&[1, 2, 4][..], true),
            (&[3, 9, 2], true),
            (&[1, 8, 9], false),
            (&[1, 2], false),
            (&[], false),
        ] {
            let addresses = addresses.iter().copied().map(address).collect();
            assert_eq!(is_earlier(&reply(addresses), &expected), earlier);
        }
    }

    fn address(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    fn reply(addresses: Vec<IpAddr>) -> Reply {
        Reply {
            id: 1,
            rcode: Rcode::NOERROR,
            authoritative: true,
            name: "a".to_owned(),
            addresses,
            ttl: None,
            edns: false,
        }
    }
}
