use std::path::Path;

use super::super::parse_in;
use super::*;

fn read_all(directives: &str) -> Result<Vec<Rewrite>, String> {
    let config = parse_in(Path::new("Corefile"), &format!(". {{\n{directives}\n}}"), &|_| None);
    let mut config = config.map_err(|errors| errors.to_string())?;
    config.check_support().map_err(|errors| errors.to_string())?;
    Ok(config.servers.remove(0).rewrite)
}

fn read(words: &str) -> Rewrite {
    let rules = read_all(&format!("rewrite {words}")).unwrap_or_else(|errors| panic!("{errors}"));
    rules.into_iter().next().unwrap()
}

fn rule(words: &str) -> Rule {
    read(words).rule
}

fn pattern(text: &str) -> Pattern {
    Pattern(Regex::new(text).unwrap())
}

fn exact(text: &str) -> Names {
    Names::Exact(text.to_owned())
}

fn name(names: Names, to: &str, auto: bool, answers: &[AnswerRule]) -> Rule {
    Rule::Name(NameRule {
        names,
        to: to.to_owned(),
        auto,
        answers: answers.to_vec(),
    })
}

fn answer(is_value: bool, from: &str, to: &str) -> AnswerRule {
    AnswerRule {
        is_value,
        pattern: pattern(from),
        to: to.to_owned(),
    }
}

#[test]
fn a_rule_stands_on_a_line_or_in_braces() {
    let expected = name(
        Names::Regex(pattern("(.*)-x")),
        "{1}.y.",
        false,
        &[answer(false, "(.*).y", "{1}-x."), answer(true, "z", "x.")],
    );
    for text in [
        "stop name regex (.*)-x {1}.y answer name (.*).y {1}-x answer value z x",
        "name regex (.*)-x {1}.y answer name (.*).y {1}-x value z x",
        "stop {\nname regex (.*)-x {1}.y\nanswer name (.*).y {1}-x\nanswer value z x\n}",
        "{\nSTOP\nName RegEx (.*)-x {1}.y\nanswer name (.*).y {1}-x\nvalue z x\n}",
        "name {\nregex (.*)-x\n{1}.y answer\nname\n(.*).y {1}-x value z x\n}",
    ] {
        let read = read(text);
        assert_eq!((read.rule, read.continues), (expected.clone(), false), "{text}");
    }
    assert!(read("continue {\nname a b\n}").continues);
    assert!(read("Continue type A AAAA").continues);
}

#[test]
fn rules_keep_their_order_and_know_their_places() {
    let rules = read_all("rewrite type A AAAA\nlog\nrewrite class CH IN").unwrap();
    let places: Vec<_> = rules.iter().map(|rule| rule.span.line).collect();
    assert_eq!(places, [2, 4]);
    assert!(matches!(rules[0].rule, Rule::Type { .. }) && matches!(rules[1].rule, Rule::Class { .. }));
}

#[test]
fn reads_the_names_that_change() {
    let text = |text: &str| text.to_owned();
    for (words, expected) in [
        ("name A.example b", name(exact("a.example."), "b.", true, &[])),
        ("name exact a.example. B.", name(exact("a.example."), "b.", true, &[])),
        (
            "name exact a b answer value c d",
            name(exact("a."), "b.", true, &[answer(true, "c", "d.")]),
        ),
        ("name prefix A b", name(Names::Prefix(text("a.")), "b.", false, &[])),
        (
            "name suffix .a .b answer auto",
            name(Names::Suffix(text(".a.")), ".b.", true, &[]),
        ),
        (
            "name substring a b answer auto answer value c d",
            name(Names::Substring(text("a.")), "b.", true, &[answer(true, "c", "d.")]),
        ),
        (
            r"name regex ^(A)\. {1}\. answer auto",
            name(Names::Regex(pattern(r"^(A)\.")), r"{1}\..", true, &[]),
        ),
        // What CoreDNS makes of an example in its manual: `auto` is a pattern.
        (
            "name suffix .arpa .arpa answer name auto answer value c d",
            name(
                Names::Suffix(text(".arpa.")),
                ".arpa.",
                false,
                &[answer(false, "auto", "answer."), answer(true, "c", "d.")],
            ),
        ),
    ] {
        assert_eq!(rule(words), expected, "{words}");
    }
}

