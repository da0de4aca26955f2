//! Random questions about the objects that the API server has: names that exist, near misses, and everything else that
//! a client may put into a message.

mod extras;
mod mutate;
mod names;

use domain::base::Rtype;
use serde_json::Value;

use crate::ask::waits;
use crate::corefiles::Corefile;
use crate::dice::Dice;
use kxdns_tests::question::{Name, Question};
pub(crate) use names::{Names, Sort, import_name, pod_addresses, reverse};

/// What the objects are that questions are about, as the API server has them.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) namespaces: Vec<Value>,
    pub(crate) services: Vec<Value>,
    pub(crate) slices: Vec<Value>,
    pub(crate) pods: Vec<Value>,
    pub(crate) imports: Vec<Value>,
}

const ADDRESSES: [u16; 2] = [Rtype::A.to_int(), Rtype::AAAA.to_int()];
const TREE: [u16; 3] = [Rtype::NS.to_int(), Rtype::SOA.to_int(), Rtype::TXT.to_int()];
const COMMON: [u16; 12] = [
    Rtype::A.to_int(),
    Rtype::AAAA.to_int(),
    Rtype::SRV.to_int(),
    Rtype::PTR.to_int(),
    Rtype::TXT.to_int(),
    Rtype::NS.to_int(),
    Rtype::SOA.to_int(),
    Rtype::CNAME.to_int(),
    Rtype::MX.to_int(),
    Rtype::HTTPS.to_int(),
    Rtype::ANY.to_int(),
    Rtype::DS.to_int(),
];
/// Without meaning, or with one that no server of addresses knows; transfers and the types of single messages included.
const ODD: [u16; 10] = [0, 41, 43, 48, 64, 250, 251, 252, 999, 65280];

/// Makes so many questions.
pub(crate) fn questions(dice: &mut Dice, snapshot: &Snapshot, corefile: &Corefile, number: usize) -> Vec<Question> {
    let mut names = Names::of(snapshot);
    names.add_own(dice, corefile);
    let mut questions = Vec::with_capacity(number);
    for _ in 0..number {
        let next = if corefile.caches() && !questions.is_empty() && dice.percent(35) {
            again(dice, &questions)
        } else {
            question(dice, &names)
        };
        questions.push(next);
    }
    questions
}

/// A question that was asked before, as another client would ask it.
fn again(dice: &mut Dice, questions: &[Question]) -> Question {
    // What was kept of the latest ones is not forgotten yet.
    let place = questions.len() - 1 - dice.below(questions.len().min(200));
    let mut question = questions[place].clone();
    if dice.percent(30) {
        mutate::letter_case(dice, &mut question.name);
    }
    if dice.percent(30) {
        question.flags = extras::flags(dice);
        question.edns = extras::edns(dice);
    }
    question.tcp |= dice.percent(6) && !waits(&question.name);
    question
}

fn question(dice: &mut Dice, names: &Names) -> Question {
    loop {
        let (sort, mut name) = names.pick(dice);
        if dice.percent(25) {
            mutate::near_miss(dice, &mut name);
        }
        if dice.percent(25) {
            mutate::letter_case(dice, &mut name);
        }
        // What takes seconds is asked seldom.
        if name.is_valid() && (!waits(&name) || dice.percent(15)) {
            return with_extras(dice, name, sort);
        }
    }
}

fn with_extras(dice: &mut Dice, name: Name, sort: Sort) -> Question {
    let rtype = rtype(dice, sort);
    let mut question = Question {
        name,
        rtype,
        class: extras::class(dice),
        opcode: extras::opcode(dice),
        flags: extras::flags(dice),
        edns: extras::edns(dice),
        tcp: dice.percent(6),
    };
    // What waits takes too long over TCP.
    question.tcp &= !waits(&question.name);
    question
}

/// The type that one asks for such a name, or any.
fn rtype(dice: &mut Dice, sort: Sort) -> u16 {
    if dice.percent(3) {
        return dice.pick(&ODD);
    }
    let likely = match sort {
        Sort::Reverse => Rtype::PTR.to_int(),
        Sort::Port => Rtype::SRV.to_int(),
        Sort::Tree => dice.pick(&TREE),
        Sort::Text => Rtype::TXT.to_int(),
        Sort::Other if dice.percent(15) => Rtype::SRV.to_int(),
        Sort::Other => dice.pick(&ADDRESSES),
    };
    if dice.percent(65) { likely } else { dice.pick(&COMMON) }
}
