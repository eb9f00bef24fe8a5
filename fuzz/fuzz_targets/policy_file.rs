//! Any bytes are a policy file, or problems at places of theirs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::policy::PolicyFile;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = PolicyFile::parse("fuzz", bytes) {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text.split('\n').collect();
        assert!(error.problems().len() > 0);
        for problem in error.problems() {
            let line = lines.get(problem.line() - 1).expect("a line of the file");
            assert!((1..=line.chars().count() + 1).contains(&problem.column()));
        }
        assert!(!error.to_string().is_empty());
    }
});
