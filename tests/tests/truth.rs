//! What pods are told while the objects change is true at the time, through every hook: a bounded part of
//! `cargo xtask truth`.

use std::process::Command;

use anyhow::Result;
use dns_userspace::kernel::hook::Hook;

#[test]
fn every_reply_is_true_while_services_come_and_go() -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_truth"))
        .args(["--seconds", "10"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    for hook in Hook::ALL {
        assert!(text.contains(&format!("{hook}, 2.5 s: ")), "{text}");
    }
    Ok(())
}
