//! A frame's memory: the only room where it is read and written.
//!
//! Every access is checked against the frame's end in the form in which the kernel's verifier understands it: address
//! plus offset plus size, compared with the end. It knows no protocol.

use core::marker::PhantomData;

/// A type whose every bit pattern is a value, so that it can be read from a frame.
///
/// # Safety
///
/// The type has no invalid bit patterns, no padding and no references.
pub unsafe trait Plain: Copy {}

// SAFETY: integers have no invalid bit patterns and no padding.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: bytes have neither, and an array adds none.
unsafe impl<const N: usize> Plain for [u8; N] {}

/// A frame, or the rest of one, that can be read.
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    start: usize,
    end: usize,
    memory: PhantomData<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// Makes a packet of the memory from address `start` up to `end`.
    ///
    /// # Safety
    ///
    /// For as long as `'a`, every byte in `start..end` is readable and nobody writes to it but the network device.
    #[inline(always)]
    pub unsafe fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            end,
            memory: PhantomData,
        }
    }

    /// Its length in bytes.
    #[inline(always)]
    pub fn len(self) -> usize {
        self.end.wrapping_sub(self.start)
    }

    /// Says whether it has no bytes.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The rest of it, from byte `by` on. A rest that begins beyond the end has nothing to read.
    #[inline(always)]
    pub fn skip(self, by: usize) -> Self {
        Self {
            start: self.start.wrapping_add(by),
            ..self
        }
    }

    /// The same bytes, at a place that the verifier takes for another: what it learns of the one it does not know of
    /// the other. `varying` is any number that the verifier does not know.
    #[inline(always)]
    #[must_use]
    pub fn afresh(self, varying: usize) -> Self {
        self.skip((hide(varying) ^ varying) & 1)
    }

    /// Reads a `T` at byte `at`; `None` unless all of it is there.
    #[inline(always)]
    pub fn read<T: Plain>(self, at: usize) -> Option<T> {
        let address = self.start.wrapping_add(at);
        if address.wrapping_add(size_of::<T>()) > self.end {
            return None;
        }
        // SAFETY: `start..end` is readable by the contract of `new`, the check above keeps the read below `end`, and
        // offsets only grow from `start` (they are lengths of a frame, far from the address space's end). Any bytes
        // are a valid `T`.
        Some(unsafe { (address as *const T).read_unaligned() })
    }

    /// Reads a `T` at byte `at` and the `U` right behind it, after one check for both.
    #[inline(always)]
    pub fn read_two<T: Plain, U: Plain>(self, at: usize) -> Option<(T, U)> {
        let address = self.start.wrapping_add(at);
        if address.wrapping_add(size_of::<T>() + size_of::<U>()) > self.end {
            return None;
        }
        // SAFETY: as in `read`, for the first and for the second.
        Some(unsafe {
            let second = address.wrapping_add(size_of::<T>());
            (
                (address as *const T).read_unaligned(),
                (second as *const U).read_unaligned(),
            )
        })
    }
}

/// A frame that can be written.
pub struct PacketMut<'a> {
    packet: Packet<'a>,
    memory: PhantomData<&'a mut [u8]>,
}

impl<'a> PacketMut<'a> {
    /// Makes a writable packet of the memory from address `start` up to `end`.
    ///
    /// # Safety
    ///
    /// For as long as `'a`, every byte in `start..end` is readable and writable, and nobody else uses it.
    #[inline(always)]
    pub unsafe fn new(start: usize, end: usize) -> Self {
        Self {
            // SAFETY: what is asked of the caller here is more than `Packet::new` asks for.
            packet: unsafe { Packet::new(start, end) },
            memory: PhantomData,
        }
    }

