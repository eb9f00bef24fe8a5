//! The policy file: what is read, and what every mistake is answered with, to the
//! line and column.
#![cfg(all(feature = "policy", not(loom)))]
#![allow(clippy::format_push_string, clippy::format_collect)] // short files, written once

use proptest::prelude::*;
use std::time::{Duration, Instant};
use tollgate::policy::{PolicyError, PolicyFile};

fn parse(text: &str) -> Result<PolicyFile, PolicyError> {
    PolicyFile::parse("policy.toml", text.as_bytes())
}

/// The file that the design chapter shows.
fn sample() -> &'static str {
    let design = include_str!("../src/policy/design.md");
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

#[test]
fn the_sample_of_the_design_is_read() {
    assert_eq!(problems(sample()), [""; 0]);
    assert_eq!(problems(HEAD), [""; 0]);
}

#[test]
fn the_reference_shows_files_that_are_read() {
    let reference = include_str!("../src/policy/file/format.md");
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
        (
            "[response]\nstatus = 200",
            "2:10 expected a whole number from 400 to 599, found the number 200",
        ),
        (
            "[response]\nstatus = -1",
            "2:10 expected a whole number from 400 to 599, found the number -1",
        ),
        ("[response]\nreport = 1", "2:10 expected `binding`, `all`, a limit's name or { group"),
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
        &["11:1 there is no field `case_` here | did you mean `case`?"],
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
fn names() {
    after_head(
        "[[limit]]\nname = \"first\"\nkey = []\nquota = \"1/s\"",
        &["11:8 the limit in line 7 is also called `first`"],
    );
    after_head(
        "[[refuse]]\nname = \"first\"\nroutes = [\"/\"]\n[[exempt]]\nname = \"first\"\n\
         routes = [\"/\"]\n[[penalty]]\nname = \"first\"\nkey = []\ndenials = 1\nwithin = \"1 s\"\n\
         blocks = [\"1 s\"]",
        &["11:8 the limit in line 7", "14:8 the limit in line 7", "17:8 the limit in line 7"],
    );
    for (name, said) in [
        ("\" \"", "11:8 expected a text, found an empty one"),
        ("\"a\\r\\nb: c\"", "11:8 control characters are no part of a name"),
        ("\"binding\"", "11:8 `binding` is a word of `report`"),
    ] {
        after_head(&format!("[[limit]]\nname = {name}\nkey = []\nquota = \"1/s\""), &[said]);
    }
}

#[test]
fn attributes() {
    for (lines, said) in [
        ("[attribute.path]", "10:12 `path` is built in"),
        ("[attribute.\"path.id\"]", "10:12 `path.id` is built in"),
        ("[attribute.\"a b\"]", "10:12 an attribute's name has letters"),
        ("[attribute.\"\"]", "10:12 an attribute's name has letters"),
        ("[attribute.a]\nvalues = []", "11:10 an empty list: no value is possible"),
        (
            "[attribute.a]\nvalues = [\"x\",\n\"y\", \"x\"]",
            "12:6 this is in the list twice, also in line 11",
        ),
        ("[attribute.a]\nvalues = [\"x\", \"otherwise\"]", "11:16 `otherwise` is a word of quotas"),
        ("[attribute.a]\nvalues = [\"x\"]\nkind = \"ip\"", "11:10 `values` are of texts"),
        ("[attribute.a]\nipv6_prefix = 64", "11:15 a prefix is of"),
        ("[attribute.a]\nforwarded = \"b\"\ntrusted_hops = 1", "11:13 `forwarded` is of"),
        ("[attribute.a]\nkind = \"ip\"\nforwarded = \"b\"", "12:13 `trusted_hops` is missing"),
        ("[attribute.a]\nkind = \"ip\"\ntrusted_hops = 1", "12:16 `trusted_hops` goes with"),
        (
            "[attribute.a]\nkind = \"ip\"\nforwarded = \"a\"\ntrusted_hops = 1",
            "12:13 a forwarded-for list is a text",
        ),
        (
            "[attribute.a]\nkind = \"ip\"\nforwarded = \"ip\"\ntrusted_hops = 1",
            "12:13 a forwarded-for list is a text",
        ),
    ] {
        after_head(lines, &[said]);
    }
    // The list's attribute is declared by being named.
    after_head(
        "[attribute.a]\nkind = \"ip\"\nforwarded = \"b\"\ntrusted_hops = 1\n[[refuse]]\nname = \"r\"\n\
         when = { b = false }",
        &[],
    );
}

#[test]
fn names_of_attributes() {
    in_limit(
        "when = { teir = \"PRO\" }",
        &["14:10 no attribute is called `teir` | did you mean `tier`?"],
    );
    in_limit("unless = { nobody = true }", &["14:12 no attribute is called `nobody` | declare it"]);
    in_limit(
        "when = { methd = \"GET\" }",
        &["14:10 no attribute is called `methd` | did you mean `method`?"],
    );
    let by = "is by an attribute | `routes` say which methods, hosts and paths are meant";
    in_limit(
        "when = { method = \"GET\", host = \"a\", path = \"/\", route = \"/\" }",
        &[10, 26, 38, 50].map(|at| format!("14:{at} a condition {by}")).each_ref().map(|s| &**s),
    );
    in_limit(
        "overrides = { by = \"method\", GET = \"1/s\" }",
        &[&*format!("14:20 a table of quotas {by}")],
    );
    in_limit(
        "overrides = { by = \"ip\", a = \"1/s\" }",
        &["14:20 quotas are by the values of a text"],
    );
    in_limit("overrides = { by = \"og\", a = \"1/s\" }", &["14:20 no attribute is called `og`"]);
    after_head(
        "[[limit]]\nname = \"x\"\nkey = [\"org\", \"orgg\",\n\"org\"]\nquota = \"1/s\"",
        &["12:15 no attribute is called `orgg`", "13:1 this is in the list twice, also in line 12"],
    );
    after_head(
        "[[refuse]]\nname = \"x\"\nnetworks = { ipp = \"10.0.0.0/8\" }",
        &["12:14 no attribute is called `ipp`"],
    );
    after_head(
        "[[exempt]]\nname = \"x\"\nnetworks = { org = \"10.0.0.0/8\" }",
        &["12:14 `org` is no address"],
    );
}

#[test]
fn conditions() {
    in_limit(
        "when = { tier = [\"FREE\", \"PR0\"] }",
        &["14:26 `PR0` is none of its values: `FREE` and `PRO` | did you mean `PRO`?"],
    );
    in_limit(
        "unless = { tier = \"GOLD\" }",
        &["14:19 `GOLD` is none of its values: `FREE` and `PRO`"],
    );
    in_limit("when = { tier = [] }", &["14:17 an empty list: no value is allowed"]);
    in_limit(
        "when = { tier = [\"PRO\", \"PRO\"] }",
        &["14:25 this is in the list twice, also in line 14"],
    );
    in_limit(
        "when = { tier = 5 }",
        &[
            "14:17 expected a text, a list of texts, true (any value) or false (none), found the number 5",
        ],
    );
    in_limit("when = { tier = [5] }", &["14:18 expected a text, found the number 5"]);
    in_limit("when = { ip = \"10.0.0.1\" }", &["14:15 an address is there or not"]);
    in_limit("when = { ip = true, tier = false }", &[]);
    in_limit("when = \"tier\"", &["14:8 expected a table, found the text `tier`"]);
}

#[test]
fn routes_and_their_parameters() {
    in_limit("routes = []", &["14:10 an empty list: no request is meant"]);
    in_limit("routes = [\"/a\", \" \"]", &["14:17 a route is a text"]);
    in_limit("routes = [\"/a\", \"/a\"]", &["14:17 this is in the list twice"]);
    in_limit("routes = [1]", &["14:11 expected a text"]);
    let limit = |key: &str, routes: &str| {
        format!("[[limit]]\nname = \"x\"\nkey = [{key}]\nquota = \"1/s\"\n{routes}")
    };
    after_head(&limit("\"path.id\"", "routes = [\"/a/{id}\", \"/{id:x}/b\"]"), &[]);
    after_head(
        &limit("\"path.id\"", "routes = [\"/a/{id}\",\n\"/b/{ix}\"]"),
        &["12:8 the route in line 15 has no `{id}`"],
    );
    after_head(
        &limit("\"path.idd\"", "routes = [\"/a/{id}\"]"),
        &["12:8 the route in line 14 has no `{idd}` | did you mean `id`?"],
    );
    after_head(
        &limit("\"path.id\"", ""),
        &["12:8 there are no `routes`, and so there is no `{id}`"],
    );
    // A wrong list of routes says nothing about parameters.
    after_head(&limit("\"path.id\"", "routes = [1]"), &["14:11 expected a text"]);
    in_limit(
        "routes = [\"/a\"]\nwhen = { \"path.id\" = \"1\" }",
        &["15:10 a condition is by an attribute"],
    );
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
fn quotas_that_algorithms_keep() {
    for (algorithm, text) in [
        ("sliding-log", "\"262143/d\""),
        ("sliding-counter", "\"8589934591/h\""),
        ("gcra", "\"100/s burst 20\""),
        ("calendar", "\"10/year\""),
        ("leases", "20"),
        ("leases", "\"20\""),
        ("size", "\"100 MB\""),
        ("size", "10"),
        ("size", "\"unlimited\""),
        ("gcra", "\"unlimited\""),
    ] {
        quota(algorithm, text, &[]);
    }
}

#[test]
fn quotas_that_algorithms_do_not_keep() {
    for (algorithm, text, said) in [
        ("sliding-log", "10", "the number 10 lacks a period | such as \"10/min\""),
        ("sliding-log", "\"10/s burst 5\"", "a sliding-log limit knows no burst"),
        (
            "sliding-log",
            "\"262144/d\"",
            "sliding-log keeps at most 262143 units a key, not 262144 | `sliding-counter`",
        ),
        (
            "sliding-log",
            "\"10/month\"",
            "no quota: `10/month`: missing or unknown unit of time; use one of d, h, min, s, ms, us, ns \
             | units of the calendar: `algorithm = \"calendar\"`",
        ),
        (
            "sliding-log",
            "\"0/min\"",
            "a quota of 0 allows nothing; the least is 1 | requests that are turned away",
        ),
        ("sliding-log", "\"10/5000d\"", "no quota: `10/5000d`: a spent burst"),
        ("gcra", "\"1/d burst 300000\"", "no quota: "),
        ("gcra", "\"99999999999999999999/s\"", "no quota: "),
        ("gcra", "\"\"", "no quota: ``: expected UNITS"),
        (
            "sliding-counter",
            "\"10/ms\"",
            "the windows of a sliding-counter last a second or longer",
        ),
        ("sliding-counter", "\"10/s burst 5\"", "a sliding-counter limit knows no burst"),
        ("sliding-counter", "\"8589934592/h\"", "sliding-counter keeps at most 8589934591"),
        ("calendar", "10", "the number 10 lacks a unit of the calendar | such as \"10/month\""),
        ("calendar", "\"10/15min\"", "expected a quota of the calendar, found `10/15min`"),
        ("calendar", "\"0/month\"", "a quota of 0 allows nothing"),
        ("calendar", "\"549755813888/month\"", "calendar keeps at most 549755813887"),
        ("leases", "0", "a quota of 0 allows nothing"),
        ("leases", "65_536", "leases keeps at most 65535"),
        ("leases", "\"ten\"", "expected an amount, such as 20, found `ten`"),
        ("size", "\"100 Mb\"", "expected an amount, such as \"100 MB\", found `100 Mb`"),
        ("size", "\"99999999999 GiB\"", "expected an amount"),
        ("size", "-1", "expected a quota, such as \"10/min\", found the number -1"),
        ("gcra", "true", "expected a quota, such as \"10/min\", found true"),
        ("gcra", "[\"1/s\"]", "expected a quota, such as \"10/min\", found a list"),
    ] {
        quota(algorithm, text, &[&format!("13:9 {said}")]);
    }
}

#[test]
fn quotas_by_tier() {
    let log = |text: &str, expected: &[&str]| quota("sliding-log", text, expected);
    log("{ by = \"tier\", FREE = \"1/s\", PRO = \"unlimited\" }", &[]);
    log("{ by = \"tier\", FREE = \"1/s\", otherwise = \"2/s\" }", &[]);
    log(
        "{ by = \"tier\", FREE = \"1/s\" }",
        &["13:9 there is no quota for `PRO` | or say `otherwise`"],
    );
    log("{ by = \"tier\" }", &["13:9 there is no quota for `FREE` and `PRO`"]);
    log("{ FREE = \"1/s\", PRO = \"1/s\" }", &["13:9 `by` is missing"]);
    log("{ by = \"teir\", FREE = \"1/s\" }", &["13:16 no attribute is called `teir`"]);
    log(
        "{ by = \"tier\", FREE = \"1/s\", PRO = \"2/s\", GOLD = \"3/s\" }",
        &["13:51 `GOLD` is none of its values"],
    );
    log(
        "{ by = \"tier\", FREE = \"1/x\", PRO = 5 }",
        &["13:31 no quota: `1/x`", "13:44 the number 5 lacks"],
    );
    log(
        "{ by = \"org\", acme = \"1/s\" }",
        &["13:9 `otherwise` is missing: the quota of any other value"],
    );
    log("{ by = \"org\", acme = \"1/s\", otherwise = \"2/s\" }", &[]);
    // Tiers that never come need no quota.
    let free = "quota = { by = \"tier\", FREE = \"1/s\" }\nkey = []\nname = \"x\"";
    after_head(&format!("[[limit]]\n{free}\nwhen = {{ tier = \"FREE\" }}"), &[]);
    after_head(&format!("[[limit]]\n{free}\nunless = {{ tier = [\"PRO\"] }}"), &[]);
    after_head(
        &format!("[[limit]]\n{free}\nwhen = {{ tier = true }}"),
        &["11:9 there is no quota for `PRO`"],
    );
    // One window for all tiers where the state is a number of it.
    quota(
        "sliding-counter",
        "{ by = \"tier\", FREE = \"1/s\", PRO = \"1/min\" }",
        &["13:44 all quotas of a sliding-counter limit have one period"],
    );
    quota(
        "calendar",
        "{ by = \"tier\", FREE = \"1/day\", PRO = \"1/month\" }",
        &["13:46 all quotas of a calendar limit have one period"],
    );
    log("{ by = \"tier\", FREE = \"1/s\", PRO = \"1/min\" }", &[]);
}

#[test]
fn overrides_and_room() {
    in_limit("overrides = { by = \"org\", acme = \"1/ss\" }", &["14:34 no quota: `1/ss`"]);
    in_limit(
        "overrides = { by = \"tier\", acme = \"1/s\" }",
        &["14:28 `acme` is none of its values"],
    );
    in_limit(
        "overrides = { by = \"org\", otherwise = \"1/s\" }",
        &["14:39 overrides are of single values"],
    );
    in_limit("overrides = { acme = \"1/s\" }", &["14:13 `by` is missing"]);
    in_limit("overrides = \"1/s\"", &["14:13 overrides are of single values"]);
    in_limit("largest = \"10/min\"", &[]);
    in_limit("largest = \"9/min\"", &["14:11 `largest` is less than the quota in line 13"]);
    in_limit("largest = \"unlimited\"", &["14:11 `largest` is a quota"]);
    in_limit(
        "overrides = { by = \"org\", acme = \"100/min\" }\nlargest = \"50/min\"",
        &["15:11 `largest` is less than the quota in line 14"],
    );
    // Room of GCRA is its debt: fewer units may need more.
    in_limit("algorithm = \"gcra\"\nlargest = \"5/h\"", &[]);
    in_limit("algorithm = \"gcra\"\nlargest = \"100/s\"", &["15:11 `largest` is less"]);
}

#[test]
fn what_algorithms_do_not_have() {
    in_limit(
        "ttl = \"1 h\"",
        &["14:7 a limit on sliding-log has no `ttl` | it is of `algorithm = \"leases\"`"],
    );
    in_limit("zone = \"UTC\"", &["14:8 a limit on sliding-log has no `zone`"]);
    let size = "[[limit]]\nname = \"x\"\nalgorithm = \"size\"\nquota = 1\ncost = \"b\"\n";
    for field in ["capacity = 5", "when_full = \"deny\"", "charge_denied = true", "largest = 9"] {
        after_head(&format!("{size}{field}"), &["has no `"]);
    }
    // A wrong algorithm is one problem.
    in_limit("algorithm = \"gcar\"\nttl = \"1 h\"", &["14:13 expected one of `sliding-log`"]);
}

#[test]
fn other_fields_of_limits() {
    in_limit("share = \"25%\"", &[]);
    in_limit("share = \"101%\"", &["14:9 expected a share, such as \"25%\", found `101%`"]);
    in_limit("share = \"-1%\"", &["14:9 expected a share"]);
    in_limit("share = 25", &["14:9 expected a share, such as \"25%\", found the number 25"]);
    in_limit(
        "capacity = 0",
        &["14:12 expected a whole number from 1 to 4294967295, found the number 0"],
    );
    in_limit("status = 399", &["14:10 expected a whole number from 400 to 599"]);
    in_limit("status = 600", &["14:10 expected a whole number from 400 to 599"]);
    in_limit("mode = \"off\"", &["14:8 expected one of `enforce` and `shadow`"]);
    in_limit("cost = \"\"", &["14:8 expected a text, found an empty one"]);
    in_limit("charge_denied = \"yes\"", &["14:17 expected true or false, found the text `yes`"]);
    let calendar =
        "[[limit]]\nname = \"x\"\nkey = []\nalgorithm = \"calendar\"\nquota = \"1/day\"\n";
    after_head(&format!("{calendar}zone = \"Europe/Berlin\""), &[]);
    after_head(&format!("{calendar}zone = \"Europe/Berlim\""), &["15:8 expected a time zone"]);
    let leases = "[[limit]]\nname = \"x\"\nkey = []\nalgorithm = \"leases\"\nquota = 1\n";
    for ttl in ["1 hour", "0 s", "9999 d", "", "18446744073709551616 s"] {
        after_head(
            &format!("{leases}ttl = \"{ttl}\""),
            &["15:7 expected a time, such as \"10 min\""],
        );
    }
}

#[test]
fn groups_and_fallbacks() {
    in_limit(
        "fallback = true",
        &["14:12 a fallback applies where no other limit of its group does | `group` is missing"],
    );
    let third = "[[limit]]\nname = \"third\"\nkey = []\nquota = \"1/s\"\nfallback = true\n";
    in_limit(
        &format!("group = \"g\"\nfallback = true\n{third}group = \"g\""),
        &["20:12 the group `g` has a fallback already, in line 15"],
    );
    in_limit(&format!("group = \"g\"\nfallback = true\n{third}group = \"h\""), &[]);
}

#[test]
fn missing_attributes() {
    in_limit("missing = { limit = \"first\" }", &[]);
    in_limit("missing = \"skip\"", &[]);
    in_limit(
        "missing = \"skpi\"",
        &["14:11 expected one of `deny` and `skip`, found the text `skpi` | did you mean `skip`?"],
    );
    in_limit(
        "missing = false",
        &["14:11 expected `deny`, `skip` or { limit = \"...\" }, found false"],
    );
    in_limit(
        "missing = { limit = \"frist\" }",
        &["14:21 no limit is called `frist` | did you mean `first`?"],
    );
    in_limit("missing = { limt = \"first\" }", &["14:13 there is no field `limt` here"]);
    in_limit(
        "missing = { limit = \"second\" }",
        &["14:21 limits that are asked instead of each other make a circle"],
    );
    let third = "[[limit]]\nname = \"third\"\nkey = []\nquota = \"1/s\"\n";
    in_limit(
        &format!("missing = {{ limit = \"third\" }}\n{third}missing = {{ limit = \"second\" }}"),
        &["19:21 limits that are asked instead"],
    );
}

#[test]
fn refusals_and_exemptions() {
    after_head("[[refuse]]\nname = \"r\"", &["10:1 this is about every request"]);
    after_head("[[exempt]]\nname = \"r\"", &["10:1 this is about every request"]);
    after_head("[[refuse]]\nname = \"r\"\nroutes = [\"/**\"]", &[]);
    after_head("[[refuse]]\nroutes = [\"/**\"]", &["10:1 `name` is missing"]);
    after_head(
        "[[exempt]]\nname = \"r\"\nstatus = 403\nroutes = [\"/**\"]",
        &["12:1 there is no field `status`"],
    );
    let networks = |networks: &str, said: &[&str]| {
        after_head(&format!("[[exempt]]\nname = \"r\"\nnetworks = {{ ip = {networks} }}"), said);
    };
    networks("[\"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.1\"]", &[]);
    networks("\"::1\"", &[]);
    networks("[]", &["12:19 an empty list: no network is meant"]);
    networks(
        "\"10.0.0.0/33\"",
        &["12:19 expected a network, such as \"10.0.0.0/8\", found `10.0.0.0/33`"],
    );
    networks(
        "\"10.0.0.1/8\"",
        &["12:19 expected a network, such as \"10.0.0.0/8\", found `10.0.0.1/8`: \
             the network of that length is 10.0.0.0/8"],
    );
    networks("[\"10.0.0\"]", &["12:20 expected a network"]);
}

#[test]
fn penalties() {
    let penalty = |lines: &str, said: &[&str]| {
        let base = "[[penalty]]\nname = \"p\"\nkey = [\"org\"]\ndenials = 5\nwithin = \"1 min\"\n";
        after_head(&format!("{base}{lines}"), said);
    };
    penalty("blocks = [\"1 h\", \"until lifted\"]", &[]);
    penalty("", &["10:1 `blocks` is missing"]);
    penalty("blocks = []", &["15:10 an empty list: nobody would be blocked"]);
    penalty(
        "blocks = [\"until lifted\", \"1 h\"]",
        &["15:11 nothing comes after \"until lifted\""],
    );
    penalty(
        "blocks = [\"forever\"]",
        &["15:11 expected a time, such as \"10 min\", or \"until lifted\""],
    );
    penalty(
        &format!("blocks = [{}]", "\"1 h\", ".repeat(9)),
        &["15:10 a penalty has at most 8 blocks"],
    );
    penalty(
        "blocks = [\"1 h\"]\ncounts = [\"frist\"]",
        &["16:11 no limit is called `frist` | did you mean `first`?"],
    );
    penalty("blocks = [\"1 h\"]\ncounts = []", &["16:10 an empty list: no denial counts"]);
    penalty(
        "blocks = [\"1 h\"]\ncounts = [\"first\", \"first\"]",
        &["16:20 this is in the list twice"],
    );
    penalty("blocks = [\"1 h\"]\ncovers = []", &["16:10 an empty list: no request is meant"]);
    penalty("blocks = [\"1 h\"]\ndecay = \"1\"", &["16:9 expected a time"]);
    after_head(
        "[[penalty]]\nname = \"p\"\nkey = [\"path.id\", \"route\", \"nobody\"]\ndenials = 0\n\
         blocks = [\"1 h\"]",
        &[
            "10:1 `within` is missing",
            "12:8 a penalty is of no route",
            "12:19 a penalty is of no route",
            "12:28 no attribute is called `nobody`",
            "13:11 expected a whole number from 1 to 262143, found the number 0",
        ],
    );
}

#[test]
fn responses() {
    after_head("[response]\nreport = \"first\"", &[]);
    after_head(
        "[response]\nreport = \"fisrt\"",
        &["11:10 no limit is called `fisrt` | did you mean `first`?"],
    );
    after_head("[response]\nreport = { group = \"g\" }", &["11:20 no limit is of the group `g`"]);
    in_limit("group = \"g\"\n[response]\nreport = { group = \"g\" }", &[]);
    after_head("[response]\nreport = \"all\"", &["11:10 `all` limits are told of by"]);
    after_head("[response]\nreport = \"all\"\nheaders = \"ratelimit\"", &[]);
    after_head("[response]\nheaders = \"ratelimits\"", &["11:11 expected one of `x-ratelimit`"]);
    after_head("[response]\ncontent_type = \"a/b\"", &["11:16 there is no `body`"]);
    after_head(
        "[response]\nbody = \"x\"\ncontent_type = \"a/b\\r\\nX: y\"",
        &["12:16 control characters"],
    );
    after_head(
        "[response]\nbodies = { frist = \"x\" }",
        &["11:12 nothing that denies is called `frist`"],
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
    let text = format!("a = 1 {}b", " ".repeat(5000));
    let text = parse(&text).unwrap_err().to_string();
    assert!(text.len() < 400 && text.ends_with('^'), "{text}");
    // Many problems are counted, not told.
    let many: String = (0..5000).map(|i| format!("x{i} = 1\n")).collect();
    let error = parse(&many).unwrap_err();
    assert_eq!((error.problems().len(), error.more()), (100, 4900));
    assert!(error.to_string().ends_with("\npolicy.toml: and 4900 more"));
}

#[test]
fn a_thousand_limits_are_read_in_a_moment() {
    let mut text = HEAD.to_owned();
    for i in 0..1000 {
        text += &format!(
            "[[limit]]\nname = \"limit {i}\"\nroutes = [\"GET /v1/{i}/{{id}}\"]\ngroup = \"g{i}\"\n\
             key = [\"org\", \"path.id\"]\nwhen = {{ tier = [\"FREE\", \"PRO\"] }}\n\
             quota = {{ by = \"tier\", FREE = \"10/min\", PRO = \"20/min\" }}\n\
             missing = {{ limit = \"first\" }}\n"
        );
    }
    let start = Instant::now();
    assert_eq!(problems(&text), [""; 0]);
    // Milliseconds where optimised; this is for what grows with the square.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// Files that aim at whatever takes time or stack.
#[test]
fn hostile_files_are_refused_in_time() {
    let n = 200_000;
    let list = |item: &dyn Fn(usize) -> String| (0..n / 10).map(item).collect::<String>();
    let files = [
        "[".repeat(n),
        format!("a = {}", "[".repeat(n)),
        format!("a = {}", "{a=".repeat(n)),
        format!("{}a = 1", "a.".repeat(n)),
        format!("[{}a]", "a.".repeat(n)),
        "\0".repeat(n),
        "\"".repeat(n),
        "=]}{\"'\n,".repeat(n / 8),
        "[[limit]]\n".repeat(n / 10),
        "a = 1\n".repeat(n / 6),
        "\n".repeat(n),
        format!("name = \"{}\"", "x".repeat(n)),
        format!("[[limit]]\nname = {}", "9".repeat(n)),
        format!("[[limit]]\nkey = [{}]", list(&|i| format!("\"path.a{i}\","))),
        format!(
            "[[limit]]\nkey = [{}]\nroutes = [{}]",
            list(&|i| format!("\"path.a{i}\",")),
            list(&|i| format!("\"/{{a{i}}}\","))
        ),
        list(&|i| format!("[[limit]]\nname=\"{i}\"\nmissing = {{ limit = \"{}\" }}\n", i + 1)),
        list(&|i| format!("[attribute.a{i}]\nvalues = [\"b\"]\n"))
            + &list(&|i| format!("[[limit]]\nname=\"{i}\"\nkey=[\"b{i}\"]\nquota = \"1/s\"\n")),
        // All bodies and groups are looked up, none is there.
        format!("[response]\nbodies = {{ {} }}", list(&|i| format!("b{i} = \"x\","))),
    ];
    for text in files {
        let start = Instant::now();
        let error = parse(&text).unwrap_err();
        let begin: String = text.chars().take(30).collect();
        assert!(error.to_string().len() < 100_000, "{begin}");
        assert!(start.elapsed() < Duration::from_secs(20), "{begin}: {:?}", start.elapsed());
    }
}

/// Every problem is at a place of the text, and prints.
fn is_sound(bytes: &[u8]) {
    let Err(error) = PolicyFile::parse("p", bytes) else { return };
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines: Vec<&str> = text.split('\n').collect();
    assert!(error.problems().len() > 0);
    let mut before = (1, 1);
    for problem in error.problems() {
        let (line, column) = (problem.line(), problem.column());
        assert!((1..=lines.len()).contains(&line), "{problem:?}");
        assert!((1..=lines[line - 1].chars().count() + 1).contains(&column), "{problem:?}");
        assert!(before <= (line, column), "in the order of the file");
        before = (line, column);
        assert!(!problem.message().is_empty());
        assert!(!problem.message().chars().any(char::is_control), "{problem:?}");
    }
    assert!(!error.to_string().is_empty());
}

/// Pieces that files are made of, to be put in anywhere.
const PIECES: [&str; 24] = [
    "[[limit]]\n",
    "[limit]\n",
    "[attribute.ip]\n",
    "name = \"x\"\n",
    "key = [",
    "]",
    "{",
    "}",
    "\"",
    "'''",
    "=",
    "\n",
    "quota = 0\n",
    "otherwise",
    "by = \"tier\"",
    "\0",
    "\u{feff}",
    "é",
    "\r",
    "missing = { limit = \"scans\" }\n",
    "99999999999999999999",
    "1979-05-27",
    "\"/{a}/{b\"",
    "until lifted",
];

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        is_sound(&bytes);
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(0..PIECES.len(), 0..40)) {
        is_sound(pieces.iter().map(|at| PIECES[*at]).collect::<String>().as_bytes());
    }

    /// The sample with some of it cut out, doubled, overwritten or exchanged.
    #[test]
    fn any_mutation(
        changes in proptest::collection::vec(
            (0..4, any::<usize>(), 1..30_usize, any::<u8>()), 1..6
        )
    ) {
        let mut bytes = sample().as_bytes().to_vec();
        for (what, at, length, byte) in changes {
            let at = at % (bytes.len() + 1);
            let end = (at + length).min(bytes.len());
            match what {
                0 => drop(bytes.drain(at..end)),
                1 => bytes.insert(at, byte),
                2 => {
                    let piece = PIECES[usize::from(byte) % PIECES.len()];
                    drop(bytes.splice(at..at, piece.bytes()));
                }
                _ => {
                    let again: Vec<u8> = bytes[at..end].to_vec();
                    let to = at / 2;
                    drop(bytes.splice(to..to, again));
                }
            }
        }
        is_sound(&bytes);
    }
}
