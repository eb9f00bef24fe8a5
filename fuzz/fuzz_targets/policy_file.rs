//! Any bytes are a policy file, or problems at places of theirs, in their order; and a file
//! is a policy that decides.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::policy::{Policy, PolicyFile};

fuzz_target!(|bytes: &[u8]| {
    let file = match PolicyFile::parse("fuzz", bytes) {
        Ok(file) => file,
        Err(error) => {
            let text = String::from_utf8_lossy(bytes);
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let lines: Vec<&str> = text.split('\n').collect();
            assert!(error.problems().len() > 0);
            let mut before = (1, 1);
            for problem in error.problems() {
                let line = lines.get(problem.line() - 1).expect("a line of the file");
                assert!((1..=line.chars().count() + 1).contains(&problem.column()));
                assert!(before <= (problem.line(), problem.column()), "not in order");
                before = (problem.line(), problem.column());
                assert!(!problem.message().chars().any(char::is_control));
            }
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    // Whatever a file may be told of before memory is asked for was told.
    match Policy::from_file(&file) {
        Ok(policy) => {
            let names: Vec<String> = policy.attributes().map(str::to_owned).collect();
            let mut request = policy.request("POST", "/v1/scans/7").host("api.example.com");
            for name in &names {
                request = request.attribute(name, "192.0.2.1");
            }
            let decision = policy.check(&request);
            let _ = decision.response();
            assert!(!policy.explain(&request).to_string().is_empty());
        }
        Err(error) => {
            for problem in error.problems() {
                let said = problem.message();
                assert!(said.contains("memory") || said.contains("capacity"), "{said}");
            }
        }
    }
});
