//! Random frames, through the core in plain memory and a sample of them through the programs in the kernel.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use dns_ebpf::outcome::Outcome;
use dns_userspace::name::Name;
use kxdns_tests::figures::tell;
use kxdns_tests::frames::{Family, Query, frame, is_left_to_device, open_reply};
use kxdns_tests::program::{Hook, Programs};
use kxdns_tests::tables::{HostTables, addresses, cluster_local};

/// The first two are the same in another spelling, and the last is not in the tables.
const NAMES: [&str; 5] = [
    "web-service.default.svc.cluster.local",
    "wEB-SERVICE.DEFAULT.svc.Cluster.LOCAL",
    "six.default.svc.cluster.local",
    "dual.default.svc.cluster.local",
    "nobody.default.svc.cluster.local",
];

/// The programs and the core over the same names.
fn tables() -> (Programs, HostTables) {
    let mut programs = Programs::load().unwrap();
    programs.tables.set_zones(&cluster_local()).unwrap();
    let mut memory = HostTables::new(cluster_local());
    let (ipv4, ipv6) = (Some([10, 107, 37, 188]), Some([0xfd; 16]));
    for (name, ipv4, ipv6) in [(NAMES[0], ipv4, None), (NAMES[2], None, ipv6), (NAMES[3], ipv4, ipv6)] {
        let name = Name::parse(name).unwrap();
        programs.set(&name, addresses(&name, ipv4, ipv6)).unwrap();
        memory.set(&name, addresses(&name, ipv4, ipv6));
    }
    (programs, memory)
}

/// Mutates queries at random, a million times, from a fixed seed: nothing panics, what is answered is a reply to this
/// very question, and what passes is as it was. A sample of them goes through the programs, with the same result.
#[test]
fn random_frames_are_answered_rightly_or_pass_untouched() {
    let (programs, memory) = tables();
    let mut random = Random(0x6b78_646e_7300_0001);
    let (mut answered, mut passed) = (0, 0);
    for round in 0..1_000_000 {
        let frame = random.frame();
        let (outcome, after) = memory.answer(&frame, 64, 64);
        match outcome {
            Outcome::Answered(..) => {
                answered += 1;
                // By chance a changed frame may look like one whose checksum is left to its device, and so does its reply.
                if !is_left_to_device(&after) {
                    let message = open_reply(&frame, &after);
                    assert_eq!(message[2] & 0x80, 0x80, "a reply to {frame:02x?}");
                }
            }
            Outcome::Pass(_) => {
                passed += 1;
                assert_eq!(after, frame);
            }
        }
        if round % 100 == 0 && frame.len() >= 54 {
            for hook in Hook::ALL {
                let visit = programs.run(hook, &frame).unwrap();
                assert_eq!(
                    visit.answered,
                    matches!(outcome, Outcome::Answered(..)),
                    "{hook:?} {frame:02x?}"
                );
                assert_eq!(visit.frame, after, "{hook:?} {frame:02x?}");
            }
        }
    }
    tell(&format!("random frames: {answered} answered, {passed} passed")).unwrap();
    assert!(
        answered > 10_000 && passed > 10_000,
        "{answered} answered, {passed} passed"
    );
}

/// A small deterministic generator (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    /// A query as it should be, or with up to three bytes changed, or cut, or lengthened.
    fn frame(&mut self) -> Vec<u8> {
        let name = NAMES[self.next(NAMES.len())];
        let mut query = Query::new(name, [1, 28, 33, 255][self.next(4)]);
        if self.next(2) == 0 {
            query = query.with_opt(1232, 0, &[]);
        }
        let vlans = [&[][..], &[], &[], &[0x8100], &[0x88a8, 0x8100]][self.next(5)];
        let mut frame = frame(Family::ALL[self.next(2)], vlans, &query.message());
        for _ in 0..self.next(4) {
            let at = self.next(frame.len());
            frame[at] = self.next(256) as u8;
        }
        match self.next(8) {
            0 => frame.truncate(self.next(frame.len())),
            1 => frame.extend(vec![0; self.next(16)]),
            _ => {}
        }
        frame
    }
}
