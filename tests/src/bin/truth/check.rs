//! Checks replies against the histories, in the order in which they came.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

use kxdns_tests::figures::readable;

use crate::asker::Entry;
use crate::delays::Delays;
use crate::history::History;
use crate::reading::Reader;
use crate::rules::{Rules, Said};
use crate::state::{Part, SLOTS};
use crate::subject::{Asked, Subject};
use crate::window::{Explained, Places, Window};

/// For how long a version may be told after the API server has taken the next one.
pub(crate) const BOUND: Duration = Duration::from_secs(1);

/// The versions that are told of a violation are those within this time of it.
const NEAR: Duration = Duration::from_millis(100);

/// How many violations of a kind are told.
const TOLD: usize = 3;

/// What is wrong with a reply.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// There is none.
    Lost,
    /// It is no such message as every reply is.
    Malformed(String),
    /// No versions explain it, whenever they were current.
    Untrue,
    /// Only versions explain it that had been over for longer than the bound, or were yet to come.
    Late,
    /// Only versions explain it that are older than what was told of the name before.
    Backwards,
}

/// That a version was told.
#[derive(Clone, Copy, Debug)]
struct Told {
    version: usize,
    answered: Instant,
    by: &'static str,
}

/// Which version of each object was known to be told when, ascending.
#[derive(Default)]
struct Floors([Vec<Told>; 3]);

impl Floors {
    /// What was known before this moment.
    fn at(&self, sent: Instant) -> Places {
        Part::ALL.map(|part| self.told(part, sent).map_or(0, |told| told.version))
    }

    fn told(&self, part: Part, sent: Instant) -> Option<Told> {
        let known = &self.0[part.index()];
        let before = known.partition_point(|told| told.answered <= sent);
        before.checked_sub(1).map(|place| known[place])
    }

    fn raise(&mut self, part: Part, told: Told) {
        let known = &mut self.0[part.index()];
        if known.last().is_none_or(|last| last.version < told.version) {
            known.push(told);
        }
    }
}

/// What has been checked so far.
pub(crate) struct Checker<'a> {
    histories: &'a [History],
    reader: Reader,
    rules: Rules,
    /// What was told of each name.
    floors: HashMap<(usize, Subject), Floors>,
    /// What was told of all names of each Service.
    all_floors: [Floors; SLOTS],
    pub(crate) delays: Delays,
    pub(crate) counts: Counts,
    /// How many violations there are of each kind.
    pub(crate) kinds: BTreeMap<String, usize>,
    violations: Vec<String>,
}

