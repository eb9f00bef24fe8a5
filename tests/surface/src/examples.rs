//! Public items whose documentation has no example. Types, traits, functions, methods, constants
//! and macros are asked for one; variants and fields are shown by the example of their type,
//! modules tell what they are for, and what a trait's implementation does is shown by the trait.

use rustdoc_types::{Crate, Id, Impl, Item, ItemEnum, Visibility};
use std::collections::BTreeSet;

/// The paths of the items without an example, with the file of each.
pub(crate) fn lacking(of: &Crate) -> BTreeSet<String> {
    let mut walk = Walk { of, seen: BTreeSet::new(), lacking: BTreeSet::new() };
    walk.visit(of.root, "");
    walk.lacking
}

struct Walk<'a> {
    of: &'a Crate,
    seen: BTreeSet<Id>,
    lacking: BTreeSet<String>,
}

impl Walk<'_> {
    fn visit(&mut self, id: Id, path: &str) {
        // What another crate exports has its documentation there.
        let Some(item) = self.of.index.get(&id).filter(|item| item.crate_id == 0) else { return };
        if let ItemEnum::Use(exported) = &item.inner {
            return match exported.id {
                Some(id) if exported.is_glob => self.inside(id, path),
                Some(id) => self.visit(id, path),
                None => {}
            };
        }
        if !self.seen.insert(id) {
            return;
        }
        let path = format!("{path}::{}", item.name.as_deref().unwrap_or_default());
        match &item.inner {
            ItemEnum::Module(_) => return self.inside(id, &path),
            ItemEnum::Struct(of) => self.methods(&of.impls, &path),
            ItemEnum::Enum(of) => self.methods(&of.impls, &path),
            ItemEnum::Union(of) => self.methods(&of.impls, &path),
            ItemEnum::Trait(of) => self.all(&of.items, &path),
            _ => {}
        }
        self.ask(item, &path);
    }

    fn inside(&mut self, module: Id, path: &str) {
        if let Some(ItemEnum::Module(module)) = self.of.index.get(&module).map(|item| &item.inner) {
            self.all(&module.items, path);
        }
    }

    fn all(&mut self, items: &[Id], path: &str) {
        for &id in items {
            self.visit(id, path);
        }
    }

    fn methods(&mut self, impls: &[Id], path: &str) {
        for implementation in impls.iter().filter_map(|id| self.of.index.get(id)) {
            let ItemEnum::Impl(Impl { trait_: None, items, .. }) = &implementation.inner else {
                continue;
            };
            let public = items.iter().copied().filter(|id| {
                self.of.index.get(id).is_some_and(|item| item.visibility == Visibility::Public)
            });
            self.all(&public.collect::<Vec<_>>(), path);
        }
    }

    fn ask(&mut self, item: &Item, path: &str) {
        if !item.docs.as_deref().is_some_and(has_example) {
            let file = item.span.as_ref().map(|span| span.filename.display().to_string());
            self.lacking.insert(format!(
                "{}: {}",
                file.unwrap_or_default(),
                path.trim_start_matches("::")
            ));
        }
    }
}

/// Whether there is a fence of Rust that is run.
fn has_example(docs: &str) -> bool {
    let fences = docs.lines().filter_map(|line| line.trim().strip_prefix("```"));
    fences.step_by(2).any(|language| matches!(language, "" | "rust" | "should_panic"))
}
