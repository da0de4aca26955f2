use std::fmt::Write;
use std::fs;

use proptest::prelude::*;

use super::*;

/// Writes blocks down as `keys: name argument { option; option }; name`, one block a line.
fn render(blocks: &[Block]) -> String {
    let lines = blocks
        .iter()
        .map(|block| format!("{}: {}", join(&block.keys), render_all(&block.statements)));
    lines.collect::<Vec<_>>().join("\n")
}

fn render_all(statements: &[Statement]) -> String {
    let statements = statements.iter().map(|statement| {
        let mut text = statement.name.text.clone();
        for argument in &statement.arguments {
            write!(text, " {}", argument.text).unwrap();
        }
        if let Some(options) = &statement.options {
            write!(text, " {{{}}}", render_all(options)).unwrap();
        }
        text
    });
    statements.collect::<Vec<_>>().join("; ")
}

fn join(words: &[Word]) -> String {
    words
        .iter()
        .map(|word| word.text.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn parse_text(text: &str) -> Result<String, String> {
    parse_file(Path::new("/nowhere/Corefile"), text)
}

fn parse_file(file: &Path, text: &str) -> Result<String, String> {
    let environment = |name: &str| (name == "NAME").then(|| "errors".to_owned());
    parse(&file.into(), text, &environment)
        .map(|blocks| render(&blocks))
        .map_err(|errors| errors.to_string())
}

#[test]
fn parses_the_whole_grammar() {
    for (text, expected) in [
        ("", ""),
        ("# nothing\n", ""),
        (".:53 {\n errors\n}\n", ".:53: errors"),
        ("\u{feff}.:53 {\r\n errors\r\n}\r\n", ".:53: errors"),
        (". {\n}\n", ".: "),
        (". { }", ".: "),
        (".\n{\n errors\n}", ".: errors"),
        ("a b {\n}", "a b: "),
        ("a, b {\n}", "a b: "),
        ("a,b {\n}", "a b: "),
        ("a,\nb c,\n d {\n}", "a b c d: "),
        ("a , b {\n}", "a b: "),
        ("\"a\" {\n}", "a: "),
        ("\"\" a {$UNSET} {\n}", "a: "),
        ("a, \"\"\nb {\n}", "a b: "),
        ("a {\n}\nb {\n}", "a: \nb: "),
        ("a {\n} b {\n}", "a: \nb: "),
        (".\nerrors\nlog . \"x y\"\n", ".: errors; log . x y"),
        (".:53", ".:53: "),
        (
            ". {\n health {\n lameduck 5s\n }\n ready\n}",
            ".: health {lameduck 5s}; ready",
        ),
        (". {\n health { lameduck 5s }\n}", ".: health {lameduck 5s}"),
        (". { errors }", ".: errors"),
        (". {\n ready {\n}\n}", ".: ready {}"),
        (". {\n x {\n y {\n z\n }\n }\n}", ".: x {y {z}}"),
        (". {\n log \"a\nb\" c\n errors\n}", ".: log a\nb c; errors"),
        (". {\n log {{ .Name }} \"}\"\n}", ".: log {{ .Name }} }"),
        (". {\n {$NAME} {%NAME%}\n}", ".: errors errors"),
        (". {\n errors # {\n # }\n}", ".: errors"),
    ] {
        assert_eq!(parse_text(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn reads_snippets_in_the_place_of_their_import() {
    for (text, expected) in [
        (
            "(common) {\n errors\n log\n}\n. {\n import common\n ready\n}",
            ".: errors; log; ready",
        ),
        (
            "(a) {\n errors\n}\n(b) {\n import a\n log\n}\n. {\n import b\n}",
            ".: errors; log",
        ),
        (
            "(a) {\n lameduck 5s\n}\n. {\n health {\n import a\n }\n}",
            ".: health {lameduck 5s}",
        ),
        (
            "(a) {\n health {\n lameduck 5s\n }\n}\n. {\n import a\n}",
            ".: health {lameduck 5s}",
        ),
        ("(a) {\n b {\n errors\n }\n}\nimport a", "b: errors"),
        ("(a) {\n}\n. {\n import a\n}", ".: "),
        ("(errors) {\n log\n}\n. {\n import {$NAME}\n}", ".: log"),
        (
            "(a) {\n errors\n}\n. {\n import a\n}\nb {\n import a\n}",
            ".: errors\nb: errors",
        ),
    ] {
        assert_eq!(parse_text(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn says_what_breaks_the_grammar() {
    for (text, expected) in [
        (". {\n errors\n", "1:3: this `{` is never closed; expected a `}`"),
        (". {\n health {\n}", "1:3: this `{` is never closed; expected a `}`"),
        (
            ". {\n}\n}",
            "3:1: this `}` closes nothing; expected the zones of a server block",
        ),
        (".\nerrors\n}", "3:1: this `}` closes nothing; expected a directive"),
        ("{\n errors\n}", "1:1: expected the zones of a server block, found `{`"),
        (". {\n {\n errors\n }\n}", "2:2: expected a directive, found `{`"),
        (
            ". {\n health\n {\n lameduck 5s\n }\n}",
            "3:2: this `{` must stand on the line of `health`",
        ),
        (
            ". {\n health {\n } ready\n}",
            "3:4: expected a new line after `}`, found `ready`",
        ),
        (
            ".:53{\n errors\n}",
            "1:1: `.:53` runs into a `{`; put a space before the `{`",
        ),
        ("a, {\n}", "1:1: expected another zone after the comma, found `{`"),
        (
            "a,",
            "1:1: expected another zone after the comma, found the end of the file",
        ),
        ("a, \"\" {\n}", "1:1: expected another zone after the comma, found `{`"),
        (
            ". {\n}\n\"\" {\n}",
            "3:1: this server block has no zone but an empty word; expected one such as `.` or `cluster.local`",
        ),
        (
            "{$UNSET}\nerrors",
            "1:1: this server block has no zone but an empty word; expected one such as `.` or `cluster.local`",
        ),
        (
            ". {\n log \"x\n}",
            "1:3: this `{` is never closed; expected a `}`\n2:6: this quote is never closed; expected a `\"`",
        ),
        (
            "(a)\nerrors",
            "1:1: expected a `{` after the name of snippet `a`, found `errors`",
        ),
        ("(a) {\n errors", "1:5: this `{` is never closed; expected a `}`"),
        (
            "(a) {\n}\n(a) {\n}",
            "3:1: snippet `a` is defined already, at /nowhere/Corefile:1:1",
        ),
        (
            ". {\n import\n}",
            "2:2: `import` takes 1 argument: a snippet, a file or a pattern, found 0",
        ),
        (
            ". {\n import a b\n}",
            "2:2: `import` takes 1 argument: a snippet, a file or a pattern, found 2",
        ),
        (
            "(common) {\n}\n. {\n import comon\n}",
            "4:9: no snippet is named `comon`, and there is no file /nowhere/comon; did you mean `common`?",
        ),
        (
            ". {\n import \"\"\n}",
            "2:9: no snippet is named ``, and there is no file /nowhere/",
        ),
        (
            "(a) {\n import a\n}\n. {\n import a\n}",
            "2:9: this import loops: (a) -> (a)",
        ),
        (
            "(a) {\n import b\n}\n(b) {\n import a\n}\nimport a",
            "5:9: this import loops: (a) -> (b) -> (a)",
        ),
    ] {
        let expected: Vec<_> = expected
            .lines()
            .map(|line| format!("/nowhere/Corefile:{line}"))
            .collect();
        assert_eq!(parse_text(text), Err(expected.join("\n")), "{text:?}");
    }
}

#[test]
fn reports_every_error_once_in_the_order_of_the_text() {
    let errors = parse_text("(a) {\n x#y\n import b\n}\n. {\n import a\n import a\n}\n}\n").unwrap_err();
    let expected = [
        "/nowhere/Corefile:2:2: `x` runs into a `#`; put a space before the `#` to begin a comment, or quote the whole word",
        "/nowhere/Corefile:3:9: no snippet is named `b`, and there is no file /nowhere/b",
        "/nowhere/Corefile:9:1: this `}` closes nothing; expected the zones of a server block",
    ];
    assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn refuses_endless_depth_and_endless_imports() {
    let deep = format!(". {{\n{}", "a {\n".repeat(100_000));
    assert!(
        parse_text(&deep)
            .unwrap_err()
            .ends_with("nested too deeply; expected at most 64 levels of blocks and imports")
    );
    let mut wide = "(s0) {\n errors\n}\n".to_owned();
    for level in 1..40 {
        let below = level - 1;
        write!(wide, "(s{level}) {{\n import s{below}\n import s{below}\n}}\n").unwrap();
    }
    let errors = parse_text(&(wide + ". {\n import s39\n}")).unwrap_err();
    assert!(
        errors.contains("too many imports; expected at most 10000 in all"),
        "{errors}"
    );
}

#[test]
fn imports_files_relative_to_the_importing_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("custom/b.override", "log\n");
    write("custom/a.override", "\u{feff}import ../common\n");
    write("custom/one.server", "one.example {\n errors\n}\n(late) {\n ready\n}\n");
    write("common", "errors");
    for (text, expected) in [
        (". {\n import custom/*.override\n ready\n}", ".: errors; log; ready"),
        (
            ". {\n import common\n}\nimport custom/*.server",
            ".: errors\none.example: errors",
        ),
        (". {\n import custom/*.missing\n}", ".: "),
        (
            "import custom/one.server\n. {\n import late\n}",
            "one.example: errors\n.: ready",
        ),
        ("import custom/*.none", ""),
    ] {
        assert_eq!(
            parse_file(&folder.path().join("Corefile"), text).as_deref(),
            Ok(expected),
            "{text:?}"
        );
    }
    let absolute = format!(". {{\n import {}/common\n}}", folder.path().display());
    assert_eq!(parse_text(&absolute).as_deref(), Ok(".: errors"));
}

#[test]
fn names_the_imported_file_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    write("unbalanced", b"errors\nhealth {\n");
    write("binary", b"\n\xff");
    write("loop", b"import Corefile");
    write("Corefile", b". {\n import loop\n}");
    std::os::unix::fs::symlink("Corefile", folder.path().join("linked")).unwrap();
    for (import, expected) in [
        (
            "unbalanced",
            format!("{}:2:8: this `{{` is never closed; expected a `}}`", at("unbalanced")),
        ),
        (
            "binary",
            format!("{}:2:1: not UTF-8 text; save the file as UTF-8", at("binary")),
        ),
        (
            ".",
            format!("{}:2:9: cannot read {}: not a regular file", at("Corefile"), at(".")),
        ),
        (
            "linked",
            format!("{0}:2:9: this import loops: {0} -> {0}", at("Corefile")),
        ),
        (
            "loop",
            format!(
                "{1}:1:8: this import loops: {0} -> {1} -> {0}",
                at("Corefile"),
                at("loop")
            ),
        ),
    ] {
        let errors = parse_file(&folder.path().join("Corefile"), &format!(". {{\n import {import}\n}}")).unwrap_err();
        assert_eq!(errors, expected, "{import}");
    }
}

/// Texts of the words and signs that mean something to the parser.
fn corefile_like() -> impl Strategy<Value = String> {
    let pieces = [
        "{",
        "}",
        "\n",
        " ",
        "\"",
        "\\",
        "#",
        ",",
        "import",
        "a",
        "(a)",
        "(b)",
        "b",
        ".:53",
        "*",
        "{$X}",
        "{%",
        "é",
        "\r\n",
        "kubernetes",
        "cluster.local",
        "ttl",
        "30",
        "forward",
        "10.0.0.0/9",
        "/etc/x",
        "health",
        "tls://",
        "\u{feff}",
    ];
    prop::collection::vec(
        (
            prop::sample::select(pieces.to_vec()),
            prop::sample::select(vec!["", " ", "\n"]),
        ),
        0..60,
    )
    .prop_map(|pieces| {
        pieces
            .into_iter()
            .map(|(piece, space)| format!("{piece}{space}"))
            .collect()
    })
}

fn assert_inside(span: &Span, text: &str) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if span.line == 0 {
        return;
    }
    let line = text
        .split('\n')
        .nth(span.line as usize - 1)
        .unwrap_or_else(|| panic!("{span} in {text:?}"));
    assert!(
        (1..=line.chars().count()).contains(&(span.column as usize)),
        "{span} in {text:?}"
    );
}

fn check_spans(text: &str) {
    let file: Arc<Path> = Path::new("/nowhere/Corefile").into();
    for token in tokenize(&file, text, &|_| None, &mut Vec::new()) {
        assert_inside(&token.word.span, text);
    }
    if let Err(errors) = super::super::parse_in(&file, text, &|_| Some("x {".to_owned())) {
        errors.iter().for_each(|error| assert_inside(&error.span, text));
    }
}

proptest! {
    #[test]
    fn never_panics_and_points_into_the_text(text in any::<String>()) {
        check_spans(&text);
    }

    #[test]
    fn never_panics_on_what_looks_like_a_corefile(text in corefile_like()) {
        check_spans(&text);
    }

    #[test]
    fn what_is_quoted_stays_one_word(text in "[^\\\\\"{]*") {
        let quoted = format!(". {{\n log \"{text}\" {{\n class all\n }}\n}}");
        prop_assert_eq!(parse_text(&quoted), Ok(format!(".: log {text} {{class all}}")));
    }
}
