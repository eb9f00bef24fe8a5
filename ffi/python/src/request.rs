//! What Python tells of a request.

use crate::number::whole;
use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyBool, PyBytes, PyDict, PyInt, PyMapping, PyString},
};
use smallvec::SmallVec;
use tollgate::policy::{AttributeId, DimensionId, Policy, Request};

/// A value of an attribute, as bytes that Python keeps.
enum Text<'py> {
    Str(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
}

impl<'py> Text<'py> {
    /// `None` stands for what is not known.
    fn of(given: &Bound<'py, PyAny>, what: &dyn Fn() -> String) -> PyResult<Option<Self>> {
        if let Ok(text) = given.cast::<PyString>() {
            // It must have UTF-8, and keeps it.
            text.to_str()?;
            return Ok(Some(Self::Str(text.clone())));
        }
        if let Ok(bytes) = given.cast::<PyBytes>() {
            return Ok(Some(Self::Bytes(bytes.clone())));
        }
        if given.is_none() {
            return Ok(None);
        }
        if given.is_instance_of::<PyInt>() && !given.is_instance_of::<PyBool>() {
            // In decimals, whatever a subclass makes of itself.
            let int = given.py().get_type::<PyInt>();
            return Ok(Some(Self::Str(int.call_method1("__repr__", (given,))?.cast_into()?)));
        }
        let kind = given.get_type();
        let kind = kind.name()?;
        Err(PyTypeError::new_err(format!("{} is a str, bytes, an int or None, not {kind}", what())))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Str(text) => text.to_str().map_or(&[], str::as_bytes),
            Self::Bytes(bytes) => bytes.as_bytes(),
        }
    }
}

/// The arguments of a question, checked.
pub(crate) struct Given<'py> {
    method: Option<Bound<'py, PyString>>,
    path: Option<Text<'py>>,
    host: Option<Bound<'py, PyString>>,
    attributes: SmallVec<[(AttributeId, Text<'py>); 8]>,
    costs: SmallVec<[(DimensionId, u64); 4]>,
}

/// As they come from Python.
pub(crate) struct Arguments<'a, 'py> {
    pub(crate) method: Option<Bound<'py, PyString>>,
    pub(crate) path: Option<Bound<'py, PyAny>>,
    pub(crate) attributes: Option<Bound<'py, PyAny>>,
    pub(crate) host: Option<Bound<'py, PyString>>,
    pub(crate) costs: Option<Bound<'py, PyAny>>,
    pub(crate) named: Option<&'a Bound<'py, PyDict>>,
}

/// Calls `each` with the items of a mapping.
fn items<'py>(
    mapping: &Bound<'py, PyAny>,
    mut each: impl FnMut(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    // A list of their own: who else has the mapping may change it meanwhile.
    let items = match mapping.cast::<PyDict>() {
        Ok(dict) => dict.items(),
        Err(_) => mapping.cast::<PyMapping>()?.items()?,
    };
    for item in items {
        let (name, value) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        each(&name, &value)?;
    }
    Ok(())
}

fn name<'n>(given: &'n Bound<'_, PyAny>, of: &str) -> PyResult<&'n str> {
    if let Ok(name) = given.cast::<PyString>() {
        return name.to_str();
    }
    let kind = given.get_type();
    let kind = kind.name()?;
    Err(PyTypeError::new_err(format!("the name of {of} is a str, not {kind}")))
}

impl<'py> Given<'py> {
    pub(crate) fn read(policy: &Policy, arguments: Arguments<'_, 'py>) -> PyResult<Self> {
        let Arguments { method, path, attributes, host, costs, named } = arguments;
        for text in [&method, &host].into_iter().flatten() {
            text.to_str()?;
        }
        let path = match &path {
            Some(path) if path.is_instance_of::<PyInt>() => {
                return Err(PyTypeError::new_err("a path is a str or bytes, not int"));
            }
            Some(path) => Text::of(path, &|| "a path".to_owned())?,
            None => None,
        };
        let mut given =
            Self { method, path, host, attributes: SmallVec::new(), costs: SmallVec::new() };
        if let Some(mapping) = attributes.filter(|mapping| !mapping.is_none()) {
            items(&mapping, |name, value| given.attribute(policy, name, value))?;
        }
        for (name, value) in named.into_iter().flatten() {
            given.attribute(policy, &name, &value)?;
        }
        if let Some(mapping) = costs.filter(|mapping| !mapping.is_none()) {
            items(&mapping, |dimension, units| {
                let dimension = name(dimension, "a cost")?;
                let units = whole(units, "costs")?;
                if let Some(id) = policy.dimension_id(dimension) {
                    given.costs.push((id, units));
                }
                Ok(())
            })?;
        }
        Ok(given)
    }

    fn attribute(
        &mut self,
        policy: &Policy,
        name: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let name = self::name(name, "an attribute")?;
        let value = Text::of(value, &|| format!("the attribute {name:?}"))?;
        if let (Some(id), Some(value)) = (policy.attribute_id(name), value) {
            self.attributes.push((id, value));
        }
        Ok(())
    }

    /// The request, as the policy is asked about it.
    pub(crate) fn request<'r>(&'r self, policy: &'r Policy) -> Request<'r> {
        let text = |text: &'r Option<Bound<'_, PyString>>| {
            text.as_ref().and_then(|text| text.to_str().ok())
        };
        let path = self.path.as_ref().map_or(&[][..], Text::bytes);
        let mut request = policy.request(text(&self.method).unwrap_or_default(), path);
        if let Some(host) = text(&self.host) {
            request = request.host(host);
        }
        for (id, value) in &self.attributes {
            request = request.attribute_by_id(*id, value.bytes());
        }
        for (id, units) in &self.costs {
            request = request.cost_by_id(*id, *units);
        }
        request
    }
}
