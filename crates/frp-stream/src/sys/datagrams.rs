//! `recvmmsg` with `UDP_GRO`, `sendmsg` with `UDP_SEGMENT` (udp(7)).

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    mem::{size_of, zeroed},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::AsRawFd,
    ptr,
};

use socket2::{MsgHdr, SockAddr, SockRef};
use tokio::net::UdpSocket;

use super::socklen;

pub(crate) const SENDS_RUNS: bool = true;

/// Messages that one call takes; each may be a run of up to 64 datagrams.
const BATCH: usize = MESSAGES as usize;
const MESSAGES: libc::c_uint = 16;
/// Room for one message: no datagram and no run is longer.
const ROOM: usize = 65_536;
/// Room for one control message with an `int`.
const CONTROL: usize = 64;

thread_local! {
    /// Room for a batch. The kernel gives it memory as far as it is written to.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lets the kernel hand over several datagrams of one sender as one message.
#[expect(unsafe_code, reason = "no safe crate that we use has this option")]
pub(crate) fn join_received(socket: &UdpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the option's value is an `int`, of which the
    // kernel reads the given length.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_GRO,
            ptr::from_ref(&on).cast(),
            socklen::<libc::c_int>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Room for control messages, aligned as their headers want it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

#[expect(unsafe_code, reason = "no safe crate that we use has this call without allocating for each")]
pub(crate) fn receive(
    socket: &UdpSocket,
    named: bool,
    each: &mut impl FnMut(&[u8], SocketAddr),
) -> io::Result<()> {
    let mut scratch = SCRATCH.with_borrow_mut(std::mem::take);
    if scratch.is_empty() {
        // Not `resize`, which would write to all of it.
        scratch = vec![0; BATCH * ROOM];
    }
    // An IPv4 address is shorter than one of IPv6 and written over its beginning.
    // SAFETY: all of these are plain numbers and pointers, for which zero is a value (an address of no family, a null
    // pointer with length zero).
    let (mut names, mut headers): ([libc::sockaddr_in6; BATCH], [libc::mmsghdr; BATCH]) =
        unsafe { (zeroed(), zeroed()) };
    let mut controls = [Control([0; CONTROL]); BATCH];
    let mut slices = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    let rooms = scratch.chunks_exact_mut(ROOM);
    let parts = headers.iter_mut().zip(&mut names).zip(&mut controls).zip(&mut slices).zip(rooms);
    for ((((header, name), control), slice), room) in parts {
        *slice = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        let header = &mut header.msg_hdr;
        header.msg_iov = slice;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL as _;
        if named {
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_namelen = socklen::<libc::sockaddr_in6>();
        }
    }
    // SAFETY: there are `BATCH` headers. Each points at its own name, control and slice, the slice at its own part of
    // `scratch`, with their true lengths; all of them outlive the call and nothing else refers to them during it.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            MESSAGES,
            libc::MSG_DONTWAIT as _,
            ptr::null_mut(),
        )
    };
    let outcome = match usize::try_from(received) {
        Ok(count) => {
            let messages = headers.iter().zip(&names).zip(scratch.chunks_exact(ROOM));
            for ((header, name), room) in messages.take(count) {
                let message = room.get(..header.msg_len as usize).unwrap_or_default();
                // SAFETY: the kernel has filled the header in: what it says of its control messages is true of
                // `controls`, which is alive.
                let length = unsafe { run_length(&header.msg_hdr) };
                let from = address(name);
                if message.is_empty() {
                    each(message, from);
                }
                for datagram in message.chunks(length.unwrap_or(ROOM)) {
                    each(datagram, from);
                }
            }
            Ok(())
        }
        Err(_) => Err(io::Error::last_os_error()),
    };
    SCRATCH.with_borrow_mut(|kept| *kept = scratch);
    outcome
}

/// How long the datagrams of a run are; none if the message is no run.
///
/// # Safety
/// `header` must be as a receiving call left it, and its control room alive.
#[expect(unsafe_code, reason = "control messages are a list of unaligned structs")]
unsafe fn run_length(header: &libc::msghdr) -> Option<usize> {
    // SAFETY: the caller's promise. These walk no further than the header's length of control messages; the data of
    // this one, which lies behind its header and so is reached from the list's own pointer, is an `int`, perhaps
    // unaligned.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = next.as_ref() {
            if control.cmsg_level == libc::SOL_UDP && control.cmsg_type == libc::UDP_GRO {
                let length = libc::CMSG_DATA(next).cast::<libc::c_int>().read_unaligned();
                return usize::try_from(length).ok().filter(|&length| length > 0);
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    None
}

/// The sender that the kernel wrote.
#[expect(unsafe_code, reason = "the kernel writes either kind of address into the room of the longer one")]
fn address(name: &libc::sockaddr_in6) -> SocketAddr {
    if i32::from(name.sin6_family) == libc::AF_INET {
        // SAFETY: `sockaddr_in` is shorter than `sockaddr_in6`, no stricter in alignment, and any bytes are one.
        let name = unsafe { ptr::from_ref(name).cast::<libc::sockaddr_in>().read_unaligned() };
        let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
        return (ip, u16::from_be(name.sin_port)).into();
    }
    let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
    SocketAddrV6::new(ip, u16::from_be(name.sin6_port), 0, name.sin6_scope_id).into()
}

/// Sends `payload` as datagrams of `length` bytes, the last one perhaps shorter.
pub(crate) fn send_run(
    socket: &UdpSocket,
    payload: &[u8],
    length: usize,
    to: Option<SocketAddr>,
) -> io::Result<()> {
    let length = u16::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    let control = segment_control(length);
    let buffers = [IoSlice::new(payload)];
    let to = to.map(SockAddr::from);
    let mut message = MsgHdr::new().with_buffers(&buffers).with_control(&control);
    if let Some(to) = &to {
        message = message.with_addr(to);
    }
    SockRef::from(socket).sendmsg(&message, 0).map(drop)
}

/// A control message `UDP_SEGMENT`: its length (a `size_t`), level and type, and the datagrams' length; then as much as
/// aligns the next one. The kernel copies it before it looks at it.
fn segment_control(length: u16) -> [u8; CONTROL_SEGMENT] {
    const DATA: usize = size_of::<usize>() + 2 * size_of::<libc::c_int>();
    let mut control = [0; CONTROL_SEGMENT];
    let fields: [&[u8]; 4] = [
        &(DATA + size_of::<u16>()).to_ne_bytes(),
        &libc::SOL_UDP.to_ne_bytes(),
        &libc::UDP_SEGMENT.to_ne_bytes(),
        &length.to_ne_bytes(),
    ];
    for (byte, value) in control.iter_mut().zip(fields.into_iter().flatten()) {
        *byte = *value;
    }
    control
}

const CONTROL_SEGMENT: usize = 2 * size_of::<usize>() + 2 * size_of::<libc::c_int>();

/// Whether one datagram may pass where the run did not: it is too long for the path unless fragmented, or the device
/// or the kernel cannot do it.
pub(crate) fn is_about_runs(error: &io::Error) -> bool {
    let about = [libc::EINVAL, libc::EMSGSIZE, libc::EOPNOTSUPP];
    is_about_all_runs(error) || error.raw_os_error().is_some_and(|code| about.contains(&code))
}

/// Whether no run will pass: the device cannot compute checksums.
pub(crate) fn is_about_all_runs(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO)
}
