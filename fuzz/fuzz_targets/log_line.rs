//! Any bytes are a log line or a reason.
#![no_main]

#[allow(dead_code, unreachable_pub)]
#[path = "../../src/bin/tollgate/date.rs"]
mod date;
#[allow(dead_code, unreachable_pub)]
#[path = "../../src/bin/tollgate/line.rs"]
mod line;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut dates = date::Dates::default();
    match line::Line::parse(bytes) {
        Ok(line) => {
            let first = dates.read(line.date);
            // The cache of the previous date changes nothing.
            assert_eq!(format!("{first:?}"), format!("{:?}", dates.read(line.date)));
            if let Some((method, target)) = line.method_and_target() {
                assert!(!method.is_empty());
                assert!(line::Line::path(target).len() <= target.len());
            }
        }
        Err(reason) => assert!(!reason.to_string().is_empty()),
    }
});
