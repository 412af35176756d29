//! Memory that only the start has needed.

use std::ffi::{c_int, c_void};
use std::ptr;

/// Freed memory at the end of an arena that the allocator keeps instead of giving it back to the system.
#[cfg(target_env = "gnu")]
const KEPT: c_int = 4 * 1024 * 1024;

/// Has the allocator keep some of what is freed. glibc gives back whatever is beyond 128 KiB, which is two buffers here:
/// streams that come and go by turns would have the system map, clear and take away the same pages all the time.
#[expect(unsafe_code, reason = "no safe crate that we use sets this")]
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: callable at any time; a value that it does not take changes nothing.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT)
    };
}

/// Gives back what the process has mapped of its program and libraries and does not change: what still runs is mapped
/// again as it runs, from the system's cache of files. Also gives back what the allocator holds and nobody uses.
///
/// Reading a configuration, a command line and certificates takes more code than moving bytes does.
#[expect(unsafe_code, reason = "no safe crate that we use names the segments of a program")]
pub fn release_what_only_the_start_needed() {
    // SAFETY: the callback has the signature that is asked for, takes no data and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(release_object), ptr::null_mut()) };
    #[cfg(target_env = "gnu")]
    // SAFETY: callable at any time from any thread.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Releases the segments of one object that are mapped read-only from its file.
#[expect(unsafe_code, reason = "called by the loader with its own structure")]
unsafe extern "C" fn release_object(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the loader gives a valid structure for the time of the call, with as many headers as it says.
    let (base, headers) = unsafe {
        let info = &*info;
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        (info.dlpi_addr, std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)))
    };
    // SAFETY: no more than a question to the system.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096).max(1);
    for header in headers {
        // A segment that may be written holds what was relocated, also where it is read-only by now: never that.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let start = base + header.p_vaddr;
        let first = start - start % page;
        let Ok(length) = usize::try_from(start + header.p_memsz - first) else { continue };
        // SAFETY: a loaded segment without write permission is a private mapping of a file that nobody has changed:
        // pages that are dropped come back with the same bytes when they are next touched. A failure changes nothing.
        unsafe { libc::madvise(first as *mut c_void, length, libc::MADV_DONTNEED) };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_allocated_and_freed_as_before() {
        keep_freed_memory();
        for size in [1, 1 << 12, 1 << 16, 1 << 20, 1 << 24] {
            assert_eq!(vec![1_u8; size].iter().map(|&byte| usize::from(byte)).sum::<usize>(), size);
        }
    }

    #[test]
    fn code_and_constants_are_there_afterwards() {
        let constants: Vec<&[u8]> = vec![include_bytes!("resident.rs"), b"constant"];
        let before: Vec<Vec<u8>> = constants.iter().map(|bytes| bytes.to_vec()).collect();
        for _ in 0..3 {
            release_what_only_the_start_needed();
            assert_eq!(before, constants);
            assert!(format!("{:?}", std::time::SystemTime::now()).contains("tv_sec"));
        }
    }
}
