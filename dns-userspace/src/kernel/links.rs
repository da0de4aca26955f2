//! Keeps the programs on the right links as links come, change and go.
//!
//! The kernel's link notices drive it. Once a second it also looks again at links where something can change without a
//! notice: a native veth, whose peer may stop receiving, and links that could not be attached to.

use std::{collections::BTreeMap, io, time::Duration};

use aya::Ebpf;
use thiserror::Error;
use tokio::{
    runtime, select,
    sync::watch,
    time::{self, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    attach::{Attached, Attacher},
    attach_error::{AttachError, MissingPrivilege},
    clsact,
    hook::{AttachMode, Choice, Hook, LinkFacts, LinkKind, choose},
    link::{self, Change, Changes, Link},
    netdev::Netdev,
    object,
    selection::Selection,
};

/// How often links are looked at again that may change without a notice.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How one selected link stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// The link's name.
    pub name: String,
    /// The link's index.
    pub index: u32,
    /// The hook that it is attached by and why by this one, or else why it is not attached.
    pub attached: Result<Choice, String>,
}

/// What ends the following of links for good.
#[derive(Debug, Error)]
pub enum Fatal {
    /// The agent may not load or attach programs.
    #[error(transparent)]
    Privilege(#[from] MissingPrivilege),
    /// The kernel's list of links cannot be read.
    #[error("cannot follow the node's links by netlink: {0}")]
    Netlink(#[from] io::Error),
}

/// Attaches the object's programs to the selected links and follows those links until `shutdown`, then detaches.
///
/// Blocks, so it wants a thread of its own: the kernel lets each tcx program on or off a link only after an RCU grace
/// period, some 12 ms, which makes seconds at the start of a full node.
///
/// `state` always holds the links in order of their index; its first change says that all links of the start were tried. What
/// goes wrong with one link is logged, stands in `state` and does not stop the others.
///
/// # Errors
///
/// Fails if a privilege is missing or if netlink does not work: then no link can be attached.
pub fn follow(
    ebpf: Ebpf,
    selection: Selection,
    mode: AttachMode,
    state: watch::Sender<Vec<LinkState>>,
    shutdown: CancellationToken,
) -> Result<(), Fatal> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if mode == AttachMode::None {
            shutdown.cancelled().await;
            return Ok(());
        }
        let changes = Changes::subscribe()?;
        let mut follower = Follower::new(ebpf, selection, mode)?;
        follower.start()?;
        state.send_replace(follower.states());
        follower.follow(changes, state, shutdown).await
    })
}

struct Follower {
    // Before the attacher, so that every link is detached before the programs are unloaded.
    followed: BTreeMap<u32, Followed>,
    attacher: Attacher,
    netdev: Netdev,
    selection: Selection,
    mode: AttachMode,
}

/// A selected link, and what has become of it.
struct Followed {
    link: Link,
    attached: Result<Settled, String>,
}

type Settled = (Choice, Attached);

impl Follower {
    fn new(ebpf: Ebpf, selection: Selection, mode: AttachMode) -> io::Result<Self> {
        let (followed, netdev) = (BTreeMap::new(), Netdev::find()?);
        Ok(Self {
            followed,
            attacher: Attacher::new(ebpf),
            netdev,
            selection,
            mode,
        })
    }

    fn start(&mut self) -> Result<(), Fatal> {
        let links = link::list()?;
        links.iter().for_each(sweep);
        warn_of_unmatched(&self.selection, &links);
        self.replace_all(links)?;
        if self.followed.is_empty() {
            info!("no link to attach to yet; each is attached when it appears");
        }
        Ok(())
    }