#[test]
fn reads_what_happens_to_types_classes_and_replies() {
    let (low, high) = (0, HIGHEST_TTL);
    for (words, expected) in [
        (
            "type any HINFO",
            Rule::Type {
                from: Rtype::ANY,
                to: Rtype::HINFO,
            },
        ),
        (
            "type NSAP-PTR TYPE65280",
            Rule::Type {
                from: Rtype::NSAPPTR,
                to: Rtype::from_int(65280),
            },
        ),
        (
            "class ch in",
            Rule::Class {
                from: Class::CH,
                to: Class::IN,
            },
        ),
        (
            "class CS ANY",
            Rule::Class {
                from: Class::from_int(2),
                to: Class::ANY,
            },
        ),
    ] {
        assert_eq!(rule(words), expected, "{words}");
    }
    for (words, names, range) in [
        ("a 15", exact("a."), 15..=15),
        ("suffix .a 30-300", Names::Suffix(".a.".to_owned()), 30..=300),
        ("regex (.*) 30-", Names::Regex(pattern("(.*)")), 30..=high),
        ("prefix a -30", Names::Prefix("a.".to_owned()), low..=30),
        ("substring a 0", Names::Substring("a.".to_owned()), 0..=0),
        ("exact a 4294967295", exact("a."), u32::MAX..=u32::MAX),
    ] {
        assert_eq!(rule(&format!("ttl {words}")), Rule::Ttl { names, range }, "{words}");
    }
    for (words, names, from, to) in [
        ("a 2 0", exact("a."), 2, 0),
        ("suffix .a servfail BadCookie", Names::Suffix(".a.".to_owned()), 2, 23),
        ("regex a DSOTYPENI BADSIG", Names::Regex(pattern("a")), 11, 16),
    ] {
        let [from, to] = [from, to].map(OptRcode::masked_from_int);
        assert_eq!(
            rule(&format!("rcode {words}")),
            Rule::Rcode { names, from, to },
            "{words}"
        );
    }
    for (words, names, to) in [
        ("A b", exact("a."), "b."),
        ("exact a B", exact("a."), "b."),
        ("prefix A B", Names::Prefix("a".to_owned()), "b"),
        ("suffix .A .B", Names::Suffix(".a".to_owned()), ".b"),
        ("substring a b", Names::Substring("a".to_owned()), "b"),
        // As in CoreDNS, a pattern is put into lower case as well.
        (r"regex (\D) {1}", Names::Regex(pattern(r"(\d)")), "{1}"),
    ] {
        let to = to.to_owned();
        assert_eq!(rule(&format!("cname {words}")), Rule::Cname { names, to }, "{words}");
    }
}

