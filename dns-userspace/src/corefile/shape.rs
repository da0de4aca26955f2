//! The shape of a directive: how many arguments it takes, which options, and how many arguments those take.

use super::error::Problem;
use super::lexer::Word;
use super::parser::Statement;
use super::report::Report;

/// How many arguments may stand: from the first number to the second.
#[derive(Clone, Copy)]
pub(super) struct Count(usize, usize);

impl Count {
    pub(super) const NONE: Self = Self(0, 0);
    pub(super) const ONE: Self = Self(1, 1);
    pub(super) const SOME: Self = Self(1, usize::MAX);
    pub(super) const ANY: Self = Self(0, usize::MAX);

    pub(super) const fn between(least: usize, most: usize) -> Self {
        Self(least, most)
    }

    fn describe(self) -> String {
        match self {
            Self(0, 0) => "no argument".to_owned(),
            Self(1, 1) => "1 argument".to_owned(),
            Self(least, most) if least == most => format!("{least} arguments"),
            Self(least, usize::MAX) => format!("at least {least} argument{}", if least == 1 { "" } else { "s" }),
            Self(0, most) => format!("at most {most} argument{}", if most == 1 { "" } else { "s" }),
            Self(least, most) => format!("{least} to {most} arguments"),
        }
    }

    /// Reports too many or too few arguments of what has this name.
    pub(super) fn check(self, name: &Word, arguments: &[Word], report: &mut Report) {
        let found = arguments.len();
        if !(self.0..=self.1).contains(&found) {
            let problem = Problem::ArgumentCount {
                word: name.text.clone(),
                expected: self.describe(),
                found,
            };
            report.add(&name.span, problem);
        }
    }
}

/// An option of a directive.
pub(super) struct OptionShape {
    name: &'static str,
    arguments: Count,
    in_force: bool,
    repeats: bool,
}

/// The name of an option that stands for all words: of directives whose options are the rest of their arguments.
pub(super) const ANY_NAME: &str = "*";

/// An option that kxdns does not support.
pub(super) const fn option(name: &'static str, arguments: Count) -> OptionShape {
    OptionShape {
        name,
        arguments,
        in_force: false,
        repeats: false,
    }
}

impl OptionShape {
    /// Makes it one that kxdns acts on.
    pub(super) const fn in_force(self) -> Self {
        Self { in_force: true, ..self }
    }

    /// Makes it one that may stand several times.
    pub(super) const fn repeated(self) -> Self {
        Self { repeats: true, ..self }
    }
}

/// What a directive takes.
pub(super) struct Shape {
    pub(super) arguments: Count,
    pub(super) options: &'static [OptionShape],
}

impl Shape {
    /// Reports every argument too many or too few and every option that is unknown, repeated or has options of its own.
    pub(super) fn check(&self, statement: &Statement, report: &mut Report) {
        self.arguments.check(&statement.name, &statement.arguments, report);
        if self.options.is_empty() && !statement.options().is_empty() {
            return report.add(
                &statement.name.span,
                Problem::NoOptions {
                    word: statement.name.text.clone(),
                },
            );
        }
        for (index, option) in statement.options().iter().enumerate() {
            self.check_option(option, &statement.options()[..index], report);
        }
    }

    /// Refuses the options that kxdns does not support.
    pub(super) fn refuse_options(&self, statement: &Statement, report: &mut Report) {
        for option in statement.options() {
            if self.find(option).is_some_and(|shape| !shape.in_force) {
                report.refuse(
                    &format!("{} {}", statement.name.text, option.name.text),
                    &option.name.span,
                );
            }
        }
    }

    fn check_option(&self, option: &Statement, before: &[Statement], report: &mut Report) {
        let name = &option.name;
        let Some(shape) = self.find(option) else {
            let known = self.options.iter().map(|shape| shape.name);
            return report.add(&name.span, Problem::unknown("option", &name.text, known));
        };
        shape.arguments.check(name, &option.arguments, report);
        if option.options.is_some() {
            report.add(
                &name.span,
                Problem::NoOptions {
                    word: name.text.clone(),
                },
            );
        }
        let first = before.iter().find(|earlier| earlier.name.text == name.text);
        if let Some(first) = first.filter(|_| !shape.repeats) {
            report.add(
                &name.span,
                Problem::Twice {
                    word: name.text.clone(),
                    first: first.name.span.clone(),
                },
            );
        }
    }

    fn find(&self, option: &Statement) -> Option<&OptionShape> {
        let is_of = |shape: &&OptionShape| [ANY_NAME, &*option.name.text].contains(&shape.name);
        self.options.iter().find(is_of)
    }
}

impl Statement {
    /// The options, if any.
    pub(super) fn options(&self) -> &[Statement] {
        self.options.as_deref().unwrap_or_default()
    }

    /// The first option of this name.
    pub(super) fn option(&self, name: &str) -> Option<&Statement> {
        self.options().iter().find(|option| option.name.text == name)
    }

    /// The first argument of the first option of this name.
    pub(super) fn value(&self, name: &str) -> Option<&Word> {
        self.option(name)?.arguments.first()
    }

    /// The arguments of all options of this name.
    pub(super) fn values(&self, name: &str) -> Vec<Word> {
        let options = self.options().iter().filter(|option| option.name.text == name);
        options.flat_map(|option| option.arguments.iter().cloned()).collect()
    }
}
