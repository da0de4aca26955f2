//! Names in presentation form.

use dns_userspace::name::{MAX_NAME_LEN, Name};

/// A name that is read writes back, is no longer than a name may be, and lies within each of its ends and itself.
pub fn name(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Some(name) = Name::parse(text) else {
        return;
    };
    let wire = name.as_wire();
    assert!(wire.len() <= MAX_NAME_LEN && wire.ends_with(&[0]), "{name}");
    assert_eq!(Name::from_wire(wire), name);
    assert!(name.is_within(&name));
    let labels: Vec<u8> = name
        .labels()
        .flat_map(|label| [&[label.len() as u8], label].concat())
        .collect();
    assert_eq!([&labels[..], &[0]].concat(), wire, "its labels are its wire form");
    check_ends(&name);
    check_text(text, &name);
}

fn check_ends(name: &Name) {
    let mut rest = name.as_wire();
    while let Some((&length, tail)) = rest.split_first().filter(|(length, _)| **length > 0) {
        rest = &tail[usize::from(length)..];
        let end = Name::from_wire(rest);
        assert!(name.is_within(&end) && !end.is_within(name), "{name} and {end}");
    }
}

/// Letter case aside, text without escapes comes back as it was.
fn check_text(text: &str, name: &Name) {
    if text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        let text = text.strip_suffix('.').unwrap_or(text);
        assert_eq!(format!("{}.", text.to_ascii_lowercase()), name.to_string());
        assert_eq!(Name::parse(&name.to_string()).as_ref(), Some(name));
    }
}
