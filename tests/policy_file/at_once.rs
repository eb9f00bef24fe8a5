//! Everything that is wrong is told in one go, and nothing that only follows from it.

use super::{after_head, problems};

/// A mistake of every kind, a line for each: what is expected of it stands at its end.
const ALL: &str = r#"nmae = "everything"              #! there is no field `nmae`
# A wrong [path] would leave open which routes meet:
# see below.

[attribute.org]
[attribute.tier]
values = ["FREE", "PRO", "FREE"]                 #! in the list twice
[attribute.plan]
values = ["A", "B"]
[attribute.ip]
kind = "ip"
ipv6_prefix = 129                                #! whole number from 0 to 128
forwarded = "x_forwarded_for"                    #! `trusted_hops` is missing
[attribute.method]                               #! is built in
[[limit]]
name = "first"
group = "g"
routes = ["POST /v1/:id"]                        #! expected {id}
key = ["org", "og"]                              #! no attribute is called `og`
quota = "10/minutes"                             #! missing or unknown unit of time
when = { plan = "C" }                            #! none of its values
unless = { method = "HEAD" }                     #! HEAD counts as GET
missing = { limit = "frist" }                    #! no limit is called `frist`
capacity = 0                                     #! whole number from 1
[[limit]]
name = "first"                                   #! also called `first`
key = ["path.id"]                                #! there are no `routes`
quota = { by = "plan", A = "1/s", C = "2/s" }    #! `C` is none of its values
charge_denied = "yes"                            #! expected true or false
fallback = true                                  #! `group` is missing
status = 200                                     #! from 400 to 599
[[limit]]
name = "third"
algorithm = "leases"
key = []                                         # and:
quota = 70_000                                   #! keeps at most 65535
zone = "UTC"                                     #! has no `zone`
ttl = "1 hour"                                   #! write "1 h"
[[limit]]                                        #! `quota` is missing
name = "fourth"
key = []
share = 5                                        #! write "5%"
[[limit]]
name = "fifth"
group = "h"
routes = ["GET /a/{x}"]
key = []
quota = "1/s"
largest = "1/min burst 3"                        #! knows no burst
[[limit]]
name = "sixth"
group = "h"
routes = ["/b", "GET /a/{y}"]                    #! `sixth` and `fifth` (line 46)
key = []
quota = { by = "plan", A = "1/s" }               #! no quota for `B`
overrides = { A = "1/s" }                        #! `by` is missing
[[refuse]]                                       #! this is about every request
name = "r"
[[exempt]]
name = "e"
networks = { org = "10.0.0.0/8", ip = "10.0.0.1/8" } #! `org` is no address #! is 10.0.0.0/8
[[penalty]]
name = "p"
key = ["route"]                                  #! a penalty is of no route
denials = 3
within = "1 min"
blocks = ["until lifted", "1 h"]                 #! it stands last
counts = ["fourht"]                              #! no limit is called `fourht`
covers = ["everything"]                          #! a path that begins with /
[response]
status = 99                                      #! no status of a denial
headers = "x-rate-limit"                         #! expected one of `x-ratelimit`
reset = 5                                        #! expected one of `epoch`
report = { group = "k" }                         #! no limit is of the group `k`
names = { limit = "X Limit", Reset = "R" }       #! no name of a header field #! no field `Reset`
units = { tokens = "é" }                         #! cannot be written as a unit
body = "wait {seconds}"                          #! nothing replaces {seconds}
bodies = { fith = "x", first = "{nam}" }         #! nothing that denies is called `fith` #! {nam}
content_type = "json"                            #! no media type
"#;

#[test]
fn every_kind_of_mistake_in_one_go() {
    let mut expected = Vec::new();
    for (nth, line) in ALL.lines().enumerate() {
        expected.extend(line.split("#!").skip(1).map(|said| (nth + 1, said.trim())));
    }
    let found = problems(ALL);
    let place = |found: &str| found.split(':').next().unwrap().parse::<usize>().unwrap();
    let found: Vec<(usize, &str)> = found.iter().map(|found| (place(found), &**found)).collect();
    for (line, said) in &expected {
        let told = found.iter().any(|(at, found)| at == line && found.contains(said));
        assert!(told, "line {line}: {said}\n{found:#?}");
    }
    let unexpected: Vec<_> = (found.iter())
        .filter(|(at, found)| {
            !expected.iter().any(|(line, said)| line == at && found.contains(said))
        })
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(found.is_sorted_by_key(|(line, _)| *line));
    assert!(expected.len() >= 45, "{}", expected.len());
}

