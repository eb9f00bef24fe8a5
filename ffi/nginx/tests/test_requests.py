"""What is charged, and where: redirects, subrequests, inheritance, costs, errors."""

import http.client
import socket

from support import Case

# Ten for each user, which do not come back while the test runs.
ZONE = "tollgate_zone $http_user zone=z:1m rate=1/h burst=10 headers=x-ratelimit;"


class Requests(Case):
    def left(self, server, user, path="/file", most=50):
        left = 0
        while server.get(path, headers={"User": user}).status == 200:
            left += 1
            self.assertLess(left, most)
        return left


class Redirects(Requests):
    def charged(self, server, path, status, user):
        """How much one request of `path` is charged."""
        self.assertEqual(server.get(path, headers={"User": user}).status, status)
        return 10 - self.left(server, user)

    def test_charge_once(self):
        server = self.serve(
            ZONE,
            """
            tollgate zone=z;
            error_page 404 /file;
            location /try/ { try_files /none /nothing /file; }
            location /try-named/ { try_files /none @named; }
            location @named { rewrite ^ /file break; }
            location /dir/ { alias ROOT/html/; index none.html index.html; }
            location /named-error/ { error_page 404 = @named; }
            location /code/ { error_page 404 =200 /file; }
            location /accel/ { proxy_pass http://127.0.0.1:PORT/origin; }
            location = /origin { tollgate off; add_header X-Accel-Redirect /inside; return 200; }
            location = /inside { internal; alias ROOT/html/file; }
            location /accel-named/ { proxy_pass http://127.0.0.1:PORT/origin-named; }
            location = /origin-named { tollgate off; add_header X-Accel-Redirect @named;
                                       return 200; }
            location /rewrite/ { rewrite ^ /file last; }
            location /again/ { try_files /none /dir/; }
            """,
        )
        for n, (path, status) in enumerate([
            ("/file", 200), ("/", 200), ("/none", 404), ("/try/", 200), ("/try-named/", 200),
            ("/dir/", 200), ("/named-error/x", 200), ("/code/x", 200), ("/accel/", 200),
            ("/accel-named/", 200), ("/rewrite/", 200), ("/again/", 200),
        ]):
            with self.subTest(path=path):
                self.assertEqual(self.charged(server, path, status, f"u{n}"), 1)

    def test_fields_come_once_after_a_redirect(self):
        server = self.serve(
            ZONE, "tollgate zone=z; location /try/ { try_files /none /file; }"
                  "error_page 404 =200 /file;"
        )
        for path in "/try/", "/", "/none":
            response = server.get(path, headers={"User": path})
            self.assertEqual(response.status, 200)
            self.assertEqual(response.all("X-RateLimit-Remaining"), ["9"])

    def test_the_target_has_a_limit_of_its_own(self):
        server = self.serve(
            ZONE + "tollgate_zone $http_user zone=y:1m rate=1/h burst=3;",
            """
            location /a/ { try_files /none /b/; }
            location /b/ { alias ROOT/html/; tollgate zone=y; }
            location /c/ { tollgate zone=z; try_files /none /d/; }
            location /d/ { alias ROOT/html/; tollgate zone=z; tollgate zone=y; }
            """,
        )
        self.assertEqual(self.left(server, "a", "/a/"), 3)
        self.assertEqual(self.left(server, "b", "/c/"), 3)
        self.assertEqual(self.left(server, "b", "/d/"), 0)

    def test_where_a_zone_is_met_first(self):
        """There its cost and dry run hold, as the README says."""
        server = self.serve(
            ZONE,
            """
            location /dry/ { tollgate zone=z dry_run; try_files /none /file; }
            location /cheap/ { tollgate zone=z cost=1; try_files /none /file; }
            location = /file { tollgate zone=z cost=5; }
            """,
        )
        self.assertEqual(server.statuses(15, "/dry/", headers={"User": "a"}), [200] * 15)
        self.assertEqual(self.left(server, "a"), 0)
        self.assertEqual(self.left(server, "b", "/cheap/"), 10)

    def test_unknown_hosts(self):
        """Limits of a host are not asked about others, as the README says."""
        policy = """
[[limit]]
name = "one host"
routes = ["example.com/**"]
key = []
algorithm = "gcra"
quota = "1/h burst 1"
"""
        server = self.serve_policy(
            policy, "tollgate_policy ROOT/limits.toml zone=p:1m;", "tollgate zone=p;"
        )
        known = server.statuses(2, headers={"Host": "example.com"})
        self.assertEqual(known, [200, 429])
        self.assertEqual(server.statuses(3, headers={"Host": "other.example"}), [200] * 3)

    def test_the_page_of_a_rejection_is_not_limited(self):
        server = self.serve(
            ZONE + "tollgate_zone all zone=y:1m rate=1/h burst=1;",
            """
            location = /file { tollgate zone=z; error_page 429 /page; }
            location = /page { tollgate zone=y; internal; alias ROOT/html/index.html; }
            """,
        )
        self.left(server, "a")
        for _ in range(3):
            response = server.get(headers={"User": "a"})
            self.assertEqual((response.status, response.body), (429, "index\n"))
            self.assertEqual(response.all("X-RateLimit-Remaining"), ["0"])
            self.assertEqual(len(response.all("Retry-After")), 1)

    def test_subrequests_are_not_charged(self):
        server = self.serve(
            ZONE,
            """
            tollgate zone=z;
            location = /ssi { ssi on; ssi_types text/plain; alias ROOT/html/ssi; }
            location = /auth { auth_request /file; alias ROOT/html/file; }
            location = /outside { tollgate off; ssi on; ssi_types text/plain;
                                  alias ROOT/html/ssi; }
            location = /mirror { mirror /file; alias ROOT/html/file; }
            """,
        )
        include = '<!--# include virtual="/file" -->'
        (server.html / "ssi").write_text(include * 5)
        for n, path in enumerate(["/ssi", "/auth", "/mirror"]):
            with self.subTest(path=path):
                self.assertEqual(self.charged(server, path, 200, f"u{n}"), 1)
        # Also where the request itself is not.
        self.assertEqual(self.charged(server, "/outside", 200, "c"), 0)
        self.assertEqual(server.get("/ssi", headers={"User": "b"}).body, "file\n" * 5)


