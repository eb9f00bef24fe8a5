//! The policy file: what is read, and what every mistake is answered with, to the
//! line and column.
#![cfg(all(feature = "policy", not(loom)))]
#![allow(clippy::format_push_string, clippy::format_collect)] // short files, written once

mod at_once;
mod compared;
mod hostile;
mod mistakes;
mod newcomers;

use tollgate::policy::{PolicyError, PolicyFile};

fn parse(text: &str) -> Result<PolicyFile, PolicyError> {
    PolicyFile::parse("policy.toml", text.as_bytes())
}

/// The file that the design chapter shows.
fn sample() -> &'static str {
    let design = include_str!("../../src/policy/design.md");
    let (_, toml) = design.split_once("```toml\n").unwrap();
    toml.split_once("```").unwrap().0
}

/// What stands before most of the cases below: lines 1 to 9.
const HEAD: &str = r#"[attribute.org]
[attribute.tier]
values = ["FREE", "PRO"]
[attribute.ip]
kind = "ip"
[[limit]]
name = "first"
key = ["org"]
quota = "10/min"
"#;

/// Problems as `line:column message | hint`.
fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .problems()
            .map(|p| {
                let hint = p.hint().map_or(String::new(), |hint| format!(" | {hint}"));
                format!("{}:{} {}{hint}", p.line(), p.column(), p.message())
            })
            .collect(),
    }
}

/// After the head, these lines (from line 10) have these problems, each told by how
/// it begins, and no others.
#[track_caller]
fn after_head(lines: &str, expected: &[&str]) {
    let found = problems(&format!("{HEAD}{lines}"));
    let same = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.contains(expected));
    assert!(same, "found {found:#?}\nexpected {expected:#?}");
}

/// One more limit, from line 10, with its name, key and quota in lines 11 to 13.
#[track_caller]
fn in_limit(lines: &str, expected: &[&str]) {
    let limit = "[[limit]]\nname = \"second\"\nkey = [\"org\"]\nquota = \"10/min\"\n";
    after_head(&format!("{limit}{lines}"), expected);
}

/// One limit by an algorithm with a quota, which stand in lines 12 and 13.
#[track_caller]
fn quota(algorithm: &str, quota: &str, expected: &[&str]) {
    let more = if algorithm == "leases" { "ttl = \"1 h\"" } else { "cost = \"bytes\"" };
    after_head(
        &format!(
            "[[limit]]\nname = \"x\"\nalgorithm = \"{algorithm}\"\nquota = {quota}\nkey = []\n{more}"
        ),
        expected,
    );
}

#[test]
fn the_sample_of_the_design_is_read() {
    assert_eq!(problems(sample()), [""; 0]);
    assert_eq!(problems(HEAD), [""; 0]);
}

#[test]
fn the_reference_shows_files_that_are_read() {
    let reference = include_str!("../../src/policy/file/format.md");
    let mut files = 0;
    for part in reference.split("```toml\n").skip(1) {
        let (toml, _) = part.split_once("```").unwrap();
        assert_eq!(problems(toml), [""; 0]);
        files += 1;
    }
    assert_eq!(files, 2);
}

#[test]
fn what_is_no_toml() {
    for (text, expected) in [
        ("key", "1:4 no TOML: key with no value"),
        ("a = 1\nb = \n", "2:5 no TOML: "),
        ("a = \"\0\"", "1:6 no TOML: "),
        ("a = 'x", "1:7 no TOML: invalid literal string"),
        ("\u{feff}a = [1", "1:7 no TOML: unclosed array"),
    ] {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:#?}");
    }
    // A problem of each line, not every one that follows from it.
    assert_eq!(problems("a = [1 2 3 4]\nb = = = =\n").len(), 2);
    // Twice said is understood well enough to go on.
    let found = problems("[path]\ncase = \"x\"\ncase = 5\n[path]\nslash = 1\n");
    assert_eq!(found.len(), 4, "{found:#?}");
    assert_eq!(found[1], "3:1 `case` is said twice");
    assert_eq!(found[2], "4:2 `path` is said twice");
}

#[test]
fn what_is_no_text() {
    let error = PolicyFile::parse("x", b"# \xC3\xA9\n# \xC3\xA9 \xFF\n").unwrap_err();
    let problem = error.problems().next().unwrap();
    assert_eq!((problem.line(), problem.column()), (2, 5));
    assert_eq!(problem.message(), "the byte 0xFF is not UTF-8 here");
    assert!(PolicyFile::parse("x", b"\xFF").is_err());
}

#[test]
fn a_file_without_limits_is_a_slip() {
    let said = "1:1 there is no `[[limit]]`: this policy would let everything pass | \
                a file that was cut short looks like that";
    assert_eq!(problems(""), [said]);
    assert_eq!(problems("# [[limit]]\n[attribute.a]"), [said]);
}

