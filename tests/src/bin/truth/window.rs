//! Which versions explain a reply.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::history::{History, Version};
use crate::rules::{Rules, Said, States, depends};
use crate::state::{Part, State};
use crate::subject::Asked;

/// The places of versions, one for each object of a Service.
pub(crate) type Places = [usize; 3];

/// The versions of each object that were current at some time between two moments: their places in its history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) first: Places,
    last: Places,
}

/// The versions that explain a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Explained {
    pub(crate) least: Places,
    pub(crate) most: Places,
    /// Whether the reply depends on the object in every explanation.
    pub(crate) told: [bool; 3],
}

impl Window {
    /// What was current between `bound` before a question, or any time if there is no bound, and its reply.
    pub(crate) fn new(history: &History, sent: Instant, answered: Instant, bound: Option<Duration>) -> Window {
        let since = |taken: Instant| bound.is_none_or(|bound| taken + bound >= sent);
        // A version is over once the next one is taken.
        let is_over = |next: &Version| next.taken.is_some_and(|taken| !since(taken));
        let first = |part| history.of(part)[1..].partition_point(is_over);
        let last = |part| history.of(part).partition_point(|version| version.sent <= answered);
        Window {
            first: Part::ALL.map(first),
            last: Part::ALL.map(|part| last(part).saturating_sub(1)),
        }
    }

    /// The same without what is older than these versions.
    pub(crate) fn since(self, floor: Places) -> Window {
        let first = [0, 1, 2].map(|part| self.first[part].max(floor[part]));
        Window { first, ..self }
    }

    /// Finds the versions with which the rules say this.
    pub(crate) fn explain(
        &self,
        rules: &mut Rules,
        history: &History,
        asked: &Asked,
        said: &Said,
    ) -> Option<Explained> {
        let mut found = None;
        for service in self.range(Part::Service, asked, State::Absent) {
            let state = history.of(Part::Service)[service].state;
            let [ipv4, ipv6] = [Part::ALL[1], Part::ALL[2]].map(|part| self.range(part, asked, state));
            for ipv4 in ipv4 {
                for ipv6 in ipv6.clone() {
                    let places = [service, ipv4, ipv6];
                    if rules.say(asked, &states(history, places)) == said {
                        include(&mut found, places, Part::ALL.map(|part| depends(asked, part, state)));
                    }
                }
            }
        }
        found
    }

    /// The versions of an object that make a difference: any one where none does.
    fn range(&self, part: Part, asked: &Asked, service: State) -> RangeInclusive<usize> {
        let (first, last) = (self.first[part.index()], self.last[part.index()]);
        match depends(asked, part, service) {
            true => first..=last,
            false => first..=first,
        }
    }
}

fn states(history: &History, places: Places) -> States {
    Part::ALL.map(|part| history.of(part)[places[part.index()]].state)
}

fn include(found: &mut Option<Explained>, places: Places, depends: [bool; 3]) {
    let former = found.unwrap_or(Explained {
        least: places,
        most: places,
        told: depends,
    });
    *found = Some(Explained {
        least: [0, 1, 2].map(|part| former.least[part].min(places[part])),
        most: [0, 1, 2].map(|part| former.most[part].max(places[part])),
        told: [0, 1, 2].map(|part| former.told[part] && depends[part]),
    });
}

#[cfg(test)]
mod tests {
    use domain::base::Rtype;

    use super::*;
    use crate::history::Truth;
    use crate::subject::{Extra, Subject};

    const BOUND: Option<Duration> = Some(Duration::from_millis(100));

    fn asked(subject: Subject, rtype: Rtype) -> Asked {
        let extra = Extra::Nothing;
        Asked {
            slot: 0,
            subject,
            rtype,
            extra,
        }
    }

    fn say(asked: &Asked, states: States) -> Said {
        Rules::default().say(asked, &states).clone()
    }

    /// Writes these states of the Service, an instant after the other.
    fn write(states: &[State]) -> History {
        let truth = Truth::new(0);
        for state in states {
            truth.slot(0).begin(Part::Service, *state);
            truth.slot(0).end(Part::Service);
        }
        truth.slot(0).clone()
    }

    fn cluster_ip(address: u16) -> State {
        State::ClusterIp { address, port: address }
    }

    #[test]
    fn a_reply_is_explained_by_the_version_that_it_tells() {
        let history = write(&[cluster_ip(300), State::Absent, cluster_ip(301)]);
        let now = Instant::now();
        let window = Window::new(&history, now, now, BOUND);
        let asked = asked(Subject::Service, Rtype::SRV);
        for (place, state) in [cluster_ip(300), State::Absent, cluster_ip(301)]
            .into_iter()
            .enumerate()
        {
            let said = say(&asked, [state, State::Absent, State::Absent]);
            let explained = window.explain(&mut Rules::default(), &history, &asked, &said).unwrap();
            assert_eq!(explained.most[0], place + 1);
            assert_eq!(explained.told, [true, false, false]);
        }
    }

    #[test]
    fn a_mixture_of_two_versions_is_explained_by_none() {
        let (one, other) = (
            cluster_ip(300),
            State::ClusterIp {
                address: 300,
                port: 301,
            },
        );
        let history = write(&[one, other, State::Absent, cluster_ip(302)]);
        let asked = asked(Subject::Service, Rtype::SRV);
        let now = Instant::now();
        let mixture = State::ClusterIp {
            address: 302,
            port: 301,
        };
        let said = say(&asked, [mixture, State::Absent, State::Absent]);
        assert!(
            Window::new(&history, now, now, None)
                .explain(&mut Rules::default(), &history, &asked, &said)
                .is_none()
        );
    }

    #[test]
    fn what_is_over_for_longer_than_the_bound_explains_nothing() {
        let history = write(&[cluster_ip(300), cluster_ip(301)]);
        let asked = asked(Subject::Service, Rtype::A);
        let said = say(&asked, [cluster_ip(300), State::Absent, State::Absent]);
        let explains = |later: Duration, bound| {
            let moment = Instant::now() + later;
            Window::new(&history, moment, moment, bound)
                .explain(&mut Rules::default(), &history, &asked, &said)
                .is_some()
        };
        assert!(explains(Duration::ZERO, BOUND));
        assert!(!explains(Duration::from_secs(1), BOUND));
        assert!(explains(Duration::from_secs(1), None));
        let window = Window::new(&history, Instant::now(), Instant::now(), BOUND);
        assert!(
            window
                .since([2, 0, 0])
                .explain(&mut Rules::default(), &history, &asked, &said)
                .is_none()
        );
    }

    #[test]
    fn what_was_not_written_yet_explains_nothing() {
        let history = write(&[cluster_ip(300)]);
        let before = history.of(Part::Service)[0].sent;
        let asked = asked(Subject::Service, Rtype::A);
        let said = say(&asked, [cluster_ip(300), State::Absent, State::Absent]);
        assert!(
            Window::new(&history, before, before, None)
                .explain(&mut Rules::default(), &history, &asked, &said)
                .is_none()
        );
    }
}
