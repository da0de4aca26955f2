//! Numbers, and codes that have names.

use std::ops::RangeBounds;
use std::str::FromStr;

use domain::base::iana::Rcode;

use super::error::Error;
use super::lexer::Word;

/// Reads a whole number within a range; `expected` says what it is, as in `a TTL in seconds, from 1`.
pub(super) fn read_number<N: FromStr + PartialOrd>(
    word: &Word,
    range: impl RangeBounds<N>,
    expected: &str,
) -> Result<N, Error> {
    let number = word.text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| word.unexpected(expected))
}

/// Reads the name of a response code, such as `NXDOMAIN`, in any letter case.
pub(super) fn read_rcode(word: &Word) -> Result<Rcode, Error> {
    // The codes that fit into a header.
    let mut codes = (0..16).map(Rcode::masked_from_int);
    let known = codes.find(|code| code.to_string().eq_ignore_ascii_case(&word.text));
    known.ok_or_else(|| word.unexpected("a response code such as `NXDOMAIN` or `SERVFAIL`"))
}
