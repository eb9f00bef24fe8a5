"""What `nginx -t` refuses, and in which words."""

from support import Case, Server

ZONE = "tollgate_zone $remote_addr zone=z:1m rate=1/s;"

# What stands in `http`, what stands in `server`, what is said.
REFUSED = [
    ("tollgate_zone $remote_addr;", "", 'invalid number of arguments in "tollgate_zone"'),
    ("tollgate_zone $remote_addr rate=1/s;", "", 'must have "zone" parameter'),
    ("tollgate_zone $remote_addr rate=1/s burst=3;", "", 'must have "zone" parameter'),
    ("tollgate_zone $remote_addr zone=z:1m keys=5;", "", 'either "rate" or "concurrent"'),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s concurrent=5;", "",
     'either "rate" or "concurrent"'),
    ("tollgate_zone $remote_addr zone=z rate=1/s;", "", 'invalid zone size "zone=z"'),
    ("tollgate_zone $remote_addr zone=:1m rate=1/s;", "", 'invalid zone size "zone=:1m"'),
    ("tollgate_zone $remote_addr zone=z:x rate=1/s;", "", 'invalid zone size "zone=z:x"'),
    ("tollgate_zone $remote_addr zone=z: rate=1/s;", "", 'invalid zone size "zone=z:"'),
    ("tollgate_zone $remote_addr zone=z:8k rate=1/s;", "", 'zone "zone=z:8k" is too small'),
    ("tollgate_zone $remote_addr zone=a'b:1m rate=1/s;", "", "invalid zone name \"a'b\""),
    ("tollgate_zone $remote_addr zone=a\\\\b:1m rate=1/s;", "", 'invalid zone name "a\\b"'),
    ("tollgate_zone $remote_addr 'zone=a\"b:1m' rate=1/s;", "", 'invalid zone name "a"b"'),
    ("tollgate_policy ROOT/limits.toml 'zone=a\"b:1m';", "", 'invalid zone name "a"b"'),
    ("tollgate_zone $remote_addr zone=all:1m rate=1/s;", "", 'zone name "all" is reserved'),
    ("tollgate_zone $remote_addr zone=z:1m rate=1;", "", "invalid rate '1'"),
    ("tollgate_zone $remote_addr zone=z:1m rate=1r/s;", "", "invalid rate '1r/s'"),
    ("tollgate_zone $remote_addr zone=z:1m rate=0/s;", "", "invalid rate '0/s'"),
    ("tollgate_zone $remote_addr zone=z:1m rate=;", "", 'invalid parameter "rate="'),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s'x;", "", "invalid parameter \"rate=1/s'x\""),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s burst=x;", "", "invalid rate '1/s burst x'"),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s brust=3;", "", 'invalid parameter "brust=3"'),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s keys=0;", "", 'invalid number of keys'),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s keys=99999999;", "",
     'the limit of zone "z" cannot be made'),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s full=open;", "",
     'invalid parameter "full=open", it must be "pass" or "reject"'),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s error=;", "", 'invalid parameter "error="'),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s algorithm=grca;", "", "did you mean `gcra`"),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s headers=x;", "", "error: expected one of"),
    ("tollgate_zone $remote_addr zone=z:1m rate=300000/s algorithm=sliding-log;", "",
     'the limit of zone "z" cannot be made'),
    ("tollgate_zone $remote_addr zone=z:1m rate=10/fortnight algorithm=calendar;", "",
     'the limit of zone "z" cannot be made'),
    ("tollgate_zone $remote_addr zone=z:1m rate=1/s ttl=1h;", "", '"ttl" goes with "concurrent"'),
    ("tollgate_zone $remote_addr zone=z:1m concurrent=5 burst=5;", "", 'goes with neither "burst"'),
    ("tollgate_zone $remote_addr zone=z:1m concurrent=0;", "", 'invalid number of concurrent'),
    ("tollgate_zone $remote_addr zone=z:1m concurrent=5 ttl=long;", "",
     'the limit of zone "z" cannot be made'),
    (f"{ZONE} {ZONE}", "", 'duplicate zone "z"'),
    (f"limit_req_zone $uri zone=z:1m rate=1r/s; {ZONE}", "", '"z" is already declared'),
    ("tollgate_zone $no_such zone=z:1m rate=1/s;", "", 'unknown "no_such" variable'),
    ("tollgate_policy ROOT/limits.toml;", "", "invalid number of arguments"),
    ("tollgate_policy ROOT/limits.toml error=pass;", "", 'must have "zone" parameter'),
    ("tollgate_policy ROOT/none.toml zone=p:1m;", "", "none.toml: No such file"),
    ("tollgate_policy ROOT/bad.toml zone=p:1m;", "", "bad.toml:1:1: error: `quota` is missing"),
    ("tollgate_policy ROOT/limits.toml zone=p:64k;", "", "bytes of memory do not do"),
    ("tollgate_policy ROOT/limits.toml zone=p:1m rate=1/s;", "", 'invalid parameter "rate=1/s"'),
    (ZONE, "tollgate;", "invalid number of arguments"),
    (ZONE, "tollgate zone=other;", 'unknown tollgate zone "other"'),
    (ZONE, "tollgate zone=;", 'must have "zone" parameter'),
    (ZONE, "tollgate zone=z cost=-1;", 'invalid cost "cost=-1"'),
    (ZONE, "tollgate zone=z cost=$no_such;", 'unknown "no_such" variable'),
    (ZONE, "tollgate zone=z nodelay;", 'invalid parameter "nodelay"'),
    (ZONE, "tollgate zone=z; tollgate zone=z;", '"tollgate" directive is duplicate'),
    (ZONE, "tollgate off; tollgate zone=z;", 'goes with no other after "off"'),
    (ZONE, "tollgate zone=z; tollgate off;", '"off" goes with no other'),
    (ZONE, "if ($arg_x) { tollgate zone=z; }", '"tollgate" directive is not allowed here'),
    ("tollgate_zone $remote_addr zone=z:1m concurrent=5;", "tollgate zone=z cost=2;",
     '"cost" goes with zones that have a rate'),
    (ZONE, "tollgate_status 200;", "value must be between 400 and 599"),
    (ZONE, "tollgate_status 600;", "value must be between 400 and 599"),
    *[(ZONE, f"tollgate_status {code};", f"status {code} is of nginx itself")
      for code in (408, 494, 495, 496, 497, 499)],
    (ZONE, "tollgate_log_level loud;", 'invalid value "loud"'),
    (ZONE, "tollgate_dry_run maybe;", 'invalid value "maybe"'),
    (ZONE, "tollgate_headers x-ratelimit;", 'invalid value "x-ratelimit"'),
    ("tollgate_policy ROOT/limits.toml zone=p:1m;", "tollgate_attribute usr $remote_user;",
     'no policy names the attribute "usr"'),
    ("tollgate_policy ROOT/limits.toml zone=p:1m;", "tollgate_cost bytes $content_length;",
     'no policy names the cost "bytes"'),
    ("tollgate_policy ROOT/limits.toml zone=p:1m;",
     "tollgate_attribute user a; tollgate_attribute user b;", "directive is duplicate"),
]

