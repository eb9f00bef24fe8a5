//! One route apart from a policy: a segment of the path as a key, for who has a limiter alone.

use super::{
    path::{PathRules, Scratch, segments},
    route::{Route, Segment},
};

/// What finds the parameter of that name in paths which the route matches; `None` if it is
/// no route, or has no such parameter.
pub(crate) fn path_parameter(
    route: &str,
    name: &str,
) -> Option<impl Fn(&str) -> Option<String> + Send + Sync + use<>> {
    let rules = PathRules::default();
    let route = Route::parse(route, rules).ok()?;
    let name = route.parameters().find(|(known, _)| *known == name)?.0.to_owned();
    Some(move |target: &str| {
        let mut scratch = Scratch::default();
        let path = rules.normal(target.as_bytes(), &mut scratch);
        let mut rest = segments(path);
        let matches = route.segments().iter().all(|segment| match (segment, rest.next()) {
            (Segment::Literal(literal), Some(part)) => **literal == *part,
            (Segment::Parameter(_), Some(part)) => !part.is_empty(),
            (_, None) => false,
        });
        let all = matches && (route.has_rest() || rest.next().is_none());
        route.parameter(&name, path).filter(|_| all).map(str::to_owned)
    })
}
