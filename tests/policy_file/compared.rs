//! What mistakes in routes, methods, hosts and paths are answered with.

use super::{after_head, in_limit, quota};

#[test]
fn every_mistake_in_a_route_has_its_place() {
    in_limit(
        "routes = [\"X Y a:1/../:x/*?z\", '''/{a}/{a}''', 'POST']",
        &[
            "14:12 expected a comma between methods",
            "14:16 leave the port out",
            "14:20 expected no dot segment",
            "14:23 expected {x} for a parameter",
            "14:26 expected {name} for one segment",
            "14:27 a route has no query",
            "14:40 the parameter {a} is there twice",
            "14:49 expected a path that begins with /",
        ],
    );
    // Where an escape keeps the place from being told, the whole text, and all the same.
    in_limit(
        "routes = [\"/\\u0061//b/:c\"]",
        &["14:11 expected one slash", "14:11 expected {c} for a parameter"],
    );
    after_head(
        "[[penalty]]\nname = \"p\"\nkey = []\ndenials = 1\nwithin = \"1 s\"\nblocks = [\"1 s\"]\n\
         covers = [\"a\"]\n[[refuse]]\nname = \"r\"\nroutes = [\"b\"]\n[[exempt]]\nname = \"e\"\n\
         routes = [\"c\"]",
        &["16:12 expected a path", "19:12 expected a path", "22:12 expected a path"],
    );
}

#[test]
fn methods_hosts_and_paths_as_conditions() {
    in_limit(
        "when = { method = [\"post\", \"GET\"], host = \"API.example.com\", path = \"/a/\" }",
        &[],
    );
    in_limit("when = { host = false }", &[]);
    in_limit(
        "unless = { method = [\"HEAD\", \"a b\", \"GET,PUT\", \"\", \"get\", \"GET\"] }",
        &[
            "14:23 HEAD counts as GET; write GET",
            "14:31 expected a comma between methods",
            "14:38 expected one method",
            "14:49 expected one method",
            "14:59 this is in the list twice, also in line 14",
        ],
    );
    in_limit(
        "when = { host = [\"a:80\", \"*.b\", \"\", \"a.b.\", \"A.b\"] }",
        &[
            "14:19 leave the port out",
            "14:27 expected one host: only routes know *. before one",
            "14:34 expected a host, such as api.example.com",
            "14:45 this is in the list twice",
        ],
    );
    in_limit(
        "when = { path = [\"a\", \"/{x}\", \"/a/**\", \"/a?b\", \"/a/%62/\", \"/a/b\"] }",
        &[
            "14:19 expected a path that begins with /, as in `/v1/scans`",
            "14:24 expected one path: only routes know {name} and /**",
            "14:32 expected one path",
            "14:43 a route has no query",
            "14:59 this is in the list twice",
        ],
    );
    in_limit(
        "when = { method = true, path = false, route = \"/\" }",
        &[
            "14:19 every request has one: expected a text or a list of texts",
            "14:32 every request has one",
            "14:39 a condition is not by the route that matches | write what it should be into",
        ],
    );
}

#[test]
fn quotas_by_method_host_and_path() {
    let log = |text: &str, expected: &[&str]| quota("sliding-log", text, expected);
    log("{ by = \"method\", get = \"1/s\", otherwise = \"2/s\" }", &[]);
    log("{ by = \"host\", \"a.b\" = \"1/s\", otherwise = \"2/s\" }", &[]);
    log("{ by = \"path\", \"/a\" = \"1/s\", otherwise = \"2/s\" }", &[]);
    log(
        "{ by = \"method\", GET = \"1/s\" }",
        &["13:9 `otherwise` is missing: the quota of any other value"],
    );
    log(
        "{ by = \"method\", HEAD = \"1/s\", otherwise = \"1/s\" }",
        &["13:26 HEAD counts as GET; write GET"],
    );
    log(
        "{ by = \"method\", get = \"1/s\", GET = \"1/s\", otherwise = \"1/s\" }",
        &["13:39 this is in the table twice, also in line 13"],
    );
    log(
        "{ by = \"path\", a = \"1/s\", otherwise = \"2/s\" }",
        &["13:24 expected a path that begins with /"],
    );
    for by in ["route", "path.id"] {
        let quotas = format!("{{ by = \"{by}\", a = \"1/s\", otherwise = \"2/s\" }}");
        log(&quotas, &["13:16 a table of quotas is not by"]);
    }
    in_limit("overrides = { by = \"host\", \"A.b\" = \"1/s\" }", &[]);
    // What conditions leave is all that can come.
    let by = "quota = { by = \"method\", get = \"1/s\", PUT = \"2/s\" }\nkey = []\nname = \"x\"";
    after_head(&format!("[[limit]]\n{by}\nwhen = {{ method = [\"GET\", \"put\"] }}"), &[]);
    after_head(
        &format!("[[limit]]\n{by}\nwhen = {{ method = [\"GET\", \"POST\"] }}"),
        &["11:9 there is no quota for `POST`"],
    );
}
