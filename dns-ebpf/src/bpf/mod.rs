//! What exists only inside the kernel.

mod frames;
mod maps;
mod programs;

/// Never called: nothing in the programs panics, and the verifier would refuse a call to here.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// GPL-compatible, which the helpers that the programs call ask for.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
