//! From tokens to nodes.

use super::lexer::{Piece, Token, TokenKind, expected, not_supported, split};
use super::{Expression, Field, Kind, List, NoTemplate, Node, Operation};

/// The fields that are one value each.
const FIELDS: [(&str, Field); 10] = [
    (".Zone", Field::Zone),
    (".Name", Field::Name),
    (".Class", Field::Class),
    (".Type", Field::Type),
    (".Remote", Field::Remote),
    (".Regex", Field::Regex),
    (".Message.Id", Field::Id),
    (".Question.Name", Field::QuestionName),
    (".Question.Qtype", Field::QuestionType),
    (".Question.Qclass", Field::QuestionClass),
];

/// What Go and CoreDNS have and is not supported.
const OTHER_WORDS: [&str; 23] = [
    "block", "break", "call", "continue", "define", "false", "ge", "gt", "html", "js", "le", "len", "lt", "nil",
    "print", "printf", "println", "range", "slice", "template", "true", "urlquery", "with",
];

/// More levels of conditions and parentheses than this are taken for a mistake.
const MAX_DEPTH: usize = 32;

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, NoTemplate> {
    let mut parser = Parser {
        text,
        pieces: split(text)?.into_iter(),
    };
    match parser.parse_nodes(0)? {
        (nodes, Ending::Text) => Ok(nodes),
        (_, Ending::Else(_)) => Err(expected("`if` before `else`")),
        (_, Ending::End) => Err(expected("`if` before `end`")),
    }
}

struct Parser<'t> {
    text: &'t str,
    pieces: std::vec::IntoIter<Piece<'t>>,
}

/// What ends a list of nodes.
enum Ending<'t> {
    Text,
    End,
    /// `else`, and what stands behind it.
    Else(Vec<Token<'t>>),
}

/// The tokens of an action.
struct Tokens<'p, 't> {
    text: &'t str,
    tokens: &'p [Token<'t>],
}

impl<'t> Parser<'t> {
    fn parse_nodes(&mut self, depth: usize) -> Result<(Vec<Node>, Ending<'t>), NoTemplate> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.to_owned()));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            match tokens.split_first() {
                Some((first, rest)) if first.kind == TokenKind::Word && first.text == "if" => {
                    nodes.push(self.parse_if(rest, depth + 1)?);
                }
                Some((first, rest)) if first.kind == TokenKind::Word && first.text == "else" => {
                    return Ok((nodes, Ending::Else(rest.to_vec())));
                }
                Some((first, [])) if first.kind == TokenKind::Word && first.text == "end" => {
                    return Ok((nodes, Ending::End));
                }
                _ => nodes.push(Node::Action(self.parse_expression(&tokens)?)),
            }
        }
        Ok((nodes, Ending::Text))
    }

    /// Reads what stands behind `if`.
    fn parse_if(&mut self, condition: &[Token<'t>], depth: usize) -> Result<Node, NoTemplate> {
        if depth > MAX_DEPTH {
            return Err(expected("fewer levels of `if`"));
        }
        let condition = self.parse_expression(condition)?;
        let (then, end) = self.parse_nodes(depth)?;
        let otherwise = match end {
            Ending::Text => return Err(expected("`end` behind `if`")),
            Ending::End => Vec::new(),
            Ending::Else(rest) => match rest.split_first() {
                None => match self.parse_nodes(depth)? {
                    (nodes, Ending::End) => nodes,
                    _ => return Err(expected("`end` behind `else`")),
                },
                Some((word, condition)) if word.text == "if" => vec![self.parse_if(condition, depth + 1)?],
                Some((other, _)) => return Err(not_supported(&format!("else {}", other.text))),
            },
        };
        Ok(Node::If {
            condition,
            then,
            otherwise,
        })
    }

    fn parse_expression(&self, tokens: &[Token<'t>]) -> Result<Expression, NoTemplate> {
        let mut tokens = Tokens {
            text: self.text,
            tokens,
        };
        let expression = tokens.parse_command(0)?;
        match tokens.next() {
            None => not_a_list(expression),
            Some(_) => Err(expected("`(` before `)`")),
        }
    }
}

impl<'t> Tokens<'_, 't> {
    fn next(&mut self) -> Option<Token<'t>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    /// Reads a function and its operands, or an operand alone.
    fn parse_command(&mut self, depth: usize) -> Result<Expression, NoTemplate> {
        let first = self.next().ok_or_else(|| expected("a field or a function"))?;
        let function = first.clone();
        let head = match first.kind {
            TokenKind::Word => None,
            _ => Some(self.parse_operand(first, depth)?),
        };
        let mut operands = Vec::new();
        while self.tokens.first().is_some_and(|token| token.kind != TokenKind::Close) {
            let Some(token) = self.next() else { break };
            operands.push(self.parse_operand(token, depth)?);
        }
        match head {
            None => self.call(&function, operands),
            Some(head) if operands.is_empty() => Ok(head),
            Some(head) => Err(expected(format!("a function before `{}`", head.shown))),
        }
    }

    fn parse_operand(&mut self, token: Token<'t>, depth: usize) -> Result<Expression, NoTemplate> {
        let operation = match token.kind {
            TokenKind::Number(number) => Operation::Number(number),
            TokenKind::Text(text) => Operation::Text(text),
            TokenKind::Field => field(token.text)?,
            TokenKind::Word => return Err(refuse_word(token.text)),
            TokenKind::Close => return Err(expected("a field or a function before `)`")),
            TokenKind::Open if depth == MAX_DEPTH => return Err(expected("fewer levels of `(`")),
            TokenKind::Open => {
                let inner = self.parse_command(depth + 1)?;
                return match self.next() {
                    Some(_) => Ok(Expression {
                        shown: format!("({})", inner.shown),
                        ..inner
                    }),
                    None => Err(expected("`)` behind `(`")),
                };
            }
        };
        Ok(self.expression(operation, token.text.to_owned(), token.at))
    }

    fn call(&self, function: &Token<'t>, operands: Vec<Expression>) -> Result<Expression, NoTemplate> {
        let shown = operands.iter().map(|operand| operand.shown.as_str());
        let shown: Vec<_> = std::iter::once(function.text).chain(shown).collect();
        let shown = shown.join(" ");
        let operation = match function.text {
            "index" => index(operands, &shown)?,
            "parseInt" => parse_int(operands, &shown)?,
            "eq" => Operation::Equal(comparable(operands, 2..=usize::MAX, &shown)?),
            "ne" => Operation::Unequal(comparable(operands, 2..=2, &shown)?),
            "not" => match <[_; 1]>::try_from(operands) {
                Ok([operand]) => Operation::Not(Box::new(not_a_list(operand)?)),
                Err(_) => return Err(expected(format!("one operand in `{shown}`"))),
            },
            "and" => Operation::And(some(operands, &shown)?),
            "or" => Operation::Or(some(operands, &shown)?),
            other => return Err(refuse_word(other)),
        };
        Ok(self.expression(operation, shown, function.at))
    }

    fn expression(&self, operation: Operation, shown: String, at: usize) -> Expression {
        let before = &self.text[..at];
        let (line, column) = match before.rfind('\n') {
            Some(end) => (before.matches('\n').count() + 1, at - end - 1),
            None => (1, at),
        };
        Expression {
            operation,
            shown,
            place: (line, column),
        }
    }
}

