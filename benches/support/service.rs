//! Calls of a service, as a host makes them, and what may stand before it.

use super::keys::Key;
use http::{HeaderValue, Request, Response, StatusCode};
use std::{
    convert::Infallible,
    fmt::Write,
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};
use tollgate::policy::Policy;
use tower_service::Service;

/// Answers at once.
#[derive(Clone)]
pub(crate) struct Fine;

impl Service<Request<()>> for Fine {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

/// So many limits by the same attribute; the last of them of leases, if it is to be.
pub(crate) fn policy(limits: usize, leases: bool) -> Policy {
    let mut text = "[attribute.key]\n[response]\nheaders = \"ratelimit\"\n".to_owned();
    for nth in 0..limits {
        let quota = if leases && nth + 1 == limits {
            "algorithm = \"leases\"\nquota = 5\nttl = \"1 min\""
        } else {
            "algorithm = \"gcra\"\nquota = \"1_000_000_000/s\""
        };
        writeln!(
            text,
            "[[limit]]\nname = \"limit {nth}\"\nkey = [\"key\"]\n{quota}\ncapacity = 10_000"
        )
        .unwrap();
    }
    Policy::from_toml(&text).unwrap()
}

/// The keys as hexadecimal digits.
pub(crate) fn values(keys: impl IntoIterator<Item = Key>) -> Vec<HeaderValue> {
    let hex = |key: Key| format!("{:016x}", u64::from_le_bytes(key));
    keys.into_iter().map(|key| HeaderValue::from_str(&hex(key)).unwrap()).collect()
}

/// With one header field, `x-key`.
pub(crate) fn request(key: &HeaderValue) -> Request<()> {
    let mut request = Request::new(());
    request.headers_mut().insert("x-key", key.clone());
    request
}

/// The service is ready, is called, answers at once, and its answer is dropped with its body.
pub(crate) fn call<S, B>(service: &mut S, request: Request<()>) -> StatusCode
where
    S: Service<Request<()>, Response = Response<B>>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let said = pin!(service.call(black_box(request))).poll(&mut cx);
    let Poll::Ready(Ok(answer)) = said else { panic!("no answer at once") };
    answer.status()
}
