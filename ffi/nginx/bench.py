"""What `ffi/nginx/bench` runs: see there.

All servers run from start to end; in each round, wrk asks one after the other, in an order
that changes from round to round. One of them is there twice: how its two ratios differ is
noise. Beside requests per second stands the time that the workers' processors took for one
request, which does not depend on what wrk needs for itself.
"""

import argparse
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys

sys.path.insert(0, os.getcwd())

from support import Server, die_with_parent  # noqa: E402

# Each connection is a client of its own, as far as limits know.
KEY = "$binary_remote_addr$connection"
POLICY = """
[attribute.client]
[[limit]]
name = "everything"
key = ["client"]
algorithm = "gcra"
quota = "{rate}/s"
[[limit]]
name = "uploads"
routes = ["POST /**", "PUT /**"]
key = ["client"]
algorithm = "gcra"
quota = "10/s"
[response]
headers = "none"
"""


def setups(admit):
    rate, burst = ("1000000", 1000000) if admit else ("1", 1)
    zone = f"tollgate_zone {KEY} zone=z:10m rate={rate}/{'s' if admit else 'h'} burst={burst}"
    quiet = "tollgate_log_level info; limit_req_log_level info;"
    policy = POLICY.format(rate=rate) if admit else POLICY.format(rate=1).replace("1/s", "1/h")
    none = [("no limit", "", quiet)]
    again = [("no limit, again", "", quiet)] if admit else []
    status = "" if admit else " limit_req_status 429;"
    return none + again + [
        ("limit_req", f"limit_req_zone {KEY} zone=z:10m rate={'1000000r/s' if admit else '1r/m'};",
         f"limit_req zone=z{' burst=1000000 nodelay' if admit else ''};{status}{quiet}"),
        ("tollgate", f"{zone} headers=none;", f"tollgate zone=z; tollgate_headers off;{quiet}"),
        ("tollgate, header fields", f"{zone};", f"tollgate zone=z;{quiet}"),
        ("tollgate, policy file", "tollgate_policy ROOT/limits.toml zone=z:10m;",
         f"tollgate zone=z; tollgate_attribute client {KEY};{quiet}"),
    ], policy


def processor_seconds(server):
    ticks = 0
    for pid in server.workers():
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(server, seconds, connections, admit):
    before = processor_seconds(server)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
         f"http://127.0.0.1:{server.port}/file"],
        capture_output=True, text=True, timeout=seconds + 60, check=True,
        preexec_fn=die_with_parent,
    )
    spent = processor_seconds(server) - before
    total = int(re.search(r"(\d+) requests in", done.stdout)[1])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    refused = int(refused[1]) if refused else 0
    if "Socket errors" in done.stdout:
        raise SystemExit(done.stdout)
    if admit and refused or refused not in (0, total) \
            and total - refused > 4 * connections:
        raise SystemExit(f"{refused} of {total} were refused")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])
    return rate, spent / total * 1e6


def middle(values):
    quarters = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return quarters[1], quarters[0], quarters[2]


def table(title, names, rates, costs):
    print(f"\n{title}\n")
    print("| | requests/s | beside no limit | its quartiles | beside limit_req | its quartiles "
          "| processor time a request | more than no limit |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        cells = [f"{middle(rates[name])[0]:,.0f}"]
        for other in names[0], "limit_req":
            ratio = middle([a / b for a, b in zip(rates[name], rates[other])])
            cells += ["", ""] if name == other else [
                f"{ratio[0]:.3f}", f"{ratio[1]:.3f} to {ratio[2]:.3f}"]
        cells.append(f"{middle(costs[name])[0]:.2f} us")
        more = middle([a - b for a, b in zip(costs[name], costs[names[0]])])
        cells.append("" if name == names[0] else f"{more[0]:+.2f} us")
        print(f"| {name} | " + " | ".join(cells) + " |")


def run(admit, options):
    found, policy = setups(admit)
    servers = {}
    try:
        for name, http, inside in found:
            server = Server(http, inside, workers=options.workers, level="crit")
            servers[name] = server
            (server.root / "limits.toml").write_text(policy)
            server.start()
        names = list(servers)
        rates = {name: [] for name in names}
        costs = {name: [] for name in names}
        for number in range(-1, options.rounds):
            # The first round warms up, and is thrown away.
            for name in random.sample(names, len(names)):
                rate, cost = measure(servers[name], options.seconds, options.connections, admit)
                if number >= 0:
                    rates[name].append(rate)
                    costs[name].append(cost)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        what = "All requests pass" if admit else "All but the first of a client are rejected"
        table(
            f"{what}: medians of {options.rounds} rounds of {options.seconds} s, "
            f"{options.workers} workers, {options.connections} connections, "
            f"{os.cpu_count()} processors, wrk on one thread among them",
            names, rates, costs,
        )
    finally:
        for server in servers.values():
            server.remove()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 9)
    options.seconds = options.seconds or (1 if options.quick else 4)
    for admit in True, False:
        run(admit, options)


main()
