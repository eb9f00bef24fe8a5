//! Fields as the crate `http` has them, without a text in between.

use super::{Answer, Dialect, field::Field, field::Value};
use http::{HeaderName, HeaderValue};
use std::cell::RefCell;

thread_local! {
    /// Where lists are written before they are values.
    static LIST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a dialect calls its fields, made once.
#[derive(Clone, Debug)]
pub(crate) struct FieldNames {
    limit: Option<HeaderName>,
    remaining: Option<HeaderName>,
    reset: Option<HeaderName>,
    retry_after: Option<HeaderName>,
    policy: Option<HeaderName>,
    ratelimit: Option<HeaderName>,
}

impl FieldNames {
    pub(crate) fn of(dialect: &Dialect) -> Self {
        let name = |field| name(dialect.name_of(field));
        Self {
            limit: name(Field::Limit),
            remaining: name(Field::Remaining),
            reset: name(Field::Reset),
            retry_after: name(Field::RetryAfter),
            policy: name(Field::Policy),
            ratelimit: name(Field::RateLimit),
        }
    }

    fn get(&self, field: Field) -> Option<HeaderName> {
        match field {
            Field::Limit => self.limit.clone(),
            Field::Remaining => self.remaining.clone(),
            Field::Reset => self.reset.clone(),
            Field::RetryAfter => self.retry_after.clone(),
            Field::Policy => self.policy.clone(),
            Field::RateLimit => self.ratelimit.clone(),
            Field::CacheControl => Some(http::header::CACHE_CONTROL),
            Field::ContentType => Some(http::header::CONTENT_TYPE),
        }
    }
}

/// The usual names are constants, which clones share without counting.
fn name(text: &str) -> Option<HeaderName> {
    const USUAL: [HeaderName; 5] = [
        HeaderName::from_static("x-ratelimit-limit"),
        HeaderName::from_static("x-ratelimit-remaining"),
        HeaderName::from_static("x-ratelimit-reset"),
        HeaderName::from_static("ratelimit-policy"),
        HeaderName::from_static("ratelimit"),
    ];
    let made = HeaderName::from_bytes(text.as_bytes()).ok()?;
    Some(USUAL.into_iter().find(|usual| *usual == made).unwrap_or(made))
}

impl Dialect {
    /// As [`fields`](Self::fields). `names` are this dialect's.
    pub(crate) fn http_fields(
        &self,
        names: &FieldNames,
        answer: &Answer<'_>,
        mut each: impl FnMut(HeaderName, HeaderValue),
    ) {
        // A thread that is ending has none any more.
        let mut list = LIST.try_with(RefCell::take).unwrap_or_default();
        self.each_field(answer, &mut list, |field, said| {
            if let Some((name, value)) = names.get(field).zip(value(said)) {
                each(name, value);
            }
        });
        let _ = LIST.try_with(|place| place.replace(list));
    }
}

fn value(said: Value<'_>) -> Option<HeaderValue> {
    match said {
        Value::Number(number) => match small(number) {
            Some(digits) => Some(HeaderValue::from_static(digits)),
            None => HeaderValue::from_str(itoa::Buffer::new().format(number)).ok(),
        },
        Value::Text(text) => HeaderValue::from_str(text).ok(),
        Value::Fixed(text) => Some(HeaderValue::from_static(text)),
    }
}

/// The digits of a number below a thousand, as most limits and what remains of them are: a
/// value of these takes no memory.
fn small(number: u64) -> Option<&'static str> {
    static DIGITS: [u8; 3_000] = digits();
    let number = usize::try_from(number).ok().filter(|&number| number < 1_000)?;
    let leading = usize::from(number < 100) + usize::from(number < 10);
    std::str::from_utf8(DIGITS.get(3 * number + leading..3 * number + 3)?).ok()
}

const fn digits() -> [u8; 3_000] {
    let (mut all, mut at) = ([b'0'; 3_000], 0);
    let (mut hundreds, mut tens, mut ones) = (b'0', b'0', b'0');
    while at < all.len() {
        (all[at], all[at + 1], all[at + 2]) = (hundreds, tens, ones);
        at += 3;
        ones += 1;
        if ones > b'9' {
            (ones, tens) = (b'0', tens + 1);
        }
        if tens > b'9' {
            (tens, hundreds) = (b'0', hundreds + 1);
        }
    }
    all
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::headers::{Fields, Reported};
    use crate::{decision::Outcome, time::Nanos};
    use std::time::Duration;

    #[test]
    fn numbers_are_their_digits() {
        for number in (0..1_100).chain([9_999, 1_700_000_000, u64::MAX]) {
            assert_eq!(value(Value::Number(number)).unwrap(), number.to_string());
            assert_eq!(small(number).is_some(), number < 1_000);
        }
    }

    /// Both ways out tell the same, in the same order.
    #[test]
    fn texts_and_values_are_the_same() {
        let limit = Reported {
            name: "per \"key\"",
            limit: Some(1_000),
            remaining: 999,
            reset_next: Some(Duration::from_millis(1_500)),
            reset_full: Some(Duration::from_secs(90)),
            window: Some(Duration::from_secs(60)),
            unit: "bytes",
            outcome: Outcome::Allowed,
            retry_after: None,
            shadow: false,
        };
        let denied = Reported {
            outcome: Outcome::Later,
            remaining: 0,
            retry_after: Some(Duration::from_secs(7)),
            ..limit
        };
        let own: Dialect = serde_json::from_str(
            r#"{ "names": { "limit": "X-Own", "reset": "RateLimit-Policy" }, "body": "{limit}" }"#,
        )
        .unwrap();
        let all = [Fields::XRateLimit, Fields::RateLimit, Fields::RetryAfter, Fields::None];
        for dialect in all.map(Dialect::new).into_iter().chain([own]) {
            let names = FieldNames::of(&dialect);
            for limits in [&[limit][..], &[limit, denied], &[]] {
                let answer = Answer::new(limits, Nanos::from_secs(1_700_000_000));
                let (mut texts, mut values) = (Vec::new(), Vec::new());
                dialect.fields(&answer, &mut String::new(), |name, value| {
                    texts.push((name.to_ascii_lowercase(), value.to_owned()));
                });
                dialect.http_fields(&names, &answer, |name, value| {
                    values.push((name.to_string(), value.to_str().unwrap().to_owned()));
                });
                assert_eq!(texts, values);
            }
        }
    }
}
