//! [`Place`]: in flight still, although answered.

use super::{Pacer, State};
use crate::time::Clock;

/// Takes one of the places of those in flight until it is dropped, beside a call's own.
///
/// What an answer tells is heard from its head, and its call ends with that; a body that still
/// comes counts against nothing but [the most in flight](super::PacerBuilder::in_flight).
pub(in crate::client) struct Place<C: Clock> {
    pacer: Pacer<C>,
}

impl<C: Clock> Pacer<C> {
    /// To be taken before the call is answered: whoever comes in between would have its place.
    pub(in crate::client) fn place(&self) -> Place<C> {
        self.shared.state.lock().take_place();
        Place { pacer: self.clone() }
    }
}

impl<C: Clock> Drop for Place<C> {
    fn drop(&mut self) {
        self.pacer.end(self.pacer.now(), State::give_up_place);
    }
}
