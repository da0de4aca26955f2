//! Which links to attach to: the pods' by default, else those that the patterns of `--interface` name.

use globset::{Glob, GlobMatcher};

use super::link::Link;

/// The links to attach to.
#[derive(Clone, Debug)]
pub struct Selection {
    patterns: Vec<GlobMatcher>,
}

impl Selection {
    /// Selects the host's side of every pod's link.
    pub fn pod_links() -> Self {
        Self { patterns: Vec::new() }
    }

    /// Selects the links whose name one of the `patterns` matches; no pattern at all selects the pods' links.
    ///
    /// # Errors
    ///
    /// Fails on a malformed pattern; the error names it.
    pub fn from_patterns<S: AsRef<str>>(patterns: &[S]) -> Result<Self, globset::Error> {
        let compile = |pattern: &S| Ok(Glob::new(pattern.as_ref())?.compile_matcher());
        Ok(Self {
            patterns: patterns.iter().map(compile).collect::<Result<_, _>>()?,
        })
    }

    /// Tells whether to attach to this link.
    pub fn includes(&self, link: &Link) -> bool {
        match self.patterns.as_slice() {
            [] => link.is_pod_link(),
            patterns => patterns.iter().any(|pattern| pattern.is_match(&link.name)),
        }
    }

    /// Returns the patterns that match none of these links, as they were given.
    pub fn unmatched<'a>(&'a self, links: &'a [Link]) -> impl Iterator<Item = &'a str> {
        let matches_none = |pattern: &&GlobMatcher| !links.iter().any(|link| pattern.is_match(&link.name));
        self.patterns
            .iter()
            .filter(matches_none)
            .map(|pattern| pattern.glob().glob())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::hook::LinkKind;

    fn link(name: &str, kind: LinkKind, crosses_namespaces: bool) -> Link {
        Link {
            index: 1,
            name: name.into(),
            kind,
            ethernet: true,
            crosses_namespaces,
            xdp_program: None,
        }
    }

    fn node() -> Vec<Link> {
        vec![
            link("lo", LinkKind::Virtual, false),
            link("eth0", LinkKind::Physical, false),
            link("cni0", LinkKind::Bridge, false),
            link("veth1a2b", LinkKind::Veth, true),
            link("cali77", LinkKind::Veth, true),
            link("vethlocal", LinkKind::Veth, false),
            link("lxc_health", LinkKind::Netkit, true),
            link("vlan7", LinkKind::Virtual, true),
        ]
    }

    #[test]
    fn selects_by_pattern_or_else_the_links_of_pods() {
        for (patterns, expected) in [
            (&[][..], &["veth1a2b", "cali77", "lxc_health"][..]),
            (&["eth0"], &["eth0"]),
            (&["veth*"], &["veth1a2b", "vethlocal"]),
            (&["veth*", "cali*"], &["veth1a2b", "cali77", "vethlocal"]),
            (&["e*", "eth0", "nosuch"], &["eth0"]),
            (&["{lo,cni0}"], &["lo", "cni0"]),
            (&["nosuch"], &[]),
        ] {
            let selection = Selection::from_patterns(patterns).unwrap();
            let node = node();
            let selected: Vec<_> = node
                .iter()
                .filter(|link| selection.includes(link))
                .map(|link| link.name.as_str())
                .collect();
            assert_eq!(selected, expected, "{patterns:?}");
        }
    }

    #[test]
    fn names_the_patterns_that_match_no_link() {
        let selection = Selection::from_patterns(&["eth0", "eth7", "ens*", "veth*"]).unwrap();
        assert_eq!(selection.unmatched(&node()).collect::<Vec<_>>(), ["eth7", "ens*"]);
        assert_eq!(Selection::pod_links().unmatched(&[]).count(), 0);
    }

    #[test]
    fn refuses_a_malformed_pattern_by_name() {
        let error = Selection::from_patterns(&["eth0", "veth[0"]).unwrap_err();
        assert!(error.to_string().contains("veth[0"), "{error}");
    }
}
