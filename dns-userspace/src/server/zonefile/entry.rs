//! The entries of a zone file, cut into words: a line each, or several where parentheses or quotes hold them together.

use super::Problem;

/// An entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The line that it begins in, from 1.
    pub(super) line: usize,
    /// Whether it begins with a blank: its owner is that of the record before.
    pub(super) is_indented: bool,
    /// Its words, at least one, with their quotes and escapes; what is not printable ASCII is escaped as `\DDD`.
    pub(super) words: Vec<String>,
}

/// The entries of a text.
pub(super) struct Entries {
    text: Vec<u8>,
    at: usize,
    line: usize,
}

impl Entries {
    pub(super) fn new(text: Vec<u8>) -> Self {
        Self { text, at: 0, line: 1 }
    }

    /// The next entry; an error tells of one that begins in this line.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, (usize, Problem)> {
        while self.peek().is_some() {
            let line = self.line;
            let is_indented = matches!(self.peek(), Some(b' ' | b'\t'));
            let words = self.words().map_err(|problem| (line, problem))?;
            if !words.is_empty() {
                return Ok(Some(Entry {
                    line,
                    is_indented,
                    words,
                }));
            }
        }
        Ok(None)
    }

    /// Reads up to the end of an entry.
    fn words(&mut self) -> Result<Vec<String>, Problem> {
        let mut words = Vec::new();
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.advance();
                    if depth == 0 {
                        return Ok(words);
                    }
                }
                b' ' | b'\t' | b'\r' => self.advance(),
                b';' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.advance();
                    }
                }
                b'(' => {
                    depth += 1;
                    self.advance();
                }
                b')' => {
                    depth = depth.checked_sub(1).ok_or(Problem::UnmatchedParenthesis)?;
                    self.advance();
                }
                _ => words.push(self.word()?),
            }
        }
        match depth {
            0 => Ok(words),
            _ => Err(Problem::UnclosedParenthesis),
        }
    }

    /// Reads a word, in which quoted parts may stand.
    fn word(&mut self) -> Result<String, Problem> {
        let mut word = String::new();
        let mut is_quoted = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => is_quoted = !is_quoted,
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' if !is_quoted => break,
                b'\\' => {
                    self.advance();
                    let Some(escaped) = self.peek() else {
                        return Err(Problem::LoneBackslash);
                    };
                    if is_printable(escaped) {
                        word.push('\\');
                    }
                    push(&mut word, escaped);
                    self.advance();
                    continue;
                }
                _ => {}
            }
            push(&mut word, byte);
            self.advance();
        }
        match is_quoted {
            true => Err(Problem::UnclosedQuote),
            false => Ok(word),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn advance(&mut self) {
        self.line += usize::from(self.peek() == Some(b'\n'));
        self.at += 1;
    }
}

fn push(word: &mut String, byte: u8) {
    match is_printable(byte) {
        true => word.push(char::from(byte)),
        false => word.push_str(&format!("\\{byte:03}")),
    }
}

fn is_printable(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

/// The character strings of a word: its quoted parts, and what stands between them; `None` where an escape is none.
pub(super) fn strings(word: &str) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    let mut part = None;
    let mut is_quoted = false;
    let mut bytes = word.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if is_quoted => {
                strings.extend(part.take());
                is_quoted = false;
            }
            b'"' => {
                strings.extend(part.replace(Vec::new()));
                is_quoted = true;
            }
            b'\\' => part.get_or_insert_default().push(unescape(&mut bytes)?),
            _ => part.get_or_insert_default().push(byte),
        }
    }
    strings.extend(part);
    Some(strings)
}

/// Reads what stands behind a backslash: the value of a byte in three digits, or a character that stands for itself.
fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, bytes.next()?, bytes.next()?];
    str::from_utf8(&digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An entry's line, whether it is indented, and its words.
    type Told = (usize, bool, String);

    fn read(text: &str) -> Result<Vec<Told>, (usize, Problem)> {
        let mut entries = Entries::new(text.as_bytes().to_vec());
        let entries = std::iter::from_fn(|| entries.next().transpose());
        let tell = |entry: Entry| (entry.line, entry.is_indented, entry.words.join("|"));
        entries.map(|entry| entry.map(tell)).collect()
    }

    #[test]
    fn words_stand_between_blanks_and_comments() {
        for (text, expected) in [
            ("", &[][..]),
            ("\n \n\t; nothing\n;\n", &[]),
            ("a A 1", &[(1, false, "a|A|1")]),
            ("a\tA\r\n B;c\n", &[(1, false, "a|A"), (2, true, "B")]),
            ("a (b ; c )\n d\n\n) e\nf", &[(1, false, "a|b|d|e"), (5, false, "f")]),
            ("a(b)c", &[(1, false, "a|b|c")]),
            ("a \"b ; ( c\" d", &[(1, false, "a|\"b ; ( c\"|d")]),
            ("a b=\"c d\"\"e\" f", &[(1, false, "a|b=\"c d\"\"e\"|f")]),
            ("a \"b\nc\"\nd", &[(1, false, "a|\"b\\010c\""), (3, false, "d")]),
            ("a\\;b\\ c \"\\\"\" \\065", &[(1, false, "a\\;b\\ c|\"\\\"\"|\\065")]),
            ("\u{e9} \\\u{7f}", &[(1, false, "\\195\\169|\\127")]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(line, is_indented, words)| (*line, *is_indented, (*words).to_owned()))
                .collect();
            assert_eq!(read(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_closed_is_told_where_its_entry_begins() {
        for (text, line, problem) in [
            ("a\nb (\n\nc", 2, Problem::UnclosedParenthesis),
            ("a\n\nb ) c", 3, Problem::UnmatchedParenthesis),
            ("a \"b\n\n", 1, Problem::UnclosedQuote),
            ("a\nb\\", 2, Problem::LoneBackslash),
        ] {
            assert_eq!(read(text), Err((line, problem)), "{text:?}");
        }
    }

    #[test]
    fn a_word_is_one_string_or_several() {
        for (word, expected) in [
            ("abc", Some(&[&b"abc"[..]][..])),
            ("\"\"", Some(&[b""])),
            ("\"a b\"\"c\"", Some(&[b"a b", b"c"])),
            ("a\"b\"c", Some(&[b"a", b"b", b"c"])),
            ("\\\"\\065\\200", Some(&[b"\"A\xc8"])),
            ("\\256", None),
            ("\\2", None),
            ("\\", None),
        ] {
            let expected: Option<Vec<_>> = expected.map(|strings| strings.iter().map(|part| part.to_vec()).collect());
            assert_eq!(strings(word), expected, "{word}");
        }
    }

    proptest! {
        #[test]
        fn words_are_printable_and_come_to_an_end(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut entries = Entries::new(text);
            while let Ok(Some(entry)) = entries.next() {
                prop_assert!(!entry.words.is_empty());
                prop_assert!(entry.words.iter().all(|word| word.bytes().all(is_printable)));
            }
        }
    }
}
