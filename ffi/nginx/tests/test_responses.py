"""What clients and logs are told: header fields, bodies, variables, dry runs, reports."""

import http.client
import re
import time

from support import Case, until, whole

ZONE = "tollgate_zone $http_user zone=z:1m rate=1/h burst=3 {};"
REPORT = "location = /report { tollgate_report; tollgate off; }"

VARIABLES = """
log_format all '$status $tollgate_status $tollgate_zone "$tollgate_limit" $tollgate_cause '
               '$tollgate_quota $tollgate_remaining $tollgate_reset_after $tollgate_retry_after';
access_log ROOT/access.log all;
"""

POLICY = """
[attribute.ip]
kind = "ip"

[attribute.user]

[attribute.tier]
values = ["FREE", "PRO"]

[[limit]]
name = "requests"
key = ["user"]
missing = "skip"
quota = { by = "tier", FREE = "3/h", PRO = "6/h", otherwise = "2/h" }
capacity = 100

[[limit]]
name = "uploads"
routes = ["POST /file", "PUT api.example.com/**"]
key = ["ip"]
algorithm = "gcra"
quota = "1/h burst 2"
status = 503

[[limit]]
name = "bytes"
routes = ["/large"]
key = ["ip"]
algorithm = "gcra"
quota = "1000/h"
cost = "bytes"

[[limit]]
name = "planned"
routes = ["/index.html"]
key = ["ip"]
algorithm = "gcra"
quota = "1/h"
mode = "shadow"

[[refuse]]
name = "no-robots"
when = { user = "robot" }

[[exempt]]
name = "monitoring"
when = { user = "monitor" }

[response]
headers = "ratelimit"
body = '{"limit": "{name}", "wait": {retry_after}}'
bodies = { no-robots = "Go away." }
"""


