#!/usr/bin/env bash
# Builds the module for the nginx that the system has (Debian's or Ubuntu's package), and
# installs by apt-get what is missing for that. No nginx is left running that was not before.
#
# Usage: ffi/nginx/setup.sh DIR [--no-install] [--python] [--bench] [--target-dir DIR]
#
#   DIR           where ngx_http_tollgate_module.so goes
#   --no-install  fails instead of installing
#   --python      also installs python3, for ffi/nginx/test and ffi/nginx/bench
#   --bench       also installs wrk, for ffi/nginx/bench
#   --target-dir  where cargo builds; default: its own
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")

usage() {
    sed -n 's/^# \(Usage\|  \)/\1/p' "$0" >&2
    exit 2
}

out= install=1 python= packages=(nginx nginx-dev libpcre2-dev libssl-dev zlib1g-dev) target=()
while (($#)); do
    case $1 in
        --no-install) install= ;;
        --python) python=1 ;;
        --bench) packages+=(wrk) ;;
        --target-dir) (($# > 1)) || usage && target=(--target-dir "$2") && shift ;;
        -*) usage ;;
        *) [[ ! $out ]] || usage && out=$1 ;;
    esac
    shift
done
[[ $out ]] || usage
mkdir -p "$out"
out=$(cd "$out" && pwd)

missing=()
# python3-minimal is one without most of its library.
if [[ $python ]] && ! python3 -c 'import unittest, http.client' 2>/dev/null; then
    missing+=(python3)
fi
for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == *' installed' ]] ||
        missing+=("$package")
done
if ((${#missing[@]})); then
    if [[ ! $install ]]; then
        echo "missing: ${missing[*]}" >&2
        exit 1
    fi
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    # The package starts a server on port 80 unless a policy says no.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]] && ! dpkg-query -W -f '${Status}' nginx 2>/dev/null | grep -q ' installed'; then
        trap '"${as_root[@]}" rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
    fi
    "${as_root[@]}" apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=120 \
        install -y -q --no-install-recommends "${missing[@]}" >&2
fi

built=$(cargo build --release --lib --manifest-path "$root/ffi/Cargo.toml" "${target[@]}" \
    --message-format=json-render-diagnostics)
library=$(grep -o '"[^"]*/libtollgate\.a"' <<<"$built" | tail -1 | tr -d '"')

# The flags are those that nginx was built with; -Werror is among them.
flags=$(dpkg -L nginx-dev | grep '/conf_flags$')
cd "${flags%/*}"
. ./conf_flags
export TOLLGATE_INC=$root/include TOLLGATE_LIB=${library%/*}
log=$out/build.log
if ! {
    ./configure --with-cc-opt="-g -O2 -fPIC -Wall -Wextra -Wno-unused-parameter -Werror" \
        --with-ld-opt="-Wl,-z,relro -Wl,-z,now -fPIC" "${NGX_CONF_FLAGS[@]}" \
        --add-dynamic-module="$here/src" --builddir="$out/objs" &&
        make -f "$out/objs/Makefile" modules
} >"$log" 2>&1; then
    tail -40 "$log" >&2
    exit 1
fi
mv "$out/objs/ngx_http_tollgate_module.so" "$out/"
rm -rf "$out/objs"
echo "$out/ngx_http_tollgate_module.so"
