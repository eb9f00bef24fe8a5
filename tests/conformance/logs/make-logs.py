"""Writes the logs beside this file, one for each policy of examples/policies,
and the table of tiers that the second needs. Made up, the same at every run.

A line is Combined Log Format. Its second field, which servers leave empty,
carries the host (000) or how the request authenticated (001). For `tollgate
replay --policy POLICY LOG`:

  000  --field host=ident --field account=user --field ip=client
  001  --field auth=ident --field customer=user --field ip=client --map 001-tiers.csv
       --set files=20 --set bytes=500000000 --set image_bytes=5000000
       --set document_bytes=1000000
  002  --field ip=client --field user=user
  003  --field org=user
  004  --field ip=client --field token=user
"""

import datetime
import pathlib

HERE = pathlib.Path(__file__).parent
MORNING = datetime.datetime(2026, 3, 2, 9, 0, 0, tzinfo=datetime.timezone.utc)


class Log:
    def __init__(self):
        self.lines = []

    def add(self, second, client, ident, user, method, path, begin=MORNING):
        at = begin + datetime.timedelta(seconds=second)
        date = at.strftime("%d/%b/%Y:%H:%M:%S +0000")
        line = f'{client} {ident} {user} [{date}] "{method} {path} HTTP/1.1" 200 512 "-" "made/1"'
        self.lines.append((at, len(self.lines), line))

    def write(self, name):
        text = "".join(line + "\n" for _, _, line in sorted(self.lines))
        (HERE / name).write_text(text)


def document_scanning():
    log, api, own = Log(), "api.copyleaks.com", "id.copyleaks.com"
    # A login a minute: too many. Exports every four seconds: too many.
    for i in range(20):
        log.add(60 * i, "192.0.2.1", own, "acme", "POST", "/v3/account/login/api")
        log.add(4 * i, "192.0.2.1", api, "acme", "POST", f"/v3/downloads/s{i}/export/e1")
    for i in range(30):
        log.add(i, "192.0.2.2", api, "globex", "POST", f"/v1/ai-image-detector/s{i}/check")
        # Fifteen a second, for two seconds.
        log.add(i // 15, "192.0.2.1", api, "acme", "POST", f"/v3/scans/submit/file/s{i}")
    for i in range(15):
        log.add(10 * i, "198.51.100.7", own, "-", "POST", "//v3/account/Login/api")
    # Someone who never stops: what the ladder is for.
    for i in range(160):
        log.add(120 + i // 40, "192.0.2.3", api, "initech", "GET", "/v3/education/x")
    for i in range(5):
        log.add(200 + 300 * i, "192.0.2.3", api, "initech", "GET", "/v3/education/x")
    log.write("000-document-scanning.log")


def file_library():
    log = Log()
    for i in range(40):
        log.add(i, "192.0.2.1", "key", "ann", "GET", f"/search?q={i}")
        log.add(i, "192.0.2.2", "session", "bob", "GET", "/files")
        log.add(i, "192.0.2.3", "key", "acme", "GET", "/files")
    for i in range(8):
        log.add(i, "198.51.100.1", "-", "-", "GET", "/files")
        log.add(i, "198.51.100.2", "invalid", "-", "GET", "/files")
        log.add(i, "198.51.100.3", "-", "-", "POST", "/auth/session/login")
        log.add(i, "198.51.100.3", "-", "-", "POST", "/auth/session/register")
        log.add(i, "198.51.100.3", "-", "-", "POST", "/support/contact")
        log.add(i, "192.0.2.1", "key", "ann", "POST", "/cloud-storage/import")
        log.add(60 + i, "192.0.2.1", "key", "ann", "POST", "/files/upload/batch")
        log.add(60 + i, "192.0.2.1", "key", "ann", "PUT", f"/files/uploads/u1/parts/{i}")
        log.add(60 + i, "198.51.100.2", "invalid", "-", "POST", "/files/upload")
        log.add(60 + i, "203.0.113.9", "-", "-", "POST", "/payment/webhooks/stripe")
        # FREE has no keys.
        log.add(60 + i, "192.0.2.2", "key", "bob", "GET", "/files")
    # Twelve of ten a month, and a new month.
    night = datetime.datetime(2026, 3, 31, 23, 59, 0, tzinfo=datetime.timezone.utc)
    for i in range(12):
        log.add(4 * i, "192.0.2.2", "session", "bob", "POST", "/chat/messages", night)
        log.add(4 * i, "192.0.2.2", "session", "bob", "POST", "/images/analyze", night)
    for i in range(3):
        log.add(60 + i, "192.0.2.2", "session", "bob", "POST", "/chat/messages", night)
        log.add(60 + i, "192.0.2.2", "session", "bob", "POST", "/images/analyze", night)
    log.write("001-file-library.log")
    tiers = {"ann": "STARTER", "bob": "FREE", "acme": "CUSTOM"}
    rows = "".join(f"{customer},{tier}\n" for customer, tier in tiers.items())
    (HERE / "001-tiers.csv").write_text("customer,tier\n" + rows)


def document_rewriting():
    log = Log()
    for i in range(15):
        path = ["/auth/login", "/auth/register", "/auth/refresh"][i % 3]
        log.add(i, "192.0.2.1", "-", "-", "POST", path)
    for i in range(25):
        log.add(60 * i, "192.0.2.1", "-", "ann", "POST", "/api/v1/documents/upload")
        log.add(60 * i, "192.0.2.1", "-", "bob" if i % 2 else "eve", "POST", "/api/v1/documents/upload")
        log.add(30 * i, "192.0.2.9", "-", "-", "POST", "/api/v1/documents/upload")
    # Five a second, for a minute: 60 pass, and then nothing.
    for i in range(300):
        log.add(i // 5, "2001:db8::17", "-", "-", "GET", f"/documents/{i}")
    log.add(120, "2001:db8::18", "-", "-", "GET", "/documents/1")
    log.write("002-document-rewriting.log")


def url_scanning():
    log = Log()
    for i in range(40):
        log.add(3 * i, "192.0.2.1", "-", "acme", "POST", "/v1/scans")
        log.add(3 * i, "192.0.2.2", "-", "initech", "POST", "/v1/scans/")
        log.add(2 * i, "192.0.2.1", "-", "acme", "GET", f"/v1/scans/s{i}")
        log.add(2 * i, "192.0.2.1", "-", "globex", "POST", "/v1/domain-risks")
        log.add(2 * i, "192.0.2.1", "-", "globex", "GET", f"/v1/domain-risks/d{i}")
    log.add(5, "192.0.2.1", "-", "acme", "GET", "/v1/account")
    log.add(6, "192.0.2.1", "-", "-", "GET", "/v1/account")
    log.write("003-url-scanning.log")


def software_licensing():
    log = Log()
    for i in range(140):
        log.add(i // 5, "192.0.2.1", "-", "t-1", "GET", f"/v1/products/{i}")
    for i in range(40):
        log.add(i, "192.0.2.2", "-", "-", "GET", "/v1/products")
        log.add(i, f"198.51.100.{i}", "-", f"t-{i}", "POST", "/v1/licenses/L-1/validate")
    for i in range(10):
        log.add(i, "192.0.2.3", "-", "t-2", "POST", "/v1/licenses/L-2/activate")
    log.write("004-software-licensing.log")


document_scanning()
file_library()
document_rewriting()
url_scanning()
software_licensing()
