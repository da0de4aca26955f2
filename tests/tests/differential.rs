//! kxdns and a running CoreDNS, asked the same about random clusters: a bounded part of `cargo xtask differential`.

use std::process::Command;

use anyhow::Result;

#[test]
fn kxdns_answers_random_questions_as_coredns_does() -> Result<()> {
    // Each seed has its Corefile: these are kubeadm, classic and verified.
    let arguments = ["--seed", "10", "--clusters", "3", "--questions", "24000"];
    let output = Command::new(env!("CARGO_BIN_EXE_differential"))
        .args(arguments)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("24000 questions ("), "{text}");
    Ok(())
}