class Inheritance(Requests):
    def test_levels(self):
        """As elsewhere in nginx: what a level says goes in place of what is above."""
        server = self.serve(
            ZONE + "tollgate_zone $http_user zone=y:1m rate=1/h burst=4; tollgate zone=z;",
            """
            location /inherits/ { alias ROOT/html/;
                location /inherits/other/ { alias ROOT/html/; tollgate zone=y; } }
            location /off/ { alias ROOT/html/; tollgate off;
                location /off/on/ { alias ROOT/html/; tollgate zone=y; } 
                location /off/off/ { alias ROOT/html/; } }
            location /both/ { alias ROOT/html/; tollgate zone=z; tollgate zone=y; }
            """,
        )
        self.assertEqual(self.left(server, "a", "/inherits/file"), 10)
        self.assertEqual(self.left(server, "a", "/file"), 0)
        self.assertEqual(self.left(server, "a", "/inherits/other/file"), 4)
        self.assertEqual(server.statuses(20, "/off/file", headers={"User": "a"}), [200] * 20)
        self.assertEqual(server.statuses(20, "/off/off/file", headers={"User": "a"}), [200] * 20)
        self.assertEqual(self.left(server, "a", "/off/on/file"), 0)
        self.assertEqual(self.left(server, "b", "/both/file"), 4)
        self.assertEqual(self.left(server, "b", "/file"), 6)

    def test_if(self):
        """Blocks of `if` are limited as what is around them, and variables choose."""
        server = self.serve(
            ZONE + 'map $arg_free $key { default $http_user; 1 ""; }'
            "tollgate_zone $key zone=k:1m rate=1/h burst=5;",
            """
            location = /file { tollgate zone=z; if ($arg_x) { set $y 1; } 
                               if ($arg_x) { add_header X-If yes; } }
            location = /large { tollgate zone=k; }
            """,
        )
        response = server.get("/file?x=1", headers={"User": "a"})
        self.assertEqual((response.status, response["X-If"]), (200, "yes"))
        self.assertEqual(self.left(server, "a", "/file?x=1"), 9)
        self.assertEqual(self.left(server, "a", "/file"), 0)
        self.assertEqual(self.left(server, "a", "/large"), 5)
        self.assertEqual(
            server.statuses(9, "/large?free=1", headers={"User": "a"}), [200] * 9
        )

    def test_return_comes_first(self):
        """Answers of the rewrite phase are given before anything is limited."""
        server = self.serve(ZONE, "tollgate zone=z; location = /ok { return 204; }")
        self.assertEqual(server.statuses(15, "/ok", headers={"User": "a"}), [204] * 15)
        self.assertEqual(self.left(server, "a"), 10)

    def test_realip_of_the_location(self):
        server = self.serve(
            "tollgate_zone $remote_addr zone=ip:1m rate=1/h burst=2;",
            "location = /file { tollgate zone=ip; set_real_ip_from 127.0.0.1;"
            " real_ip_header X-Client; }",
        )
        for client in "203.0.113.1", "203.0.113.2":
            self.assertEqual(
                server.statuses(3, headers={"X-Client": client}), [200, 200, 429]
            )


