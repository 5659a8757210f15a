//! How much a process does at once.

/// So many times as many requests as there are slots may linger.
const LINGERING: usize = 3;

/// The most requests of a process at once.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// That hold a slot.
    pub slots: usize,
    /// That have waited for their answers for so long that they hold none any more.
    pub lingering: usize,
}

impl Most {
    /// So many slots, and what goes with them.
    pub const fn of_slots(slots: usize) -> Self {
        Self { slots, lingering: LINGERING * slots }
    }

    /// The same in a process that has no more files for callbacks than this: each request is a connection.
    #[must_use]
    pub fn within(self, files: usize) -> Self {
        Self { lingering: self.lingering.min(files.saturating_sub(self.slots)), ..self }
    }
}
