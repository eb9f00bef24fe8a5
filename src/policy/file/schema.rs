//! The JSON Schema of policy files, from the declarations of the model.

use super::{model::Document, read::Read};
use serde_json::{Map, Value, json};

/// A field: its name, its comment, its schema; `None` for its default if it may be left
/// out, `Some` of nothing if it may not.
type Field<'a> = (&'a str, &'a [&'a str], Value, Option<Option<Value>>);

/// The schema of a table.
pub(super) fn object<const N: usize>(about: &[&str], fields: [Field<'_>; N]) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, about, schema, default) in fields {
        let Value::Object(mut schema) = schema else { continue };
        schema.insert("description".to_owned(), sentence(about).into());
        match default {
            Some(None) => required.push(name),
            Some(Some(default)) => {
                schema.insert("default".to_owned(), default);
            }
            None => {}
        }
        properties.insert(name.to_owned(), schema.into());
    }
    let mut table = json!({
        "type": "object",
        "description": sentence(about),
        "properties": properties,
        "additionalProperties": false,
    });
    if let Some(table) = table.as_object_mut().filter(|_| !required.is_empty()) {
        table.insert("required".to_owned(), required.into());
    }
    table
}

/// The schema of what serde reads, without references: it is a part of another one.
pub(super) fn of<T: schemars::JsonSchema>() -> Value {
    let mut schema = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(root) = schema.as_object_mut() {
        root.remove("title");
    }
    adapt(&mut schema);
    schema
}

/// As the rest of the schema is: TOML knows no null, and comments are sentences.
fn adapt(schema: &mut Value) {
    if let Value::Object(map) = schema {
        for (key, value) in map.iter_mut() {
            match (key.as_str(), value) {
                ("type", value @ Value::Array(_)) => *value = value[0].take(),
                ("description", Value::String(text)) => *text = text.replace('\n', " "),
                (_, value) => adapt(value),
            }
        }
        map.retain(|key, value| key != "format" && (key != "default" || !value.is_null()));
    } else if let Value::Array(list) = schema {
        list.iter_mut().for_each(adapt);
    }
}

fn sentence(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

fn whole() -> Value {
    let mut schema = Document::schema();
    let root = schema.as_object_mut().unwrap();
    root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".to_owned(), "A policy file of tollgate".into());
    schema
}

/// Every name of a field in a schema.
fn fields(schema: &Value, into: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                into.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| fields(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| fields(value, into)),
        _ => {}
    }
}

mod tests {
    use super::*;

    /// `TOLLGATE_WRITE_SCHEMA=1 cargo test --features policy schema` renews the file.
    #[test]
    fn the_schema_in_the_repository_is_that_of_the_model() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policies/policy.schema.json");
        let schema = serde_json::to_string_pretty(&whole()).unwrap() + "\n";
        if std::env::var_os("TOLLGATE_WRITE_SCHEMA").is_some() {
            std::fs::write(path, &schema).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == schema,
            "the model has changed; renew {path} by \
             TOLLGATE_WRITE_SCHEMA=1 cargo test --features policy schema"
        );
    }

    #[test]
    fn every_field_is_in_the_reference() {
        let (mut names, reference) = (Vec::new(), include_str!("format.md"));
        fields(&whole(), &mut names);
        assert!(names.len() > 60, "{}", names.len());
        for name in names {
            let known = [
                format!("`{name}`"),
                format!("[{name}"),
                format!("[[{name}]]"),
                format!("{{ {name} ="),
            ];
            assert!(known.iter().any(|known| reference.contains(known.as_str())), "{name}");
        }
    }

    #[test]
    fn every_field_has_a_description_and_defaults_are_told() {
        let schema = whole();
        let limit = &schema["properties"]["limit"]["items"]["properties"];
        assert_eq!(limit["capacity"]["default"], 10_000);
        assert_eq!(limit["algorithm"]["default"], "sliding-log");
        assert_eq!(limit["share"]["default"], "100%");
        assert_eq!(limit["missing"]["default"], "deny");
        assert_eq!(
            schema["properties"]["penalty"]["items"]["properties"]["decay"]["default"],
            "1 d"
        );
        assert_eq!(schema["properties"]["limit"]["items"]["required"], json!(["name", "quota"]));
        for (name, field) in limit.as_object().unwrap() {
            assert!(field["description"].as_str().unwrap().ends_with('.'), "{name}");
        }
    }
}