    /// The same memory, to be read.
    #[inline(always)]
    pub fn as_packet(&self) -> Packet<'_> {
        self.packet
    }

    /// Writes `value` at byte `at`; `None`, and nothing written, unless all of it fits.
    #[inline(always)]
    #[must_use = "a write that does not fit leaves the frame as it was"]
    pub fn write<T: Plain>(&mut self, at: usize, value: T) -> Option<()> {
        let address = self.packet.start.wrapping_add(at);
        if address.wrapping_add(size_of::<T>()) > self.packet.end {
            return None;
        }
        // SAFETY: as in `Packet::read`, and `new` promises that the memory is writable and ours alone.
        unsafe { (address as *mut T).write_unaligned(value) };
        Some(())
    }

    /// Writes `first` at byte `at` and `second` right behind it, after one check for both.
    #[inline(always)]
    #[must_use = "a write that does not fit leaves the frame as it was"]
    pub fn write_two<T: Plain, U: Plain>(&mut self, at: usize, first: T, second: U) -> Option<()> {
        let address = self.packet.start.wrapping_add(at);
        if address.wrapping_add(size_of::<T>() + size_of::<U>()) > self.packet.end {
            return None;
        }
        // SAFETY: as in `write`, for the first and for the second.
        unsafe {
            (address as *mut T).write_unaligned(first);
            (address.wrapping_add(size_of::<T>()) as *mut U).write_unaligned(second);
        }
        Some(())
    }
}

/// Bytes of a table.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    start: *const u8,
    len: usize,
    memory: PhantomData<&'a [u8]>,
}

impl Stored<'_> {
    /// The bits of a length, and of an offset in a reply.
    pub const LEN_MASK: usize = 0x7ff;

    /// Takes `len` bytes from `start` on.
    ///
    /// # Safety
    ///
    /// For as long as `'a`, `len` bytes from `start` on are readable, and at least 32, and nobody writes there.
    #[inline(always)]
    pub unsafe fn new(start: *const u8, len: usize) -> Self {
        Self {
            start,
            len,
            memory: PhantomData,
        }
    }

    /// Where they begin.
    #[inline(always)]
    pub fn as_ptr(self) -> *const u8 {
        self.start
    }

    /// How many there are.
    #[inline(always)]
    pub fn len(self) -> usize {
        self.len
    }

    /// Says whether there are none.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Reads the first 32 bytes as words, as they stand; what is behind the length is anything.
    #[inline(always)]
    pub fn words(self) -> [u64; 4] {
        let word = |index: usize| {
            // SAFETY: `new` promises that as many bytes are readable.
            unsafe { self.start.wrapping_add(8 * index).cast::<u64>().read_unaligned() }
        };
        [word(0), word(1), word(2), word(3)]
    }
}

/// A failure to make room: the frame is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// A frame in the hands of a hook: what XDP, tc and tests have in common.
pub trait Frame {
    /// The frame, from the Ethernet header on, to be read.
    fn packet(&self) -> Packet<'_>;

    /// The frame, from the Ethernet header on, to be written.
    fn packet_mut(&mut self) -> PacketMut<'_>;

    /// Makes the frame `by` bytes longer. Its first `keep` bytes, at least eight, are its first bytes afterwards; what
    /// the bytes behind them hold is not said.
    fn grow(&mut self, by: usize, keep: usize) -> Result<(), NoRoom>;

    /// Says whether the link takes the frame when it is `by` bytes longer.
    fn link_takes(&mut self, by: usize) -> bool;

    /// Writes bytes of a table, 1 to [`Stored::LEN_MASK`] of them, at byte `at`; `None`, and nothing written, unless all of them fit.
    #[must_use = "a write that does not fit leaves the frame as it was"]
    fn store(&mut self, at: usize, bytes: Stored<'_>) -> Option<()>;

    /// Whether a transmitter may still have to complete a frame's checksum (Linux: `CHECKSUM_PARTIAL`).
    const MAY_WAIT_FOR_CHECKSUM: bool;

    /// Says for certain whether it has to, of the checksum at byte `at`: two bytes that hold 0 before, anything after.
    fn waits_for_checksum(&mut self, at: usize) -> bool;
}

/// A frame in plain memory, with room before and behind it: the core's frame outside of the kernel.
#[cfg(not(target_arch = "bpf"))]
pub struct MemoryFrame<'a> {
    buffer: &'a mut [u8],
    start: usize,
    end: usize,
    waits_for_checksum: bool,
}

