//! One login for many callers.

use super::wakers::Wakers;
use crate::time::{Clock, MonotonicClock, Nanos};
use parking_lot::{Condvar, Mutex};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

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
    /// when whoever logs in has come back ([`TokenHolder::until_renewed`], which threads
    /// [block](UntilRenewed::block) on).
    Wait(Option<Duration>),
}

/// Holds the token that an API gave at login, for all callers: one of them logs in, and
/// again shortly before the token ends, never two at a time.
///
/// Clones share the token. Nothing is sent by it.
///
/// Give the login a timeout: one that hangs leaves all the others waiting, for as long as it hangs, once
/// the old token has ended. A login that is cancelled or fails holds nobody up. And do not log in
/// through the pacer of calls that are in flight while they wait for the token: where they have
/// all its places, the login waits for ever. Ask for the token before the call's step, or have another
/// pacer for logins, which most APIs limit by themselves.
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
    /// Told of each renewal that is over.
    renewed: Condvar,
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
    /// Those who wait for whoever renews it.
    tasks: Wakers<()>,
}

struct Token<T> {
    value: T,
    began: Nanos,
    renew: Nanos,
    end: Nanos,
}

impl<T> State<T> {
    /// Whether somebody logs in, and till then there is no token: there may be one since, and somebody
    /// who renews that one early.
    fn awaited(&self, now: Nanos) -> bool {
        self.renewing && self.valid(now).is_none()
    }

    fn valid(&self, now: Nanos) -> Option<&Token<T>> {
        self.token.as_ref().filter(|held| now < held.end)
    }
}

impl<T, C> Shared<T, C> {
    /// A renewal is over: what came of it, and whoever waits for it asks again.
    fn renewed(&self, came: impl FnOnce(&mut State<T>)) {
        let woken = {
            let mut state = self.state.lock();
            came(&mut state);
            state.renewing = false;
            state.tasks.take(|()| true)
        };
        self.renewed.notify_all();
        woken.into_iter().for_each(Waker::wake);
    }
}

impl<T: Clone + PartialEq> TokenHolder<T> {
    /// Holds no token yet.
    ///
    /// ```
    /// # use tollgate::client::{Access, TokenHolder};
    /// let tokens = TokenHolder::<String>::new();
    /// assert!(matches!(tokens.ask(), Access::Renew(_)));
    /// ```
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
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use tollgate::{ManualClock, client::{Access, TokenHolder}};
    /// let clock = Arc::new(ManualClock::new());
    /// let tokens = TokenHolder::with_clock(Arc::clone(&clock));
    /// let Access::Renew(renewal) = tokens.ask() else { panic!() };
    /// renewal.done("a token", Duration::from_secs(3600));
    /// clock.advance(Duration::from_secs(3600)); // nobody asked in time
    /// assert!(matches!(tokens.ask(), Access::Renew(_)));
    /// ```
    pub fn with_clock(clock: C) -> Self {
        Self::renewing_early(EARLY, clock)
    }

    /// The same, with how long before its end a token is renewed (five minutes unless
    /// given); at most a tenth of its life.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use tollgate::{ManualClock, client::{Access, TokenHolder}};
    /// # let clock = Arc::new(ManualClock::new());
    /// let tokens = TokenHolder::renewing_early(Duration::from_secs(60), Arc::clone(&clock));
    /// let Access::Renew(renewal) = tokens.ask() else { panic!() };
    /// renewal.done("a token", Duration::from_secs(3600));
    /// clock.advance(Duration::from_secs(3600 - 61));
    /// assert!(matches!(tokens.ask(), Access::Use("a token")));
    /// clock.advance(Duration::from_secs(1));
    /// assert!(matches!(tokens.ask(), Access::Renew(_)));
    /// ```
    pub fn renewing_early(early: Duration, clock: C) -> Self {
        let state = State {
            token: None,
            renewing: false,
            not_before: Nanos::ZERO,
            refused: 0,
            refused_at: Nanos::ZERO,
            tasks: Wakers::new(),
        };
        let (state, renewed) = (Mutex::new(state), Condvar::new());
        Self { shared: Arc::new(Shared { early, state, renewed, clock }) }
    }

    /// A token, or what to do to get one.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::client::{Access, TokenHolder};
    /// # let tokens = TokenHolder::new();
    /// let Access::Renew(renewal) = tokens.ask() else { panic!() };
    /// assert!(matches!(tokens.ask(), Access::Wait(None))); // until the one who logs in is back
    /// renewal.done("a token", Duration::from_secs(3600));
    /// assert!(matches!(tokens.ask(), Access::Use("a token")));
    /// ```
    pub fn ask(&self) -> Access<T, C> {
        self.ask_at(self.shared.clock.now())
    }

