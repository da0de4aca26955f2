//! Programs that do nothing, to subtract what running any program costs.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::programs::{SchedClassifier, Xdp};
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

/// The name of the program that returns `XDP_PASS`.
pub const XDP: &str = "empty_xdp";
/// The name of the program that returns `TC_ACT_UNSPEC`.
pub const TC: &str = "empty_tc";

/// Section, name, and two instructions: `r0 = ACTION; exit`.
const PROGRAMS: [(&str, &str, [u64; 2]); 2] = [
    ("xdp", XDP, [0x0000_0002_0000_00b7, EXIT]),
    ("classifier", TC, [0xffff_ffff_0000_00b7, EXIT]),
];
const EXIT: u64 = 0x95;

/// Loads both.
pub fn load() -> Result<Ebpf> {
    let mut ebpf = Ebpf::load(&object()?)?;
    let program = ebpf.program_mut(XDP).context("not in the object")?;
    <&mut Xdp>::try_from(program)?.load()?;
    let program = ebpf.program_mut(TC).context("not in the object")?;
    <&mut SchedClassifier>::try_from(program)?.load()?;
    Ok(ebpf)
}

fn object() -> Result<Vec<u8>> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let license = object.add_section(vec![], b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    for (section, name, instructions) in PROGRAMS {
        let section = object.add_section(vec![], section.into(), SectionKind::Text);
        let code = instructions.map(u64::to_le_bytes).concat();
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