class Costs(Requests):
    def test_costs(self):
        server = self.serve(
            ZONE,
            "location = /file { tollgate zone=z cost=$http_cost; }"
            "location = /large { tollgate zone=z cost=4; }",
        )

        def ask(cost, user="a"):
            response = server.get(headers={"User": user, "Cost": str(cost)})
            return response.status, response["X-RateLimit-Remaining"], response["Retry-After"]

        self.assertEqual(ask(3), (200, "7", None))
        self.assertEqual(ask(0), (200, "7", None))
        self.assertEqual(ask(8)[:2], (429, "7"))
        # It would never pass: there is no time to wait.
        self.assertEqual(ask(11), (429, "7", None))
        self.assertEqual(ask(7), (200, "0", None))
        self.assertEqual(ask("", "b")[:2], (200, "9"))
        self.assertEqual(self.left(server, "c", "/large"), 2)

    def test_no_cost(self):
        """What is no number is an error, which passes or does not."""
        for error, status in ("", 200), ("error=pass", 200), ("error=reject", 503):
            with self.subTest(error=error):
                server = self.serve(
                    ZONE.replace(";", f" {error};") + "access_log ROOT/access.log status;",
                    "location = /file { tollgate zone=z cost=$http_cost; }"
                    "location = /report { tollgate_report; }",
                    workers=1,
                )
                for cost in "x", "-1", "1e3", "99999999999999999999":
                    response = server.get(headers={"User": "a", "Cost": cost})
                    self.assertEqual(response.status, status)
                    self.assertIn(f'"{cost}" is no cost, the value of "$http_cost"', server.log())
                self.assertEqual(server.report()["z", "error"], 4)
                lines = server.access(4)
                self.assertEqual([line.split()[1:] for line in lines[:4]],
                                 [[str(status), "ERROR"]] * 4)
                # None of them was charged.
                self.assertEqual(self.left(server, "a"), 10)

    def test_full_table(self):
        """Whoever is in debt stays there; who is new passes or does not, as configured."""
        for full, more in ("pass", 500), ("reject", None):
            with self.subTest(full=full):
                server = self.serve(
                    f"tollgate_zone $http_user zone=z:64k rate=1/h burst=1 keys=16 full={full};",
                    "tollgate zone=z; tollgate_log_level info;",
                )
                statuses = [server.get(headers={"User": str(n)}).status for n in range(500)]
                if more:
                    self.assertEqual(statuses, [200] * 500)
                else:
                    self.assertGreaterEqual(statuses.count(200), 16)
                    self.assertLess(statuses.count(200), 100)
                self.assertEqual(statuses[:16], [200] * 16)
                again = [server.get(headers={"User": str(n)}).status for n in range(16)]
                self.assertEqual(again, [429] * 16)

    def test_full_tables_are_seen(self):
        """In the log, not with every request, and in the report."""
        policy = """
[attribute.user]
[[limit]]
name = 'ea"ch'
key = ["user"]
algorithm = "gcra"
quota = "1/h burst 1"
capacity = 16
[[limit]]
name = "size"
key = []
algorithm = "size"
quota = 99
cost = "bytes"
missing = "skip"
"""
        for http, limit, name in [
            ("tollgate_zone $http_user zone=z:64k rate=1/h burst=1 keys=16 full=pass;", "z", "z"),
            ("tollgate_zone $http_user zone=z:64k rate=1/h burst=1 keys=16 full=reject;", "z", "z"),
            ("tollgate_zone $http_user zone=z:64k rate=1/year algorithm=calendar keys=16;",
             "z", "z"),
            ("tollgate_policy ROOT/limits.toml zone=z:1m;", 'ea\\"ch', 'ea"ch'),
        ]:
            with self.subTest(http=http):
                inside = "tollgate zone=z; location = /report { tollgate_report; tollgate off; }"
                if "policy" in http:
                    inside += "tollgate_attribute user $http_user;"
                server = self.serve_policy(policy, http, inside)
                said = f'tollgate zone "z" is full: there is no room for new keys of "{name}"'
                server.get(headers={"User": "first"})
                self.assertNotIn("is full", server.log())
                for n in range(300):
                    server.get(headers={"User": str(n)})
                self.assertIn(said, server.log())
                self.assertIn("[warn]", server.log())
                self.assertLessEqual(server.log().count("is full"), 2)
                lines = server.get("/report").body.splitlines()

                def value(metric):
                    start = f'{metric}{{zone="z",limit="{limit}"}} '
                    [line] = [line for line in lines if line.startswith(metric + "{")]
                    self.assertTrue(line.startswith(start), line)
                    return int(line.removeprefix(start))

                self.assertGreaterEqual(value("tollgate_limit_keys"), 16)
                self.assertEqual(value("tollgate_limit_capacity"), 16)
                self.assertGreater(value("tollgate_limit_saturated_total"), 200)


