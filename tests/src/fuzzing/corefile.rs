//! The Corefile's grammar and meaning.

use std::path::Path;

use dns_userspace::corefile::{Config, Errors, parse, plan};

/// Where the Corefile pretends to be: no relative import leads anywhere from there.
const FILE: &str = "/nonexistent/Corefile";

/// A Corefile means the same each time, and means no more with a comment behind it; what is wrong with it has a place
/// that is in it, and is told in one line.
pub fn corefile(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if may_import(text) {
        return;
    }
    let result = read(text);
    assert_eq!(result, read(text), "read twice");
    match result {
        Ok(config) => check_meaning(text, &config),
        Err(errors) => check_errors(text, &errors),
    }
}

fn read(text: &str) -> Result<Config, Errors> {
    parse(Path::new(FILE), text)
}

/// Files of the machine that fuzzes are no part of what is fuzzed.
fn may_import(text: &str) -> bool {
    text.contains("{$") || text.contains("{%") || text.lines().any(|line| line.contains("import") && line.contains('/'))
}

fn check_meaning(text: &str, config: &Config) {
    assert!(!config.servers.is_empty(), "a Corefile has a server block");
    for server in &config.servers {
        assert!(!server.keys.is_empty(), "a server block has a key");
    }
    let zones = config.servers.iter().filter_map(|server| server.kubernetes.as_ref());
    let zones = zones.flat_map(|kubernetes| &kubernetes.zones);
    assert!(
        zones.eq(plan(config).iter().map(|plan| &plan.zone)),
        "every zone is planned"
    );
    let commented = format!("{text}\n# comment\n");
    assert_eq!(read(&commented).as_ref(), Ok(config), "with a comment behind it");
}

fn check_errors(text: &str, errors: &Errors) {
    assert!(errors.iter().next().is_some(), "an error without an error");
    for error in errors.iter() {
        let (line, column) = (error.span.line as usize, error.span.column as usize);
        // Line 0 is the file as a whole, and the end of the text may stand on a line of its own.
        assert!(line <= text.split('\n').count() + 1, "{error} is not in the file");
        if let Some(found) = line.checked_sub(1).and_then(|line| text.split('\n').nth(line)) {
            assert!(
                (1..=found.chars().count() + 1).contains(&column),
                "{error} is not in its line"
            );
        }
        let message = error.to_string();
        assert!(!message.contains(char::is_control), "{message:?} is not one line");
    }
}
