//! What this machine has not enough of: files, ports, memory. It says nothing of a receiver.

use std::io;

/// `EMFILE` and `ENFILE`, the same on Linux and macOS; `ENOBUFS` differs. The standard library names no kind for them.
const TOO_MANY_FILES: [i32; 2] = [24, 23];
const NO_BUFFERS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };

/// Whether an error of a socket is a shortage of this machine's own.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let code = error.raw_os_error().unwrap_or_default();
    TOO_MANY_FILES.contains(&code)
        || code == NO_BUFFERS
        // No port is left, no memory, or no room in a table of the kernel's.
        || matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_from_a_refusal() {
        for code in [24, 23, NO_BUFFERS, 12] {
            assert!(is_shortage(&io::Error::from_raw_os_error(code)), "{code}");
        }
        for kind in
            [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut, io::ErrorKind::PermissionDenied]
        {
            assert!(!is_shortage(&kind.into()), "{kind}");
        }
    }
}