#[test]
fn what_was_not_read_makes_no_more_mistakes() {
    let others = "[[limit]]\nname = \"o\"\nkey = []\nquota = \"1/s\"\nmissing = { limit = \"x\" }\n\
                  [[penalty]]\nname = \"p\"\nkey = []\ndenials = 1\nwithin = \"1 s\"\n\
                  blocks = [\"1 s\"]\ncounts = [\"x\"]\n\
                  [response]\nreport = \"x\"\nbodies = { x = \"y\" }\n";
    // With all that is called `x` there is nothing wrong.
    after_head(&format!("[[limit]]\nname = \"x\"\nkey = []\nquota = \"1/s\"\n{others}"), &[]);
    for (limit, said) in [
        ("[[limit]]\nname = 5\nkey = []\nquota = \"1/s\"\n", "11:8 expected a text"),
        ("[[limit]]\nnmae = \"x\"\nkey = []\nquota = \"1/s\"\n", "11:1 there is no field"),
        ("[[limit]]\nkey = []\nquota = \"1/s\"\n", "10:1 `name` is missing"),
        ("[[limit]]\nname = x\nkey = []\nquota = \"1/s\"\n", "11:8 a text needs quotes"),
        ("[[lmt]]\nname = \"x\"\nkey = []\nquota = \"1/s\"\n", "10:3 there is no field `lmt`"),
    ] {
        after_head(&format!("{limit}{others}"), &[said]);
    }
    for (text, said) in [
        // Names of attributes, kinds and values.
        ("attribute = 5\n", &["10:13 expected a table"] as &[_]),
        ("[attributes.new]\nkind = \"ip\"\n", &["10:2 there is no field `attributes`"]),
        ("[attribute.new]\nkind = \"ipp\"\n", &["11:8 expected one of"]),
        ("[attribute.new]\ntipe = \"ip\"\n", &["11:1 there is no field `tipe`"]),
    ] {
        let file = "[[limit]]\nname = \"x\"\nkey = [\"new\"]\nquota = \"1/s\"\n\
                    [[exempt]]\nname = \"e\"\nnetworks = { new = \"10.0.0.0/8\" }\n";
        let text = format!("{}{text}{file}", "\n".repeat(9));
        let found = problems(&text);
        assert_eq!(found.len(), said.len(), "{text}{found:#?}");
        assert!(found.iter().zip(said).all(|(found, said)| found.contains(said)), "{found:#?}");
    }
    // A wrong list of values; a table of quotas that goes by it.
    after_head(
        "[attribute.a]\nvalues = [\"x\", 5]\n[[limit]]\nname = \"x\"\nkey = []\n\
         quota = { by = \"a\", z = \"1/s\" }\nwhen = { a = \"y\" }",
        &["11:16 expected a text"],
    );
    // Who applies where is not known.
    let pair = |more: &str| {
        let limit = "[[limit]]\nkey = []\nquota = \"1/s\"\ngroup = \"g\"\nroutes = [\"/a\"]\n";
        format!("{limit}name = \"a\"\n{more}\n{limit}name = \"b\"\n")
    };
    after_head(&pair(""), &["21:11 `b` and `a` (line 14) of the same group"]);
    after_head(&pair("status = 1"), &["16:10 expected a whole", "21:11 `b` and `a` (line 14)"]);
    for (more, said) in [
        ("when = { tier = 5 }", "16:17 expected a text"),
        ("when = { teir = \"PRO\" }", "16:10 no attribute is called `teir`"),
        ("where = 1", "16:1 there is no field `where`"),
        ("unless = 5", "16:10 expected a table"),
        ("fallback = 1", "16:12 expected true or false"),
    ] {
        after_head(&pair(more), &[said]);
    }
    after_head(
        &format!("{}[path]\ncase = \"lower\"\nslash = 1\n", pair("")),
        &["24:8 expected one of", "25:1 there is no field `slash`"],
    );
    // Fields, and what they are the type of or the room for.
    after_head(
        "[response]\nreport = \"all\"\nheaders = \"ratelimits\"",
        &["12:11 expected one of"],
    );
    after_head("[response]\nbody = 5\ncontent_type = \"a/b\"", &["11:8 expected a text"]);
    after_head(
        "[response]\nbdy = \"x\"\ncontent_type = \"a/b\"",
        &["11:1 there is no field `bdy`"],
    );
    after_head("[[refuse]]\nname = \"r\"\nrote = [\"/\"]", &["12:1 there is no field `rote`"]);
    after_head("[[refuse]]\nname = \"r\"\nwhen = 5", &["12:8 expected a table"]);
}

#[test]
fn a_misspelt_field_is_read_as_the_one_it_means() {
    after_head(
        "[[limit]]\nname = \"s\"\nkeyz = [\"ogr\"]\nqutoa = \"1/x\"",
        &[
            "12:1 there is no field `keyz`",
            "12:9 no attribute is called `ogr`",
            "13:1 there is no field `qutoa`",
            "13:9 no quota: `1/x`",
        ],
    );
    // What is there by its own name is what counts.
    after_head(
        "[[limit]]\nname = \"s\"\nkey = []\nquota = \"1/s\"\nqutoa = 5",
        &["14:1 there is no field `qutoa`"],
    );
}