class Fields(Case):
    def ask(self, server, path="/file", user="a", **more):
        return server.get(path, headers={"User": user}, **more)

    def test_dialects(self):
        for headers, allowed, denied in [
            ("x-ratelimit", {"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "2"},
             {"X-RateLimit-Remaining": "0", "Retry-After": "3600"}),
            ("ratelimit", {"RateLimit": '"z";r=2;t=3600'},
             {"RateLimit": '"z";r=0;t=3600', "Retry-After": "3600"}),
            ("retry-after", {"X-RateLimit-Limit": None, "RateLimit": None, "Retry-After": None},
             {"Retry-After": "3600", "RateLimit": None}),
            ("none", {"Retry-After": None}, {"Retry-After": None, "X-RateLimit-Limit": None}),
        ]:
            with self.subTest(headers=headers):
                server = self.serve(ZONE.format(f"headers={headers}"), "tollgate zone=z;")
                begun = time.monotonic()

                def told(response, names):
                    return {name: (value := response[name]) and whole(value, begun)
                            for name in names}

                response = self.ask(server)
                self.assertEqual(told(response, allowed), allowed)
                self.ask(server), self.ask(server)
                response = self.ask(server)
                self.assertEqual(response.status, 429)
                self.assertEqual(told(response, denied), denied)

    def test_zones_say_what_policies_do(self):
        """The fields of a zone are written by the module, those of a policy by the engine."""
        for headers in "x-ratelimit", "ratelimit", "retry-after", "none":
            for algorithm, rate, burst in [
                ("gcra", "7/h", 3), ("sliding-log", "3/h", 0), ("sliding-counter", "3/h", 0),
            ]:
                with self.subTest(headers=headers, algorithm=algorithm):
                    policy = f"""
[attribute.key]
[[limit]]
name = "it"
key = ["key"]
algorithm = "{algorithm}"
quota = "{rate}{f' burst {burst}' if burst else ''}"
cost = "cost"
unit = "requests"
capacity = 100
[response]
headers = "{headers}"
"""
                    server = self.serve_policy(
                        policy,
                        f"tollgate_zone a zone=it:1m rate={rate} algorithm={algorithm}"
                        f" {f'burst={burst}' if burst else ''} headers={headers} keys=100;"
                        "tollgate_policy ROOT/limits.toml zone=p:1m;",
                        "tollgate_attribute key a; tollgate_cost cost $http_cost;"
                        "location = /file { tollgate zone=it cost=$http_cost; }"
                        "location = /index.html { tollgate zone=p; }",
                    )
                    begun = time.monotonic()
                    names = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
                             "RateLimit-Policy", "RateLimit", "Retry-After", "Cache-Control"]
                    for cost in 1, 0, 1, 5, 2, 1, 1:
                        both = [server.get(path, headers={"Cost": str(cost)})
                                for path in ("/file", "/index.html")]
                        self.assert_near(time.monotonic() - begun, *[
                            f"{r.status} {[r.all(name) for name in names]}" for r in both
                        ])

    def assert_near(self, passed, one, other):
        """The same but for times, which are larger numbers than statuses: they went on, by no
        more than has passed, and are rounded; a clock's are sums of two such."""
        numbers = [[int(n) for n in re.findall(r"\d+", text)] for text in (one, other)]
        self.assertEqual(*[re.sub(r"\d+", "N", text) for text in (one, other)])
        for a, b in zip(*numbers):
            near = 3 + 2 * int(passed)
            self.assertLessEqual(abs(a - b), near if a >= 430 else 0, (one, other))

    def test_off(self):
        server = self.serve(ZONE.format(""), "tollgate zone=z; tollgate_headers off;"
                            "location = /large { tollgate_headers on; }")
        self.assertIsNone(self.ask(server)["X-RateLimit-Limit"])
        self.assertEqual(self.ask(server, "/large")["X-RateLimit-Limit"], "3")
        self.ask(server)
        response = self.ask(server)
        self.assertEqual((response.status, response["Retry-After"]), (429, None))

    def test_every_kind_of_response(self):
        server = self.serve(
            "tollgate_zone $http_user zone=z:1m rate=1/h burst=99;",
            "tollgate zone=z; location = /proxied { proxy_pass http://127.0.0.1:PORT/large; }"
            "location = /large { tollgate off; } location = /forbidden { deny all; }",
        )
        etag = self.ask(server)["ETag"]
        for path, method, more, status in [
            ("/file", "HEAD", {}, 200), ("/file", "GET", {"If-None-Match": etag}, 304),
            ("/file", "GET", {"Range": "bytes=0-1"}, 206), ("/none", "GET", {}, 404),
            ("/file", "POST", {}, 405), ("/proxied", "GET", {}, 200),
            ("/forbidden", "GET", {}, 403),
        ]:
            with self.subTest(path=path, method=method):
                response = server.get(path, method, headers={"User": "a", **more})
                self.assertEqual(response.status, status)
                self.assertEqual(response.all("X-RateLimit-Limit"), ["99"])

    def test_of_several_zones_the_nearest(self):
        server = self.serve(
            "tollgate_zone $http_user zone=few:1m rate=1/h burst=4;"
            "tollgate_zone $http_user zone=many:1m rate=1/h burst=40;"
            "tollgate_zone $http_user zone=dry:1m rate=1/h burst=2;" + VARIABLES,
            "tollgate zone=many; tollgate zone=few; tollgate zone=dry dry_run;", workers=1,
        )
        responses = [self.ask(server) for _ in range(5)]
        self.assertEqual([r.status for r in responses], [200] * 4 + [429])
        self.assertEqual([r.all("X-RateLimit-Limit") for r in responses], [["4"]] * 5)
        self.assertEqual([r["X-RateLimit-Remaining"] for r in responses], list("32100"))
        lines = server.access(5)
        self.assertEqual([" ".join(line.split()[:4]) for line in lines], [
            '200 PASSED few "few"', '200 PASSED few "few"',
            '200 REJECTED_DRY_RUN dry "dry"', '200 REJECTED_DRY_RUN dry "dry"',
            '429 REJECTED few "few"',
        ])

    def test_status(self):
        server = self.serve(
            ZONE.format(""),
            "tollgate zone=z; tollgate_status 503;"
            "location = /large { tollgate_status 444; }"
            "location = /index.html { error_page 503 =418 /page; }"
            "location = /page { alias ROOT/html/file; }",
        )
        for _ in range(3):
            self.assertEqual(self.ask(server).status, 200)
        self.assertEqual(self.ask(server).status, 503)
        response = self.ask(server, "/index.html")
        self.assertEqual((response.status, response.body), (418, "file\n"))
        with self.assertRaises((http.client.RemoteDisconnected, ConnectionError)):
            self.ask(server, "/large")


