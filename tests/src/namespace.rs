//! Network namespaces that leave nothing behind, not even when their owner is killed.
//!
//! A namespace has no name in the file system. It is held by one `cat` whose standard input is a pipe from this
//! process and which is the first process of a PID namespace of its own: when this process ends, in whatever way, the
//! kernel closes the pipe, `cat` ends, the kernel kills all that ran beside it, and links, mounts, BPF programs and
//! files go with the last of them. Files that belong to a namespace live on its private `/run`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{panic, thread};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What the holder does before it says its process id and waits: mounts of its own, loopback up, no waiting for
/// duplicate addresses. A resolv.conf that is a link into /run is made anew there.
const HOLD: &str = r#"
set -e
resolv_conf=$(readlink -m /etc/resolv.conf)
mount -t tmpfs -o mode=755 tmpfs /run
mount -t sysfs sysfs /sys
mount -t bpf -o mode=700 bpf /sys/fs/bpf
: >/run/resolv.conf
case $resolv_conf in /run/*) mkdir -p "${resolv_conf%/*}"; : >>"$resolv_conf" ;; esac
mount --bind /run/resolv.conf "$resolv_conf"
for scope in all default; do
    echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_dad
    echo 0 >/proc/sys/net/ipv6/conf/$scope/router_solicitations
done
ip link set lo up
read -r pid rest </proc/self/stat
echo "$pid"
exec cat
"#;

/// The holders of all open namespaces, by process id.
static HOLDERS: Mutex<BTreeMap<u32, Child>> = Mutex::new(BTreeMap::new());

/// A network namespace with mounts and processes of its own. Dropping it ends all that runs in it.
#[derive(Debug)]
pub struct Namespace {
    holder: u32,
}

impl Namespace {
    /// Makes an empty namespace: loopback is up, `/run` and `/sys/fs/bpf` are new, resolv.conf is empty.
    pub fn open() -> Result<Namespace> {
        let mut child = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--propagation",
                "private",
                "--pid",
                "--fork",
                "--kill-child",
            ])
            .args(["sh", "-c", HOLD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start unshare (util-linux)")?;
        match read_holder(&mut child) {
            Ok(holder) => {
                holders().insert(holder, child);
                Ok(Namespace { holder })
            }
            Err(error) => Err(error.context(format!("cannot make a network namespace: {}", failure_of(child)))),
        }
    }

    /// The process id that `nsenter -t` takes.
    pub fn pid(&self) -> u32 {
        self.holder
    }

    /// A file that is `path` inside the namespace, as seen from outside.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        Path::new(&format!("/proc/{}/root", self.holder)).join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The handle of the network namespace that `ip link ... netns` takes.
    pub fn link_handle(&self) -> String {
        format!("/proc/{}/ns/net", self.holder)
    }

    /// Writes a file inside the namespace, with its folders; for paths under `/run`.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> Result<()> {
        ensure!(path.starts_with("/run/"), "{path} is not private to the namespace");
        let outside = self.path(path);
        if let Some(folder) = outside.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder of {path}"))?;
        }
        fs::write(&outside, text).with_context(|| format!("cannot write {path}"))
    }

    /// Sets the resolv.conf of everything that runs in the namespace.
    pub fn set_resolv_conf(&self, text: &str) -> Result<()> {
        self.write("/run/resolv.conf", text)
    }

    /// A command that will run in the namespace. Its program is found through PATH or given in full.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.holder.to_string(), "-n", "-m", "-p", "--"])
            .arg(program);
        command.process_group(0);
        command
    }

    /// Runs a command to its end and returns what it wrote to standard output.
    pub fn run<I: IntoIterator<Item: AsRef<OsStr>>>(&self, program: &str, arguments: I) -> Result<String> {
        finish(program, self.command(program).args(arguments).stdin(Stdio::null()), "")
    }

    /// Runs a command that reads `input`, for scripts of `ip`, `nft` and the like.
    pub fn feed(&self, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        finish(
            program,
            self.command(program).args(arguments).stdin(Stdio::piped()),
            input,
        )
    }

    /// Calls `work` on a thread inside the namespace; sockets that it makes stay there wherever they are used.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let enter = || -> Result<T> {
            let handle = File::open(self.link_handle()).context("the namespace is gone")?;
            move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))
                .context("cannot enter the namespace (root is needed)")?;
            Ok(work())
        };
        thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|payload| panic::resume_unwind(payload))
    }

    /// A UDP socket of the namespace that talks to `server` only.
    pub fn udp_to(&self, server: SocketAddr) -> Result<UdpSocket> {
        let connect = || {
            let socket = UdpSocket::bind(any_of(server.ip()))?;
            socket.connect(server).map(|()| socket)
        };
        self.inside(connect)?.with_context(|| format!("cannot reach {server}"))
    }

    /// A UDP socket of the namespace that is bound to `address`.
    pub fn udp_at(&self, address: SocketAddr) -> Result<UdpSocket> {
        self.inside(|| UdpSocket::bind(address))?
            .with_context(|| format!("cannot bind UDP {address}"))
    }

    /// A TCP listener of the namespace.
    pub fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        self.inside(|| TcpListener::bind(address))?
            .with_context(|| format!("cannot listen on {address}"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let holder = holders().remove(&self.holder);
        if let Some(child) = holder {
            close(child);
        }
    }
}

/// Ends every namespace of this process and all that runs in them, and waits until the processes are gone.
pub fn close_all() {
    let all = std::mem::take(&mut *holders());
    all.into_values().for_each(close);
}

fn close(mut child: Child) {
    drop(child.stdin.take());
    // It ends by itself now; there is nothing to learn from how.
    let _ = child.wait();
}

fn holders() -> std::sync::MutexGuard<'static, BTreeMap<u32, Child>> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_holder(child: &mut Child) -> Result<u32> {
    let output = child.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    line.trim()
        .parse()
        .context("root and a kernel with namespaces and BPF are needed")
}

fn failure_of(mut child: Child) -> String {
    drop(child.stdin.take());
    let mut text = String::new();
    if let Some(mut errors) = child.stderr.take() {
        // What could be read is all that can be told.
        let _ = errors.read_to_string(&mut text);
    }
    let _ = child.wait();
    text.trim().to_owned()
}

fn finish(program: &str, command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start nsenter for {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .with_context(|| format!("{program} does not read its input"))?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "{program} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn any_of(family: IpAddr) -> SocketAddr {
    match family {
        IpAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}
