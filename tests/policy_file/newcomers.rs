//! What is written by who does not know the format yet, and what helps.

use super::problems;

const HEAD: &str =
    "[attribute.ip]\nkind = \"ip\"\n[attribute.tier]\nvalues = [\"FREE\", \"PRO\"]\n";

/// After four lines of attributes and the header of a limit with its name and key in lines
/// 5 to 7, these lines have these problems.
#[track_caller]
fn limit(lines: &str, expected: &[&str]) {
    check(&format!("{HEAD}[[limit]]\nname = \"a\"\nkey = [\"ip\"]\n{lines}\n"), expected);
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found = problems(text);
    assert_eq!(found, expected, "{text}");
}

#[test]
fn quotas() {
    let units = "missing or unknown unit of time; use one of d, h, min, s, ms, us, ns";
    let rate =
        "expected UNITS/[COUNT]UNIT [burst BURST], such as 10/min, 12/15min or \"100/s burst 20\"";
    for (quota, why, write) in [
        ("10/minutes", units, "10/min"),
        ("10 per minute", rate, "10/min"),
        ("1k/min", rate, "1_000/min"),
        ("1,000/15 mins", rate, "1_000/15min"),
        ("5/10 seconds", units, "5/10s"),
    ] {
        let said = format!("8:9 no quota: `{quota}`: {why} | write \"{write}\"");
        limit(&format!("quota = \"{quota}\""), &[&said]);
    }
    limit(
        "quota = \"10/hour\"",
        &[&format!(
            "8:9 no quota: `10/hour`: {units} | write \"10/h\"; units of the calendar: \
             `algorithm = \"calendar\"`"
        )],
    );
    limit("quota = 10", &["8:9 the number 10 lacks a period | such as \"10/min\""]);
    limit("quota = 10/min", &["8:9 a text needs quotes | write \"10/min\""]);
    limit("quota = “10/min”", &["8:9 a text needs quotes | write \"10/min\""]);
    limit("limit = \"10/min\"", &["8:1 there is no field `limit` here | did you mean `quota`?"]);
    limit("rate = \"10/min\"", &["8:1 there is no field `rate` here | did you mean `quota`?"]);
    limit(
        "quota = \"10/s\"\nburst = 20",
        &[
            "9:1 there is no field `burst` here | with `algorithm = \"gcra\"` the burst is a part of \
           the quota: \"100/s burst 20\"",
        ],
    );
    limit(
        "quota = 10\nwindow = 60",
        &[
            "8:9 the number 10 lacks a period | such as \"10/min\"",
            "9:1 there is no field `window` here | the period is a part of the quota: \"10/min\"",
        ],
    );
    limit("quota = \"10 files\"\nalgorithm = \"size\"\ncost = \"n\"\nunit = \"files\"", &[]);
}

#[test]
fn fields_and_their_kinds() {
    let quota =
        |lines: &str, expected: &[&str]| limit(&format!("quota = \"1/s\"\n{lines}"), expected);
    quota(
        "routes = \"POST /login\"",
        &["9:10 expected a list, found the text `POST /login` | write [\"POST /login\"]"],
    );
    quota(
        "path = \"/login\"",
        &["9:1 there is no field `path` here | say which requests are meant by \
           `routes = [\"POST /login\"]`"],
    );
    quota(
        "routes = [\"login\", \"POST/x\", \"POST a.b /x\"]",
        &[
            "9:12 expected a path that begins with /, as in `POST /v1/scans`",
            "9:21 expected a space after the method POST",
            "9:31 expected the method first and no space after the host, as in \
             `POST api.example.com/v1`",
        ],
    );
    quota(
        "status = \"429\"",
        &[
            "9:10 expected a whole number from 400 to 599, found the text `429` | without quotes: 429",
        ],
    );
    quota(
        "share = 25",
        &["9:9 expected a share, such as \"25%\", found the number 25 | write \"25%\""],
    );
    quota(
        "fallback = True\ngroup = \"g\"",
        &[
            "9:12 no TOML: invalid boolean, expected `true` | true and false are written in lower case",
        ],
    );
    quota(
        "algorithm = \"token-bucket\"",
        &[
            "9:13 expected one of `sliding-log`, `gcra`, `sliding-counter`, `calendar`, `leases` and \
           `size`, found the text `token-bucket` | did you mean `gcra`?",
        ],
    );
    quota(
        "when = { header.x = \"y\" }",
        &[
            "9:10 expected a text, a list of texts, true (any value) or false (none), found a table | \
           a name with a dot needs quotes",
        ],
    );
    check(
        "[[limit]]\nname = \"a\"\nby = \"ip\"\nquota = \"1/s\"",
        &[
            "3:1 there is no field `by` here | did you mean `key`?",
            "3:6 expected a list, found the text `ip` | write [\"ip\"]",
        ],
    );
    check(
        "[[limit]]\nname = \"a\"\nkey = [\"user\"]\nquota = \"1/s\"",
        &["3:8 no attribute is called `user` | declare it: `[attribute.user]`"],
    );
}

