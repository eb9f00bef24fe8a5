#!/bin/sh
# Makes a virtual environment with the package tollgate in it, built from this checkout:
#
#     ffi/python/setup.sh [--bench] [FOLDER]
#
# FOLDER is target/venv here unless given. --bench also installs what the benchmark compares
# with. It needs Rust and Python 3.10 or later; where Python has no venv, it is installed
# by apt-get.
set -eu
cd "$(dirname "$0")"

bench=
if [ "${1-}" = --bench ]; then
    bench=1
    shift
fi
venv=${1-target/venv}

python=${PYTHON-python3}
if ! "$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 \
        install -y -qq --no-install-recommends python3 python3-venv
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip --disable-pip-version-check install --quiet -c constraints.txt \
    -r requirements.txt
[ -z "$bench" ] ||
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet -c constraints.txt \
        -r requirements-bench.txt

rm -rf target/wheels
"$venv/bin/maturin" build --release --locked --quiet --out target/wheels \
    --interpreter "$venv/bin/python"
"$venv/bin/python" -m pip --disable-pip-version-check install --quiet --force-reinstall --no-deps \
    target/wheels/*.whl
"$venv/bin/python" -c 'import tollgate; print("tollgate", tollgate.__version__)'
