//! Decisions as HTTP: header fields and bodies, in the dialects that APIs speak.