#[test]
fn reads_options_and_what_is_done_to_them() {
    let local = |code, data: &[u8]| EdnsOption::Local {
        code,
        data: OptionData::Bytes(data.to_vec()),
    };
    let variable = |variable| EdnsOption::Local {
        code: 0xffee,
        data: OptionData::Variable(variable),
    };
    use EdnsAction::*;
    for (words, option, action, revert) in [
        ("local set 0xffee abcd", local(0xffee, b"abcd"), Set, false),
        (
            "LOCAL Append 65518 0x61626A revert",
            local(0xffee, b"abj"),
            Append,
            true,
        ),
        ("local replace 0XFFEE 0x", local(0xffee, b""), Replace, false),
        ("local unset 0177756", local(0xffee, b""), Unset, false),
        ("local set 0b11 a", local(3, b"a"), Set, false),
        ("local set 0o17 {a", local(15, b"{a"), Set, false),
        ("local set 0 a", local(0, b"a"), Set, false),
        ("local set 0xffee {qname}", variable(Variable::Name), Set, false),
        ("local set 0xffee {qtype}", variable(Variable::Type), Set, false),
        ("local set 0xffee {client_ip}", variable(Variable::ClientIp), Set, false),
        (
            "local set 0xffee {client_port}",
            variable(Variable::ClientPort),
            Set,
            false,
        ),
        ("local set 0xffee {protocol}", variable(Variable::Protocol), Set, false),
        ("local set 0xffee {server_ip}", variable(Variable::ServerIp), Set, false),
        (
            "local set 0xffee {server_port} revert",
            variable(Variable::ServerPort),
            Set,
            true,
        ),
        ("nsid append", EdnsOption::Nsid, Append, false),
        ("nsid set revert", EdnsOption::Nsid, Set, true),
        ("nsid unset", EdnsOption::Nsid, Unset, false),
        (
            "subnet set 24 0x38",
            EdnsOption::Subnet { ipv4: 24, ipv6: 56 },
            Set,
            false,
        ),
        (
            "subnet replace 32 128 revert",
            EdnsOption::Subnet { ipv4: 32, ipv6: 128 },
            Replace,
            true,
        ),
        ("subnet unset", EdnsOption::Subnet { ipv4: 0, ipv6: 0 }, Unset, false),
    ] {
        let expected = EdnsRule { option, action, revert };
        assert_eq!(rule(&format!("edns0 {words}")), Rule::Edns(expected), "{words}");
    }
}

