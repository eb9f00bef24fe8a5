#!/usr/bin/env bash
# Builds the libraries and installs them for C and C++: the header, tollgate.hpp, the shared
# library with its links, the static one, tollgate.pc, and a package for CMake.
#
# Usage: ffi/install.sh --prefix DIR [--libdir DIR] [--destdir DIR] [--shared-only | --static-only]
#                       [--checked] [--target-dir DIR]
#
#   --libdir      where libraries go; default PREFIX/lib
#   --destdir     put in front of each path when files are copied, for packages
#   --checked     handles are looked up before they are used: for debugging
#   --target-dir  where cargo builds; default: its own
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

usage() {
    sed -n 's/^# \(Usage\|  \)/\1/p' "$0" >&2
    exit 2
}

prefix= libdir= destdir= shared=1 static=1 features=() target=()
while (($#)); do
    case $1 in
        --prefix | --libdir | --destdir | --target-dir) (($# > 1)) || usage ;;&
        --prefix) prefix=$2 && shift ;;
        --libdir) libdir=$2 && shift ;;
        --destdir) destdir=$2 && shift ;;
        --target-dir) target=(--target-dir "$2") && shift ;;
        --shared-only) static= ;;
        --static-only) shared= ;;
        --checked) features=(--features checked) ;;
        *) usage ;;
    esac
    shift
done
[[ $prefix && ($shared || $static) ]] || usage
libdir=${libdir:-$prefix/lib}
for path in "$prefix" "$libdir"; do
    [[ $path == /* ]] || { echo "--prefix and --libdir must be absolute paths: $path" >&2 && exit 2; }
done

# Cargo says where the files are: the target directory may be anywhere.
built=$(cargo build --release --lib --manifest-path "$here/Cargo.toml" "${features[@]}" \
    "${target[@]}" --message-format=json-render-diagnostics)
file() {
    grep -o "\"[^\"]*/libtollgate\\.$1\"" <<<"$built" | tail -1 | tr -d '"'
}

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -1)
soname=libtollgate.so.0
install -d "$destdir$prefix/include" "$destdir$libdir/pkgconfig" "$destdir$libdir/cmake/tollgate"
install -m 644 "$root/include/tollgate.h" "$root/include/tollgate.hpp" "$destdir$prefix/include"

if [[ $shared ]]; then
    install -m 755 "$(file so)" "$destdir$libdir/libtollgate.so.$version"
    ln -sf "libtollgate.so.$version" "$destdir$libdir/$soname"
    ln -sf "$soname" "$destdir$libdir/libtollgate.so"
fi
if [[ $static ]]; then
    install -m 644 "$(file a)" "$destdir$libdir/libtollgate.a"
    # Rust's own functions are made local: they would be exported again by a library that
    # takes ours in, and meet those of another library in Rust.
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if ld -r --whole-archive "$destdir$libdir/libtollgate.a" -o "$work/tollgate.o" 2>"$work/log" &&
        objcopy --wildcard --keep-global-symbol='tollgate_*' --remove-section='.llvm*' \
            "$work/tollgate.o" 2>>"$work/log" &&
        ar rcs "$work/libtollgate.a" "$work/tollgate.o" 2>>"$work/log"; then
        install -m 644 "$work/libtollgate.a" "$destdir$libdir/libtollgate.a"
    else
        echo "the static library keeps its inner symbols global: no ld or objcopy that can" >&2
        cat "$work/log" >&2
    fi
fi

# A prefix may be moved as a whole.
include=$(realpath -ms --relative-to="$libdir/cmake/tollgate" "$prefix/include" 2>/dev/null ||
    echo "$prefix/include")
fill() {
    sed -e "s|@INCLUDE@|$include|g" -e "s|@PREFIX@|$prefix|g" -e "s|@LIBDIR@|$libdir|g" -e "s|@VERSION@|$version|g" \
        -e "s|@SONAME@|$soname|g" "$here/install/$1" >"$2"
    chmod 644 "$2"
}
fill tollgate.pc.in "$destdir$libdir/pkgconfig/tollgate.pc"
fill tollgate-config.cmake.in "$destdir$libdir/cmake/tollgate/tollgate-config.cmake"
fill tollgate-config-version.cmake.in "$destdir$libdir/cmake/tollgate/tollgate-config-version.cmake"
echo "installed tollgate $version in $destdir$prefix"
