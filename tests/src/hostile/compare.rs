//! Asking two servers the same, over UDP and TCP, and reporting what they do not do alike.

use std::net::UdpSocket;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::conversation::Conversation;
use super::exchange::{Datagram, Reply, account_of, agree};
use super::meaning::hex;
use super::message::{make, plain_query};
use super::oddities;
use super::report::{Account, Report};
use super::shrink::shrink;
use super::stage::{KNOWN, Stage};
use super::talk::{Talk, accounts_of, converse, time_patience};

/// How long a reply over UDP may take that comes after that of the good query behind it.
const PATIENCE: Duration = Duration::from_millis(20);
/// The same for a server that seems to be silent where the other is not.
const LONG_PATIENCE: Duration = Duration::from_millis(300);
/// By then every server has given an upstream up.
const LONGEST_FORWARD: Duration = Duration::from_secs(7);
/// By then every server has closed a connection on which nothing is said.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);

/// Two servers on a stage, and what they have disagreed on.
#[derive(Debug)]
pub struct Comparison<'a> {
    stage: &'a Stage,
    seed: u64,
    /// What they have disagreed on.
    pub report: Report,
}

impl<'a> Comparison<'a> {
    /// A comparison over the messages of this seed.
    pub fn new(stage: &'a Stage, seed: u64) -> Comparison<'a> {
        let report = Report::default();
        Comparison { stage, seed, report }
    }

    /// Sends `count` messages over UDP.
    pub fn send_datagrams(&mut self, count: u16) -> Result<()> {
        let sockets = self.sockets()?;
        for number in 0..count {
            let message = make(self.seed, number);
            if agree(&exchange(&sockets, &message, PATIENCE)?) {
                continue;
            }
            let replies = exchange(&self.sockets()?, &message, LONG_PATIENCE)?;
            if !agree(&replies) {
                self.report_datagram(&message, &replies)?;
            }
        }
        Ok(())
    }

    fn report_datagram(&mut self, message: &[u8], replies: &[Option<Reply>; 2]) -> Result<()> {
        // Sockets of their own, so that no late reply comes to the wrong question.
        let again = |bytes: &[u8]| exchange(&sockets(self.stage)?, bytes, PATIENCE);
        let accounts = replies.each_ref().map(account_of);
        self.report.add("UDP", &accounts, || {
            let least = shrink(message, |bytes| {
                let replies = again(bytes)?;
                Ok(!agree(&replies) && are_alike(&replies.each_ref().map(account_of), &accounts))
            })?;
            let replies = again(&least)?;
            Ok((least, replies.each_ref().map(account_of)))
        })
    }

    /// Sends `count` messages over TCP, each on a connection of its own, and a tenth as many connections with several of
    /// them; then times how long connections are kept.
    pub fn send_streams(&mut self, count: u16) -> Result<()> {
        self.send_messages(count)?;
        self.have_conversations(count / 10)?;
        self.time_connections()
    }

    fn send_messages(&mut self, count: u16) -> Result<()> {
        for number in 0..count {
            let message = make(self.seed, number);
            let talks = converse_about(self.stage, &message)?;
            if !talks[0].agrees(&talks[1]) {
                self.report_message(&message, &talks)?;
            }
        }
        Ok(())
    }

    fn report_message(&mut self, message: &[u8], talks: &[Talk; 2]) -> Result<()> {
        let stage = self.stage;
        let accounts = accounts_of(talks);
        self.report.add("TCP", &accounts, || {
            let least = shrink(message, |bytes| {
                let talks = converse_about(stage, bytes)?;
                Ok(!talks[0].agrees(&talks[1]) && are_alike(&accounts_of(&talks), &accounts))
            })?;
            let talks = converse_about(stage, &least)?;
            Ok((least, accounts_of(&talks)))
        })
    }

    fn have_conversations(&mut self, count: u16) -> Result<()> {
        let stage = self.stage;
        for number in 0..count {
            let conversation = Conversation::make(self.seed, number, KNOWN);
            let talks = converse_with_both(stage, &conversation)?;
            if talks[0].agrees(&talks[1]) {
                continue;
            }
            let accounts = accounts_of(&talks);
            self.report.add("conversation", &accounts, || {
                let least = shrink_conversation(stage, conversation)?;
                let talks = converse_with_both(stage, &least)?;
                Ok((least.all_bytes(), accounts_of(&talks)))
            })?;
        }
        Ok(())
    }

    /// Asks for every oddity of the upstream, over both transports, all at the same time since some take seconds.
    pub fn ask_for_oddities(&mut self) -> Result<()> {
        let stage = self.stage;
        let cases = thread::scope(|scope| {
            let ask = |(number, name): (usize, &'static str)| {
                let query = plain_query(&format!("{name}.example"), number as u16 * 2);
                scope.spawn(move || ask_over_both(stage, &query))
            };
            let asked: Vec<_> = oddities::names().enumerate().map(ask).collect();
            let cases = asked
                .into_iter()
                .map(|asked| asked.join().unwrap_or_else(|payload| resume_unwind(payload)));
            cases.collect::<Result<Vec<_>>>()
        })?;
        for (name, (query, replies, talks)) in oddities::names().zip(cases) {
            if !agree(&replies) {
                let accounts = replies.each_ref().map(account_of);
                self.report.add(&format!("UDP, {name}"), &accounts.clone(), || {
                    Ok((query.clone(), accounts))
                })?;
            }
            if !talks[0].agrees(&talks[1]) {
                let accounts = accounts_of(&talks);
                self.report
                    .add(&format!("TCP, {name}"), &accounts.clone(), || Ok((query, accounts)))?;
            }
        }
        Ok(())
    }

    /// Times how long connections are kept on which nothing more is said; a second more or less is the same.
    fn time_connections(&mut self) -> Result<()> {
        let query = Conversation::of(plain_query(KNOWN, 1), Vec::new()).bytes();
        for (said, times) in time_all(self.stage, &query)? {
            let [one, other] = times;
            if one.abs_diff(other) > Duration::from_secs(1) {
                let accounts = times.map(|time| Account {
                    kind: format!("closes after {} s", time.as_secs()),
                    full: format!("closes after {time:?}"),
                });
                self.report.add("TCP", &accounts.clone(), || Ok((said, accounts)))?;
            }
        }
        Ok(())
    }

    fn sockets(&self) -> Result<[UdpSocket; 2]> {
        sockets(self.stage)
    }
}

/// Says whether two disagreements are of one kind: a smaller message is to show the same.
fn are_alike(ones: &[Account; 2], others: &[Account; 2]) -> bool {
    ones.iter().zip(others).all(|(one, other)| one.kind == other.kind)
}

fn sockets(stage: &Stage) -> Result<[UdpSocket; 2]> {
    let [one, other] = stage.servers().map(|server| stage.client().udp_to(server));
    Ok([one?, other?])
}

fn exchange(sockets: &[UdpSocket; 2], message: &[u8], patience: Duration) -> Result<[Option<Reply>; 2]> {
    let probe = probe_for(message);
    let [one, other] = sockets.each_ref().map(|socket| Datagram::send(socket, message, &probe));
    let receive = |datagram: Result<Datagram<'_>>| {
        let reply = datagram.and_then(|datagram| datagram.receive(patience));
        reply.with_context(|| format!("after {}", hex(message)))
    };
    Ok([receive(one)?, receive(other)?])
}

