//! Domain names as the tables key them: wire form, lower case, root label included.

use std::fmt::{self, Write as _};

/// The longest name in wire form, in bytes (RFC 1035, 2.3.4).
pub const MAX_NAME_LEN: usize = 255;

/// A domain name in canonical form: uncompressed wire format, ASCII letters in lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Makes a name of presentation form, such as `web-service.default.svc.cluster.local`; a trailing dot is optional.
    ///
    /// Returns `None` where a label is empty or longer than 63 bytes, or the name longer than 255. Escapes are not
    /// understood: names of Kubernetes objects have none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.split('.').filter(|_| !text.is_empty()) {
            if label.is_empty() || label.len() > 63 {
                return None;
            }
            wire.push(label.len() as u8);
            wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        wire.push(0);
        (wire.len() <= MAX_NAME_LEN).then(|| Self(wire.into()))
    }

    /// The root's name.
    pub fn root() -> Self {
        Self([0].into())
    }

    /// Makes the name of these labels, such as `web-service.default.svc`, left of a zone's; no labels make the zone's name.
    pub fn of_labels(labels: &str, zone: &Self) -> Option<Self> {
        let Self(left) = Self::parse(labels)?;
        let wire = [&left[..left.len() - 1], &zone.0].concat();
        (wire.len() <= MAX_NAME_LEN).then(|| Self(wire.into()))
    }

    /// Makes a name of uncompressed wire form, whatever its letter case; the caller has checked its shape.
    pub fn from_wire(wire: &[u8]) -> Self {
        Self(wire.to_ascii_lowercase().into())
    }

    /// The name in wire form.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// Says whether the name is that of a zone or lies below it.
    pub fn is_within(&self, zone: &Self) -> bool {
        self.labels_below(zone).is_some()
    }

    /// The labels that stand left of a zone, from the left; `None` where the name is not in the zone.
    pub fn labels_below(&self, zone: &Self) -> Option<Vec<&[u8]>> {
        let left = self.0.strip_suffix(&*zone.0)?;
        let mut labels = Vec::with_capacity(8);
        let mut rest = left;
        while let Some((&len, tail)) = rest.split_first() {
            // In the middle of a label the zone's bytes are no zone.
            let (label, tail) = tail.split_at_checked(len.into())?;
            labels.push(label);
            rest = tail;
        }
        Some(labels)
    }

    /// The labels from the left, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        labels(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text(&self.0).fmt(f)
    }
}

/// Shows a name of uncompressed wire form as zone files have it (RFC 1035, 5.1), its letter case kept.
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for label in labels(self.0) {
            label.iter().try_for_each(|byte| write_byte(f, *byte))?;
            f.write_char('.')?;
        }
        if self.0.len() == 1 { f.write_str(".") } else { Ok(()) }
    }
}

/// The labels of a name of wire form from the left, without the root's.
fn labels(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&len, tail) = rest.split_first()?;
        let (label, tail) = tail.split_at_checked(len.into())?;
        rest = tail;
        (len > 0).then_some(label)
    })
}

/// Writes a byte of a label as zone files have it (RFC 1035, 5.1).
fn write_byte(f: &mut fmt::Formatter<'_>, byte: u8) -> fmt::Result {
    match byte {
        b'.' | b' ' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\' => write!(f, "\\{}", char::from(byte)),
        b'!'..=b'~' => f.write_char(char::from(byte)),
        _ => write!(f, "\\{byte:03}"),
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn is_within_its_zones_and_no_others() {
        for zone in [".", "local", "cluster.local", "svc.cluster.local"] {
            assert!(name("svc.Cluster.local").is_within(&name(zone)), "{zone}");
        }
        for zone in ["a.svc.cluster.local", "luster.local", "svc.cluster", "example.org"] {
            assert!(!name("svc.cluster.local").is_within(&name(zone)), "{zone}");
        }
        assert!(name(".").is_within(&name(".")));
        assert!(!name(".").is_within(&name("local")));
    }

    #[test]
    fn cuts_a_zone_off_at_a_label() {
        let zone = name("cluster.local");
        let below = |text: &str| name(text).labels_below(&zone).map(|labels| labels.concat());
        assert_eq!(below("web.default.svc.cluster.local"), Some(b"webdefaultsvc".to_vec()));
        assert_eq!(below("cluster.local"), Some(vec![]));
        for text in ["local", "mycluster.local", "cluster.local.example"] {
            assert_eq!(below(text), None, "{text}");
        }
    }

    #[test]
    fn reads_and_shows_names() {
        assert_eq!(name("Web.default.").as_wire(), b"\x03web\x07default\0");
        assert_eq!(name("Web.default.").to_string(), "web.default.");
        assert_eq!(name(".").to_string(), ".");
        let (long, too_long) = ("a".repeat(63), "a".repeat(64));
        assert!(Name::parse(&long).is_some());
        for text in ["a..b", ".a", too_long.as_str(), &[long.as_str(); 4].join(".")] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