class Variables(Case):
    def test_log(self):
        server = self.serve(
            ZONE.format("") + VARIABLES,
            "tollgate zone=z; location = /large { tollgate off; } location = /ok { return 204; }",
            workers=1,
        )
        begun = time.monotonic()
        for path, user in [("/file", "a")] * 4 + [("/large", "a"), ("/ok", "a"), ("/file", "")]:
            server.get(path, headers={"User": user})
        self.assertEqual([whole(line, begun) for line in server.access(7)], [
            '200 PASSED z "z" limit 3 2 3600 0',
            '200 PASSED z "z" limit 3 1 7200 0',
            '200 PASSED z "z" limit 3 0 10800 0',
            '429 REJECTED z "z" limit 3 0 10800 3600',
            '200 - - "-" - - - - -',
            '204 - - "-" - - - - -',
            '200 - - "-" - - - - -',
        ])
        self.assertIn('limiting requests, "z" by zone "z", retry after 3600s',
                      whole(server.log(), begun))

    def test_by_name_alone(self):
        """The configuration has none of them."""
        server = self.serve(
            ZONE.format(""),
            "tollgate zone=z; location = /ssi { ssi on; ssi_types text/plain;"
            " alias ROOT/html/ssi; }",
        )
        names = "status", "zone", "limit", "cause", "quota", "remaining", "retry_after"
        (server.html / "ssi").write_text(
            " ".join(f'<!--# echo var="tollgate_{name}" default="-" -->' for name in names)
        )
        response = server.get("/ssi", headers={"User": "a"})
        self.assertEqual(response.body, "PASSED z z limit 3 2 0")

    def test_log_level(self):
        for level in "info", "notice", "warn", "error":
            server = self.serve(ZONE.format(""), f"tollgate zone=z; tollgate_log_level {level};")
            server.statuses(4, headers={"User": "a"})
            line = next(line for line in server.log().splitlines() if "limiting" in line)
            self.assertIn(f"[{level}]", line)


class Report(Case):
    def test_within_another_response(self):
        server = self.serve(
            ZONE.format(""),
            REPORT + "location = /ssi { ssi on; ssi_types text/plain; alias ROOT/html/ssi; }",
        )
        (server.html / "ssi").write_text(
            'before <!--# include virtual="/report" --> between '
            '<!--# include virtual="/report" --> after'
        )
        body = server.get("/ssi").body
        self.assertTrue(body.endswith(" after"), body[-200:])
        self.assertEqual(body.count('tollgate_zone_bytes{zone="z"}'), 2)


class DryRun(Case):
    def test_dry_run(self):
        """Everything is counted and told to the log, and nothing to clients."""
        for where in "tollgate zone=z dry_run;", "tollgate zone=z; tollgate_dry_run on;":
            with self.subTest(where=where):
                server = self.serve(
                    ZONE.format("") + VARIABLES,
                    where + "location = /large { tollgate zone=z; tollgate_dry_run off; }"
                    + REPORT,
                    workers=1,
                )
                begun = time.monotonic()
                for _ in range(5):
                    response = server.get(headers={"User": "a"})
                    self.assertEqual(response.status, 200)
                    self.assertIsNone(response["X-RateLimit-Limit"])
                self.assertEqual(
                    [whole(line, begun) for line in server.access(5)[2:4]],
                    ['200 PASSED z "z" limit 3 0 10800 0',
                     '200 REJECTED_DRY_RUN z "z" limit 3 0 10800 3600'],
                )
                self.assertIn("limiting requests, dry run, \"z\" by zone", server.log())
                self.assertEqual(server.get("/large", headers={"User": "a"}).status, 429)
                report = server.report()
                self.assertEqual(report["z", "passed"], 3)
                self.assertEqual(report["z", "rejected_dry_run"], 2)
                self.assertEqual(report["z", "rejected"], 1)


