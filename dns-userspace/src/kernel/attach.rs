//! Attaching the programs to links, by every hook, and holding them there.
//!
//! Nothing here decides (see [`hook`](super::hook)) and nothing is ever replaced: a link with someone else's XDP program is
//! left as it is. What this attaches is detached when its [`Attached`] is dropped.

use std::collections::HashMap;

use aya::{
    Ebpf,
    programs::{
        LinkOrder, Program, ProgramError, SchedClassifier, TcAttach, TcAttachType, Xdp, XdpMode,
        tc::{NlOptions, SchedClassifierLink},
        xdp::XdpLink,
    },
};
use rustix::io::Errno;

use super::{
    attach_error::{AttachError, error_number, explain_classifier, explain_load, explain_xdp},
    clsact::{self, AddedQdisc},
    hook::{Hook, LinkKind},
    link::Link,
    object::{TC, TC_POD, XDP, XDP_VETH},
};

/// Attaches the programs of one object. Whatever it attached must be dropped before it is.
#[derive(Debug)]
pub struct Attacher {
    ebpf: Ebpf,
    kernel_has_tcx: bool,
    /// What the kernel said against a program, so that it verifies the program once and not for each link.
    refused: HashMap<&'static str, String>,
}

/// A program on a link; dropping it takes the program off.
#[derive(Debug)]
pub struct Attached {
    name: &'static str,
    // Dropped in this order: the qdisc goes only when the filter has left it.
    _program: AttachedProgram,
    _qdisc: Option<AddedQdisc>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held for their drop, which detaches")]
enum AttachedProgram {
    Classifier(SchedClassifierLink),
    Xdp(XdpLink),
}

impl Attached {
    /// Says whether it is the right program for the link by this hook.
    pub fn suits(&self, link: &Link, hook: Hook) -> bool {
        self.name == program_for(link, hook)
    }
}

/// The name of the right program for a link by this hook.
fn program_for(link: &Link, hook: Hook) -> &'static str {
    match hook {
        Hook::Tcx | Hook::Clsact if link.is_pod_link() => TC_POD,
        Hook::Tcx | Hook::Clsact => TC,
        Hook::XdpNative if link.kind == LinkKind::Veth => XDP_VETH,
        Hook::XdpGeneric | Hook::XdpNative => XDP,
    }
}

impl Attacher {
    /// Takes the object over. Its programs are loaded when the first link needs them.
    pub fn new(ebpf: Ebpf) -> Self {
        Self {
            ebpf,
            kernel_has_tcx: probe_tcx(),
            refused: HashMap::new(),
        }
    }

    /// Tells whether the kernel has tcx.
    pub fn kernel_has_tcx(&self) -> bool {
        self.kernel_has_tcx
    }

    /// Attaches the right program to the link by this hook.
    pub fn attach(&mut self, link: &Link, hook: Hook) -> Result<Attached, AttachError> {
        let qdisc = match hook {
            Hook::Clsact => clsact::ensure(link.index).map_err(|error| explain_classifier(error.into()))?,
            _ => None,
        };
        let name = program_for(link, hook);
        let program = match hook {
            Hook::Tcx => self.attach_classifier(link, name, at_head_of_tcx())?,
            Hook::Clsact => self.attach_classifier(link, name, at_clsact_ingress())?,
            Hook::XdpGeneric => self.attach_xdp(link, name, XdpMode::Skb)?,
            Hook::XdpNative => self.attach_xdp(link, name, XdpMode::Driver)?,
        };
        Ok(Attached {
            name,
            _program: program,
            _qdisc: qdisc,
        })
    }

    fn attach_classifier(
        &mut self,
        link: &Link,
        name: &'static str,
        place: TcAttach,
    ) -> Result<AttachedProgram, AttachError> {
        let attach = |program: &mut SchedClassifier| {
            let id = program.attach(link.index, place)?;
            program.take_link(id)
        };
        let program: Result<&mut SchedClassifier, _> = self.load(name)?.try_into();
        program
            .and_then(attach)
            .map(AttachedProgram::Classifier)
            .map_err(explain_classifier)
    }

    fn attach_xdp(&mut self, link: &Link, name: &'static str, mode: XdpMode) -> Result<AttachedProgram, AttachError> {
        let attach = |program: &mut Xdp| {
            let id = program.attach(link.index, mode)?;
            program.take_link(id)
        };
        let program: Result<&mut Xdp, _> = self.load(name)?.try_into();
        program
            .and_then(attach)
            .map(AttachedProgram::Xdp)
            .map_err(|error| explain_xdp(link.index, error))
    }

    /// Returns the program, loaded into the kernel.
    fn load(&mut self, name: &'static str) -> Result<&mut Program, AttachError> {
        if let Some(error) = self.refused.get(name) {
            return Err(AttachError::Program(error.clone()));
        }
        let Some(program) = self.ebpf.program_mut(name) else {
            return Err(AttachError::Program(format!("{name}: the object has no such program")));
        };
        if program.fd().is_err() {
            load(program).map_err(|error| {
                let error = explain_load(name, error);
                if let AttachError::Program(text) = &error {
                    self.refused.insert(name, text.clone());
                }
                error
            })?;
        }
        Ok(program)
    }
}

fn load(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::SchedClassifier(program) => program.load(),
        Program::Xdp(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn at_head_of_tcx() -> TcAttach {
    TcAttach::Tcx {
        attach_type: TcAttachType::Ingress,
        order: LinkOrder::first(),
    }
}

fn at_clsact_ingress() -> TcAttach {
    let options = NlOptions {
        priority: 1,
        ..NlOptions::default()
    };
    TcAttach::Netlink {
        parent: TcAttachType::Ingress.into(),
        options,
    }
}

/// Asks the loopback for its tcx programs: a kernel without tcx calls that an invalid argument, whatever its version says.
fn probe_tcx() -> bool {
    const LOOPBACK: u32 = 1;
    match SchedClassifier::query_tcx(LOOPBACK, TcAttachType::Ingress) {
        Ok(_) => true,
        Err(error) => error_number(&error) != Some(Errno::INVAL),
    }
}