/// How often each sort of reply came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) questions: usize,
    pub(crate) by_kernel: usize,
    pub(crate) records: usize,
    pub(crate) nodata: usize,
    pub(crate) nxdomain: usize,
    /// Right replies that only older versions explain than what another name of the Service had told before. Names are
    /// changed one after the other.
    pub(crate) behind: usize,
    pub(crate) violations: usize,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(histories: &'a [History]) -> Checker<'a> {
        Checker {
            histories,
            reader: Reader::default(),
            rules: Rules::default(),
            floors: HashMap::new(),
            all_floors: Default::default(),
            delays: Delays::new(histories),
            counts: Counts::default(),
            kinds: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Checks a reply. Those that came before it are checked already.
    pub(crate) fn check(&mut self, entry: &Entry) {
        self.counts.questions += 1;
        if let Err(wrong) = self.judge(entry) {
            self.counts.violations += 1;
            let kind = format!("{} by {}", wrong.kind(), entry.by());
            let alike = self.kinds.entry(kind).or_default();
            *alike += 1;
            if *alike <= TOLD {
                self.violations.push(self.describe(entry, &wrong));
            }
        }
    }

    fn judge(&mut self, entry: &Entry) -> Result<(), Wrong> {
        let reply = entry.reply.as_ref().ok_or(Wrong::Lost)?;
        self.counts.by_kernel += usize::from(reply.by_kernel);
        let said = self
            .reader
            .read(&entry.asked, &reply.message)
            .map_err(|error| Wrong::Malformed(format!("{error:#}")))?;
        self.count(&said);
        let history = &self.histories[entry.asked.slot];
        let window = Window::new(history, entry.sent, entry.answered, Some(BOUND));
        let floor = self.floor(&entry.asked, entry.sent);
        match window
            .since(floor)
            .explain(&mut self.rules, history, &entry.asked, &said)
        {
            Some(explained) => {
                let all = self.all_floors[entry.asked.slot].at(entry.sent);
                let in_step = window
                    .since(all)
                    .since(floor)
                    .explain(&mut self.rules, history, &entry.asked, &said);
                self.counts.behind += usize::from(in_step.is_none());
                self.learn(entry, &window, floor, &explained);
                Ok(())
            }
            None => Err(self.blame(entry, &window, &said)),
        }
    }

    fn blame(&mut self, entry: &Entry, window: &Window, said: &Said) -> Wrong {
        let history = &self.histories[entry.asked.slot];
        let any_time = Window::new(history, entry.sent, entry.answered + BOUND, None);
        let mut is_explained = |window: &Window| window.explain(&mut self.rules, history, &entry.asked, said).is_some();
        if is_explained(window) {
            Wrong::Backwards
        } else if is_explained(&any_time) {
            Wrong::Late
        } else {
            Wrong::Untrue
        }
    }

    fn count(&mut self, said: &Said) {
        match said {
            Said::Records { .. } => self.counts.records += 1,
            Said::NoData => self.counts.nodata += 1,
            Said::NxDomain => self.counts.nxdomain += 1,
        }
    }

    /// The versions that were known to be told of a name before this moment.
    fn floor(&self, asked: &Asked, sent: Instant) -> Places {
        let known = self.floors.get(&(asked.slot, asked.subject));
        known.map_or([0; 3], |known| known.at(sent))
    }

    /// Takes down what a reply proves.
    fn learn(&mut self, entry: &Entry, window: &Window, floor: Places, explained: &Explained) {
        let history = &self.histories[entry.asked.slot];
        let floors = self.floors.entry((entry.asked.slot, entry.asked.subject)).or_default();
        for part in Part::ALL.into_iter().filter(|part| explained.told[part.index()]) {
            let at = part.index();
            let (least, most) = (explained.least[at], explained.most[at]);
            // That nothing older was told does not follow from the bound, which is to be measured.
            let is_proved = floor[at] >= window.first[at] || history.is_distinct(part, least, window.first[at]);
            if is_proved {
                let told = Told {
                    version: least,
                    answered: entry.answered,
                    by: entry.by(),
                };
                floors.raise(part, told);
                self.all_floors[entry.asked.slot].raise(part, told);
                self.delays.see(entry.asked.slot, part, least, entry.answered);
            }
            self.delays.tell_old(entry.asked.slot, part, most, entry.sent);
        }
    }

    fn describe(&self, entry: &Entry, wrong: &Wrong) -> String {
        let Entry {
            asked, sent, answered, ..
        } = entry;
        let after = readable(*answered - *sent);
        let mut text = format!(
            "WRONG ({wrong}): {} {}, answered by {} after {after}\n",
            asked.name(),
            asked.rtype,
            entry.by()
        );
        if let Some(reply) = &entry.reply {
            text += &kxdns_tests::meaning::Reply::read(&reply.message).to_string();
        }
        for part in Part::ALL {
            text += &self.describe_part(entry, part);
        }
        text
    }

    /// What was known of an object, and its versions about the time of a question.
    fn describe_part(&self, entry: &Entry, part: Part) -> String {
        let since = |moment: Instant| format!("{:+.3} ms", signed_millis(moment, entry.sent));
        let floors = self.floors.get(&(entry.asked.slot, entry.asked.subject));
        let mut text = match floors.and_then(|floors| floors.told(part, entry.sent)) {
            Some(told) => format!(
                "  {part:?}: version {} was told by {} at {}\n",
                told.version,
                told.by,
                since(told.answered)
            ),
            None => format!("  {part:?}: nothing was told\n"),
        };
        let history = &self.histories[entry.asked.slot];
        let window = Window::new(history, entry.sent, entry.answered, Some(NEAR));
        let near = history.of(part).iter().enumerate().skip(window.first[part.index()]);
        for (place, version) in near.take_while(|(_, version)| version.sent <= entry.answered + NEAR) {
            let taken = version.taken.map_or_else(|| "never".to_owned(), since);
            let sent = since(version.sent);
            text += &format!("    {place}: {:?} sent {sent}, taken {taken}\n", version.state);
        }
        text
    }

    /// The first violations.
    pub(crate) fn into_violations(self) -> Vec<String> {
        self.violations
    }
}

fn signed_millis(moment: Instant, origin: Instant) -> f64 {
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    match moment.checked_duration_since(origin) {
        Some(later) => millis(later),
        None => -millis(origin - moment),
    }
}

impl Wrong {
    fn kind(&self) -> &'static str {
        match self {
            Wrong::Lost => "no reply",
            Wrong::Malformed(_) => "malformed",
            Wrong::Untrue => "never true",
            Wrong::Late => "not true at the time",
            Wrong::Backwards => "older than what was told before",
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Malformed(why) => write!(formatter, "{why}"),
            _ => write!(formatter, "{}", self.kind()),
        }
    }
}
