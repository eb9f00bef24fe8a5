package tollgate

// #include "shim.h"
import "C"

// Version is that of the library, as "0.1.0".
func Version() string { return C.GoString(C.tollgate_version()) }