#[test]
fn tables_and_brackets() {
    let one = |header: &str, name: &str| {
        format!("{header}\nname = \"{name}\"\nkey = []\nquota = \"1/s\"\n")
    };
    check(
        &one("[limit]", "a"),
        &["1:1 there may be several of these, so its header has two brackets | write `[[limit]]`"],
    );
    check(
        &(one("[limit]", "a") + &one("[limit]", "b")),
        &["5:1 `limit` is said twice | there may be several: write `[[limit]]`"],
    );
    // What is said twice after that is told again.
    check(
        &(one("[limit]", "a")
            + &one("[limit]", "b")
            + "[path]\ncase = \"sensitive\"\ncase = \"x\"\n"),
        &[
            "5:1 `limit` is said twice | there may be several: write `[[limit]]`",
            "11:1 `case` is said twice",
        ],
    );
    check(
        "[[attribute]]\nname = \"ip\"\n[[limit]]\nname = \"a\"\nkey = [\"ip\"]\nquota = \"1/s\"",
        &["1:1 expected a table, found a list | write `[attribute.ip]`, with its name"],
    );
    check(
        "[[limit]]\nname = \"a\"\nkey = []\nquota = \"1/s\"\n[[response]]\nstatus = 1",
        &["5:1 expected a table, found a list | there is one: write `[response]`"],
    );
    limit("quota = \"1/s\"\nquota = \"2/s\"", &["9:1 `quota` is said twice"]);
}

#[test]
fn what_is_no_toml() {
    limit(
        "quota: \"1/s\"",
        &["8:6 no TOML: invalid unquoted key, expected letters, numbers, `-`, `_` | \
           a key and its value have `=` between them"],
    );
    limit(
        "quota = \"1/s\nmode = \"shadow\"",
        &["8:13 no TOML: invalid basic string, expected `\"` | \
           a text ends on its line, with the quote that it begins with"],
    );
    check(
        "{ \"limit\": [] }",
        &["1:1 no TOML: invalid key-value pair, expected key | a policy file is TOML, not JSON"],
    );
}

/// However long it is, it is told once that it is JSON.
#[test]
fn a_file_of_json() {
    let limit = "  {\n    \"name\": \"a\",\n    \"key\": [\"ip\"],\n    \"quota\": \"1/s\"\n  },\n";
    let object = format!("{{\n\"limit\": [\n{}]\n}}\n", limit.repeat(50));
    let list = format!("\n [\n{}]\n", limit.repeat(50));
    for (text, line) in [(object, 1), (list, 2)] {
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("{line}:")), "{found:?}");
        assert!(found[0].ends_with("| a policy file is TOML, not JSON"), "{found:?}");
    }
    // What begins with a bracket may be TOML, with all its mistakes.
    let wrong = "[[limit]]\nname = {a}\nkey = {b}\n";
    assert!(problems(wrong).len() > 1, "{:?}", problems(wrong));
}

/// A byte order mark, ends of lines of two bytes, and tabs do not move the places.
#[test]
fn files_of_other_editors() {
    let text =
        format!("\u{feff}{HEAD}[[limit]]\nname = \"a\"\nkey = [\"ip\"]\n\tquota\t=\t\"1/x\"\n");
    let found = problems(&text.replace('\n', "\r\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("8:10 no quota: `1/x`"), "{found:?}");
    let valid = format!("\u{feff}{HEAD}[[limit]]\nname = \"a\"\nkey = []\n\tquota\t=\t\"1/s\"\n");
    assert_eq!(problems(&valid.replace('\n', "\r\n")), [""; 0]);
}
