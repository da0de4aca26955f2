//! What an upstream says to a name, by the words of its first label, which stand between dashes: `alias-seven-aa` is an
//! alias whose records have a TTL of 7, with the AA bit. A word that ends with an upstream's number is heard by that one
//! alone: `nx1` does not exist at the first upstream. Other words mean nothing.

use std::net::Ipv4Addr;

use domain::base::iana::Rcode;
use domain::base::{Name, Ttl};

/// An upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// It shows in the addresses that it answers.
    pub(crate) number: u8,
    pub(crate) address: Ipv4Addr,
}

/// The one that most names are asked of.
pub(crate) const FIRST: Place = Place {
    number: 1,
    address: Ipv4Addr::new(10, 0, 2, 2),
};

/// The one of stub domains.
pub(crate) const SECOND: Place = Place {
    number: 2,
    address: Ipv4Addr::new(10, 0, 2, 3),
};

/// Words that keep a server waiting for seconds: nothing is sent, or what is no message.
pub(crate) const WAITING: [&str; 2] = ["silent", "garbage"];

/// The word of what is late.
pub(crate) const LATE: &str = "slow";

/// All other words.
pub(crate) const WORDS: [&str; 52] = [
    // Rcodes. `badcookie` needs an OPT record to be told.
    "nx",
    "nx1",
    "servfail",
    "servfail1",
    "servfail2",
    "refused",
    "refused1",
    "notimp",
    "formerr",
    "badcookie",
    // The answer: none, five addresses, more than fit, one alias, three, aliases alone, another name's records, one
    // family, name servers beside it.
    "nodata",
    "nodata1",
    "many",
    "big",
    "alias",
    "alias",
    "chain",
    "loose",
    "stranger",
    "v4",
    "v6",
    "glue",
    // The authority: without the SOA record that tells how long something is not, or one that says 7 s.
    "bare",
    "minimum",
    // TTLs, and those of an answer that are not all the same.
    "zero",
    "one",
    "seven",
    "seven",
    "long",
    "mixed",
    // Header bits beside RA, and without it.
    "aa",
    "aa",
    "ad",
    "ad",
    "nora",
    "z",
    // The OPT record: with options and an odd size, asked for or not, and none though it was asked for.
    "options",
    "unasked",
    "noopt",
    // On the way: late, cut over UDP, cut with the first records, after one with another ID, to another question, to one
    // in capitals, to none, not a reply, an incomplete one, one with bytes behind it.
    LATE,
    "cut",
    "cut",
    "part",
    "wrongid",
    "wrongname",
    "capitals",
    "noquestion",
    "query",
    "short",
    "tail",
    // Told in TXT records: what the query was like.
    "echo",
    "www",
];

/// The TTL of what nothing else is said of, in seconds.
const TTL: u32 = 300;

/// The words of a name for an upstream.
pub(crate) struct Script {
    /// The first label, in lower case.
    pub(crate) label: String,
    pub(crate) place: Place,
    words: Vec<String>,
    /// Whether it is the name of an address.
    is_reverse: bool,
}

impl Script {
    pub(crate) fn of(name: &Name<Vec<u8>>, place: Place) -> Script {
        let label = name.first().to_string().to_ascii_lowercase();
        let heard = |word: &str| match word.strip_suffix(['1', '2']) {
            Some(rest) if word.ends_with(&place.number.to_string()) => rest.to_owned(),
            Some(_) => String::new(),
            None => word.to_owned(),
        };
        Script {
            place,
            words: label.split('-').map(heard).collect(),
            is_reverse: name.to_string().to_ascii_lowercase().ends_with("arpa"),
            label,
        }
    }

    pub(crate) fn says(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }

    /// Whether one of the words is said.
    pub(crate) fn says_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.says(word))
    }

    /// Whether it is an address's name that exists: only those that end with 1 do.
    pub(crate) fn is_known_address(&self) -> bool {
        self.is_reverse && self.label == "1"
    }

    pub(crate) fn rcode(&self) -> Rcode {
        let rcodes = [
            ("servfail", Rcode::SERVFAIL),
            ("refused", Rcode::REFUSED),
            ("notimp", Rcode::NOTIMP),
            ("formerr", Rcode::FORMERR),
            ("nx", Rcode::NXDOMAIN),
        ];
        let said = rcodes.iter().find(|(word, _)| self.says(word));
        match said {
            Some((_, rcode)) => *rcode,
            None if self.is_reverse && !self.is_known_address() => Rcode::NXDOMAIN,
            None => Rcode::NOERROR,
        }
    }

    /// The TTL of a message's record, by its number from 0.
    pub(crate) fn ttl(&self, number: u32) -> Ttl {
        let said = [("zero", 0), ("one", 1), ("seven", 7), ("long", 100_000)];
        let base = said
            .iter()
            .find(|(word, _)| self.says(word))
            .map_or(TTL, |(_, ttl)| *ttl);
        let more = if self.says("mixed") { 10 * number } else { 0 };
        Ttl::from_secs(base + more)
    }

    /// How long it says that something is not.
    pub(crate) fn minimum(&self) -> Ttl {
        Ttl::from_secs(if self.says("minimum") { 7 } else { TTL })
    }

    /// How many addresses a name has.
    pub(crate) fn number(&self) -> u8 {
        if self.says("big") {
            90
        } else if self.says("many") {
            5
        } else {
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_upstream_mean_nothing_to_the_other() {
        let name = Name::vec_from_str("NX1-seven.example.com").unwrap();
        let [first, second] = [FIRST, SECOND].map(|place| Script::of(&name, place));
        assert_eq!([first.rcode(), second.rcode()], [Rcode::NXDOMAIN, Rcode::NOERROR]);
        assert_eq!([first.ttl(0), second.ttl(1)], [Ttl::from_secs(7); 2]);
    }
}
