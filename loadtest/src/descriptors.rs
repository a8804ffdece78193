//! The limit on open files: raised to the hard limit for this process and its children.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors that each side needs besides its connections.
const SPARE: u64 = 100;

/// Raises the soft limit to the hard limit.
pub(crate) fn raise_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("could not raise the limit on open files")
}

/// Fails if the limit is too low for `connections`.
pub(crate) fn check_room(connections: u32) -> Result<()> {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return Ok(());
    };
    let needed = u64::from(connections) + SPARE;
    ensure!(
        limit >= needed,
        "{connections} connections need {needed} open files, but the hard limit is {limit}; raise it \
         (`ulimit -Hn {needed}` as root, or LimitNOFILE= in systemd) or ask for fewer with --connections"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_checked_against_the_raised_limit() {
        raise_limit().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        check_room(1).unwrap();
        if limit.current.is_some_and(|current| current < u64::from(u32::MAX)) {
            let error = check_room(u32::MAX).unwrap_err().to_string();
            assert!(error.contains("ulimit -Hn"), "{error}");
        }
    }
}
