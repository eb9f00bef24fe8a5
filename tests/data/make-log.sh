#!/bin/bash
# Makes nginx.log beside this script: a Combined log that a real nginx wrote
# under real load (load.py) from many loopback addresses. Takes about 100 s.
# Needs Python 3, and nginx, which is installed from apt where it is missing
# (and stays installed). Everything else lives in a folder that is removed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
port=${PORT:-18080}

if ! command -v nginx >/dev/null; then
    # RUNLEVEL=1 keeps the package from starting its service.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends nginx >&2
fi

work=$(mktemp -d)
nginx_pid=
cleanup() {
    [ -z "$nginx_pid" ] || { kill -QUIT "$nginx_pid" && wait "$nginx_pid"; } 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
chmod 755 "$work" # the workers do not run as root
mkdir -p "$work/html/static" "$work/html/api" "$work/tmp"
echo '<p>hello</p>' >"$work/html/index.html"
head -c 4000 /dev/zero | tr '\0' 'x' >"$work/html/static/app.js"
echo '{"items":[]}' >"$work/html/api/items"

listen6=
if [ -e /proc/net/if_inet6 ] && grep -q '^00000000000000000000000000000001' /proc/net/if_inet6; then
    listen6="listen [::1]:$port;"
fi
cat >"$work/nginx.conf" <<CONF
worker_processes 1;
pid $work/nginx.pid;
error_log $work/error.log;
events { worker_connections 512; }
http {
    client_body_temp_path $work/tmp/body;
    proxy_temp_path $work/tmp/proxy;
    fastcgi_temp_path $work/tmp/fastcgi;
    uwsgi_temp_path $work/tmp/uwsgi;
    scgi_temp_path $work/tmp/scgi;
    access_log $work/access.log combined;
    server {
        listen 127.0.0.1:$port;
        $listen6
        root $work/html;
    }
}
CONF
nginx -p "$work" -e "$work/error.log" -c "$work/nginx.conf" -g 'daemon off;' &
nginx_pid=$!
python3 "$here/load.py" "$port" ${listen6:+--ipv6}
kill -QUIT "$nginx_pid"
wait "$nginx_pid" || true
nginx_pid=
mv "$work/access.log" "$here/nginx.log"
chmod 644 "$here/nginx.log"
wc -lc "$here/nginx.log"