#[test]
fn wrong_kinds_of_values() {
    for (line, expected) in [
        ("name = 5", "1:8 expected a text, found the number 5"),
        ("name = 1979-05-27", "1:8 expected a text, found a date or a time"),
        ("limit = 1.5", "1:9 expected a list, found the number 1.5"),
        ("limit = [true]", "1:10 expected a table, found true"),
        ("path = []", "1:8 expected a table, found a list"),
        ("attribute = \"ip\"", "1:13 expected a table, found the text `ip`"),
        ("[limit]", "1:1 there may be several of these, so its header has two brackets"),
        (
            "[path]\ncase = \"Sensitive\"",
            "2:8 expected one of `sensitive` and `insensitive`, found the text `Sensitive` | did you mean `sensitive`?",
        ),
        ("[path]\ncase = true", "2:8 expected one of `sensitive` and `insensitive`, found true"),
        ("[attribute.a]\nvalues = \"A\"", "2:10 expected a list, found the text `A`"),
        (
            "[attribute.a]\nkind = \"ip\"\nipv6_prefix = 129",
            "3:15 expected a whole number from 0 to 128, found the number 129",
        ),
        (
            "[attribute.a]\nkind = \"ip\"\nipv4_prefix = 0x21",
            "3:15 expected a whole number from 0 to 32, found the number 0x21",
        ),
        ("[response]\nstatus = 200", "2:10 200 is no status of a denial: expected 400 to 599"),
        (
            "[response]\nstatus = -1",
            "2:10 expected a whole number up to 65535, found the number -1",
        ),
        ("[response]\nreport = 1", "2:10 expected a text, found the number 1"),
    ] {
        let found = problems(line);
        assert!(found[0].starts_with(expected), "{line}: {found:#?}");
    }
}

#[test]
fn unknown_fields_and_the_nearest_known() {
    after_head("qota = \"1/s\"", &["10:1 there is no field `qota` here | did you mean `quota`?"]);
    after_head("tier = 1", &["10:1 there is no field `tier` here | known are `algorithm`, "]);
    after_head("[pathh]", &["10:2 there is no field `pathh` here | did you mean `path`?"]);
    after_head(
        "[[limits]]\nx = 1",
        &["10:3 there is no field `limits` here | did you mean `limit`?"],
    );
    after_head(
        "[path]\ncase_ = 1",
        &[
            "11:1 there is no field `case_` here | did you mean `case`?",
            // What it says is known, too.
            "11:9 expected one of `sensitive` and `insensitive`, found the number 1",
        ],
    );
    after_head("[response]\nnames = { Limit = \"x\" }", &["11:11 there is no field `Limit`"]);
    // One slip, one problem: that the meant field is missing goes without saying.
    after_head(
        "[[limit]]\nnmae = \"b\"\nkey = []\nqutoa = \"1/s\"",
        &["11:1 there is no field `nmae`", "13:1 there is no field `qutoa`"],
    );
}

#[test]
fn what_a_limit_lacks() {
    after_head(
        "[[limit]]\nunit = \"x\"",
        &[
            "10:1 `name` is missing | `name`: What it is called; no two are called the same",
            "10:1 `quota` is missing",
            "10:1 `key` is missing | say who is limited; [] is one bucket for everybody",
        ],
    );
    after_head(
        "[[limit]]\nname = \"s\"\nalgorithm = \"size\"\nquota = 5",
        &["10:1 `cost` is missing"],
    );
    after_head("[[limit]]\nname = \"s\"\nalgorithm = \"size\"\nquota = 5\ncost = \"b\"", &[]);
    after_head(
        "[[limit]]\nname = \"s\"\nalgorithm = \"leases\"\nquota = 5\nkey = []",
        &["10:1 `ttl` is missing"],
    );
}

#[test]
fn problems_print_with_their_lines() {
    let text = format!("{HEAD}[response]\nreport\t= \"é\\u001b[31m\u{202e}\"  # é\n");
    assert_eq!(
        parse(&text).unwrap_err().to_string(),
        "policy.toml:11:10: error: no limit is called `é\\u{1b}[31m\\u{202e}`\n   \
         11 | report = \"é\\u001b[31m\u{fffd}\"  # é\n      \
         |          ^^^^^^^^^^^^^^"
    );
    // Of a long line, the part that matters.
    let text = format!("path = {{ {}bogus = '{}' }}", " ".repeat(5000), "c".repeat(5000));
    let text = parse(&text).unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().collect();
    let caret = lines[2].find('^').unwrap();
    assert_eq!(lines[1].chars().nth(caret), Some('b'), "{text}");
    assert!(text.len() < 500, "{text}");
    // Many problems are counted, not told.
    let many: String = (0..5000).map(|i| format!("x{i} = 1\n")).collect();
    let error = parse(&many).unwrap_err();
    assert_eq!((error.problems().len(), error.more()), (100, 4900));
    assert!(error.to_string().ends_with("\npolicy.toml: and 4900 more"));
}
