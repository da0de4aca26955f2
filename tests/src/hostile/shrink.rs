//! Making a message that shows something as small and as empty as it can be while it still shows it.

use anyhow::Result;

/// How often the question may be asked.
const MAX_TRIES: usize = 400;

/// An ID is left alone: replies are told apart by it.
const ID_LEN: usize = 2;

/// Removes and zeroes bytes of a message as long as it `shows` what it showed.
pub fn shrink(message: &[u8], mut shows: impl FnMut(&[u8]) -> Result<bool>) -> Result<Vec<u8>> {
    let mut best = message.to_vec();
    let mut tries = 0;
    let mut attempt = |candidate: Vec<u8>, best: &mut Vec<u8>| -> Result<bool> {
        tries += 1;
        let better = tries <= MAX_TRIES && shows(&candidate)?;
        if better {
            *best = candidate;
        }
        Ok(better)
    };
    let mut size = best.len() / 2;
    while size > 0 {
        let mut at = ID_LEN;
        while at + size <= best.len() {
            let without = [&best[..at], &best[at + size..]].concat();
            if !attempt(without, &mut best)? {
                at += size;
            }
        }
        size /= 2;
    }
    for at in ID_LEN..best.len() {
        if best[at] != 0 {
            let mut zeroed = best.clone();
            zeroed[at] = 0;
            attempt(zeroed, &mut best)?;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_left() {
        let message = b"\0\x01some text, a NEEDLE, and more of it";
        let shows = |bytes: &[u8]| Ok(bytes.windows(6).any(|window| window == b"NEEDLE"));
        assert_eq!(shrink(message, shows).unwrap(), b"\0\x01NEEDLE");
    }

    #[test]
    fn what_need_not_be_anything_is_zero() {
        let shows = |bytes: &[u8]| Ok(bytes.len() == 6 && bytes[4] == b'x');
        assert_eq!(shrink(b"\0\x01abxd", shows).unwrap(), b"\0\x01\0\0x\0");
    }

    #[test]
    fn a_stubborn_message_is_given_up() {
        let mut asked = 0;
        let shows = |_: &[u8]| {
            asked += 1;
            Ok(false)
        };
        assert_eq!(shrink(&[1; 600], shows).unwrap(), [1; 600]);
        assert_eq!(asked, MAX_TRIES);
    }
}
