//go:build tollgate_pkgconfig

package tollgate

// The library that pkg-config knows, which ffi/install.sh installed.

// #cgo pkg-config: tollgate
import "C"
