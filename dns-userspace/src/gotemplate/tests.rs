use super::*;

/// What a template makes of `ip-10-0a.example.org`, taken apart.
fn render(text: &str) -> Result<String, String> {
    let template = Template::parse("answer", text).map_err(|error| format!("{error:?}"))?;
    let pattern = Regex::new("^(ip)-(?P<a>[0-9]+)-(?P<b>[0-9a-z]*)(?P<c>-x)?[.]").unwrap();
    let name = "ip-10-0a.example.org.";
    let values = Values {
        zone: "example.org.",
        name,
        class: "IN",
        qtype: "A",
        remote: "10.0.0.9",
        question: Question {
            name: "IP-10-0a.example.org.",
            qtype: 1,
            class: 1,
        },
        id: 4660,
        pattern: &pattern,
        captures: &pattern.captures(name).unwrap(),
    };
    template.render(&values).map_err(|failure| failure.to_string())
}

#[test]
fn renders_what_go_does() {
    for (text, expected) in [
        ("", ""),
        ("a } b { c", "a } b { c"),
        (
            "{{ .Name }} 60 IN {{.Type}} {{\t.Zone\n}}",
            "ip-10-0a.example.org. 60 IN A example.org.",
        ),
        ("{{ .Class }} {{ .Remote }} {{ .Message.Id }}", "IN 10.0.0.9 4660"),
        (
            "{{ .Question.Name }} {{ .Question.Qtype }} {{ .Question.Qclass }}",
            "IP-10-0a.example.org. 1 1",
        ),
        ("{{ .Regex }}", "^(ip)-(?P<a>[0-9]+)-(?P<b>[0-9a-z]*)(?P<c>-x)?[.]"),
        ("{{ .Group.a }}.{{ .Group.b }}", "10.0a"),
        (
            "{{ index .Group \"a\" }} {{ index .Group `1` }} {{ index .Group \"2\" }}",
            "10 ip 10",
        ),
        ("{{ index .Match 0 }} {{ index .Match 1 }}", "ip-10-0a. ip"),
        // A group without a match is empty, one that is not there is nothing.
        ("[{{ .Group.c }}{{ index .Match 4 }}]", "[]"),
        ("[{{ .Group.d }}|{{ index .Group \"d\" }}]", "[<no value>|]"),
        ("{{ parseInt .Group.b 16 8 }} {{ parseInt .Group.a 10 0 }}", "10 10"),
        ("{{ parseInt \"ffffffffffffffff\" 16 64 }}", "18446744073709551615"),
        ("{{ parseInt (index .Match 2) 10 8 }}", "10"),
        ("a {{- \"b\" -}} \n c", "abc"),
        ("a {{ \"b\" }} c", "a b c"),
        ("a {{/* b */}} c {{- /* d */ -}} e", "a  ce"),
        ("{{ 7 }}{{ \"a\\\"\\\\\\n\" }}{{ `\\n` }}", "7a\"\\\n\\n"),
        ("{{ (.Name) }}", "ip-10-0a.example.org."),
        ("{{ if .Group.a }}x{{ else }}y{{ end }}", "x"),
        ("{{ if .Group.c }}x{{ else }}y{{ end }}", "y"),
        ("{{ if .Group.d }}x{{ end }}", ""),
        ("{{ if .Message.Id }}x{{ end }}{{ if 0 }}y{{ end }}", "x"),
        (
            "{{ if eq .Type \"A\" }}x{{ end }}{{ if eq .Type \"AAAA\" }}y{{ end }}",
            "x",
        ),
        ("{{ if eq .Type \"AAAA\" \"A\" }}x{{ end }}", "x"),
        (
            "{{ if ne .Type \"A\" }}x{{ else if eq .Class \"IN\" }}y{{ else }}z{{ end }}",
            "y",
        ),
        ("{{ if not .Group.c }}x{{ end }}", "x"),
        ("{{ if and .Group.a (eq .Type \"A\") }}x{{ end }}", "x"),
        ("{{ if and .Group.c (eq .Type \"A\") }}x{{ end }}", ""),
        ("{{ or .Group.c .Group.a \"60\" }} {{ and .Group.a .Type }}", "10 A"),
        ("{{ or .Group.c .Group.d }}", "<no value>"),
        ("{{ if .Group.a }}{{ if .Group.b }}x{{ end }}y{{ end }}", "xy"),
        ("{{ eq (parseInt .Group.a 10 8) 10 }}", "true"),
    ] {
        assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn fails_in_gos_words() {
    let start = "template: answer:1:3: executing \"answer\" at";
    for (text, expected) in [
        (
            "{{ parseInt .Group.b 10 8 }}",
            format!("{start} <parseInt .Group.b 10 8>: error calling parseInt: strconv.ParseUint: parsing \"0a\": invalid syntax"),
        ),
        (
            "{{ parseInt \"256\"  10 8 }}",
            format!("{start} <parseInt \"256\" 10 8>: error calling parseInt: strconv.ParseUint: parsing \"256\": value out of range"),
        ),
        (
            "{{ parseInt \"18446744073709551616\" 10 0 }}",
            format!(
                "{start} <parseInt \"18446744073709551616\" 10 0>: error calling parseInt: strconv.ParseUint: parsing \
                 \"18446744073709551616\": value out of range"
            ),
        ),
        (
            "{{ parseInt \"+1\" 10 0 }}",
            format!("{start} <parseInt \"+1\" 10 0>: error calling parseInt: strconv.ParseUint: parsing \"+1\": invalid syntax"),
        ),
        (
            "{{ parseInt .Group.c 10 0 }}",
            format!("{start} <parseInt .Group.c 10 0>: error calling parseInt: strconv.ParseUint: parsing \"\": invalid syntax"),
        ),
        (
            "a\nb {{ index  .Match 5 }}",
            "template: answer:2:5: executing \"answer\" at <index .Match 5>: error calling index: index out of range: 5".to_owned(),
        ),
    ] {
        assert_eq!(render(text), Err(expected), "{text}");
    }
}

#[test]
fn what_is_not_evaluated_does_not_fail() {
    for text in [
        "{{ if eq .Type \"MX\" }}{{ index .Match 9 }}{{ end }}",
        "{{ if or .Type (eq (parseInt .Group.b 10 8) 1) }}{{ end }}",
    ] {
        assert_eq!(render(text).as_deref(), Ok(""), "{text}");
    }
}

#[test]
fn names_what_is_not_supported() {
    for (text, construct) in [
        ("{{ . }}", "."),
        ("{{ $x }}", "$x"),
        ("{{ $x := .Name }}", "$x"),
        ("{{ .Name | printf \"%s\" }}", "|"),
        ("{{ printf \"%s\" .Name }}", "printf"),
        ("{{ len .Match }}", "len"),
        ("{{ range .Match }}{{ end }}", "range"),
        ("{{ with .Name }}{{ end }}", "with"),
        ("{{ template \"x\" }}", "template"),
        ("{{ if .Name }}{{ else with .Zone }}{{ end }}", "else with"),
        ("{{ .Match }}", ".Match"),
        ("{{ if .Group }}{{ end }}", ".Group"),
        ("{{ eq .Match .Match }}", ".Match"),
        ("{{ .Meta \"x\" }}", ".Meta"),
        ("{{ .Message }}", ".Message"),
        ("{{ .Message.Question }}", ".Message.Question"),
        ("{{ .Group.a.b }}", ".Group.a.b"),
        ("{{ .Nonsense }}", ".Nonsense"),
        ("{{ index .Match }}", "index .Match"),
        ("{{ index .Match \"1\" }}", "index .Match \"1\""),
        ("{{ index .Name 1 }}", "index .Name 1"),
        ("{{ (index .Match 1).x }}", ".x"),
        ("{{ 'a' }}", "'a'"),
        ("{{ 1.5 }}", "1.5"),
        ("{{ 010 }}", "010"),
        ("{{ 0x10 }}", "0x10"),
        ("{{ -1 }}", "-1"),
        ("{{ \"\\x41\" }}", "\\x"),
        ("{{ eq .Type true }}", "true"),
    ] {
        let expected = NoTemplate::NotSupported(construct.to_owned());
        assert_eq!(Template::parse("answer", text), Err(expected), "{text}");
    }
}

#[test]
fn says_what_was_expected() {
    for (text, expected) in [
        ("{{", "`}}` behind `{{`"),
        ("{{ .Name", "`}}` behind `{{`"),
        ("{{ .Name }", "`}}` behind `{{`"),
        ("{{ \"}} ", "a closing `\"`"),
        ("{{ ` }} ", "a closing `` ` ``"),
        ("{{/* }}", "`*/` at the end of a comment"),
        ("{{/* */ .Name }}", "`}}` behind `{{`"),
        ("{{ }}", "a field or a function"),
        ("{{ .Name .Zone }}", "a function before `.Name`"),
        ("{{ \"a\".Name }}", "a space before `.Name`"),
        (
            "{{ nonsense .Name }}",
            "a function such as `index` or `parseInt` in place of `nonsense`",
        ),
        ("{{ if .Name }}", "`end` behind `if`"),
        ("{{ if .Name }}{{ else }}", "`end` behind `else`"),
        ("{{ if .Name }}{{ else }}{{ else }}{{ end }}", "`end` behind `else`"),
        ("{{ if }}{{ end }}", "a field or a function"),
        ("{{ end }}", "`if` before `end`"),
        ("{{ else }}", "`if` before `else`"),
        ("{{ (.Name }}", "`)` behind `(`"),
        ("{{ .Name) }}", "`(` before `)`"),
        ("{{ () }}", "a field or a function before `)`"),
        ("{{ not }}", "one operand in `not`"),
        ("{{ and }}", "an operand behind `and`"),
        ("{{ eq .Name }}", "two operands in `eq .Name`"),
        ("{{ ne .Name .Zone .Type }}", "two operands in `ne .Name .Zone .Type`"),
        (
            "{{ eq .Message.Id \"1\" }}",
            "operands of one kind in `eq .Message.Id \"1\"`",
        ),
        (
            "{{ parseInt .Name 10 }}",
            "a text, a base and a number of bits in `parseInt .Name 10`",
        ),
        (
            "{{ parseInt .Name 1 8 }}",
            "a base from 2 to 36 in `parseInt .Name 1 8`",
        ),
        (
            "{{ parseInt .Name 10 65 }}",
            "a number of bits from 0 to 64 in `parseInt .Name 10 65`",
        ),
        ("{{ parseInt 1 10 8 }}", "a text in `parseInt 1 10 8`"),
    ] {
        let expected = NoTemplate::Expected(expected.to_owned());
        assert_eq!(Template::parse("answer", text), Err(expected), "{text}");
    }
    for (open, close) in [("{{ if .Name }}", "{{ end }}"), ("{{ if .Name }}{{ else ", "")] {
        let deep = open.repeat(100) + &close.repeat(100);
        assert!(Template::parse("answer", &deep).is_err());
    }
    let deep = format!("{{{{ {}.Name{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Template::parse("answer", &deep).is_err());
}

#[test]
fn is_shown_as_go_shows_it() {
    for (text, expected) in [
        ("{{ .Name }} {{- /* x */}}  60 {{-  .Type }}", "{{.Name}}  60{{.Type}}"),
        ("{{ index  .Group  `a` }}", "{{index .Group `a`}}"),
        (
            "{{if eq .Type  `A`}}x{{else}}y{{end}}",
            "{{if eq .Type `A`}}x{{else}}y{{end}}",
        ),
        (
            "{{if and (.Name)  ( eq .Type \"A\" ) }}x{{ else  if .Name }}y{{end}}",
            "{{if and (.Name) (eq .Type \"A\")}}x{{else}}{{if .Name}}y{{end}}{{end}}",
        ),
    ] {
        assert_eq!(Template::parse("answer", text).unwrap().to_string(), expected);
    }
}

#[test]
fn knows_what_it_needs() {
    let needs = |text| format!("{:?}", Template::parse("answer", text).unwrap().needs());
    for (text, expected) in [
        ("a {{ .Name }} {{ .Zone }} {{ 1 }}", "[]"),
        ("{{ .Type }} {{ .Class }}", "[Type, Class]"),
        (
            "{{ .Group.a }}{{ index .Group `b` }}{{ index .Match 1 }}",
            "[Group(\"a\"), Group(\"b\"), Match(1)]",
        ),
        (
            "{{ parseInt .Group.a 10 8 }}{{ or .Remote .Regex }}",
            "[Group(\"a\"), Query, Query]",
        ),
        (
            "{{ if eq .Name .Group.a }}{{ .Type }}{{ else }}{{ .Class }}{{ end }}",
            "[Query, Group(\"a\"), Type, Class]",
        ),
    ] {
        assert_eq!(needs(text), expected, "{text}");
    }
}
