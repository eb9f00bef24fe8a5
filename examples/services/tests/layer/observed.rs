//! What hooks and the facades are told.

use super::{By, ask, fine, layer, request};
use http::Request;
use std::{
    fmt::Write as _,
    future::ready,
    sync::{Arc, Mutex},
};
use tollgate::{
    policy::Policy,
    tower::{LimitLayer, Why, header},
};
use tower_layer::Layer;

/// Counts, by name and labels.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl metrics::Recorder for Recorder {
    fn describe_counter(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_gauge(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_histogram(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        let labels: Vec<_> = key.labels().map(metrics::Label::value).collect();
        self.0.lock().unwrap().push(format!("{} {}", key.name(), labels.join(" ")));
        metrics::Counter::noop()
    }
    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }
    fn register_histogram(
        &self,
        _: &metrics::Key,
        _: &metrics::Metadata<'_>,
    ) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[test]
fn counts_by_the_facade() {
    let recorder = Recorder::default();
    let layer = layer().observe(tollgate::tower::metrics);
    let mut service = layer.layer(By(|_| ready(Ok(fine()))));
    metrics::with_local_recorder(&recorder, || {
        for path in ["/watched", "/watched", "/calls", "/calls", "/calls"] {
            drop(ask(&mut service, request(path)));
        }
    });
    let counted = recorder.0.lock().unwrap();
    let allowed = "tollgate_decisions_total allowed limits  yes";
    assert_eq!(
        *counted,
        [
            allowed,
            allowed,
            "tollgate_shadow_denials_total watched",
            allowed,
            allowed,
            "tollgate_decisions_total later limit calls yes",
        ]
    );
}

/// Writes events down, by their fields.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Events {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, " {}={value:?}", field.name());
            }
        }
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn events_by_the_facade() {
    let events = Events::default();
    let layer = layer().observe(tollgate::tower::tracing);
    let mut service = layer.layer(By(|_| ready(Ok(fine()))));
    tracing::subscriber::with_default(events.clone(), || {
        for _ in 0..3 {
            drop(ask(&mut service, request("/calls")));
        }
    });
    let events = events.0.lock().unwrap();
    assert_eq!(events.len(), 3);
    assert!(events[0].starts_with("DEBUG ") && events[2].starts_with("INFO "), "{events:?}");
    for said in ["outcome=\"later\"", "name=\"calls\"", "status=429", "path=\"/calls\""] {
        assert!(events[2].contains(said), "{said}: {}", events[2]);
    }
    // Who asked is not told.
    assert!(!events.iter().any(|event| event.contains("ann")));
}

#[test]
fn why_is_told_of_every_kind() {
    let text = "
        [attribute.user]
        [[exempt]]
        name = 'ours'
        when = { user = ['us'] }
        [[refuse]]
        name = 'gone'
        when = { user = ['them'] }
        [[limit]]
        name = 'api'
        key = ['user']
        quota = '1/h'
        [[penalty]]
        name = 'out'
        key = ['user']
        denials = 1
        within = '1 h'
        blocks = ['1 h']
        ";
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = told.clone();
    let layer = LimitLayer::policy(Policy::from_toml(text).unwrap())
        .attribute("user", header("x-user"))
        .observe(move |decided| hook.lock().unwrap().push(decided.why.labels().0));
    let mut service = layer.layer(By(|_| ready(Ok(fine()))));
    for user in ["us", "them", "ann", "ann", "ann", ""] {
        let request = Request::get("/").header("x-user", user).body(()).unwrap();
        drop(ask(&mut service, request));
    }
    assert_eq!(
        *told.lock().unwrap(),
        ["exempt", "refused", "limits", "limit", "blocked", "missing"]
    );
    assert_eq!(Why::Blocked("out").labels(), ("blocked", "out"));
}
