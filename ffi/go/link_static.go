//go:build !tollgate_pkgconfig

package tollgate

// The library and the header that setup.sh has built, so that programs need nothing
// else where they run.

// #cgo CFLAGS: -I${SRCDIR}/target/native/include
// #cgo LDFLAGS: ${SRCDIR}/target/native/lib/libtollgate.a -lpthread -ldl -lm
import "C"