#[cfg(not(target_arch = "bpf"))]
impl<'a> MemoryFrame<'a> {
    /// Takes the bytes `frame` of `buffer` as the frame, and the rest of it as room.
    ///
    /// `waits_for_checksum` is what [`Frame::waits_for_checksum`] says.
    pub fn new(buffer: &'a mut [u8], frame: core::ops::Range<usize>, waits_for_checksum: bool) -> Self {
        let end = frame.end.min(buffer.len());
        let start = frame.start.min(end);
        Self {
            buffer,
            start,
            end,
            waits_for_checksum,
        }
    }

    /// The frame as it is now.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }
}

#[cfg(not(target_arch = "bpf"))]
impl Frame for MemoryFrame<'_> {
    fn packet(&self) -> Packet<'_> {
        let bytes = self.bytes().as_ptr_range();
        // SAFETY: the range is that of a slice which is borrowed for as long.
        unsafe { Packet::new(bytes.start as usize, bytes.end as usize) }
    }

    fn packet_mut(&mut self) -> PacketMut<'_> {
        let bytes = self.buffer[self.start..self.end].as_mut_ptr_range();
        // SAFETY: the range is that of a slice which is borrowed mutably for as long.
        unsafe { PacketMut::new(bytes.start as usize, bytes.end as usize) }
    }

    fn grow(&mut self, by: usize, keep: usize) -> Result<(), NoRoom> {
        if self.buffer.len() - self.end >= by {
            self.end += by;
            return Ok(());
        }
        let start = self.start.checked_sub(by).ok_or(NoRoom)?;
        self.buffer.copy_within(self.start..self.start + keep, start);
        self.start = start;
        Ok(())
    }

    fn link_takes(&mut self, by: usize) -> bool {
        // What a frame of Ethernet holds.
        self.end - self.start + by <= 1514
    }

    fn store(&mut self, at: usize, bytes: Stored<'_>) -> Option<()> {
        let to = self.buffer.get_mut(self.start + at..self.end)?.get_mut(..bytes.len())?;
        // SAFETY: `Stored` promises as many readable bytes, and a frame is no table.
        unsafe { bytes.as_ptr().copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
        Some(())
    }

    const MAY_WAIT_FOR_CHECKSUM: bool = true;

    fn waits_for_checksum(&mut self, _at: usize) -> bool {
        self.waits_for_checksum
    }
}

/// Returns `value`, but keeps the compiler and the verifier from knowing that it is the same.
///
/// Verifier: the compiler proves a bound once and drops the checks that repeat it, while the verifier has lost what it
/// knew where the value was copied or recomputed; what is hidden is checked where it is used. And whatever the verifier
/// learns of the result it does not learn of the original: see [`crate::words::Words`].
#[inline(always)]
pub fn hide(value: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        // SAFETY: the instructions change a register and change it back. They are not marked pure, or the compiler
        // would make one of two that start from the same value.
        unsafe { core::arch::asm!("{0} ^= 1", "{0} ^= 1", inout(reg) value, options(nomem, nostack)) };
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    value
}

/// Returns `value`, but keeps the verifier from knowing anything of it, even if it is a constant: the ways that led here
/// with different values become one.
#[inline(always)]
pub fn forget(value: usize) -> usize {
    let zero = zero();
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        // SAFETY: one instruction on two registers. Not left to the compiler, which would put it off until the value is used,
        // and keep the value itself until then.
        unsafe { core::arch::asm!("{0} ^= {1}", inout(reg) value, in(reg) zero, options(nomem, nostack)) };
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        value ^ zero
    }
}

/// 0, which only the verifier does not know, since it is read from memory.
#[inline(always)]
fn zero() -> usize {
    #[cfg(target_arch = "bpf")]
    {
        use core::cell::UnsafeCell;

        #[repr(transparent)]
        struct Cell(UnsafeCell<usize>);
        // SAFETY: nobody writes to it.
        unsafe impl Sync for Cell {}

        static ZERO: Cell = Cell(UnsafeCell::new(0));
        // SAFETY: nobody writes to it; volatile, so that the compiler does not know it either.
        unsafe { ZERO.0.get().read_volatile() }
    }
    #[cfg(not(target_arch = "bpf"))]
    0
}
