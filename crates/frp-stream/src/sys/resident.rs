//! Memory that only the start has needed.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr;

/// Freed memory at the end of each arena that the allocator keeps instead of giving it back to the system.
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
    let mapped = mapped_from_files(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default());
    // SAFETY: the callback has the signature that is asked for, is given the data that it expects, which lives through the
    // call, and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(release_object), ptr::from_ref(&mapped).cast_mut().cast()) };
    #[cfg(target_env = "gnu")]
    // SAFETY: callable at any time from any thread.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// What is mapped from a file and may not be written, as `/proc/self/maps` tells. A packed program unpacks its segments
/// into memory of its own, which is gone when it is dropped.
fn mapped_from_files(maps: &str) -> Vec<Range<usize>> {
    let mapped = maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (range, permissions, _, _, inode) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let path = fields.next()?;
        if permissions.contains('w') || inode == "0" || !path.starts_with('/') || path.starts_with("/memfd:")
        {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    });
    mapped.collect()
}

/// Releases the segments of one object that are mapped read-only from its file. `mapped` is what [`mapped_from_files`]
/// gave.
#[expect(unsafe_code, reason = "called by the loader with its own structure")]
unsafe extern "C" fn release_object(info: *mut libc::dl_phdr_info, _: usize, mapped: *mut c_void) -> c_int {
    // SAFETY: our own caller gives it, for the time of the call.
    let mapped = unsafe { &*mapped.cast::<Vec<Range<usize>>>() };
    // SAFETY: the loader gives a valid structure for the time of the call, with as many headers as it says.
    let (base, headers) = unsafe {
        let info = &*info;
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        (info.dlpi_addr, std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)))
    };
    // SAFETY: no more than a question to the system.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096).max(1);
    for header in headers {
        // A segment that may be written holds what was relocated, also where it is read-only by now: never that.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        // As wide as an address, which is not the same everywhere.
        let (Ok(start), Ok(size)) =
            (usize::try_from(base.wrapping_add(header.p_vaddr)), usize::try_from(header.p_memsz))
        else {
            continue;
        };
        let first = start - start % page;
        let length = size.saturating_add(start - first);
        if !mapped.iter().any(|mapped| {
            mapped.start <= first && first.saturating_add(length) <= mapped.end.next_multiple_of(page)
        }) {
            continue;
        }
        // SAFETY: a loaded segment without write permission, which the system has just said to be mapped from a file, holds
        // what the file does: pages that are dropped come back with the same bytes when they are next touched. A failure
        // changes nothing.
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
    fn a_packed_program_keeps_what_it_has_unpacked() {
        let maps = "08048000-0804a000 r-xp 00001000 08:01 1234                       /usr/bin/frps\n\
            0804a000-0804b000 rw-p 00003000 08:01 1234                       /usr/bin/frps\n\
            7f0000000000-7f0000100000 r-xp 00000000 00:00 0 \n\
            7f0000200000-7f0000300000 r-xp 00000000 00:01 77                         /memfd:code (deleted)\n\
            7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]\n";
        let code = 0x0804_8000..0x0804_a000;
        assert_eq!(mapped_from_files(maps), std::slice::from_ref(&code));
        // This program is none.
        let own = mapped_from_files(&std::fs::read_to_string("/proc/self/maps").unwrap());
        let code = mapped_from_files as *const () as usize;
        assert!(own.iter().any(|mapped| mapped.contains(&code)));
        let heap = Box::new(0_u8);
        assert!(!own.iter().any(|mapped| mapped.contains(&(ptr::from_ref(&*heap) as usize))));
    }

    /// What a packed program tells the loader of: a segment like any other, in memory that no file stands behind.
    #[cfg(target_pointer_width = "64")]
    #[test]
    #[expect(unsafe_code, reason = "the loader's structures")]
    fn a_segment_is_released_only_where_a_file_stands_behind_it() {
        const ROOM: usize = 1 << 16;
        let mut memory = vec![7_u8; 3 * ROOM];
        let place = memory.as_mut_ptr() as usize;
        let start = place.next_multiple_of(ROOM);
        let skipped = start - place;
        // SAFETY: both are plain numbers and pointers, for which zero is a value.
        let (mut header, mut info): (libc::Elf64_Phdr, libc::dl_phdr_info) = unsafe { std::mem::zeroed() };
        header.p_type = libc::PT_LOAD;
        header.p_flags = libc::PF_R | libc::PF_X;
        header.p_memsz = ROOM as u64;
        info.dlpi_addr = start as u64;
        info.dlpi_phdr = &raw const header;
        info.dlpi_phnum = 1;
        let mut release = |mapped: &Vec<Range<usize>>| {
            let mapped = ptr::from_ref(mapped).cast_mut().cast();
            // SAFETY: the structure says of memory of ours what is true of its place and length, and is alive, as is what
            // stands behind `mapped`. Nobody borrows that memory meanwhile.
            unsafe { release_object(&raw mut info, size_of::<libc::dl_phdr_info>(), mapped) }
        };
        release(&mapped_from_files(&std::fs::read_to_string("/proc/self/maps").unwrap()));
        assert!(std::hint::black_box(&mut memory).iter().all(|byte| *byte == 7));
        // Said to be a file's, it goes; its pages come back empty, as no file stands behind them.
        let files = start..start + ROOM;
        release(&vec![files]);
        let memory = std::hint::black_box(&mut memory);
        assert!(memory[skipped..skipped + ROOM].iter().all(|byte| *byte == 0));
        assert!(memory[..skipped].iter().chain(&memory[skipped + ROOM..]).all(|byte| *byte == 7));
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
