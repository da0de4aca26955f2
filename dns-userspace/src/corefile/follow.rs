//! Noticing that the Corefile says something else than what is in force.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::{Config, Errors, load};

/// How often the file is read again where nobody says otherwise, though it is another server's.
const INTERVAL: Duration = Duration::from_secs(2);

/// What there is to notice.
pub struct Noticed {
    /// What the file says, or why it says nothing.
    pub said: Result<Config, Errors>,
    /// Whether somebody has asked for it to be read.
    pub was_asked: bool,
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
    pub fn new(path: PathBuf, in_force: &Config, is_foreign: bool, ask: Arc<Notify>) -> Self {
        let interval = in_force.reload().map(|reload| {
            let jitter = rand::random_range(-0.5..=0.5) * reload.jitter.as_secs_f64();
            reload.interval.mul_f64(1.0 + jitter / reload.interval.as_secs_f64())
        });
        Self {
            path,
            interval: if is_foreign { Some(INTERVAL) } else { interval },
            ask,
            digest: in_force.digest.clone(),
            told: String::new(),
        }
    }

    /// Waits until the file says something else than before, or is broken in another way, or until it is asked to look.
    pub async fn notice(&mut self) -> Noticed {
        loop {
            let was_asked = tokio::select! {
                () = self.ask.notified() => true,
                () = pause(self.interval) => false,
            };
            let said = load(&self.path);
            if self.is_new(&said) || was_asked {
                return Noticed { said, was_asked };
            }
        }
    }

    /// Whether it was noticed before. It is noticed once, whatever comes of it.
    fn is_new(&mut self, said: &Result<Config, Errors>) -> bool {
        match said {
            Ok(config) => {
                self.told.clear();
                std::mem::replace(&mut self.digest, config.digest.clone()) != config.digest
            }
            Err(errors) => {
                let errors = errors.to_string();
                std::mem::replace(&mut self.told, errors.clone()) != errors
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
        fs::write(&path, "broken {").unwrap();
        let noticed = timeout(INTERVAL * 2, follower.notice()).await.unwrap();
        assert!(noticed.said.is_err() && !noticed.was_asked);
        for (text, what) in [
            ("broken {", "it is broken in no other way"),
            (COREFILE, "it says what it said before"),
            (&COREFILE.replace('\n', "\n\n# more\n"), "in other lines"),
        ] {
            fs::write(&path, text).unwrap();
            assert!(timeout(INTERVAL * 2, follower.notice()).await.is_err(), "{what}");
        }
        fs::write(&more, "hosts").unwrap();
        let noticed = timeout(INTERVAL * 5, follower.notice()).await.unwrap();
        assert!(noticed.said.unwrap().servers[0].has("hosts"));
        assert!(
            timeout(INTERVAL * 2, follower.notice()).await.is_err(),
            "it is noticed once"
        );
        ask.notify_one();
        assert!(follower.notice().await.was_asked);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_without_being_asked_only_where_it_is_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Corefile");
        for (reload, is_foreign, looks) in [("", false, false), ("", true, true), ("reload", false, true)] {
            fs::write(&path, format!(". {{\n{reload}\n}}")).unwrap();
            let ask = Arc::new(Notify::new());
            let mut follower = Follower::new(path.clone(), &load(&path).unwrap(), is_foreign, ask);
            fs::write(&path, ". {\nlog\n}").unwrap();
            let noticed = timeout(Duration::from_secs(60), follower.notice()).await;
            assert_eq!(noticed.is_ok(), looks, "{reload} {is_foreign}");
        }
    }
}
