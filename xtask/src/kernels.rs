//! `cargo xtask test --kernels`: the tests of the programs and of the hooks on other kernels than this computer's.
//!
//! Each kernel runs in an emulated machine whose file system is made of this system's programs and of the very tests
//! that run here, and which goes with the process that started it.

mod initramfs;
mod machine;
mod newc;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

use anyhow::{Context, Result, ensure};

use self::initramfs::Initramfs;
use crate::setup::{self, Kernel, Need, Program};
use crate::step::Steps;
use crate::{build, workspace};

/// What runs the machines.
pub(crate) const PROGRAMS: &[Program] = &[
    Program::new("ldd", "libc-bin"),
    Program::new("qemu-system-x86_64", "qemu-system-x86"),
    Program::new("setpriv", "util-linux"),
];

/// What runs in the machines besides the tests: what they and their harness call.
pub(crate) const GUEST_PROGRAMS: &[Program] = &[
    Program::new("cat", "coreutils"),
    Program::new("ethtool", "ethtool"),
    Program::new("insmod", "kmod"),
    Program::new("ip", "iproute2"),
    Program::new("mkdir", "coreutils"),
    Program::new("mount", "mount"),
    Program::new("nsenter", "util-linux"),
    Program::new("readlink", "coreutils"),
    Program::new("sh", "dash"),
    Program::new("tc", "iproute2"),
    Program::new("unshare", "util-linux"),
];

/// The files of `tests/tests` that run there.
const TESTS: [&str; 2] = ["hooks", "program"];

/// What the tests need of the kernel and its packages do not build in, each after those that it needs.
const MODULES: [&str; 6] = [
    "drivers/net/veth",
    "net/sched/cls_bpf",
    "net/sched/sch_ingress",
    "net/llc/llc",
    "net/802/stp",
    "net/bridge/bridge",
];

const INIT: &str = include_str!("kernels/init.sh");

/// Runs the tests on each kernel, and fails in the end where any has failed.
pub(crate) fn run(steps: &Steps) -> Result<()> {
    let needs = [
        Need::Programs(PROGRAMS),
        Need::Programs(GUEST_PROGRAMS),
        Need::Toolchain,
        Need::Kernels,
    ];
    setup::provide(steps, &needs)?;
    build::build_release(steps, &["kxdns"])?;
    let tests = build_tests(steps)?;
    let mut results = Vec::new();
    for kernel in setup::kernels()? {
        let result = steps.time(&format!("test on Linux {}", kernel.release), || {
            test_on(&kernel, &tests)
        });
        results.push((kernel.release, result));
    }
    conclude(steps, &results)
}

/// Builds the tests and returns their programs, in the order of [`TESTS`].
fn build_tests(steps: &Steps) -> Result<Vec<PathBuf>> {
    let mut command = workspace::cargo("test");
    // All packages, as for the tests that run here: that settles the features of their dependencies.
    command.args(["--workspace", "--no-run", "--message-format", "json-render-diagnostics"]);
    command.args(TESTS.iter().flat_map(|test| ["--test", test]));
    command.stderr(Stdio::inherit());
    let messages = steps.time("build the tests", || {
        let output = command.output().context("cannot run cargo")?;
        ensure!(output.status.success(), "cargo test: {}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    })?;
    let find = |test: &&str| find_program(&messages, test).with_context(|| format!("cargo has built no test {test}"));
    TESTS.iter().map(find).collect()
}

/// Finds the program of a test among cargo's messages, one JSON object a line. Its name ends with a hash.
fn find_program(messages: &str, test: &str) -> Option<PathBuf> {
    let mut programs = messages
        .lines()
        .filter(|line| line.contains(r#""kind":["test"]"#))
        .filter_map(|line| Some(line.split_once(r#""executable":""#)?.1.split_once('"')?.0));
    let is_wanted = |program: &&str| {
        let name = program.rsplit('/').next().and_then(|name| name.rsplit_once('-'));
        name.is_some_and(|(name, _)| name == test)
    };
    programs.find(is_wanted).map(PathBuf::from)
}

fn test_on(kernel: &Kernel, tests: &[PathBuf]) -> Result<()> {
    let file = open_nameless(&kernel.release)?;
    fill(kernel, tests)?.write(&file)?;
    let said = machine::run(kernel, file)?;
    machine::judge(&said, &kernel.release, &TESTS)
}

fn fill(kernel: &Kernel, tests: &[PathBuf]) -> Result<Initramfs> {
    let mut initramfs = Initramfs::new(INIT);
    for program in GUEST_PROGRAMS {
        initramfs.add_program(&format!("bin/{}", program.name()), &program.find()?)?;
    }
    initramfs.add_program("bin/kxdns", &workspace::release_program("kxdns"))?;
    for (name, program) in TESTS.iter().zip(tests) {
        initramfs.add_program(&format!("tests/{name}"), program)?;
    }
    for (number, path) in MODULES.iter().enumerate() {
        let module = kernel.module(path)?;
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        // They are loaded in the order of their names.
        initramfs.add_file(&format!("modules/{number}-{name}"), &module);
    }
    Ok(initramfs)
}

/// A file that is gone as soon as it is closed, however this process ends.
fn open_nameless(name: &str) -> Result<File> {
    let path = workspace::target().join(format!("initramfs-{name}-{}", process::id()));
    let open = |path: &Path| {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        fs::remove_file(path)?;
        Ok::<_, std::io::Error>(file)
    };
    open(&path).with_context(|| format!("cannot make {}", path.display()))
}

fn conclude(steps: &Steps, results: &[(String, Result<()>)]) -> Result<()> {
    for (release, result) in results {
        match result {
            Ok(()) => steps.say(&format!("Linux {release}: passed: {}", TESTS.join(", "))),
            Err(error) => steps.say(&format!("Linux {release}: {error:#}")),
        }
    }
    let failed: Vec<_> = results.iter().filter(|(_, result)| result.is_err()).collect();
    let releases: Vec<_> = failed.iter().map(|(release, _)| release.as_str()).collect();
    ensure!(failed.is_empty(), "the tests failed on {}", releases.join(" and "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tests_program_is_found_among_cargos_messages() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"hooks"},"executable":"/target/debug/hooks-0"}
{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"a"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"more-hooks"},"executable":"/t/deps/more-hooks-1"}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"hooks"},"executable":"/t/deps/hooks-2"}
"#;
        assert_eq!(find_program(messages, "hooks"), Some("/t/deps/hooks-2".into()));
        assert_eq!(find_program(messages, "program"), None);
    }

    #[test]
    fn one_failed_kernel_fails_the_whole() {
        let steps = Steps::new(false);
        conclude(&steps, &[("6.1".to_owned(), Ok(()))]).unwrap();
        let results = [
            ("6.1".to_owned(), Err(anyhow::anyhow!("reason"))),
            ("6.12".to_owned(), Ok(())),
        ];
        assert_eq!(
            conclude(&steps, &results).unwrap_err().to_string(),
            "the tests failed on 6.1"
        );
    }

    #[test]
    fn a_nameless_file_is_in_no_folder() {
        let name = format!("nameless-{}", process::id());
        drop(open_nameless(&name).unwrap());
        let left = fs::read_dir(workspace::target()).unwrap();
        assert!(
            left.flatten()
                .all(|entry| !entry.file_name().to_string_lossy().contains(&name))
        );
    }
}
