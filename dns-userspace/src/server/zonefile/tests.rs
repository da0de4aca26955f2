use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::name::Name;

/// The records of the first of these files, with origin `o.`: a line each, or the error.
fn read_files(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = folder.path().join(files[0].0);
    let place = format!("{}/", folder.path().display());
    let mut records = Records::open(&path, &b"\x01o\0".to_vec()).unwrap();
    let records = std::iter::from_fn(|| records.next().transpose());
    let told = |located: Located| {
        let Record { owner, ttl, data } = located.record;
        let address: Vec<_> = data.as_bytes().iter().map(u8::to_string).collect();
        let rtype = format!("{} {}", data.class, data.rtype);
        format!("{} {ttl} {rtype} {}", Name::from_wire(&owner), address.join("."))
    };
    let told = records.map(|record| record.map(told).map_err(|error| error.to_string().replace(&place, "")));
    told.collect()
}

fn read(text: &str) -> Result<Vec<String>, String> {
    read_files(&[("zone", text)])
}

#[test]
fn owner_ttl_and_class_may_be_left_out() {
    for (text, expected) in [
        ("a 5 IN A 1.2.3.4", &["a.o. 5 IN A 1.2.3.4"][..]),
        ("a IN 5 A 1.2.3.4\n", &["a.o. 5 IN A 1.2.3.4"]),
        ("a. 1h a 1.2.3.4", &["a. 3600 IN A 1.2.3.4"]),
        ("@ 5 A 1.2.3.4", &["o. 5 IN A 1.2.3.4"]),
        ("a 5 CH A 1.2.3.4", &["a.o. 5 CH A 1.2.3.4"]),
        (
            "a 5 A 1.2.3.4\n\n 6 A 1.2.3.5\n A 1.2.3.6\nb A 1.2.3.7",
            &[
                "a.o. 5 IN A 1.2.3.4",
                "a.o. 6 IN A 1.2.3.5",
                "a.o. 6 IN A 1.2.3.6",
                "b.o. 6 IN A 1.2.3.7",
            ],
        ),
        (
            "$TTL 1m\na 5 A 1.2.3.4\n A 1.2.3.5\n$ttl 7\nb A 1.2.3.6",
            &["a.o. 5 IN A 1.2.3.4", "a.o. 60 IN A 1.2.3.5", "b.o. 7 IN A 1.2.3.6"],
        ),
        // Nothing says which TTL, and CoreDNS does not mind.
        (
            "a IN A 1.2.3.4\n A 1.2.3.5",
            &["a.o. 0 IN A 1.2.3.4", "a.o. 0 IN A 1.2.3.5"],
        ),
        (
            "$ORIGIN b\na 5 A 1.2.3.4\n$origin c.\n A 1.2.3.5\na A 1.2.3.6",
            &["a.b.o. 5 IN A 1.2.3.4", "a.b.o. 5 IN A 1.2.3.5", "a.c. 5 IN A 1.2.3.6"],
        ),
        (
            "a\\.b 5 A 1.2.3.4\nA\\066 A 1.2.3.5",
            &["a\\.b.o. 5 IN A 1.2.3.4", "ab.o. 5 IN A 1.2.3.5"],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(read(text), Ok(expected), "{text:?}");
    }
}

#[test]
fn files_are_included_where_they_stand() {
    let files = [
        (
            "zone",
            "$TTL 5\na A 1.2.3.4\n$INCLUDE sub/one b\n A 1.2.3.5\nz A 1.2.3.6\n",
        ),
        (
            "sub/one",
            "x A 1.1.1.1\n$ORIGIN c\n$TTL 6\ny A 1.1.1.2\n$INCLUDE \"two\"\n",
        ),
        ("sub/two", "@ A 2.2.2.2"),
    ];
    let expected = [
        "a.o. 5 IN A 1.2.3.4",
        "x.b.o. 5 IN A 1.1.1.1",
        "y.c.b.o. 6 IN A 1.1.1.2",
        "c.b.o. 6 IN A 2.2.2.2",
        "a.o. 5 IN A 1.2.3.5",
        "z.o. 5 IN A 1.2.3.6",
    ];
    assert_eq!(read_files(&files), Ok(expected.map(str::to_owned).to_vec()));
}

#[test]
fn records_are_generated() {
    let text = "$TTL 5\n$GENERATE 1-2 h${0,2} A 10.0.0.$\n$GENERATE 3-3 h$ 7 A 10.0.0.$\nh A 10.0.0.9";
    let expected = [
        "h01.o. 3600 IN A 10.0.0.1",
        "h02.o. 3600 IN A 10.0.0.2",
        "h3.o. 7 IN A 10.0.0.3",
        "h.o. 5 IN A 10.0.0.9",
    ];
    assert_eq!(read(text), Ok(expected.map(str::to_owned).to_vec()));
}

#[test]
fn errors_name_file_and_line() {
    for (text, expected) in [
        (
            "\na 5 A 1.2.3.4\n (\n\n A\n1.2.3 )",
            "zone:3: cannot read the data of this A record: ",
        ),
        (
            "\n A 1.2.3.4",
            "zone:2: there is no owner before this record; write one at the beginning of the line",
        ),
        (
            "a A 1.2.3.4",
            "zone:1: there is no TTL before this record; write one, or `$TTL` before it",
        ),
        (
            "a 5 B 1",
            "zone:1: expected a type of records, or a TTL or class before it, found `B`",
        ),
        (
            "a 5 6 A 1.2.3.4",
            "zone:1: expected a type of records, or a TTL or class before it, found `6`",
        ),
        (
            "a 5",
            "zone:1: expected a type of records, or a TTL or class before it, found nothing more",
        ),
        ("a..b 5 A 1.2.3.4", "zone:1: expected a domain name, found `a..b`"),
        ("$TTL x", "zone:1: expected a TTL such as `3600` or `1h`, found `x`"),
        ("$TTL 1 2", "zone:1: expected nothing more, found `2`"),
        ("$ORIGIN", "zone:1: expected the origin, found nothing more"),
        ("$INCLUDE", "zone:1: expected the file to include, found nothing more"),
        ("\n$INCLUDE x", "zone:2: cannot open x: no such file or directory"),
        (
            "$INCLUDE zone",
            "zone:1: files include each other too deeply; expected at most 7 levels",
        ),
        ("$GENERATE 1-2 $GENERATE 1-2 a", "zone:1: "),
        (
            "\n$GENERATE 1-2 a A 1.2.3",
            "zone:2: cannot read the data of this A record: ",
        ),
        ("a (", "zone:1: this entry has a `(` that is never closed"),
        (
            "$WHAT 1",
            "zone:1: expected a type of records, or a TTL or class before it, found nothing more",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
    let included = read_files(&[("zone", "\n$INCLUDE one\n"), ("one", "\n\na 5 A\n")]).unwrap_err();
    assert!(included.starts_with("one:3: cannot read"), "{included}");
    let missing = Records::open("/nonexistent".as_ref(), &vec![0]).err().unwrap();
    assert_eq!(missing.to_string(), "open /nonexistent: no such file or directory");
}

proptest! {
    /// Reading comes to an end without a panic, whatever stands there.
    #[test]
    fn anything_may_stand_in_a_file(words in proptest::collection::vec(word(), 0..30)) {
        let _ = read(&words.concat());
    }
}

fn word() -> impl Strategy<Value = String> {
    let known = [
        " ",
        " ",
        " ",
        "\n",
        "\n ",
        "\t",
        "(",
        ")",
        ";",
        "\"",
        "\\",
        "@",
        "a",
        "b.c.",
        "*",
        "\\065",
        "\\#",
        "5",
        "1h",
        "IN",
        "A",
        "AAAA",
        "SOA",
        "NS",
        "MX",
        "SRV",
        "TXT",
        "CNAME",
        "CAA",
        "DS",
        "DNSKEY",
        "RRSIG",
        "NSEC",
        "HTTPS",
        "NAPTR",
        "LOC",
        "TYPE7",
        "1.2.3.4",
        "::1",
        "alpn=h2",
        "alpn=\"",
        "key7",
        "$TTL",
        "$ORIGIN",
        "$GENERATE",
        "1-3",
        "${0,1,d}",
        "20260101000000",
        "AQID",
        "ff",
        ".",
        "\u{e9}",
    ];
    prop_oneof![
        8 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}
