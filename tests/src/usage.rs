//! What a process has used of the machine: processor time and memory, as `/proc` tells (see proc_pid_stat(5),
//! proc_pid_status(5) and proc_pid_clear_refs(5)).

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;
use rustix::process::Pid;

/// Where `utime` and `stime` stand among the fields behind the program's name.
const UTIME: usize = 11;
const STIME: usize = 12;
/// Tells the kernel to take the present resident memory for the peak.
const RESET_PEAK: &str = "5";

/// The memory of a process that is resident, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// At this moment: `VmRSS`.
    pub now: u64,
    /// The most since the start, or since [`reset_peak`]: `VmHWM`.
    pub peak: u64,
}

/// The processor time, in user mode and in the kernel's, of all threads of a process.
pub fn processor_time(pid: Pid) -> Result<Duration> {
    let stat = read(pid, "stat")?;
    let ticks = sum_ticks(&stat).context("no stat of a process")?;
    Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

/// The resident memory of a process.
pub fn memory(pid: Pid) -> Result<Memory> {
    let status = read(pid, "status")?;
    read_memory(&status).context("no memory in the status; has the process ended?")
}

/// Makes the peak of a process start anew at what is resident now.
pub fn reset_peak(pid: Pid) -> Result<()> {
    fs::write(path(pid, "clear_refs"), RESET_PEAK).context("cannot reset the peak of the resident memory")
}

/// The memory of the BPF maps and programs that a process holds open, in bytes. It is the kernel's, so no part of what
/// is resident.
pub fn kernel_memory(pid: Pid) -> Result<u64> {
    let locked = descriptors(pid)?
        .iter()
        .filter_map(|text| field(text, "memlock:"))
        .sum();
    Ok(locked)
}

/// How often BPF programs have run, and for how long, while the kernel was told to count that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// How often.
    pub count: u64,
    /// How long, all runs together.
    pub time: Duration,
}

/// The runs of all programs that a process holds open.
pub fn program_runs(pid: Pid) -> Result<Runs> {
    let mut runs = Runs::default();
    let mut seen = Vec::new();
    for text in descriptors(pid)? {
        // A program may be open more than once.
        let id = field(&text, "prog_id:");
        if let Some(id) = id.filter(|id| !seen.contains(id)) {
            seen.push(id);
            runs.count += field(&text, "run_cnt:").unwrap_or(0);
            runs.time += Duration::from_nanos(field(&text, "run_time_ns:").unwrap_or(0));
        }
    }
    Ok(runs)
}

/// The processor time of all processors since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineTime {
    /// In softirqs: most of what the network costs.
    pub softirqs: Duration,
    /// In all that is not idle.
    pub busy: Duration,
}

/// What the machine's processors have done (see proc_stat(5)).
pub fn machine() -> Result<MachineTime> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    read_machine(&stat).context("no processors in /proc/stat")
}

fn read_machine(stat: &str) -> Option<MachineTime> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = ticks[..] else {
        return None;
    };
    let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64);
    Some(MachineTime {
        softirqs: time(softirq),
        busy: time(user + nice + system + irq + softirq),
    })
}

/// What `/proc` says of each descriptor of a process. One may be closed meanwhile.
fn descriptors(pid: Pid) -> Result<Vec<String>> {
    let folder = path(pid, "fdinfo");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?;
    entries
        .map(|entry| Ok(fs::read_to_string(entry?.path()).unwrap_or_default()))
        .collect()
}

fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().parse().ok()
}

fn read(pid: Pid, file: &str) -> Result<String> {
    let path = path(pid, file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

fn path(pid: Pid, file: &str) -> String {
    format!("/proc/{}/{file}", pid.as_raw_pid())
}

/// The name stands in parentheses and may hold any of what separates fields.
fn sum_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let field = |at| fields.split_ascii_whitespace().nth(at)?.parse::<u64>().ok();
    Some(field(UTIME)? + field(STIME)?)
}

fn read_memory(status: &str) -> Option<Memory> {
    let bytes = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory {
        now: bytes("VmRSS:")?,
        peak: bytes("VmHWM:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 5 0 0 0 30 12 0 0 20 0 1 0 9 1 1";
        assert_eq!(sum_ticks(stat), Some(42));
    }

    #[test]
    fn memory_is_told_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t 99 kB\nVmHWM:\t    8 kB\nVmRSS:\t    6 kB\n";
        assert_eq!(read_memory(status), Some(Memory { now: 6144, peak: 8192 }));
        assert_eq!(read_memory("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn a_descriptor_of_a_map_or_a_program_tells_numbers() {
        let text = "map_type:\t2\nmemlock:\t8192\n";
        assert_eq!(field(text, "memlock:"), Some(8192));
        assert_eq!(field(text, "run_cnt:"), None);
    }

    #[test]
    fn the_machine_is_busy_with_all_but_idling_and_waiting() {
        let ticks = clock_ticks_per_second();
        let stat = format!("cpu  {ticks} 0 {ticks} 999 999 0 {ticks} 0 0 0\ncpu0 1 1 1 1 1 1 1 0 0 0\n");
        let machine = read_machine(&stat).map(|machine| (machine.softirqs, machine.busy));
        assert_eq!(machine, Some((Duration::from_secs(1), Duration::from_secs(3))));
    }

    #[test]
    fn this_process_has_used_something() -> Result<()> {
        let pid = rustix::process::getpid();
        let memory = memory(pid)?;
        assert!(memory.now > 0 && memory.peak >= memory.now / 2);
        reset_peak(pid)?;
        processor_time(pid).map(drop)
    }
}
