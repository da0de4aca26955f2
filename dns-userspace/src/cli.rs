//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::kernel::hook::AttachMode;

/// Answers a Kubernetes cluster's DNS inside the Linux kernel.
#[derive(Debug, Parser)]
#[command(
    name = "kxdns",
    version,
    max_term_width = 110,
    after_help = "`kxdns run --help` and `kxdns check --help` have options and examples."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent on this node
    ///
    /// It follows the cluster's Services, answers for them in the kernel on the links of the pods, serves what the kernel
    /// passes and forwards what is not the cluster's.
    Run(Box<Run>),

    /// Check a Corefile, without running anything
    ///
    /// It names everything that is wrong with the file. Of one that is right it tells what the kernel answers of the
    /// cluster's zones, and why no more.
    Check(Check),
}

/// Where CoreDNS has its Corefile in a cluster.
const COREFILE: &str = "/etc/coredns/Corefile";

/// The options of `kxdns run`.
#[derive(Args, Clone, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub struct Run {
    /// The Corefile: zones, TTL, upstreams, addresses
    #[arg(long, value_name = "PATH", default_value = COREFILE)]
    pub corefile: PathBuf,

    /// YAML or JSON files and folders to take the objects from, instead of an API server; followed as they change
    #[arg(long, value_name = "PATH", conflicts_with = "kubeconfig", num_args = 1..)]
    pub manifests: Vec<PathBuf>,

    /// The kubeconfig of the API server [default: what the Corefile's `kubernetes` block says by `endpoint` or
    /// `kubeconfig`, else the pod's own ServiceAccount]
    #[arg(long, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,

    /// Attach to the links whose names match, such as `eth*` [default: the host side of every pod link]
    #[arg(long = "interface", value_name = "GLOB", num_args = 1..)]
    pub interfaces: Vec<String>,

    /// How to attach; `auto` chooses for each link, `none` leaves the kernel alone
    #[arg(long, value_name = "HOOK", default_value = "auto")]
    pub attach: AttachMode,

    /// Answer at port 53 of these addresses too, besides the cluster IPs of the Service kube-system/kube-dns
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub served: Vec<IpAddr>,

    /// How long the kernel may go on answering when the agent has stopped renewing its promise
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_lease)]
    pub lease: Duration,

    /// Open no DNS socket: what the kernel passes goes to the cluster's DNS as ever
    #[arg(long)]
    pub kernel_only: bool,

    /// Where the BPF file system is mounted; the maps are pinned in its folder `kxdns`
    #[arg(long, value_name = "PATH", default_value = "/sys/fs/bpf")]
    pub bpffs: PathBuf,

    /// Log each packet's outcome from the kernel; without it the programs have no code for that
    #[arg(long)]
    pub trace: bool,

    /// Log more: -v for debug, -vv for everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The options of `kxdns check`.
#[derive(Args, Clone, Debug)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct Check {
    /// The Corefile
    #[arg(long, value_name = "PATH", default_value = COREFILE)]
    pub corefile: PathBuf,

    /// Check the file for `kxdns run --kernel-only`: what kxdns does not support is CoreDNS's to serve
    #[arg(long)]
    pub kernel_only: bool,

    /// Tell who would answer this question, for A records unless it says otherwise: server block, directives in their
    /// order, and the kernel
    #[arg(long, value_names = ["NAME", "TYPE"], num_args = 1..=2)]
    pub explain: Vec<String>,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  kxdns check --corefile ./Corefile
  kxdns check --corefile ./Corefile --kernel-only
  kxdns check --corefile ./Corefile --explain web.default.svc.cluster.local
  kxdns check --corefile ./Corefile --explain example.com AAAA

Exit status: 0 when `kxdns run` takes the file, 1 when it does not,
2 when the command line makes no sense.";

const RUN_EXAMPLES: &str = "\
Examples:
  kxdns run --kernel-only
      beside the cluster's CoreDNS, with the Corefile of CoreDNS
  kxdns run
      instead of CoreDNS: the agent serves the Corefile's addresses itself
  kxdns run --corefile ./Corefile --manifests ./objects --served 10.96.0.10
      with no cluster at all

SIGTERM or Ctrl-C ends it, after the `lameduck` of the Corefile's `health`: it
detaches from every link and unpins its maps. SIGUSR1 reads the Corefile again,
as its `reload` does whenever the file changes.
Exit status: 0 when it was told to stop, 1 when it cannot start or go on,
2 when the command line makes no sense.";

/// Reads a lease; the agent renews it every second, so one that is hardly longer would end between two renewals.
fn parse_lease(text: &str) -> Result<Duration, String> {
    let lease = humantime::parse_duration(text).map_err(|error| format!("{error}; give one such as `30s` or `5m`"))?;
    match lease >= MIN_LEASE {
        true => Ok(lease),
        false => Err(format!("shorter than {MIN_LEASE:?}; it is renewed every second")),
    }
}

const MIN_LEASE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Run, clap::Error> {
        match Arguments::try_parse_from(line.split(' '))?.command {
            Command::Run(run) => Ok(*run),
            Command::Check(_) => panic!("{line}"),
        }
    }

    #[test]
    fn is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn its_help_fits_a_terminal_of_80_columns() {
        let mut command = Arguments::command().term_width(80);
        command.build();
        for name in ["run", "check"] {
            let command = command.find_subcommand_mut(name).unwrap();
            for help in [command.render_help(), command.render_long_help()].map(|help| help.to_string()) {
                assert!(help.lines().all(|line| line.len() <= 80), "{help}");
            }
        }
    }

    #[test]
    fn takes_every_option_of_the_contract() {
        let run = parse(
            "kxdns run --corefile /c --manifests /m --manifests /n --interface veth* --attach xdp-generic \
             --served 10.96.0.10 --lease 30s --kernel-only --bpffs /b --trace -vv",
        )
        .unwrap();
        assert_eq!(run.manifests.len(), 2);
        assert_eq!(run.attach, AttachMode::XdpGeneric);
        assert_eq!(run.lease, Duration::from_secs(30));
        assert_eq!(run.verbose, 2);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for (line, says) in [
            ("kxdns run --lease 1s", "renewed every second"),
            ("kxdns run --lease soon", "such as `30s`"),
            ("kxdns run --attach ebpf", "tcx"),
            ("kxdns run --served kube-dns", "invalid"),
            ("kxdns run --manifests /m --kubeconfig /k", "cannot be used with"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
