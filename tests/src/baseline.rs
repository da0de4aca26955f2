//! Programs to measure by: some that do nothing, which is what running any program costs, and some that send every query
//! back as its own reply, which is the least that answering one costs.

use std::ffi::{CStr, CString};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::programs::tc::NlOptions;
use aya::programs::{LinkOrder, Program, SchedClassifier, TcAttach, TcAttachType, Xdp, XdpMode};
use dns_userspace::kernel::hook::Hook;
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

use crate::namespace::Namespace;

/// The name of the program that returns `XDP_PASS`.
pub const XDP: &str = "empty_xdp";
/// The name of the program that returns `TC_ACT_UNSPEC`.
pub const TC: &str = "empty_tc";
/// The names of the programs that send queries over IPv4 back.
const XDP_REFLECTOR: &str = "xdp_reflector";
const TC_REFLECTOR: &str = "tc_reflector";
/// The same for native XDP on a veth, whose other end takes what is redirected by its own NAPI alone, and nothing of XDP_TX.
const XDP_VETH_REFLECTOR: &str = "xdp_veth_reflector";

/// Loads all of them.
pub fn load() -> Result<Ebpf> {
    let mut ebpf = Ebpf::load(&object()?)?;
    for name in [XDP, XDP_REFLECTOR, XDP_VETH_REFLECTOR] {
        let program = ebpf.program_mut(name).context("not in the object")?;
        <&mut Xdp>::try_from(program)?.load()?;
    }
    for name in [TC, TC_REFLECTOR] {
        let program = ebpf.program_mut(name).context("not in the object")?;
        <&mut SchedClassifier>::try_from(program)?.load()?;
    }
    Ok(ebpf)
}

/// Sends the queries that come in by a link of a node back at this hook, for as long as what is returned lives.
pub fn reflect(node: &Namespace, link: &str, hook: Hook) -> Result<Ebpf> {
    let mut programs = load()?;
    let name = match hook {
        Hook::Tcx | Hook::Clsact => TC_REFLECTOR,
        Hook::XdpGeneric => XDP_REFLECTOR,
        Hook::XdpNative => XDP_VETH_REFLECTOR,
    };
    if hook == Hook::Clsact {
        node.run("tc", ["qdisc", "add", "dev", link, "clsact"])?;
    }
    let program = programs.program_mut(name).context("not in the object")?;
    let link = CString::new(link)?;
    node.inside(|| match hook {
        Hook::Tcx => {
            let place = TcAttach::Tcx {
                attach_type: TcAttachType::Ingress,
                order: LinkOrder::first(),
            };
            attach_classifier(program, &link, place)
        }
        Hook::Clsact => {
            let place = TcAttach::Netlink {
                parent: TcAttachType::Ingress.into(),
                options: NlOptions::default(),
            };
            attach_classifier(program, &link, place)
        }
        Hook::XdpGeneric => attach_xdp(program, &link, XdpMode::Skb),
        Hook::XdpNative => attach_xdp(program, &link, XdpMode::Driver),
    })??;
    Ok(programs)
}

fn attach_classifier(program: &mut Program, link: &CStr, place: TcAttach) -> Result<()> {
    <&mut SchedClassifier>::try_from(program)?.attach(link, place)?;
    Ok(())
}

fn attach_xdp(program: &mut Program, link: &CStr, mode: XdpMode) -> Result<()> {
    <&mut Xdp>::try_from(program)?.attach(link, mode)?;
    Ok(())
}

/// An instruction: operation, destination and source register, offset, constant.
type Instruction = (u8, u8, u8, i16, i32);

// Linux, Documentation/bpf/standardization/instruction-set.rst.
const LOAD_4: u8 = 0x61;
const LOAD_2: u8 = 0x69;
const LOAD_1: u8 = 0x71;
const STORE_4: u8 = 0x63;
const STORE_2: u8 = 0x6b;
const STORE_1: u8 = 0x73;
const MOVE: u8 = 0xbf;
const SET: u8 = 0xb7;
const ADD: u8 = 0x07;
const OR: u8 = 0x47;
const JUMP_IF_GREATER: u8 = 0x2d;
const JUMP_UNLESS: u8 = 0x55;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// `bpf_redirect` and `bpf_redirect_peer`.
const REDIRECT: i32 = 23;
const REDIRECT_PEER: i32 = 155;
const XDP_PASS: i32 = 2;
const XDP_TX: i32 = 3;
const TC_ACT_UNSPEC: i32 = -1;
/// Offsets in `struct xdp_md` of where the frame begins and where it ends.
const XDP_DATA: [i16; 2] = [0, 4];
/// The same in `struct __sk_buff`.
const TC_DATA: [i16; 2] = [76, 80];
/// Offsets in them of the number of the device.
const XDP_IFINDEX: i16 = 12;
const TC_IFINDEX: i16 = 40;

const RETURN: Instruction = (EXIT, 0, 0, 0, 0);

