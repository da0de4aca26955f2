//! Addresses: cluster IPs that no other Service holds at the time, and endpoint addresses that many share.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::dice::Dice;

/// Endpoint addresses come from a pool of this many, so that several Services meet at one.
const POOL: usize = 40;

/// Gives out cluster IPs.
#[derive(Default)]
pub(crate) struct Addresses {
    given: u16,
    freed: Vec<[String; 2]>,
}

impl Addresses {
    /// An IPv4 and an IPv6 cluster IP: new ones, or sometimes those of a Service that a former change deleted.
    pub(crate) fn take(&mut self, dice: &mut Dice) -> [String; 2] {
        if !self.freed.is_empty() && dice.percent(30) {
            return self.freed.swap_remove(dice.below(self.freed.len()));
        }
        self.given += 1;
        let [high, low] = self.given.to_be_bytes();
        let ipv6 = Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0x1000 + self.given);
        [Ipv4Addr::new(10, 100, high, low).to_string(), ipv6.to_string()]
    }

    /// Gives back the addresses of deleted Services, for the changes that come.
    pub(crate) fn give_back(&mut self, pair: [String; 2]) {
        self.freed.push(pair);
    }

    /// A cluster IP that was given out, of either family.
    pub(crate) fn recall(&self, dice: &mut Dice, ipv6: bool) -> String {
        let number = dice.between(1, usize::from(self.given.max(1))) as u16;
        let [high, low] = number.to_be_bytes();
        if ipv6 {
            return Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0x1000 + number).to_string();
        }
        Ipv4Addr::new(10, 100, high, low).to_string()
    }
}

/// An endpoint's IPv4 address.
pub(crate) fn ipv4(dice: &mut Dice) -> String {
    Ipv4Addr::new(10, 244, 0, dice.between(1, POOL) as u8).to_string()
}

/// An endpoint's IPv6 address, in every shape that the text form has.
pub(crate) fn ipv6(dice: &mut Dice) -> String {
    let low = dice.between(1, POOL / 2) as u16;
    let address = match dice.below(5) {
        0 => Ipv6Addr::new(0xfd00, low, 0, 0, 0, 0, 0, 0),
        1 => Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, low),
        2 => Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, low),
        _ => Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, low),
    };
    address.to_string()
}
