//! Standard output that waits for its turn.

use std::io::{Result, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most bytes that are held back; what comes beyond them is dropped, for nobody will read so much at once.
const HELD: usize = 1 << 20;

/// A writer to standard output: what is written before [`Gate::open`] comes out then.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    held: Vec<u8>,
}

impl Gate {
    /// Lets everything out, from now on at once.
    pub fn open(&self) {
        let mut state = self.state();
        state.open = true;
        let held = std::mem::take(&mut state.held);
        // A terminal that is gone stops nothing.
        let _written = std::io::stdout().write_all(&held);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut state = self.state();
        if state.open {
            return std::io::stdout().write(bytes);
        }
        if state.held.len() + bytes.len() <= HELD {
            state.held.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        if self.state().open { std::io::stdout().flush() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_early_waits_and_is_bounded() {
        let mut gate = Gate::default();
        gate.write_all(b"first\n").unwrap();
        assert_eq!(gate.state().held, b"first\n");
        gate.write_all(&vec![b'x'; HELD]).unwrap();
        assert_eq!(gate.state().held.len(), 6);
        gate.open();
        assert!(gate.state().held.is_empty() && gate.state().open);
    }
}