type Case = (Vec<u8>, [Option<Reply>; 2], [Talk; 2]);

fn ask_over_both(stage: &Stage, query: &[u8]) -> Result<Case> {
    let replies = exchange(&sockets(stage)?, query, LONGEST_FORWARD)?;
    Ok((query.to_vec(), replies, converse_about(stage, query)?))
}

/// The good query behind a message, with an ID that is not the message's.
fn probe_for(message: &[u8]) -> Vec<u8> {
    let id = message.first_chunk().copied().map_or(0, u16::from_be_bytes);
    plain_query(KNOWN, id ^ 1)
}

fn converse_about(stage: &Stage, message: &[u8]) -> Result<[Talk; 2]> {
    let conversation = Conversation::of(message.to_vec(), probe_for(message));
    converse_with_both(stage, &conversation)
}

fn converse_with_both(stage: &Stage, conversation: &Conversation) -> Result<[Talk; 2]> {
    let [one, other] = stage.servers().map(|server| {
        let talk = converse(stage.client(), server, conversation);
        talk.with_context(|| format!("{server} after {}", hex(&conversation.all_bytes())))
    });
    Ok([one?, other?])
}

/// Leaves out messages as long as the servers still disagree.
fn shrink_conversation(stage: &Stage, mut conversation: Conversation) -> Result<Conversation> {
    for at in (0..conversation.messages.len()).rev() {
        let mut shorter = conversation.clone();
        shorter.messages.remove(at);
        let [one, other] = converse_with_both(stage, &shorter)?;
        if !one.agrees(&other) {
            conversation = shorter;
        }
    }
    Ok(conversation)
}

/// Says several things on connections to both servers, all at the same time.
fn time_all(stage: &Stage, query: &[u8]) -> Result<Vec<(Vec<u8>, [Duration; 2])>> {
    let openings = [&b""[..], b"\0", b"\0\x20half", query, &[query, b"\0"].concat()].map(<[u8]>::to_vec);
    thread::scope(|scope| {
        let openings = openings.map(|said| {
            let timers = stage.servers().map(|server| {
                let said = said.clone();
                scope.spawn(move || time_patience(stage.client(), server, &said, LONGEST_PATIENCE))
            });
            (said, timers)
        });
        let times = openings.into_iter().map(|(said, timers)| {
            let [one, other] = timers.map(|timer| timer.join().unwrap_or_else(|payload| resume_unwind(payload)));
            Ok((said, [one?, other?]))
        });
        times.collect()
    })
}
