//! The programs under `BPF_PROG_TEST_RUN`: bytes in, action and bytes out.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, TestRunResult, Xdp};
use dns_userspace::kernel::maps::{Counts, Tables};
use dns_userspace::kernel::object;
use dns_userspace::kernel::record::Record;
use dns_userspace::kernel::zones::{self, KernelZone};
use dns_userspace::name::Name;
use dns_userspace::server::Passage;
use dns_userspace::zone::ZoneTable;

use crate::baseline;
use crate::frames::DNS_SERVICE;

/// The longest reply that a test expects.
const MAX_FRAME: usize = 2048;

/// Which program to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// The tc program that redirects to its own device.
    Tc,
    /// The tc program that hands over to the other end of the link.
    TcPod,
    /// The XDP program that transmits.
    Xdp,
    /// The XDP program that redirects to its own device.
    XdpVeth,
}

impl Hook {
    /// Every program.
    pub const ALL: [Self; 4] = [Self::Tc, Self::TcPod, Self::Xdp, Self::XdpVeth];

    /// Says whether it is a tc program, or else one of XDP.
    pub fn is_tc(self) -> bool {
        matches!(self, Self::Tc | Self::TcPod)
    }

    fn program(self) -> &'static str {
        match self {
            Self::Tc => object::TC,
            Self::TcPod => object::TC_POD,
            Self::Xdp => object::XDP,
            Self::XdpVeth => object::XDP_VETH,
        }
    }

    /// Says whether a program's return value is a reply's; fails at one that no program returns.
    fn answered(self, action: u32) -> Result<bool> {
        match (self, action) {
            // TC_ACT_UNSPEC and XDP_PASS.
            (Self::Tc | Self::TcPod, u32::MAX) | (Self::Xdp | Self::XdpVeth, 2) => Ok(false),
            // TC_ACT_REDIRECT, XDP_TX, XDP_REDIRECT.
            (Self::Tc | Self::TcPod, 7) | (Self::Xdp, 3) | (Self::XdpVeth, 4) => Ok(true),
            _ => bail!("{self:?} returned {action}"),
        }
    }
}

/// What a program made of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Whether it was answered, or else passed on.
    pub answered: bool,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}

/// The loaded programs over tables that a test fills.
pub struct Programs {
    ebpf: Ebpf,
    /// The maps that the programs read.
    pub tables: Tables,
    /// What they counted.
    pub counts: Counts,
}

impl Programs {
    /// Loads every program, over empty tables that serve the DNS Service, synced and under a lease of a day, longer than any run.
    pub fn load() -> Result<Self> {
        let mut ebpf = object::open(false)?;
        for hook in Hook::ALL {
            load(&mut ebpf, hook).with_context(|| format!("cannot load {hook:?}: run the tests as root"))?;
        }
        let mut tables = Tables::take(&mut ebpf)?;
        tables.serve(&[IpAddr::V4(DNS_SERVICE.0), IpAddr::V6(DNS_SERVICE.1)])?;
        tables.renew(Duration::from_secs(86_400), true)?;
        let counts = Counts::take(&mut ebpf)?;
        Ok(Self { ebpf, tables, counts })
    }

    /// Gives a name a record, or takes it away.
    pub fn set(&mut self, name: &Name, record: Option<Record>) -> Result<()> {
        self.tables.set(name, record)
    }

    /// Fills the tables with all that a zone table has in these zones.
    pub fn fill(&mut self, table: &mut ZoneTable, kernel_zones: &[KernelZone]) -> Result<()> {
        self.tables.set_zones(&zones::lay_out(kernel_zones, table))?;
        let mut outcome = Ok(());
        table.for_each_name(|table, name| {
            if outcome.is_ok() {
                outcome = self
                    .tables
                    .set(&name, zones::record(kernel_zones, &Passage::default(), table, &name));
            }
        });
        outcome
    }

    /// Runs a program on a frame.
    pub fn run(&self, hook: Hook, frame: &[u8]) -> Result<Visit> {
        Ok(self.timed(hook, frame)?.0)
    }

    /// Runs a program on a frame, and says how long that took.
    pub fn timed(&self, hook: Hook, frame: &[u8]) -> Result<(Visit, Duration)> {
        let mut out = vec![0; MAX_FRAME];
        let result = self.test_run(hook, frame, &mut out)?;
        out.truncate(result.data_size_out as usize);
        Ok((
            Visit {
                answered: hook.answered(result.return_value)?,
                frame: out,
            },
            result.duration,
        ))
    }

    /// How many instructions the verifier walked through to accept a program, and how many the program has.
    pub fn instructions(&self, hook: Hook) -> Result<(u32, u32)> {
        let program = self
            .ebpf
            .program(hook.program())
            .context("the program is in the object")?;
        let info = program.info()?;
        let verified = info
            .verified_instruction_count()
            .context("the kernel does not tell (before 5.16)")?;
        Ok((
            verified,
            info.size_translated().context("the kernel does not tell")? / 8,
        ))
    }

    fn test_run(&self, hook: Hook, frame: &[u8], out: &mut [u8]) -> Result<TestRunResult> {
        test_run(&self.ebpf, hook.program(), hook, frame, out)
    }
}

/// Runs programs that do nothing.
pub struct Floor(Ebpf);

impl Floor {
    /// Loads them.
    pub fn load() -> Result<Self> {
        baseline::load().map(Self)
    }

    /// How long it takes to run none on a frame.
    pub fn timed(&self, hook: Hook, frame: &[u8]) -> Result<Duration> {
        let program = match hook {
            Hook::Tc | Hook::TcPod => baseline::TC,
            Hook::Xdp | Hook::XdpVeth => baseline::XDP,
        };
        Ok(test_run(&self.0, program, hook, frame, &mut [0; MAX_FRAME])?.duration)
    }
}

fn test_run(ebpf: &Ebpf, program: &str, hook: Hook, frame: &[u8], out: &mut [u8]) -> Result<TestRunResult> {
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(out),
        ..TestRunOptions::new()
    };
    let program = ebpf.program(program).context("the program is in the object")?;
    Ok(match hook {
        Hook::Tc | Hook::TcPod => <&SchedClassifier>::try_from(program)?.test_run(options)?,
        Hook::Xdp | Hook::XdpVeth => <&Xdp>::try_from(program)?.test_run(options)?,
    })
}

fn load(ebpf: &mut Ebpf, hook: Hook) -> Result<()> {
    let program = ebpf.program_mut(hook.program()).context("not in the object")?;
    match hook {
        Hook::Tc | Hook::TcPod => <&mut SchedClassifier>::try_from(program)?.load()?,
        Hook::Xdp | Hook::XdpVeth => <&mut Xdp>::try_from(program)?.load()?,
    }
    Ok(())
}