LIMITS = """
[attribute.user]
[[limit]]
name = "each"
key = ["user"]
algorithm = "gcra"
quota = "5/s"
"""


class Config(Case):
    def test_refused(self):
        server = Server()
        self.addCleanup(server.remove)
        self.write(server, "limits.toml", LIMITS)
        self.write(server, "bad.toml", "[[limit]]\nname = 'a'\nkey = []\n")
        for http, inside, said in REFUSED:
            with self.subTest(http=http, server=inside):
                server.configure(http, inside)
                good, output = server.test()
                self.assertFalse(good)
                self.assertIn(said, output)
                # With the place: but for what nginx itself says of variables.
                if "variable" not in said:
                    lines = server.config.read_text().splitlines()
                    place = f"{server.config}:"
                    at = int(output.split(place, 1)[1].split()[0].rstrip(":"))
                    self.assertIn((inside or http).replace("ROOT", str(server.root)),
                                  lines[at - 1])

    def test_good(self):
        server = Server()
        self.addCleanup(server.remove)
        self.write(server, "limits.toml", LIMITS)
        for http, inside in [
            (ZONE, "tollgate zone=z cost=5 dry_run;"),
            (ZONE, "location / { tollgate off; }"),
            ("tollgate_zone $remote_addr$uri zone=z:32k rate=10/15min;", "tollgate zone=z;"),
            ("tollgate_zone '' zone=z:1m 'rate=1000/h burst 20';", "tollgate zone=z;"),
            ("tollgate_zone a zone=z:1m rate=3/month algorithm=calendar;", "tollgate zone=z;"),
            ("tollgate_zone a zone=z:1m rate=1000000/h algorithm=sliding-counter;", ""),
            ("tollgate_zone a zone=z:500k rate=1000/h algorithm=sliding-log;", ""),
            ("tollgate_policy limits.toml zone=p:1m error=reject;", "tollgate zone=p;"),
            ("tollgate zone=late;", "} tollgate_zone a zone=late:1m rate=1/s; server {"),
            ("tollgate_zone a zone=z:256m rate=100/s full=reject headers=none;", ""),
        ]:
            with self.subTest(http=http, server=inside):
                server.configure(http, inside)
                good, output = server.test()
                self.assertTrue(good, output)

    def test_keys_fill_the_zone(self):
        for size, keys in ("1m", 40_000), ("100k", 3_000):
            with self.subTest(size=size):
                server = self.serve(
                    f"tollgate_zone $http_key zone=z:{size} rate=1/s;",
                    "location = /report { tollgate_report; }",
                )
                words = server.get("/report").body.split()
                used = int(words[words.index('tollgate_zone_used_bytes{zone="z"}') + 1])
                # 24 bytes a key, and the two pages of the region and the table.
                self.assertGreater((used - 3 * 4096) / 24.2, keys * 0.9)