/// Ethernet, IPv4 without options, UDP and the DNS header.
const HEADERS: i32 = 14 + 20 + 8 + 12;

/// Where the frame ends up: back out of the device that it came in by.
const TRANSMIT: [Instruction; 2] = [(SET, 0, 0, 0, XDP_TX), RETURN];

/// The same, or the other end of that device, by the device's number, which a context has at this offset.
const fn redirect(ifindex: i16, helper: i32) -> [Instruction; 4] {
    [
        (LOAD_4, 1, 6, ifindex, 0),
        (SET, 2, 0, 0, 0),
        (CALL, 0, 0, 0, helper),
        RETURN,
    ]
}

/// Makes the program that sends queries back, given where a context says where the frame is, what sends it, and the action
/// for all else.
fn reflector([data, data_end]: [i16; 2], send: &[Instruction], pass: i32) -> Vec<Instruction> {
    let start = [(MOVE, 6, 1, 0, 0), (LOAD_4, 2, 6, data, 0), (LOAD_4, 3, 6, data_end, 0)];
    let mut code = [&start, &REFLECT[..], send].concat();
    let end = code.len() as i16;
    for (at, (operation, _, _, offset, _)) in (1..).zip(&mut code) {
        if [JUMP_IF_GREATER, JUMP_UNLESS].contains(operation) {
            *offset = end - at;
        }
    }
    code.extend([(SET, 0, 0, 0, pass), RETURN]);
    code
}

/// Swaps the addresses and the ports, says that this is a reply, and that it has no checksum: native XDP forgets that one
/// was still due. All jumps lead to where the frame is left alone.
const REFLECT: [Instruction; 30] = [
    (MOVE, 4, 2, 0, 0),
    (ADD, 4, 0, 0, HEADERS),
    (JUMP_IF_GREATER, 4, 3, 0, 0),
    (LOAD_2, 4, 2, 12, 0),
    (JUMP_UNLESS, 4, 0, 0, 0x0008), // IPv4
    (LOAD_1, 4, 2, 23, 0),
    (JUMP_UNLESS, 4, 0, 0, 17), // UDP
    (LOAD_2, 4, 2, 36, 0),
    (JUMP_UNLESS, 4, 0, 0, 0x3500), // port 53
    // The MAC addresses.
    (LOAD_4, 3, 2, 0, 0),
    (LOAD_2, 4, 2, 4, 0),
    (LOAD_4, 5, 2, 6, 0),
    (LOAD_2, 0, 2, 10, 0),
    (STORE_4, 2, 5, 0, 0),
    (STORE_2, 2, 0, 4, 0),
    (STORE_4, 2, 3, 6, 0),
    (STORE_2, 2, 4, 10, 0),
    // The IP addresses.
    (LOAD_4, 3, 2, 26, 0),
    (LOAD_4, 4, 2, 30, 0),
    (STORE_4, 2, 4, 26, 0),
    (STORE_4, 2, 3, 30, 0),
    // The port that asked; it is answered from port 53.
    (LOAD_2, 3, 2, 34, 0),
    (STORE_2, 2, 3, 36, 0),
    (SET, 3, 0, 0, 0x3500),
    (STORE_2, 2, 3, 34, 0),
    // QR.
    (LOAD_1, 3, 2, 44, 0),
    (OR, 3, 0, 0, 0x80),
    (STORE_1, 2, 3, 44, 0),
    (SET, 3, 0, 0, 0),
    (STORE_2, 2, 3, 40, 0),
];

fn object() -> Result<Vec<u8>> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let license = object.add_section(vec![], b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    let programs = [
        ("xdp", XDP, vec![(SET, 0, 0, 0, XDP_PASS), RETURN]),
        ("classifier", TC, vec![(SET, 0, 0, 0, TC_ACT_UNSPEC), RETURN]),
        ("xdp", XDP_REFLECTOR, reflector(XDP_DATA, &TRANSMIT, XDP_PASS)),
        (
            "xdp",
            XDP_VETH_REFLECTOR,
            reflector(XDP_DATA, &redirect(XDP_IFINDEX, REDIRECT), XDP_PASS),
        ),
        (
            "classifier",
            TC_REFLECTOR,
            reflector(TC_DATA, &redirect(TC_IFINDEX, REDIRECT_PEER), TC_ACT_UNSPEC),
        ),
    ];
    for (section, name, instructions) in programs {
        let section = object.add_section(vec![], section.into(), SectionKind::Text);
        let code: Vec<u8> = instructions.into_iter().flat_map(encode).collect();
        object.append_section_data(section, &code, 8);
        object.add_symbol(Symbol {
            name: name.into(),
            value: 0,
            size: code.len() as u64,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    }
    object.write().context("cannot write an ELF object")
}

fn encode((operation, destination, source, offset, constant): Instruction) -> [u8; 8] {
    let [low, high] = offset.to_le_bytes();
    let [a, b, c, d] = constant.to_le_bytes();
    [operation, source << 4 | destination, low, high, a, b, c, d]
}
