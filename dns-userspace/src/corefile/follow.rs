//! Noticing that the Corefile says something else than what is in force.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::warn;

use super::{Config, Errors, load};

/// How often the file is read again where nobody says otherwise, though it is another server's.
const INTERVAL: Duration = Duration::from_secs(2);

/// What there is to notice.
pub enum Noticed {
    /// The file says this now.
    Change(Config),
    /// It was asked to read it again, and the file says this.
    Asked(Result<Config, Errors>),
}

/// Looks at the Corefile.
pub struct Follower {
    path: PathBuf,
    /// How often; never if `None`.
    interval: Option<Duration>,
    /// Who is told to look.
    ask: Arc<Notify>,
    /// What the file said when it was looked at for the last time.
    digest: String,
    /// The errors that were told.
    told: String,
}

impl Follower {
    /// Looks as often as the `reload` of what is in force says, and whenever it is asked. Without a `reload` it looks only
    /// when it is asked, unless the file is another server's, of whose restarts nobody tells.
    pub fn new(path: PathBuf, in_force: &Config, is_anothers: bool, ask: Arc<Notify>) -> Self {
        let interval = in_force.reload().map(|reload| {
            let jitter = rand::random_range(-0.5..=0.5) * reload.jitter.as_secs_f64();
            reload.interval.mul_f64(1.0 + jitter / reload.interval.as_secs_f64())
        });
        Self {
            path,
            interval: if is_anothers { Some(INTERVAL) } else { interval },
            ask,
            digest: in_force.digest.clone(),
            told: String::new(),
        }
    }

    /// Waits until there is something to notice. A file that is broken is told of, and changes nothing.
    pub async fn notice(&mut self) -> Noticed {
        loop {
            tokio::select! {
                () = self.ask.notified() => {
                    let asked = load(&self.path);
                    if let Ok(config) = &asked {
                        self.digest.clone_from(&config.digest);
                    }
                    return Noticed::Asked(asked);
                }
                () = pause(self.interval) => {}
            }
            match load(&self.path) {
                Ok(config) if config.digest == self.digest => self.told.clear(),
                // It is noticed once, whatever comes of it.
                Ok(config) => {
                    self.digest.clone_from(&config.digest);
                    return Noticed::Change(config);
                }
                Err(errors) if self.told == errors.to_string() => {}
                Err(errors) => {
                    self.told = errors.to_string();
                    warn!("what the Corefile said before stays in force: {}", self.told);
                }
            }
        }
    }
}

async fn pause(interval: Option<Duration>) {
    match interval {
        Some(interval) => sleep(interval).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    const COREFILE: &str = ". {\n  kubernetes cluster.local\n  reload 2s 0s\n  import more\n}\n";

    #[tokio::test(start_paused = true)]
    async fn notices_that_the_file_or_what_it_imports_says_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let (path, more) = (folder.path().join("Corefile"), folder.path().join("more"));
        fs::write(&path, COREFILE).unwrap();
        fs::write(&more, "log").unwrap();
        let ask = Arc::new(Notify::new());
        let mut follower = Follower::new(path.clone(), &load(&path).unwrap(), false, ask.clone());
        for (text, what) in [
            ("broken {", "a broken file changes nothing"),
            (COREFILE, "it says what it said before"),
            (&COREFILE.replace('\n', "\n\n# more\n"), "in other lines"),
        ] {
            fs::write(&path, text).unwrap();
            assert!(timeout(INTERVAL * 2, follower.notice()).await.is_err(), "{what}");
        }
        fs::write(&more, "hosts").unwrap();
        let noticed = timeout(INTERVAL * 5, follower.notice()).await.unwrap();
        assert!(matches!(noticed, Noticed::Change(config) if config.servers[0].has("hosts")));
        assert!(
            timeout(INTERVAL * 2, follower.notice()).await.is_err(),
            "it is noticed once"
        );
        fs::write(&path, "broken {").unwrap();
        ask.notify_one();
        assert!(matches!(follower.notice().await, Noticed::Asked(Err(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn looks_without_being_asked_only_where_it_is_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Corefile");
        for (reload, is_anothers, looks) in [("", false, false), ("", true, true), ("reload", false, true)] {
            fs::write(&path, format!(". {{\n{reload}\n}}")).unwrap();
            let ask = Arc::new(Notify::new());
            let mut follower = Follower::new(path.clone(), &load(&path).unwrap(), is_anothers, ask);
            fs::write(&path, ". {\nlog\n}").unwrap();
            let noticed = timeout(Duration::from_secs(60), follower.notice()).await;
            assert_eq!(noticed.is_ok(), looks, "{reload} {is_anothers}");
        }
    }
}
