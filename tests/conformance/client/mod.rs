//! What the documents ask of callers: for each a suite that sends to the document's own
//! policy, in simulated time. Beside each well-behaved caller runs the one that the
//! document warns of.

mod doc000;
mod doc001;
mod doc002;
mod doc003;
mod doc004;
mod world;
