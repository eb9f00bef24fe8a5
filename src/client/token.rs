//! One login for many callers.

use crate::time::{Clock, MonotonicClock, Nanos};
use parking_lot::Mutex;
use std::{fmt, sync::Arc, time::Duration};

/// A token is renewed so long before it ends, or a tenth of its life if that is less.
const EARLY: Duration = Duration::from_secs(300);

/// No login comes sooner after another.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest time between two logins whose tokens are refused; it doubles up to that.
const LONGEST: Duration = Duration::from_secs(300);

/// After so long without one, refused tokens are counted anew.
const FORGOTTEN: Duration = Duration::from_secs(900);

/// What a caller that needs a token is to do.
///
/// ```
/// use std::time::Duration;
/// use tollgate::client::{Access, TokenHolder};
///
/// # fn log_in() -> Option<(String, u64)> { Some(("a token".to_owned(), 3600)) }
/// let tokens = TokenHolder::new();
/// let token = match tokens.ask() {
///     Access::Use(token) => Some(token),
///     Access::Renew(renewal) => match log_in() {
///         Some((token, secs)) => {
///             renewal.done(token.clone(), Duration::from_secs(secs));
///             Some(token)
///         }
///         None => { renewal.failed(Duration::from_secs(60)); None }
///     },
///     Access::Wait(_) => None, // ask again later
/// };
/// assert_eq!(token.as_deref(), Some("a token"));
/// ```
#[derive(Debug)]
#[must_use]
pub enum Access<T, C: Clock = MonotonicClock> {
    /// Send this one.
    Use(T),
    /// Log in, for everybody, and say what came of it.
    Renew(Renewal<T, C>),
    /// There is no token that is valid. Ask again after this time, or, where there is none,
    /// when whoever logs in has come back.
    Wait(Option<Duration>),
}

/// Holds the token that an API gave at login, for all callers: one of them logs in, and
/// again shortly before the token ends, never two at a time.
///
/// Clones share the token. Nothing is sent by it, and nobody sleeps in it.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use tollgate::ManualClock;
/// use tollgate::client::{Access, TokenHolder};
///
/// let clock = Arc::new(ManualClock::new());
/// let tokens = TokenHolder::with_clock(Arc::clone(&clock));
/// let Access::Renew(renewal) = tokens.ask() else { panic!() };
/// assert!(matches!(tokens.ask(), Access::Wait(None))); // one login is under way
/// renewal.done("a token", Duration::from_secs(48 * 3600));
/// assert!(matches!(tokens.ask(), Access::Use("a token")));
///
/// clock.advance(Duration::from_secs(48 * 3600 - 60)); // it ends in a minute
/// let Access::Renew(renewal) = tokens.ask() else { panic!() };
/// assert!(matches!(tokens.ask(), Access::Use("a token"))); // the others go on meanwhile
/// renewal.done("another", Duration::from_secs(48 * 3600));
/// assert!(matches!(tokens.ask(), Access::Use("another")));
/// ```
pub struct TokenHolder<T, C: Clock = MonotonicClock> {
    shared: Arc<Shared<T, C>>,
}

struct Shared<T, C> {
    early: Duration,
    state: Mutex<State<T>>,
    clock: C,
}

struct State<T> {
    token: Option<Token<T>>,
    renewing: bool,
    /// After a login, whatever came of it.
    not_before: Nanos,
    /// How many tokens were refused one after the other, and when the last one was.
    refused: u32,
    refused_at: Nanos,
}

struct Token<T> {
    value: T,
    began: Nanos,
    renew: Nanos,
    end: Nanos,
}

impl<T: Clone + PartialEq> TokenHolder<T> {
    /// Holds no token yet.
    pub fn new() -> Self {
        Self::with_clock(MonotonicClock::new())
    }
}

impl<T: Clone + PartialEq> Default for TokenHolder<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone + PartialEq, C: Clock> TokenHolder<T, C> {
    /// Holds no token yet, and goes by `clock`.
    pub fn with_clock(clock: C) -> Self {
        Self::renewing_early(EARLY, clock)
    }

    /// The same, with how long before its end a token is renewed (five minutes unless
    /// given); at most a tenth of its life.
    pub fn renewing_early(early: Duration, clock: C) -> Self {
        let state = State {
            token: None,
            renewing: false,
            not_before: Nanos::ZERO,
            refused: 0,
            refused_at: Nanos::ZERO,
        };
        Self { shared: Arc::new(Shared { early, state: Mutex::new(state), clock }) }
    }

