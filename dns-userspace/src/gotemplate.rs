//! The part of Go's `text/template` that CoreDNS's `template` plugin is used with: fields of what a query matched, `index`,
//! `parseInt`, conditions, trim markers and comments.
//!
//! It is read strictly: what Go has beyond that is an error that names it, and so is what fails for every query, such as a
//! comparison of text with a number.

mod lexer;
mod parser;

use std::borrow::Cow;
use std::fmt;

use regex::{Captures, Regex};

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// What errors call it.
    name: &'static str,
    nodes: Vec<Node>,
}

/// What templates are rendered from.
pub struct Values<'a> {
    /// `.Zone`
    pub zone: &'a str,
    /// `.Name`
    pub name: &'a str,
    /// `.Class`
    pub class: &'a str,
    /// `.Type`
    pub qtype: &'a str,
    /// `.Remote`
    pub remote: &'a str,
    /// `.Question`
    pub question: Question<'a>,
    /// `.Message.Id`
    pub id: u16,
    /// What matched the name: `.Regex`, and the names of the groups.
    pub pattern: &'a Regex,
    /// `.Match` and `.Group`
    pub captures: &'a Captures<'a>,
}

/// A question, as it was asked.
pub struct Question<'a> {
    /// Its name, in its letter case.
    pub name: &'a str,
    /// The number of its type.
    pub qtype: u16,
    /// The number of its class.
    pub class: u16,
}

/// What a template needs to know beside name and zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'t> {
    /// The class.
    Class,
    /// The type.
    Type,
    /// A group of the pattern, by name or number.
    Group(&'t str),
    /// A group of the pattern, by number; 0 is all of what matched.
    Match(usize),
    /// Something else about the query.
    Query,
}

/// Why a text is no template that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTemplate {
    /// It has this construct of Go's.
    NotSupported(String),
    /// This was expected.
    Expected(String),
}

