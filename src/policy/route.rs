//! Routes: which limit of a group applies to a request.
