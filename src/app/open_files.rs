//! The limit of open files. What a shell or a service manager gives is often 1,024, for the sake of programs that use
//! `select`; the hard limit above it is meant to be taken by those that need more.

/// Raises the soft limit to the hard one and answers what it is now. Where the system refuses, the old one stands.
pub(super) fn raise_limit() -> u64 {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => {
            tracing::debug!(files, "so many files may be open");
            files
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the limit of open files cannot be raised"
            );
            rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(FEWEST, |(soft, _)| soft)
        }
    }
}

/// What POSIX promises at least is less; no system in use gives less than this.
const FEWEST: u64 = 256;