    async fn follow(
        mut self,
        mut changes: Changes,
        state: watch::Sender<Vec<LinkState>>,
        shutdown: CancellationToken,
    ) -> Result<(), Fatal> {
        let mut recheck = time::interval(RECHECK_INTERVAL);
        // Ticks that nobody waited for, since no link was in doubt, are not made up for.
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                () = shutdown.cancelled() => return Ok(()),
                changes = changes.next() => changes?.into_iter().try_for_each(|change| self.apply(change))?,
                _ = recheck.tick(), if self.has_doubtful_links() => self.recheck()?,
            }
            state.send_if_modified(|known| {
                let states = self.states();
                let modified = *known != states;
                *known = states;
                modified
            });
        }
    }

    fn apply(&mut self, change: Change) -> Result<(), Fatal> {
        match change {
            Change::Set(link) => self.set(link),
            Change::Gone(index) => {
                self.forget(index);
                Ok(())
            }
            Change::Lost => self.replace_all(link::list()?),
        }
    }

    fn replace_all(&mut self, links: Vec<Link>) -> Result<(), Fatal> {
        self.followed
            .retain(|index, _| links.iter().any(|link| link.index == *index));
        links.into_iter().try_for_each(|link| self.set(link))
    }

    fn has_doubtful_links(&self) -> bool {
        self.followed.values().any(Followed::is_doubtful)
    }

    fn recheck(&mut self) -> Result<(), Fatal> {
        let doubtful = self.followed.values().filter(|followed| followed.is_doubtful());
        let links: Vec<_> = doubtful.map(|followed| followed.link.clone()).collect();
        links.into_iter().try_for_each(|link| self.set(link))
    }

    /// Brings one link to the state that it should have.
    fn set(&mut self, link: Link) -> Result<(), Fatal> {
        if !self.selection.includes(&link) {
            self.forget(link.index);
            return Ok(());
        }
        let before = self.followed.remove(&link.index);
        let state_before = before.as_ref().map(Followed::state);
        let attached = match self.settle(&link, before.and_then(|followed| followed.attached.ok())) {
            Ok(settled) => Ok(settled),
            Err(AttachError::Gone) => return Ok(()),
            Err(AttachError::Privilege(missing)) => return Err(missing.into()),
            Err(error) => Err(error.to_string()),
        };
        let followed = Followed { link, attached };
        log_change(state_before.as_ref(), &followed.state());
        self.followed.insert(followed.link.index, followed);
        Ok(())
    }

    /// Attaches the link by the hook that suits it now, unless it is so already. On an error it is left detached.
    fn settle(&mut self, link: &Link, before: Option<Settled>) -> Result<Settled, AttachError> {
        let choice = choose(self.mode, &self.learn_facts(link)?)?;
        // Filtering drops, and so detaches, what is attached elsewhere: two XDP modes at once are refused.
        let suits = |(before, attached): &Settled| before.hook == choice.hook && attached.suits(link, choice.hook);
        let attached = match before.filter(suits) {
            Some((_, attached)) => attached,
            None => self.attacher.attach(link, choice.hook)?,
        };
        Ok((choice, attached))
    }

    fn learn_facts(&self, link: &Link) -> io::Result<LinkFacts> {
        let Link { kind, ethernet, .. } = *link;
        // Asked for only where the choice depends on it: a question that fails takes a link's program off.
        let xdp_features = match self.mode {
            AttachMode::Tcx | AttachMode::Clsact => None,
            AttachMode::Auto if kind != LinkKind::Physical => None,
            _ => self.netdev.xdp_features(link.index)?,
        };
        Ok(LinkFacts {
            kind,
            ethernet,
            xdp_features,
            kernel_has_tcx: self.attacher.kernel_has_tcx(),
        })
    }

    fn forget(&mut self, index: u32) {
        if let Some(followed) = self.followed.remove(&index) {
            info!("{}: no longer followed", followed.link.name);
        }
    }

    fn states(&self) -> Vec<LinkState> {
        self.followed.values().map(Followed::state).collect()
    }
}

impl Followed {
    fn state(&self) -> LinkState {
        LinkState {
            name: self.link.name.clone(),
            index: self.link.index,
            attached: self.attached.as_ref().map(|(choice, _)| *choice).map_err(Clone::clone),
        }
    }

    /// Tells whether this link's case may change without a notice from the kernel.
    fn is_doubtful(&self) -> bool {
        match &self.attached {
            Ok((choice, _)) => choice.hook == Hook::XdpNative && self.link.kind == LinkKind::Veth,
            Err(_) => true,
        }
    }
}

fn log_change(before: Option<&LinkState>, now: &LinkState) {
    if before == Some(now) {
        return;
    }
    match &now.attached {
        Ok(Choice { hook, reason }) => info!("{}: attached by {hook} ({reason})", now.name),
        Err(cause) => warn!("{}: not attached: {cause}", now.name),
    }
}

/// Takes off what an agent left on the link that was killed; it would go on answering for as long as its lease holds.
fn sweep(link: &Link) {
    for program in [object::TC, object::TC_POD] {
        match clsact::sweep(link.index, program) {
            Ok(true) => info!("{}: took off what an agent that was killed had left there", link.name),
            Ok(false) => {}
            Err(error) => warn!(
                "{}: cannot look for what an agent that was killed may have left: {error}",
                link.name
            ),
        }
    }
}

fn warn_of_unmatched(selection: &Selection, links: &[Link]) {
    let unmatched: Vec<_> = selection.unmatched(links).collect();
    if !unmatched.is_empty() {
        let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
        let (unmatched, names) = (unmatched.join(", "), names.join(", "));
        warn!("no link matches --interface {unmatched} yet; it is attached when it appears (links now: {names})");
    }
}