#[test]
fn refuses_what_is_malformed() {
    let field = "expected what to rewrite: `name`, `type`, `class`, `edns0`, `ttl`, `rcode` or `cname`, found nothing";
    let code = "expected the code of an EDNS option, from 0 to 65535 or as `0xffee`, found";
    let ttl = "expected a TTL in seconds, or a range such as `30-300`, `30-` or `-300`, found";
    let rcode = "expected a response code such as `NXDOMAIN`, or its number from 0 to 23, found";
    let class = "expected one of the classes `IN`, `CH`, `HS`, `CS`, `NONE` and `ANY`, found";
    let data = "expected at most 4096 bytes: a text, or pairs of hexadecimal digits behind `0x`, found";
    let expected = |at: u32, text: &str| format!("Corefile:2:{at}: {text}");
    let name = "a name such as `www.example.org`";
    for (words, error) in [
        ("", expected(1, field)),
        ("stop", expected(1, field)),
        (
            "names a b",
            expected(9, "unknown field of `rewrite` `names`; did you mean `name`?"),
        ),
        ("stp name a b", expected(9, "unknown field of `rewrite` `stp`")),
        (
            "answer name a b",
            expected(9, "expected `name` and what it takes before `answer`, found `answer`"),
        ),
        ("name", expected(9, "`name` takes at least 2 arguments, found 0")),
        ("name a", expected(9, "`name` takes at least 2 arguments, found 1")),
        ("name a b c", expected(14, "unknown way to match names `a`")),
        (
            "name sufix a b",
            expected(14, "unknown way to match names `sufix`; did you mean `suffix`?"),
        ),
        ("name a..b c", expected(14, &format!("expected {name}, found `a..b`"))),
        ("name a b..c", expected(16, &format!("expected {name}, found `b..c`"))),
        (
            "name regex ( a",
            expected(20, "expected a regular expression of at most 10000 bytes, found `(`"),
        ),
        (
            "name regex (a) {1}{2}",
            expected(
                24,
                "expected no more of `{0}`, `{1}` and so on than the 1 groups of `(a)`, found `{1}{2}`",
            ),
        ),
        (
            "name prefix a b auto",
            expected(25, "expected `answer` or nothing, found `auto`"),
        ),
        (
            "name prefix a b answer",
            expected(25, "expected `auto`, `name` or `value` after `answer`, found nothing"),
        ),
        (
            "name prefix a b answer ttl",
            expected(32, "unknown rule for answers `ttl`"),
        ),
        (
            "name prefix a b answer nam x y",
            expected(32, "unknown rule for answers `nam`; did you mean `name`?"),
        ),
        (
            "name prefix a b answer name x",
            expected(32, "`name` takes 2 arguments, found 1"),
        ),
        (
            "name prefix a b answer value x",
            expected(32, "`value` takes 2 arguments, found 1"),
        ),
        (
            "name prefix a b answer value [ y",
            expected(38, "expected a regular expression of at most 10000 bytes, found `[`"),
        ),
        (
            "name prefix a b answer value x {1}",
            expected(
                40,
                "expected no more of `{0}`, `{1}` and so on than the 0 groups of `x`, found `{1}`",
            ),
        ),
        (
            "name prefix a b answer name x y answer auto",
            expected(
                48,
                "`answer auto` and `answer name` (at Corefile:2:32) exclude each other; remove one",
            ),
        ),
        ("type A", expected(9, "`type` takes 2 arguments, found 1")),
        (
            "type A B",
            expected(16, "expected a type of records such as `A`, found `B`"),
        ),
        (
            "type TYPE0 A",
            expected(14, "expected a type of records such as `A`, found `TYPE0`"),
        ),
        ("class IN CH HS", expected(9, "`class` takes 2 arguments, found 3")),
        ("class IN XY", expected(18, &format!("{class} `XY`"))),
        ("ttl a", expected(9, "`ttl` takes 2 to 3 arguments, found 1")),
        ("ttl a -", expected(15, &format!("{ttl} `-`"))),
        ("ttl a 5-4", expected(15, &format!("{ttl} `5-4`"))),
        ("ttl a 1-2-3", expected(15, &format!("{ttl} `1-2-3`"))),
        ("ttl a 4294967296", expected(15, &format!("{ttl} `4294967296`"))),
        ("ttl like a 5", expected(13, "unknown way to match names `like`")),
        ("ttl regex a 5 6", expected(9, "`ttl` takes 2 to 3 arguments, found 4")),
        ("rcode a 1", expected(9, "`rcode` takes 3 to 4 arguments, found 2")),
        ("rcode a 24 0", expected(17, &format!("{rcode} `24`"))),
        ("rcode a 0 NXDOMAN", expected(19, &format!("{rcode} `NXDOMAN`"))),
        ("cname a", expected(9, "`cname` takes 2 to 3 arguments, found 1")),
        ("cname a b..c", expected(17, &format!("expected {name}, found `b..c`"))),
        (
            "cname suffx a b",
            expected(15, "unknown way to match names `suffx`; did you mean `suffix`?"),
        ),
        (
            "cname suffix \"\" b",
            expected(22, "expected a name or a part of one, found ``"),
        ),
        (
            "cname suffix a \"\"",
            expected(24, "expected a name or a part of one, found ``"),
        ),
        (
            "edns0 local",
            expected(9, "`edns0` takes at least 2 arguments, found 1"),
        ),
        (
            "edns0 locl set 1 a",
            expected(15, "unknown EDNS option `locl`; did you mean `local`?"),
        ),
        (
            "edns0 nsid put",
            expected(20, "expected `set`, `append`, `replace` or `unset`, found `put`"),
        ),
        ("edns0 nsid set x", expected(15, "`nsid` takes no argument, found 1")),
        (
            "edns0 nsid unset revert",
            expected(15, "`nsid` takes no argument, found 1"),
        ),
        ("edns0 local set 1", expected(15, "`local` takes 2 arguments, found 1")),
        (
            "edns0 local unset 1 a",
            expected(15, "`local` takes 1 argument, found 2"),
        ),
        ("edns0 local set x a", expected(25, &format!("{code} `x`"))),
        ("edns0 local set 0x10000 a", expected(25, &format!("{code} `0x10000`"))),
        ("edns0 local set +1 a", expected(25, &format!("{code} `+1`"))),
        ("edns0 local set 08 a", expected(25, &format!("{code} `08`"))),
        ("edns0 local set 1 0xabc", expected(27, &format!("{data} `0xabc`"))),
        ("edns0 local set 1 0xag", expected(27, &format!("{data} `0xag`"))),
        (
            "edns0 local set 1 {qnam}",
            expected(27, "unknown variable `qnam`; did you mean `qname`?"),
        ),
        (
            "edns0 local set 1 {kubernetes/service}",
            expected(
                27,
                "`{kubernetes/service}`, a value of the `metadata` plugin, is not supported by kxdns; write a text, or one of \
                 `{qname}`, `{qtype}`, `{client_ip}`, `{client_port}`, `{protocol}`, `{server_ip}` and `{server_port}`",
            ),
        ),
        (
            "edns0 subnet set 24",
            expected(15, "`subnet` takes 2 arguments, found 1"),
        ),
        (
            "edns0 subnet unset 24 56",
            expected(15, "`subnet` takes no argument, found 2"),
        ),
        (
            "edns0 subnet set 33 129",
            "Corefile:2:26: expected how many bits of an IPv4 address are told, from 0 to 32, found `33`\n\
             Corefile:2:29: expected how many bits of an IPv6 address are told, from 0 to 128, found `129`"
                .to_owned(),
        ),
        (
            "name a b {\nanswer auto\n}",
            expected(
                1,
                "expected no braces behind two words and more: all of `rewrite` on a line, or the rest in braces, found `{`",
            ),
        ),
        (
            "stop {\nname a b {\nx\n}\n}",
            "Corefile:3:1: `name` takes no options in braces".to_owned(),
        ),
    ] {
        assert_eq!(read_all(&format!("rewrite {words}")), Err(error), "{words}");
    }
}

