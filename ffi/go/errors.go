package tollgate

// #include "shim.h"
import "C"

import (
	"errors"
	"runtime"
	"strings"
)

// A Code is what went wrong, to be compared with errors.Is. Its text is the library's.
type Code int32

// What functions of this package fail with. Errors that say more wrap one of these.
const (
	// ErrUTF8 is a text that is not UTF-8.
	ErrUTF8 Code = C.TOLLGATE_ERROR_UTF8
	// ErrUnknown is an option with a value that means nothing.
	ErrUnknown Code = C.TOLLGATE_ERROR_UNKNOWN
	// ErrID is an attribute or a dimension that the policy does not have.
	ErrID Code = C.TOLLGATE_ERROR_ID
	// ErrName is a limit that the policy does not have, or not of that kind, or a name that
	// no region takes.
	ErrName Code = C.TOLLGATE_ERROR_NAME
	// ErrLength is a request of more than a gigabyte.
	ErrLength Code = C.TOLLGATE_ERROR_LENGTH
	// ErrQuota is a quota that is none.
	ErrQuota Code = C.TOLLGATE_ERROR_QUOTA
	// ErrBuild is a limiter that cannot be built.
	ErrBuild Code = C.TOLLGATE_ERROR_BUILD
	// ErrRoom is a quota, or a time, that there is no room for in a limiter.
	ErrRoom Code = C.TOLLGATE_ERROR_ROOM
	// ErrMemory is memory that could not be had.
	ErrMemory Code = C.TOLLGATE_ERROR_MEMORY
	// ErrFile is a file that could not be read.
	ErrFile Code = C.TOLLGATE_ERROR_FILE
	// ErrPolicy is a mistake in a policy; the error's text has each with line and column.
	ErrPolicy Code = C.TOLLGATE_ERROR_POLICY
	// ErrUnsupported is what this limiter does not do: it was not told to, or its
	// algorithm cannot.
	ErrUnsupported Code = C.TOLLGATE_ERROR_UNSUPPORTED
	// ErrPanic is a fault of the library, which it survived. Please report it.
	ErrPanic Code = C.TOLLGATE_ERROR_PANIC
	// ErrRegion is memory that processes share, which could not be had, is damaged, or
	// has something else in it.
	ErrRegion Code = C.TOLLGATE_ERROR_REGION
)

// What has no code of the library's.
var (
	// ErrClosed is the use of something after its Close, or of a zero value.
	ErrClosed = errors.New("tollgate: closed")
	// ErrReleased is the use of a verdict after its Release.
	ErrReleased = errors.New("tollgate: the verdict was released")
	// ErrTooLong is a wait that would be longer than the context or the limiter allows.
	ErrTooLong = errors.New("tollgate: the wait would be too long")
	// ErrNever is a request that no waiting helps.
	ErrNever = errors.New("tollgate: waiting does not help")
)

// Error is what the code means.
func (c Code) Error() string { return "tollgate: " + c.meaning() }

func (c Code) meaning() string { return C.GoString(C.tollgate_status_text(C.int32_t(c))) }

// An Error is a code with what was wrong in this case.
type Error struct {
	// Code is what errors.Is finds.
	Code Code
	// Detail is a text for people, of a policy one block for each mistake.
	Detail string
}

// Error is the code's meaning, and the detail.
func (e *Error) Error() string { return e.Code.Error() + ": " + e.Detail }

// Unwrap is the code.
func (e *Error) Unwrap() error { return e.Code }

// made calls something that makes, loads or changes, and says why it failed. The library
// keeps the reason for each thread, so the goroutine stays on its own meanwhile.
func made(call func() C.int32_t) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	code := call()
	if code >= 0 {
		return nil
	}
	return failed(code)
}

func failed(code C.int32_t) error {
	// Who asks by a buffer that is too small asks again, and nobody is told of it.
	if code == C.TOLLGATE_ERROR_BUFFER {
		return Code(code)
	}
	detail, _ := text(func(buffer *C.char, size C.size_t, needed *C.size_t) C.int32_t {
		return C.tollgate_last_error(buffer, size, needed)
	})
	// Where the library knows nothing better, it says the function and what the code means.
	if _, said, ok := strings.Cut(detail, ": "); detail == "" || ok && said == Code(code).meaning() {
		return Code(code)
	}
	return &Error{Code: Code(code), Detail: detail}
}

// text has a text written that is as long as it wants to be.
func text(write func(buffer *C.char, size C.size_t, needed *C.size_t) C.int32_t) (string, error) {
	room := 512
	for {
		buffer := make([]byte, room)
		var needed C.size_t
		code := write((*C.char)(pointer(buffer)), C.size_t(room), &needed)
		switch {
		case code == C.TOLLGATE_ERROR_BUFFER && int(needed) >= room:
			room = int(needed) + 1
		case code < 0:
			return "", Code(code)
		default:
			return string(buffer[:min(int(needed), room)]), nil
		}
	}
}
