//! What each mistake in a table is answered with.

use super::{after_head, in_limit, quota};

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
    // The later one in the file is told, whatever kinds they are.
    after_head(
        "[[refuse]]\nname = \"x\"\nroutes = [\"/\"]\n\
         [[limit]]\nname = \"x\"\nkey = []\nquota = \"1/s\"",
        &["14:8 the refusal in line 11 is also called `x`"],
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
    in_limit(
        "routes = [\"/a\", \" \"]",
        &["14:18 expected a path that begins with /, as in `POST /v1/scans`"],
    );
    in_limit("routes = [\"/a\", \"/a\"]", &["14:17 this is in the list twice"]);
    in_limit("routes = [1]", &["14:11 expected a text"]);
    let limit = |key: &str, routes: &str| {
        format!("[[limit]]\nname = \"x\"\nkey = [{key}]\nquota = \"1/s\"\n{routes}")
    };
    after_head(&limit("\"path.id\"", "routes = [\"/a/{id}\", \"/{id}/b\"]"), &[]);
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
        &["15:10 a condition is not by a parameter of the route | write what it should be into"],
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
        &["12:16 \"a/b\\r\\nX: y\" is no media type, as \"application/json\" is one"],
    );
    after_head(
        "[response]\nbodies = { frist = \"x\" }",
        &["11:12 nothing that denies is called `frist`"],
    );
}