#[test]
fn names_are_matched_and_made_as_texts() {
    for (words, name, expected) in [
        ("exact a b", "a.", Some("b.")),
        ("exact a b", "x.a.", None),
        ("prefix foo bar", "foo.a.", Some("bar.a.")),
        ("prefix foo bar", "foo-x.a.", None),
        ("suffix com org", "a.com.", Some("a.org.")),
        ("suffix com org", "acom.", Some("aorg.")),
        ("suffix .com .org", "com.", None),
        ("substring a.b c", "a.b.x.a.b.", Some("c.x.c.")),
        ("substring a.b c", "a.x.b.", None),
        (r"regex (.*)-(us)\.a {1}.{2}.b", "x-us.a.", Some("x.us.b.")),
        (r"regex (x)?(y) {1}{2}", "y.", Some("y.")),
        ("regex (b) {0}{1}", "abc.", None),
        // One group may bring in another.
        ("regex ^(.*)-(.*)$ {1}", "{2}-x.", Some("x..")),
    ] {
        let Ok(rules) = read_all(&format!("rewrite name {words}")) else {
            assert_eq!(expected, None, "{words}");
            continue;
        };
        let Rule::Name(rule) = &rules[0].rule else {
            panic!("{words}")
        };
        let made = rule.names.rewrite(name, &rule.to);
        assert_eq!(made.as_deref(), expected, "{words} {name}");
        assert_eq!(rule.names.contains(name), expected.is_some(), "{words} {name}");
    }
}

#[test]
fn patterns_may_count_characters_of_words() {
    let Rule::Name(rule) = rule(r"name regex ^([\w-]{1,63})\.([\w-]{1,63})\.a\.$ {1}.{2}.b") else {
        panic!()
    };
    assert_eq!(rule.names.rewrite("x-1.y.a.", &rule.to).as_deref(), Some("x-1.y.b."));
}
