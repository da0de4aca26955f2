//! An XDP program that does nothing, to subtract what running any program costs.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::programs::Xdp;
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

/// The program's name.
pub const NAME: &str = "empty";

/// `return XDP_PASS`: two instructions.
const INSTRUCTIONS: [u64; 2] = [0x0000_0002_0000_00b7, 0x0000_0000_0000_0095];

/// Loads the program.
pub fn load() -> Result<Ebpf> {
    let mut ebpf = Ebpf::load(&object()?)?;
    let program = ebpf.program_mut(NAME).context("not in the object")?;
    <&mut Xdp>::try_from(program)?.load()?;
    Ok(ebpf)
}

fn object() -> Result<Vec<u8>> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let license = object.add_section(vec![], b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    let section = object.add_section(vec![], b"xdp".to_vec(), SectionKind::Text);
    let code: Vec<u8> = INSTRUCTIONS
        .iter()
        .flat_map(|instruction| instruction.to_le_bytes())
        .collect();
    object.append_section_data(section, &code, 8);
    object.add_symbol(Symbol {
        name: NAME.into(),
        value: 0,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    object.write().context("cannot write an ELF object")
}
