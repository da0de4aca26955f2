//! Noticing that the Corefile says something else than what is in force.
//!
//! Nothing is reloaded: an agent that went on by the old file could answer what the new one leaves to another plugin, so
//! it ends, and whoever runs it starts it again with the new one.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Config, load};

/// How often the file is read again.
const INTERVAL: Duration = Duration::from_secs(2);

/// Reads the Corefile and what it imports again and again, until `shutdown`. A file that is broken changes nothing.
///
/// # Errors
///
/// Fails once it reads well and says something else than `in_force`, were it only in another line.
pub async fn follow(path: PathBuf, in_force: Config, shutdown: CancellationToken) -> Result<()> {
    let mut rounds = interval(INTERVAL);
    let mut told = String::new();
    while shutdown.run_until_cancelled(rounds.tick()).await.is_some() {
        match load(&path) {
            Ok(config) if config == in_force => told.clear(),
            Ok(_) => bail!("{} has changed: restart kxdns, which puts it in force", path.display()),
            Err(errors) if told == errors.to_string() => {}
            Err(errors) => {
                told = errors.to_string();
                warn!("what the Corefile said before stays in force: {told}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    const COREFILE: &str = ". {\n  kubernetes cluster.local\n  import more\n}\n";

    #[tokio::test(start_paused = true)]
    async fn ends_when_the_file_or_what_it_imports_says_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let (path, more) = (folder.path().join("Corefile"), folder.path().join("more"));
        fs::write(&path, COREFILE).unwrap();
        fs::write(&more, "log").unwrap();
        let shutdown = CancellationToken::new();
        let following = follow(path.clone(), load(&path).unwrap(), shutdown);
        tokio::pin!(following);
        fs::write(&path, "broken {").unwrap();
        assert!(
            timeout(INTERVAL * 2, &mut following).await.is_err(),
            "a broken file changes nothing"
        );
        fs::write(&path, COREFILE).unwrap();
        assert!(
            timeout(INTERVAL * 2, &mut following).await.is_err(),
            "it says what it said before"
        );
        fs::write(&more, "hosts").unwrap();
        let ended = timeout(INTERVAL * 5, following).await.unwrap().unwrap_err();
        assert!(ended.to_string().contains("has changed: restart kxdns"), "{ended}");
    }

    #[tokio::test(start_paused = true)]
    async fn ends_well_when_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Corefile");
        fs::write(&path, COREFILE.replace("import more", "log")).unwrap();
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        follow(path.clone(), load(&path).unwrap(), shutdown).await.unwrap();
    }
}