class Connections(Requests):
    def test_keep_alive(self):
        """Each request of a connection is one; a rejection does not close it."""
        server = self.serve(ZONE, "tollgate zone=z;", workers=1)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        statuses, local = [], None
        for n in range(14):
            # The body of a rejected request is passed over.
            connection.request("GET", "/file", headers={"User": "a"}, body=b"b" * 2000 * (n % 2))
            local = local or connection.sock.getsockname()
            self.assertEqual(connection.sock.getsockname(), local)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()
        self.assertEqual(statuses, [200] * 10 + [429] * 4)

    def test_pipelined(self):
        server = self.serve(ZONE, "tollgate zone=z;", workers=1)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
            one = b"GET /file HTTP/1.1\r\nHost: a\r\nUser: a\r\n"
            s.sendall((one + b"\r\n") * 12 + one + b"Connection: close\r\n\r\n")
            received = b""
            while data := s.recv(65536):
                received += data
        self.assertEqual(received.count(b"HTTP/1.1 200"), 10)
        self.assertEqual(received.count(b"HTTP/1.1 429"), 3)

    def test_odd_requests(self):
        """HTTP/0.9 and 1.0, no host, bytes that are no text: all counted."""
        policy = """
[[limit]]
name = "everybody"
key = []
algorithm = "gcra"
quota = "1/h burst 20"
[[limit]]
name = "one host"
routes = ["example.com/**"]
key = []
algorithm = "gcra"
quota = "1/h burst 2"
"""
        server = self.serve_policy(
            policy, "tollgate_policy ROOT/limits.toml zone=p:1m error=reject;",
            "tollgate zone=p; location = /report { tollgate_report; tollgate off; }",
        )

        def raw(data):
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
                s.sendall(data)
                received = b""
                while data := s.recv(65536):
                    received += data
            return received

        self.assertEqual(raw(b"GET /file\r\n"), b"file\n")
        self.assertIn(b" 200 ", raw(b"GET /file HTTP/1.0\r\n\r\n"))
        for host in b"\xff\xfe", b"caf\xc3\xa9.example", b"example.com\xff":
            response = raw(b"GET /file HTTP/1.0\r\nHost: " + host + b"\r\n\r\n")
            self.assertIn(b" 200 ", response)
        for path in b"/file?\xff\xfe", b"/file%00", b"/%ff%fe", b"/" + b"a" * 7000:
            raw(b"GET " + path + b" HTTP/1.0\r\n\r\n")
        passed = server.report()["p", "passed"]
        self.assertEqual(server.report()["p", "error"], 0)
        # %00 nginx refuses by itself.
        self.assertEqual(passed, 8)
        for host, status in (b"EXAMPLE.com:80", 200), (b"example.com.", 200), (b"example.com", 429):
            response = raw(b"GET /file HTTP/1.0\r\nHost: " + host + b"\r\n\r\n")
            self.assertIn(b" %d " % status, response.split(b"\r\n")[0])