/// Why a template cannot be rendered, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}:{column}: executing \"{name}\" at <{shown}>: error calling {function}: {reason}")]
pub struct Failure {
    name: &'static str,
    line: usize,
    column: usize,
    shown: String,
    function: &'static str,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Text(String),
    Action(Expression),
    If {
        condition: Expression,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// Something that has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expression {
    operation: Operation,
    /// How Go shows it.
    shown: String,
    /// The line where it begins, from 1, and how many bytes of it come before.
    place: (usize, usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operation {
    Text(String),
    Number(u64),
    Field(Field),
    /// All groups, or all matches: only to be chosen from.
    List(List),
    /// `.Group.x`
    Group(String),
    /// `index .Group "x"`
    Member(String),
    /// `index .Match 1`
    Match(usize),
    /// `parseInt`, its base and number of bits.
    ParseInt(Box<Expression>, u32, u32),
    /// Whether the first equals one of the others.
    Equal(Vec<Expression>),
    Unequal(Vec<Expression>),
    Not(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Groups,
    Matches,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Zone,
    Name,
    Class,
    Type,
    Remote,
    Regex,
    Id,
    QuestionName,
    QuestionType,
    QuestionClass,
}

/// What sort of value an expression has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
    List,
    /// Now this, now that.
    Mixed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Truth(bool),
    /// There is no group of this name.
    Nothing,
}

impl Template {
    /// Reads a template; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// It is malformed, or has what is not supported.
    pub fn parse(name: &'static str, text: &str) -> Result<Self, NoTemplate> {
        let nodes = parser::parse(text)?;
        Ok(Self { name, nodes })
    }

    /// Makes text of it.
    ///
    /// # Errors
    ///
    /// A function fails.
    pub fn render(&self, values: &Values<'_>) -> Result<String, Failure> {
        let mut text = String::new();
        self.render_nodes(&self.nodes, values, &mut text)?;
        Ok(text)
    }

    /// What it needs to know.
    pub fn needs(&self) -> Vec<Need<'_>> {
        let mut needs = Vec::new();
        find_needs(&self.nodes, &mut needs);
        needs
    }

    fn render_nodes(&self, nodes: &[Node], values: &Values<'_>, text: &mut String) -> Result<(), Failure> {
        for node in nodes {
            match node {
                Node::Text(part) => text.push_str(part),
                Node::Action(expression) => *text += &self.evaluate(expression, values)?.to_string(),
                Node::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let nodes = match self.evaluate(condition, values)?.is_true() {
                        true => then,
                        false => otherwise,
                    };
                    self.render_nodes(nodes, values, text)?;
                }
            }
        }
        Ok(())
    }

    fn evaluate<'a>(&self, expression: &'a Expression, values: &Values<'a>) -> Result<Value<'a>, Failure> {
        let evaluate = |expression| self.evaluate(expression, values);
        let fail = |function, reason| self.fail(expression, function, reason);
        Ok(match &expression.operation {
            Operation::Text(text) => Value::of(text),
            Operation::Number(number) => Value::Number(*number),
            Operation::Field(field) => values.field(*field),
            // It is none: the parser lets it stand as the first operand of `index` alone.
            Operation::List(_) => Value::Nothing,
            Operation::Group(name) => values.group(name).map_or(Value::Nothing, Value::of),
            Operation::Member(name) => Value::of(values.group(name).unwrap_or_default()),
            Operation::Match(index) => {
                let found = values.matched(*index);
                Value::of(found.ok_or_else(|| fail("index", format!("index out of range: {index}")))?)
            }
            Operation::ParseInt(text, base, bits) => {
                let text = evaluate(text)?.to_string();
                let number = parse_int(&text, *base, *bits);
                Value::Number(number.map_err(|reason| fail("parseInt", reason))?)
            }
            Operation::Equal(operands) => Value::Truth(self.compare(operands, values)?),
            Operation::Unequal(operands) => Value::Truth(!self.compare(operands, values)?),
            Operation::Not(operand) => Value::Truth(!evaluate(operand)?.is_true()),
            Operation::And(operands) => self.choose(operands, values, |value| !value.is_true())?,
            Operation::Or(operands) => self.choose(operands, values, Value::is_true)?,
        })
    }

    /// Whether the first value equals one of the others.
    fn compare(&self, operands: &[Expression], values: &Values<'_>) -> Result<bool, Failure> {
        let operands = operands.iter().map(|operand| self.evaluate(operand, values));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        Ok(operands.split_first().is_some_and(|(first, rest)| rest.contains(first)))
    }

    /// The first value that will do, or else the last.
    fn choose<'a>(
        &self,
        operands: &'a [Expression],
        values: &Values<'a>,
        will_do: impl Fn(&Value<'a>) -> bool,
    ) -> Result<Value<'a>, Failure> {
        let mut chosen = Value::Nothing;
        for operand in operands {
            chosen = self.evaluate(operand, values)?;
            if will_do(&chosen) {
                break;
            }
        }
        Ok(chosen)
    }

    fn fail(&self, expression: &Expression, function: &'static str, reason: String) -> Failure {
        let (line, column) = expression.place;
        Failure {
            name: self.name,
            line,
            column,
            shown: expression.shown.clone(),
            function,
            reason,
        }
    }
}

/// As Go shows it, in the labels of metrics too.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nodes.iter().try_for_each(|node| node.fmt(f))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Action(expression) => write!(f, "{{{{{}}}}}", expression.shown),
            Self::If {
                condition,
                then,
                otherwise,
            } => {
                write!(f, "{{{{if {}}}}}", condition.shown)?;
                then.iter().try_for_each(|node| node.fmt(f))?;
                if !otherwise.is_empty() {
                    f.write_str("{{else}}")?;
                    otherwise.iter().try_for_each(|node| node.fmt(f))?;
                }
                f.write_str("{{end}}")
            }
        }
    }
}

impl<'a> Values<'a> {
    fn field(&self, field: Field) -> Value<'a> {
        match field {
            Field::Zone => Value::of(self.zone),
            Field::Name => Value::of(self.name),
            Field::Class => Value::of(self.class),
            Field::Type => Value::of(self.qtype),
            Field::Remote => Value::of(self.remote),
            Field::Regex => Value::of(self.pattern.as_str()),
            Field::Id => Value::Number(self.id.into()),
            Field::QuestionName => Value::of(self.question.name),
            Field::QuestionType => Value::Number(self.question.qtype.into()),
            Field::QuestionClass => Value::Number(self.question.class.into()),
        }
    }

    /// What a group matched, if the pattern has it: a name, or else its number.
    fn group(&self, name: &str) -> Option<&'a str> {
        let number = find_group(self.pattern, name)?;
        self.matched(number)
    }

    /// What the group of this number matched, nothing included, if the pattern has it.
    fn matched(&self, number: usize) -> Option<&'a str> {
        let found = self.captures.get(number).map_or("", |found| found.as_str());
        (number < self.captures.len()).then_some(found)
    }
}

