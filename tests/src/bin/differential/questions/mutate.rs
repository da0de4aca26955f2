//! Names that are almost one that exists.

use crate::dice::Dice;
use crate::generate::words;
use kxdns_tests::question::Name;

/// Labels that mean something in some place.
const LABELS: [&str; 16] = [
    "*",
    "any",
    "_",
    "_tcp",
    "_udp",
    "tcp",
    "_http",
    "http",
    "svc",
    "pod",
    "ns",
    "dns",
    "endpoint",
    "x",
    "10-244-0-8",
    "_zone",
];
/// Bytes that a label seldom holds.
const BYTES: [u8; 6] = [b'.', b' ', 0, 0xff, b'\\', b'_'];

/// Makes another name of one: a label more, less or changed.
pub(crate) fn near_miss(dice: &mut Dice, name: &mut Name) {
    let labels = &mut name.0;
    let place = dice.below(labels.len().min(5));
    match dice.weighted(&[30, 10, 15, 10, 10, 10, 3, 12]) {
        0 => labels.insert(0, dice.word(&LABELS).into_bytes()),
        1 => labels.insert(place, dice.word(&LABELS).into_bytes()),
        2 if !labels.is_empty() => drop(labels.remove(0)),
        3 if !labels.is_empty() => drop(labels.remove(place)),
        4 if !labels.is_empty() => labels[place] = dice.word(&LABELS).into_bytes(),
        5 if !labels.is_empty() => labels[place] = dice.word(&words::NAMESPACES).into_bytes(),
        6 if !labels.is_empty() => labels[place].push(dice.pick(&BYTES)),
        7 if !labels.is_empty() => change_letter(dice, &mut labels[place]),
        _ => {}
    }
}

fn change_letter(dice: &mut Dice, label: &mut Vec<u8>) {
    let place = dice.below(label.len());
    match dice.below(3) {
        0 => drop(label.pop()),
        1 => label.push(b'a' + dice.below(26) as u8),
        _ => label[place] = b'a' + dice.below(26) as u8,
    }
}

/// Spells a name as a resolver that hides bits in the letter case does, or all in capitals.
pub(crate) fn letter_case(dice: &mut Dice, name: &mut Name) {
    let all = dice.percent(20);
    for byte in name.0.iter_mut().flatten() {
        if all || dice.percent(50) {
            byte.make_ascii_uppercase();
        }
    }
}