    /// The same at `now`, a reading of the holder's clock.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::{ManualClock, Nanos, client::{Access, TokenHolder}};
    /// # let tokens = TokenHolder::with_clock(ManualClock::new());
    /// let Access::Renew(renewal) = tokens.ask_at(Nanos::ZERO) else { panic!() };
    /// renewal.done("a token", Duration::from_secs(100));
    /// assert!(matches!(tokens.ask_at(Nanos::from_secs(89)), Access::Use("a token")));
    /// assert!(matches!(tokens.ask_at(Nanos::from_secs(90)), Access::Renew(_))); // a tenth before
    /// ```
    pub fn ask_at(&self, now: Nanos) -> Access<T, C> {
        let mut state = self.shared.state.lock();
        let valid = state.valid(now);
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

    /// Ends when nobody logs in any more, whatever came of it, so that it is worth
    /// [asking](Self::ask) again: after [`Access::Wait`] without a time. On a thread,
    /// [block](UntilRenewed::block) on it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::client::{Access, TokenHolder};
    ///
    /// # async fn log_in() -> Option<(String, u64)> { Some(("a token".to_owned(), 3600)) }
    /// async fn token(tokens: &TokenHolder<String>) -> String {
    ///     loop {
    ///         match tokens.ask() {
    ///             Access::Use(token) => return token,
    ///             Access::Renew(renewal) => match log_in().await {
    ///                 Some((token, secs)) => renewal.done(token, Duration::from_secs(secs)),
    ///                 None => renewal.failed(Duration::from_secs(60)),
    ///             },
    ///             Access::Wait(Some(time)) => tokio::time::sleep(time).await,
    ///             Access::Wait(None) => tokens.until_renewed().await,
    ///         }
    ///     }
    /// }
    /// # let run = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # assert_eq!(run.block_on(token(&TokenHolder::new())), "a token");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn until_renewed(&self) -> UntilRenewed<'_, T, C> {
        UntilRenewed { shared: &self.shared, place: None }
    }

    /// The API refused this token (401): it is not used any more. Of those that were
    /// refused together the first one is heard, and the others get the new one.
    ///
    /// Where the new ones are refused, too, the time from one login to the next doubles, from
    /// a second to five minutes: at most eleven logins in a quarter of an hour.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use tollgate::{ManualClock, client::{Access, TokenHolder}};
    /// # let clock = Arc::new(ManualClock::new());
    /// # let tokens = TokenHolder::with_clock(Arc::clone(&clock));
    /// # let Access::Renew(renewal) = tokens.ask() else { panic!() };
    /// # renewal.done("a token", Duration::from_secs(3600));
    /// clock.advance(Duration::from_secs(10)); // within a second of its login nobody logs in again
    /// tokens.reject(&"a token"); // its call was answered with a 401
    /// let Access::Renew(renewal) = tokens.ask() else { panic!() };
    /// renewal.done("another", Duration::from_secs(3600));
    /// tokens.reject(&"a token"); // so was one that was under way: no reason for a login
    /// assert!(matches!(tokens.ask(), Access::Use("another")));
    /// ```
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
    /// The login gave this token, valid for `life`, counted from when the renewal began. However
    /// short the lives that are told, there is no more than one login a second.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::client::{Access, TokenHolder};
    /// # let tokens = TokenHolder::new();
    /// let Access::Renew(renewal) = tokens.ask() else { panic!() };
    /// renewal.done("a token", Duration::from_secs(48 * 3600)); // what the login's answer told
    /// assert!(matches!(tokens.ask(), Access::Use("a token")));
    /// ```
    pub fn done(mut self, token: T, life: Duration) {
        self.over = true;
        let early = self.holder.shared.early.min(life / 10);
        let end = self.began.after(life);
        let renew = self.began.after(life.saturating_sub(early));
        let token = Token { value: token, began: self.began, renew, end };
        self.holder.shared.renewed(|state| {
            state.token = Some(token);
            // However short its life, or soon it is refused.
            state.not_before = self.began.after(SHORTEST);
        });
    }