/// The number of a pattern's group, by its name or by that number.
pub fn find_group(pattern: &Regex, group: &str) -> Option<usize> {
    let named = pattern.capture_names().position(|name| name == Some(group));
    let number = || (0..pattern.captures_len()).find(|number| number.to_string() == group);
    named.or_else(number)
}

impl<'a> Value<'a> {
    fn of(text: &'a str) -> Self {
        Self::Text(text.into())
    }

    fn is_true(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Number(number) => *number != 0,
            Self::Truth(truth) => *truth,
            Self::Nothing => false,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Truth(truth) => truth.fmt(f),
            Self::Nothing => f.write_str("<no value>"),
        }
    }
}

/// Reads a number of so many bits, 0 for 64, as Go's `strconv.ParseUint` does.
fn parse_int(text: &str, base: u32, bits: u32) -> Result<u64, String> {
    use std::num::IntErrorKind::PosOverflow;

    let fail = |reason| format!("strconv.ParseUint: parsing {text:?}: {reason}");
    let most = match bits {
        0 | 64 => u64::MAX,
        bits => (1 << bits) - 1,
    };
    if text.starts_with('+') {
        return Err(fail("invalid syntax"));
    }
    match u64::from_str_radix(text, base) {
        Ok(number) if number <= most => Ok(number),
        Err(error) if *error.kind() != PosOverflow => Err(fail("invalid syntax")),
        Ok(_) | Err(_) => Err(fail("value out of range")),
    }
}

fn find_needs<'t>(nodes: &'t [Node], needs: &mut Vec<Need<'t>>) {
    for node in nodes {
        match node {
            Node::Text(_) => {}
            Node::Action(expression) => expression.find_needs(needs),
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                // Which of the two it is depends on the query.
                needs.push(Need::Query);
                condition.find_needs(needs);
                find_needs(then, needs);
                find_needs(otherwise, needs);
            }
        }
    }
}

impl Expression {
    fn find_needs<'t>(&'t self, needs: &mut Vec<Need<'t>>) {
        match &self.operation {
            Operation::Text(_) | Operation::Number(_) | Operation::List(_) => {}
            Operation::Field(Field::Zone | Field::Name) => {}
            Operation::Field(Field::Class) => needs.push(Need::Class),
            Operation::Field(Field::Type) => needs.push(Need::Type),
            Operation::Field(_) => needs.push(Need::Query),
            Operation::Group(name) | Operation::Member(name) => needs.push(Need::Group(name)),
            Operation::Match(index) => needs.push(Need::Match(*index)),
            Operation::ParseInt(operand, ..) | Operation::Not(operand) => operand.find_needs(needs),
            Operation::Equal(operands)
            | Operation::Unequal(operands)
            | Operation::And(operands)
            | Operation::Or(operands) => operands.iter().for_each(|operand| operand.find_needs(needs)),
        }
    }

    fn kind(&self) -> Kind {
        match &self.operation {
            Operation::List(_) => Kind::List,
            Operation::Number(_) | Operation::ParseInt(..) => Kind::Number,
            Operation::Field(Field::Id | Field::QuestionType | Field::QuestionClass) => Kind::Number,
            Operation::Text(_)
            | Operation::Field(_)
            | Operation::Group(_)
            | Operation::Member(_)
            | Operation::Match(_) => Kind::Text,
            Operation::Equal(_) | Operation::Unequal(_) | Operation::Not(_) => Kind::Truth,
            Operation::And(operands) | Operation::Or(operands) => {
                let mut kinds = operands.iter().map(Self::kind);
                let first = kinds.next().unwrap_or(Kind::Mixed);
                if kinds.all(|kind| kind == first) {
                    first
                } else {
                    Kind::Mixed
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