class Policy(Case):
    def begin(self, more=""):
        return self.serve_policy(
            POLICY,
            "tollgate_policy ROOT/limits.toml zone=p:1m;" + VARIABLES,
            "tollgate zone=p; tollgate_attribute user $http_user;"
            "tollgate_attribute tier $http_tier; tollgate_cost bytes $http_bytes;" + more + REPORT,
            workers=1,
        )

    def ask(self, server, path="/file", method="GET", **headers):
        return server.get(path, method, headers=headers)

    def test_attributes(self):
        server = self.begin()
        for tier, units in ("FREE", 3), ("PRO", 6), ("GOLD", 2):
            statuses = [self.ask(server, user=tier, tier=tier).status for _ in range(units + 1)]
            self.assertEqual(statuses, [200] * units + [429])
        # Who has no user is not asked for one.
        self.assertEqual([self.ask(server).status for _ in range(9)], [200] * 9)

    def test_routes_status_body(self):
        server = self.begin()
        begun = time.monotonic()
        response = self.ask(server, method="POST")
        self.assertEqual(response.status, 405)  # nginx serves files to GET alone
        self.assertIn('"uploads";r=1', response["RateLimit"])
        self.ask(server, method="PUT", host="api.example.com:80", user="b")
        response = self.ask(server, method="POST", user="a")
        self.assertEqual(response.status, 503, response.body)
        self.assertEqual(whole(response.body, begun), '{"limit": "uploads", "wait": 3600}')
        self.assertEqual(response.all("Content-Type"), ["application/json"])
        self.assertEqual(whole(response["Retry-After"], begun), "3600")
        self.assertEqual(response["Cache-Control"], "no-store")
        # What was denied is charged nowhere: this user has had none.
        self.assertEqual([self.ask(server, user="a").status for _ in range(3)], [200, 200, 429])
        response = self.ask(server, method="HEAD", user="a")
        self.assertEqual((response.status, response.body), (429, ""))

    def test_statuses_of_nginx_itself(self):
        """What a policy without a body makes of them, as the README says."""
        for status, seen in (408, None), (494, 400), (497, 400), (499, None):
            for body in False, True:
                with self.subTest(status=status, body=body):
                    server = self.serve_policy(
                        "[attribute.ip]\nkind = 'ip'\n[[limit]]\nname = 'a'\nkey = ['ip']\n"
                        f"algorithm = 'gcra'\nquota = '1/h burst 1'\nstatus = {status}\n"
                        "[response]\nheaders = 'none'\n" + ("body = 'no'\n" if body else ""),
                        "tollgate_policy ROOT/limits.toml zone=p:1m;", "tollgate zone=p;",
                    )
                    self.assertEqual(server.get().status, 200)
                    if body or seen:
                        self.assertEqual(server.get().status, status if body else seen)
                    else:
                        with self.assertRaises((http.client.HTTPException, ConnectionError)):
                            server.get()

    def test_body_and_fields_off(self):
        server = self.begin("tollgate_headers off;")
        begun = time.monotonic()
        for _ in range(2):
            self.ask(server, user="a")
        response = self.ask(server, user="a")
        self.assertEqual((response.status, response["RateLimit"]), (429, None))
        self.assertEqual(whole(response.body, begun), '{"limit": "requests", "wait": 3600}')
        self.assertEqual(response.all("Content-Type"), ["application/json"])

    def test_fields_of_what_passed_before_a_redirect(self):
        """They are not told with a rejection, and the body has its type."""
        server = self.serve_policy(
            POLICY,
            "tollgate_policy ROOT/limits.toml zone=p:1m;"
            "tollgate_zone $http_user zone=z:1m rate=1/h burst=50;",
            "tollgate_attribute user $http_user;"
            "location /a/ { tollgate zone=z; try_files /none /b/file; }"
            "location /b/ { tollgate zone=p; tollgate_headers off; alias ROOT/html/; }",
        )
        begun = time.monotonic()
        self.assertEqual([self.ask(server, "/a/", user="a").status for _ in range(2)], [200] * 2)
        response = self.ask(server, "/a/", user="a")
        self.assertEqual((response.status, response["X-RateLimit-Remaining"]), (429, None))
        self.assertEqual(whole(response.body, begun), '{"limit": "requests", "wait": 3600}')
        self.assertEqual(response.all("Content-Type"), ["application/json"])

    def test_error_page_goes_before_the_body(self):
        server = self.begin("error_page 429 /index.html;")
        for _ in range(2):
            self.ask(server, user="a")
        response = self.ask(server, user="a")
        self.assertEqual((response.status, response.body), (429, "index\n"))
        self.assertEqual(response.all("Content-Type"), ["text/html"])

    def test_costs(self):
        server = self.begin()
        self.assertEqual(self.ask(server, "/large", bytes="900").status, 200)
        self.assertEqual(self.ask(server, "/large", bytes="200").status, 429)
        self.assertEqual(self.ask(server, "/large", bytes="100").status, 200)
        # Not told: the limit denies, for it cannot count.
        self.assertEqual(self.ask(server, "/large").status, 403)
        self.assertIn('"bytes" is missing for "bytes" by zone "p"', server.log())

    def test_causes(self):
        server = self.begin()
        response = self.ask(server, user="robot")
        self.assertEqual((response.status, response.body), (403, "Go away."))
        self.assertIn('refusing request, "no-robots" by zone "p"', server.log())
        for _ in range(5):
            self.assertEqual(self.ask(server, user="monitor").status, 200)
        for _ in range(3):
            self.assertEqual(self.ask(server, "/index.html").status, 200)
        lines = server.access(9)
        self.assertEqual(" ".join(lines[0].split()[:5]), '403 REJECTED p "no-robots" refused')
        self.assertEqual(" ".join(lines[1].split()[:5]), '200 PASSED p "monitoring" exempt')
        self.assertEqual(" ".join(lines[-1].split()[:2]), "200 PASSED")

    def test_attributes_of_a_location(self):
        server = self.begin(
            "location = /large { tollgate_attribute user fixed; tollgate_cost bytes 1; }"
            "location = /index.html { tollgate_attribute ip 192.0.2.1; }"
        )
        for n in range(2):
            self.assertEqual(self.ask(server, "/large", user=str(n)).status, 200)
        self.assertEqual(self.ask(server, "/large", user="3").status, 429)
        self.assertEqual(self.ask(server, "/index.html", user="robot").status, 200)


class Penalty(Case):
    def test_blocks_are_of_all_workers(self):
        policy = """
[attribute.ip]
kind = "ip"
[[limit]]
name = "each"
key = ["ip"]
algorithm = "gcra"
quota = "1/h burst 5"
[[penalty]]
name = "ladder"
key = ["ip"]
denials = 3
within = "1 h"
blocks = ["8 s"]
covers = ["/large"]
status = 403
"""
        server = self.serve_policy(
            policy, "tollgate_policy ROOT/limits.toml zone=p:2m;" + VARIABLES, "tollgate zone=p;",
            workers=4,
        )
        self.assertEqual(server.statuses(8), [200] * 5 + [429] * 3)
        self.assertEqual(server.statuses(3, "/large"), [403] * 3)
        self.assertIn('blocking request, "ladder" by zone "p", retry after', server.log())
        until("the block ends", lambda: server.get("/large").status == 429)