    /// A token, or what to do to get one.
    pub fn ask(&self) -> Access<T, C> {
        self.ask_at(self.shared.clock.now())
    }

    /// The same at `now`, a reading of the holder's clock.
    pub fn ask_at(&self, now: Nanos) -> Access<T, C> {
        let mut state = self.shared.state.lock();
        let valid = state.token.as_ref().filter(|held| now < held.end);
        let old = valid.map(|held| (held.value.clone(), now < held.renew));
        match old {
            Some((token, true)) => return Access::Use(token),
            Some((token, false)) if state.renewing || now < state.not_before => {
                return Access::Use(token);
            }
            None if state.renewing => return Access::Wait(None),
            None if now < state.not_before => {
                return Access::Wait(Some(state.not_before.since(now)));
            }
            _ => {}
        }
        state.renewing = true;
        drop(state);
        Access::Renew(Renewal { holder: self.clone(), began: now, over: false })
    }

    /// The API refused this token (401): it is not used any more. Of those that were
    /// refused together the first one is heard, and the others get the new one.
    ///
    /// Where the new ones are refused, too, the time from one login to the next doubles, from
    /// a second to five minutes: at most eleven logins in a quarter of an hour.
    pub fn reject(&self, token: &T) {
        let now = self.shared.clock.now();
        let mut state = self.shared.state.lock();
        let Some(held) = state.token.take_if(|held| held.value == *token) else { return };
        if now.since(state.refused_at) >= FORGOTTEN {
            state.refused = 0;
        }
        let wait = SHORTEST.saturating_mul(2_u32.saturating_pow(state.refused)).min(LONGEST);
        state.refused = state.refused.saturating_add(1);
        state.refused_at = now;
        state.not_before = state.not_before.max(held.began.after(wait));
    }
}

impl<T, C: Clock> Clone for TokenHolder<T, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T, C: Clock> fmt::Debug for TokenHolder<T, C> {
    /// Without the token, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("TokenHolder")
            .field("held", &state.token.is_some())
            .field("renewing", &state.renewing)
            .finish_non_exhaustive()
    }
}

/// The right to log in, held by one caller at a time. Dropped, it passes to whoever asks
/// next, a second later: the login may have been sent.
///
/// ```
/// use std::time::Duration;
/// use tollgate::client::{Access, TokenHolder};
///
/// let tokens = TokenHolder::<String>::new();
/// let Access::Renew(renewal) = tokens.ask() else { panic!() };
/// renewal.failed(Duration::from_secs(75)); // what the login's 429 told
/// let Access::Wait(Some(wait)) = tokens.ask() else { panic!() };
/// assert!(wait > Duration::from_secs(70));
/// ```
#[must_use]
pub struct Renewal<T, C: Clock = MonotonicClock> {
    holder: TokenHolder<T, C>,
    began: Nanos,
    over: bool,
}

impl<T, C: Clock> Renewal<T, C> {
    /// The login gave this token, valid for `life`, counted from when the renewal began.
    pub fn done(mut self, token: T, life: Duration) {
        self.over = true;
        let early = self.holder.shared.early.min(life / 10);
        let end = self.began.after(life);
        let renew = self.began.after(life.saturating_sub(early));
        let mut state = self.holder.shared.state.lock();
        state.token = Some(Token { value: token, began: self.began, renew, end });
        // However short its life, or soon it is refused.
        state.not_before = self.began.after(SHORTEST);
        state.renewing = false;
    }

    /// The login failed: nobody logs in before `wait` has passed, at least a second.
    pub fn failed(mut self, wait: Duration) {
        self.over = true;
        let now = self.holder.shared.clock.now();
        let mut state = self.holder.shared.state.lock();
        state.not_before = now.after(wait.max(SHORTEST));
        state.renewing = false;
    }
}

impl<T, C: Clock> Drop for Renewal<T, C> {
    fn drop(&mut self) {
        if !self.over {
            let now = self.holder.shared.clock.now();
            let mut state = self.holder.shared.state.lock();
            state.not_before = state.not_before.max(now.after(SHORTEST));
            state.renewing = false;
        }
    }
}

impl<T, C: Clock> fmt::Debug for Renewal<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("began", &self.began).finish_non_exhaustive()
    }
}
