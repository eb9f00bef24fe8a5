//! A path made normal, so that there is one way to write it.
