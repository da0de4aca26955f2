//! kxdns and a running CoreDNS, asked the same about random clusters: a bounded part of `cargo xtask differential`.

use std::process::Command;

use anyhow::Result;
use dns_userspace::kernel::hook::Hook;

#[test]
fn kxdns_answers_random_questions_as_coredns_does() -> Result<()> {
    // Each seed has its Corefile: these are kubeadm, classic and verified.
    let text = compare("--seed 10 --clusters 3 --questions 24000")?;
    assert!(text.contains("24000 questions ("), "{text}");
    Ok(())
}

#[test]
fn kxdns_answers_random_questions_through_every_hook_as_coredns_does() -> Result<()> {
    // Each seed has its hook, too. The Corefiles are ignore, noendpoints, zonal and multicluster.
    let text = compare("--seed 4 --clusters 4 --questions 20000 --hook all")?;
    assert!(text.contains("20000 questions ("), "{text}");
    for hook in Hook::ALL {
        assert!(text.contains(&format!("kxdns through {hook}:")), "{text}");
    }
    Ok(())
}

/// Returns what the comparison says, which fails if there were differences.
fn compare(arguments: &str) -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_differential"))
        .args(arguments.split(' '))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    Ok(text)
}
