//! OPT records (RFC 6891, 6.1.2) as they should be, and as they should not.

use super::random::Random;

/// Options that have a form of their own: NSID, DAU, ECS, EXPIRE, COOKIE, TCP-KEEPALIVE, PADDING and others.
const CODES: [u16; 14] = [0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 26946, 65535];

/// An OPT record of the root.
pub fn opt(random: &mut Random) -> Vec<u8> {
    opt_at(&[0], random)
}

/// An OPT record of this owner.
pub fn opt_at(owner: &[u8], random: &mut Random) -> Vec<u8> {
    let any = random.word();
    let size = random.pick([0, 100, 511, 512, 513, 1231, 1232, 4096, 65535, any]);
    let extended_rcode = if random.once_in(4) { random.byte() } else { 0 };
    let version = if random.once_in(6) { random.pick([1, 2, 255]) } else { 0 };
    let flags = match random.below(4) {
        0 => random.word(),
        1 => 0x8000,
        _ => 0,
    };
    let data = if random.once_in(2) { Vec::new() } else { options(random) };
    let length = if random.once_in(12) {
        wrong_length(data.len(), random)
    } else {
        data.len()
    };
    let mut record = owner.to_vec();
    record.extend([0, 41]);
    record.extend(size.to_be_bytes());
    record.extend([extended_rcode, version]);
    record.extend(flags.to_be_bytes());
    record.extend((length as u16).to_be_bytes());
    record.extend(data);
    record
}

fn wrong_length(length: usize, random: &mut Random) -> usize {
    let nearby = [length.saturating_sub(1), length + 1, length + 4, 0, 65535];
    random.pick(nearby)
}

fn options(random: &mut Random) -> Vec<u8> {
    let mut data = Vec::new();
    for _ in 0..random.below(4) {
        data.extend(option(random));
    }
    if random.once_in(10) {
        let surplus = random.below(5);
        data.extend(random.bytes(surplus));
    }
    data
}

fn option(random: &mut Random) -> Vec<u8> {
    let code = if random.once_in(5) {
        random.word()
    } else {
        random.pick(CODES)
    };
    let body = body(code, random);
    let length = if random.once_in(15) {
        wrong_length(body.len(), random)
    } else {
        body.len()
    };
    [&code.to_be_bytes()[..], &(length as u16).to_be_bytes(), &body].concat()
}

/// An option's data: half of the time of the form that its code asks for.
fn body(code: u16, random: &mut Random) -> Vec<u8> {
    let any = random.below(41);
    let formed = match code {
        8 => return client_subnet(random),
        9 => random.pick([0, 4]),
        10 => random.pick([8, 16, 40]),
        11 => random.pick([0, 2]),
        15 => 2 + any,
        _ => any,
    };
    let length = if random.once_in(2) { formed } else { any };
    random.bytes(length)
}

/// A client subnet (RFC 7871, 6), its family, lengths and address not always in keeping.
fn client_subnet(random: &mut Random) -> Vec<u8> {
    let family = random.pick([0, 1, 1, 2, 2, 3]);
    let source = random.pick([0, 8, 24, 32, 33, 56, 128, 129]);
    let scope = random.pick([0, 0, 0, 24, 200]);
    let address = match random.below(3) {
        0 => random.below(18),
        _ => usize::from(source).div_ceil(8),
    };
    let mut data = vec![0, family, source, scope];
    data.extend(random.bytes(address));
    data
}
