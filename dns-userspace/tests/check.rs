//! `kxdns check` as whoever writes a Corefile runs it: what it prints where, and how it ends.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

const KUBEADM: &str = "\
.:53 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
    forward . 10.0.0.2 {
        max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
";

#[test]
fn tells_what_the_kernel_answers() -> Result<()> {
    let (status, told, errors) = check("kubeadm", KUBEADM, &[])?;
    assert_eq!((status, errors.as_str()), (0, ""));
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some("kubeadm: no errors"));
    let fallen = "only what exists, since `kubernetes` lets what does not exist fall through";
    for (zone, expected) in [
        ("cluster.local", "everything"),
        ("in-addr.arpa", fallen),
        ("ip6.arpa", fallen),
    ] {
        assert_eq!(
            lines.next(),
            Some(format!("the kernel answers from {zone}.: {expected}").as_str())
        );
    }
    assert_eq!(lines.next(), None);
    Ok(())
}

#[test]
fn what_kxdns_does_not_support_is_coredns_to_serve() -> Result<()> {
    let corefile = KUBEADM.replace("    loop\n", "    dnssec\n");
    let (status, _, errors) = check("dnssec", &corefile, &[])?;
    assert_eq!(status, 1);
    assert!(
        errors.starts_with("dnssec:17:5: `dnssec` is not supported by kxdns; "),
        "{errors}"
    );
    let (status, told, errors) = check("dnssec", &corefile, &["--kernel-only"])?;
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(
        told.contains("cluster.local.: nothing, since `dnssec` at dnssec:17:5 signs answers"),
        "{told}"
    );
    Ok(())
}

#[test]
fn tells_all_errors_and_fails() -> Result<()> {
    let (status, told, errors) = check("wrong", ".:53 {\n    kuberntes cluster.local\n    loop twice\n}\n", &[])?;
    assert_eq!((status, told.as_str()), (1, ""));
    let errors: Vec<_> = errors.lines().collect();
    assert!(
        matches!(errors[..], [first, second] if first.starts_with("wrong:2:5: unknown directive `kuberntes`; did you")
            && second.starts_with("wrong:3:5: `loop` takes ")),
        "{errors:?}"
    );
    Ok(())
}

#[test]
fn tells_what_the_agent_cannot_do() -> Result<()> {
    let (status, _, errors) = check("no-kubernetes", ".:53 {\n    forward . 10.0.0.2\n}\n", &[])?;
    assert_eq!(status, 1);
    assert!(
        errors.starts_with("no-kubernetes: no `kubernetes`; add one"),
        "{errors}"
    );
    Ok(())
}

#[test]
fn explains_who_would_answer() -> Result<()> {
    let (status, told, errors) = check("explained", KUBEADM, &["--explain", "Web.default.svc.cluster.local"])?;
    assert_eq!((status, errors.as_str()), (0, ""));
    assert_eq!(
        told,
        "web.default.svc.cluster.local. A\n  \
         at port 53: the server block of . at explained:1:1\n    \
         `kubernetes` at explained:7:5 answers from cluster.local.\n  \
         the kernel answers from cluster.local.: everything\n"
    );
    Ok(())
}

#[test]
fn refuses_what_is_no_question() -> Result<()> {
    for (question, expected) in [
        (&["a..b"][..], "--explain: `a..b` is no domain name; give one such as "),
        (
            &["a.b", "WEB"],
            "--explain: `WEB` is no type of records; give one such as ",
        ),
    ] {
        let arguments = [&["--explain"], question].concat();
        let (status, told, errors) = check("no-question", KUBEADM, &arguments)?;
        assert_eq!((status, told.as_str()), (1, ""));
        assert!(errors.starts_with(expected), "{errors}");
    }
    Ok(())
}

/// Runs it on a file of this name with this content: its exit status, and what it writes to standard output and error.
fn check(file: &str, corefile: &str, arguments: &[&str]) -> Result<(i32, String, String)> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::write(folder.join(file), corefile)?;
    let output = Command::new(env!("CARGO_BIN_EXE_kxdns"))
        .args(["check", "--corefile", file])
        .args(arguments)
        .current_dir(folder)
        .output()?;
    let status = output.status.code().context("it was ended")?;
    Ok((
        status,
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    ))
}
