//! Zeroed anonymous memory for weights and KV pages, in huge pages where the system grants them.
//!
//! One 7B model is a million small pages and two thousand huge ones: with small pages the processor
//! spends part of every pass over the weights looking up addresses. The pages are only reserved
//! here. The first write makes a page real, close to the core that writes, so loading on the
//! workers also places the pages.

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use thiserror::Error;

/// The system did not give the memory asked for.
#[derive(Debug, Error)]
#[error("cannot allocate {bytes} bytes: {cause}")]
pub struct AllocError {
    /// How much was asked for.
    pub bytes: usize,
    /// What the system said.
    pub cause: io::Error,
}

/// An owned run of bytes that starts zeroed and at a multiple of 64.
pub(crate) struct Memory {
    /// What was mapped, at least as large as what is used.
    mapping: NonNull<u8>,
    mapping_bytes: usize,
    /// Where the used part begins; it is `bytes` long and lies within the mapping.
    start: NonNull<u8>,
    bytes: usize,
}

/// The huge page of x86-64 and of most ARM systems.
const HUGE_PAGE_BYTES: usize = 2 << 20;

// SAFETY: Memory owns its mapping alone, as a Vec<u8> owns its buffer.
unsafe impl Send for Memory {}
// SAFETY: a shared Memory gives out only shared slices.
unsafe impl Sync for Memory {}

impl Memory {
    /// Reserves `bytes` zeroed bytes, in huge pages where there are any.
    ///
    /// Errors: the address space or the system's commit limit does not hold them.
    pub(crate) fn zeroed(bytes: usize) -> Result<Memory, AllocError> {
        let memory = Memory::reserve(bytes)?;
        memory.advise(Pages::Huge);
        Ok(memory)
    }

    /// As [`Memory::zeroed`], but in small pages: to measure what huge ones give.
    pub(crate) fn zeroed_in_small_pages(bytes: usize) -> Result<Memory, AllocError> {
        let memory = Memory::reserve(bytes)?;
        memory.advise(Pages::Small);
        Ok(memory)
    }

    fn reserve(bytes: usize) -> Result<Memory, AllocError> {
        if bytes == 0 {
            let start = NonNull::<Aligned>::dangling().cast();
            return Ok(Memory { mapping: start, mapping_bytes: 0, start, bytes: 0 });
        }
        // Huge pages exist only at multiples of their size, which mmap does not promise.
        let slack = if bytes >= HUGE_PAGE_BYTES { HUGE_PAGE_BYTES } else { 0 };
        let mapping_bytes = bytes.checked_add(slack).ok_or_else(|| AllocError {
            bytes,
            cause: io::Error::from(io::ErrorKind::OutOfMemory),
        })?;
        let mapping = map(mapping_bytes).map_err(|cause| AllocError { bytes, cause })?;
        let skipped = if slack == 0 { 0 } else { mapping.align_offset(HUGE_PAGE_BYTES) };
        // SAFETY: align_offset of a byte pointer is below the alignment, and the mapping is that
        // much longer than what is used.
        let start = unsafe { mapping.add(skipped) };
        Ok(Memory { mapping, mapping_bytes, start, bytes })
    }

    /// Asks and does not insist: with other pages everything works, a little slower.
    fn advise(&self, pages: Pages) {
        if self.bytes == 0 {
            return;
        }
        #[cfg(target_os = "linux")]
        // SAFETY: the range is part of one mapping of ours, and the advice changes no content.
        unsafe {
            let advice = match pages {
                Pages::Small => libc::MADV_NOHUGEPAGE,
                Pages::Huge => libc::MADV_HUGEPAGE,
            };
            libc::madvise(self.start.as_ptr().cast(), self.bytes, advice);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = pages;
    }
}

/// Gives the pages of freed small allocations back to the system. The C library's allocator keeps
/// most of them, and after a flood of connections that is much.
///
/// It takes well below a millisecond where there is little to give back, and some 10 ms for 60 MB.
pub fn give_back_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes a number, may be called by any thread, and touches no allocation in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What pages to ask for.
enum Pages {
    Small,
    Huge,
}

/// Has the alignment that an empty [`Memory`] promises too.
#[repr(align(64))]
struct Aligned;

fn map(bytes: usize) -> Result<NonNull<u8>, io::Error> {
    // SAFETY: a private anonymous mapping at an address of the system's choice touches nothing
    // that exists.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: start..start + bytes is mapped, readable and zeroed or written since; bytes is
        // below isize::MAX because mmap granted it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in deref; the exclusive borrow of the owner makes the slice exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.mapping_bytes == 0 {
            return;
        }
        // SAFETY: exactly what map gave, given back once; no slice outlives the owner.
        unsafe {
            libc::munmap(self.mapping.as_ptr().cast(), self.mapping_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_aligned_and_writable_at_every_size() {
        for bytes in [0, 1, 63, 64, 4096, HUGE_PAGE_BYTES - 1, HUGE_PAGE_BYTES, 5_000_001] {
            let mut memory = Memory::zeroed(bytes).expect("a few megabytes are there");
            assert_eq!(memory.len(), bytes);
            assert!(memory.as_ptr().addr().is_multiple_of(64), "{bytes} bytes");
            assert!(memory.iter().all(|&byte| byte == 0), "{bytes} bytes");
            memory.fill(0xa5);
            assert!(memory.iter().all(|&byte| byte == 0xa5), "{bytes} bytes");
        }
    }

    #[test]
    fn impossible_sizes_are_errors() {
        for bytes in [usize::MAX, isize::MAX as usize] {
            let error = Memory::zeroed(bytes).err().expect("no machine has this much");
            assert_eq!(error.bytes, bytes);
        }
    }
}