fn field(text: &str) -> Result<Operation, NoTemplate> {
    let known = FIELDS.iter().find(|(name, _)| *name == text);
    let group = text.strip_prefix(".Group.").filter(|name| !name.contains('.'));
    Ok(match (text, known, group) {
        (_, Some((_, field)), _) => Operation::Field(*field),
        (_, _, Some(name)) => Operation::Group(name.to_owned()),
        (".Group", ..) => Operation::List(List::Groups),
        (".Match", ..) => Operation::List(List::Matches),
        _ => return Err(not_supported(text)),
    })
}

/// `index .Match 1` or `index .Group "x"`
fn index(operands: Vec<Expression>, shown: &str) -> Result<Operation, NoTemplate> {
    let operations: Vec<_> = operands.into_iter().map(|operand| operand.operation).collect();
    match &operations[..] {
        [Operation::List(List::Groups), Operation::Text(name)] => Ok(Operation::Member(name.clone())),
        [Operation::List(List::Matches), Operation::Number(number)] => {
            let number = usize::try_from(*number).map_err(|_| not_supported(shown))?;
            Ok(Operation::Match(number))
        }
        _ => Err(not_supported(shown)),
    }
}

/// `parseInt TEXT BASE BITS`
fn parse_int(operands: Vec<Expression>, shown: &str) -> Result<Operation, NoTemplate> {
    let Ok([text, base, bits]) = <[_; 3]>::try_from(operands) else {
        return Err(expected(format!("a text, a base and a number of bits in `{shown}`")));
    };
    let number = |operand: &Expression, most| match operand.operation {
        Operation::Number(number) => u32::try_from(number).ok().filter(|number| *number <= most),
        _ => None,
    };
    let base = number(&base, 36).filter(|base| *base >= 2);
    let base = base.ok_or_else(|| expected(format!("a base from 2 to 36 in `{shown}`")))?;
    let bits = number(&bits, 64).ok_or_else(|| expected(format!("a number of bits from 0 to 64 in `{shown}`")))?;
    match text.kind() {
        Kind::Text => Ok(Operation::ParseInt(Box::new(text), base, bits)),
        _ => Err(expected(format!("a text in `{shown}`"))),
    }
}

/// Operands of one kind.
fn comparable(
    operands: Vec<Expression>,
    count: std::ops::RangeInclusive<usize>,
    shown: &str,
) -> Result<Vec<Expression>, NoTemplate> {
    if !count.contains(&operands.len()) {
        return Err(expected(format!("two operands in `{shown}`")));
    }
    let kind = operands[0].kind();
    match kind != Kind::Mixed && operands.iter().all(|operand| operand.kind() == kind) {
        true => operands.into_iter().map(not_a_list).collect(),
        false => Err(expected(format!("operands of one kind in `{shown}`"))),
    }
}

fn some(operands: Vec<Expression>, shown: &str) -> Result<Vec<Expression>, NoTemplate> {
    match operands.is_empty() {
        true => Err(expected(format!("an operand behind `{shown}`"))),
        false => operands.into_iter().map(not_a_list).collect(),
    }
}

fn not_a_list(expression: Expression) -> Result<Expression, NoTemplate> {
    match expression.kind() {
        Kind::List => Err(not_supported(&expression.shown)),
        _ => Ok(expression),
    }
}

fn refuse_word(word: &str) -> NoTemplate {
    match OTHER_WORDS.contains(&word) {
        true => not_supported(word),
        false => expected(format!("a function such as `index` or `parseInt` in place of `{word}`")),
    }
}