    /// The login failed: nobody logs in before `wait` has passed, at least a second.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::{ManualClock, client::{Access, TokenHolder}};
    /// # let tokens = TokenHolder::<String, _>::with_clock(ManualClock::new());
    /// let Access::Renew(renewal) = tokens.ask() else { panic!() };
    /// renewal.failed(Duration::from_secs(90));
    /// let Access::Wait(Some(wait)) = tokens.ask() else { panic!() };
    /// assert_eq!(wait, Duration::from_secs(90));
    /// ```
    pub fn failed(mut self, wait: Duration) {
        self.over = true;
        let now = self.holder.shared.clock.now();
        let not_before = now.after(wait.max(SHORTEST));
        // Tokens that are refused meanwhile may have said later.
        self.holder.shared.renewed(|state| state.not_before = state.not_before.max(not_before));
    }
}

impl<T, C: Clock> Drop for Renewal<T, C> {
    fn drop(&mut self) {
        if !self.over {
            let now = self.holder.shared.clock.now();
            let not_before = now.after(SHORTEST);
            let shared = &self.holder.shared;
            shared.renewed(|state| state.not_before = state.not_before.max(not_before));
        }
    }
}

impl<T, C: Clock> fmt::Debug for Renewal<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("began", &self.began).finish_non_exhaustive()
    }
}

/// Until nobody logs in any more: from [`TokenHolder::until_renewed`].
///
/// ```
/// use std::{pin::pin, task::{Context, Poll, Waker}, time::Duration};
/// use tollgate::client::{Access, TokenHolder};
///
/// let tokens = TokenHolder::new();
/// let Access::Renew(renewal) = tokens.ask() else { panic!() };
/// assert!(matches!(tokens.ask(), Access::Wait(None)));
/// let mut renewed = pin!(tokens.until_renewed());
/// let mut cx = Context::from_waker(Waker::noop());
/// assert_eq!(renewed.as_mut().poll(&mut cx), Poll::Pending);
/// renewal.done("a token", Duration::from_secs(3600));
/// assert_eq!(renewed.as_mut().poll(&mut cx), Poll::Ready(()));
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct UntilRenewed<'h, T, C: Clock = MonotonicClock> {
    shared: &'h Shared<T, C>,
    place: Option<u64>,
}

impl<T, C: Clock> UntilRenewed<'_, T, C> {
    /// Waits on this thread: for as long as the login takes, so give that a timeout.
    ///
    /// ```
    /// use std::{thread, time::Duration};
    /// use tollgate::client::{Access, TokenHolder};
    ///
    /// # fn log_in() -> Option<(String, u64)> { Some(("a token".to_owned(), 3600)) }
    /// fn token(tokens: &TokenHolder<String>) -> String {
    ///     loop {
    ///         match tokens.ask() {
    ///             Access::Use(token) => return token,
    ///             Access::Renew(renewal) => match log_in() {
    ///                 Some((token, secs)) => renewal.done(token, Duration::from_secs(secs)),
    ///                 None => renewal.failed(Duration::from_secs(60)),
    ///             },
    ///             Access::Wait(Some(time)) => thread::sleep(time),
    ///             Access::Wait(None) => tokens.until_renewed().block(),
    ///         }
    ///     }
    /// }
    /// let tokens = TokenHolder::new();
    /// thread::scope(|threads| (0..4).for_each(|_| _ = threads.spawn(|| token(&tokens))));
    /// assert_eq!(token(&tokens), "a token");
    /// ```
    pub fn block(self) {
        let now = self.shared.clock.now();
        let mut state = self.shared.state.lock();
        // A renewal ends under this lock, and the wait lets go of it when this thread is among
        // those that are told: an end is seen here, or told.
        while state.awaited(now) {
            self.shared.renewed.wait(&mut state);
        }
    }
}

impl<T, C: Clock> Future for UntilRenewed<'_, T, C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // Read and cloned before anything is locked, and dropped after.
        let (now, mut waker) = (this.shared.clock.now(), Some(cx.waker().clone()));
        let (polled, gone) = {
            let mut state = this.shared.state.lock();
            if state.awaited(now) {
                state.tasks.note(&mut this.place, (), &mut waker);
                (Poll::Pending, None)
            } else {
                (Poll::Ready(()), state.tasks.forget(&mut this.place))
            }
        };
        drop((waker, gone));
        polled
    }
}

impl<T, C: Clock> Drop for UntilRenewed<'_, T, C> {
    fn drop(&mut self) {
        if self.place.is_some() {
            let gone = self.shared.state.lock().tasks.forget(&mut self.place);
            drop(gone);
        }
    }
}

impl<T, C: Clock> fmt::Debug for UntilRenewed<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilRenewed").finish_non_exhaustive()
    }
}
