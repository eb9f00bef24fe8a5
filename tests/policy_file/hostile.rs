//! Large files, files that aim at time or stack, and files by chance.

use super::{HEAD, parse, problems, sample};
use proptest::prelude::*;
use std::time::{Duration, Instant};
use tollgate::policy::PolicyFile;

#[test]
fn a_thousand_limits_are_read_in_a_moment() {
    let mut text = HEAD.to_owned();
    for i in 0..1000 {
        text += &format!(
            "[[limit]]\nname = \"limit {i}\"\nroutes = [\"GET /v1/{i}/{{id}}\"]\ngroup = \"g{i}\"\n\
             key = [\"org\", \"path.id\"]\nwhen = {{ tier = [\"FREE\", \"PRO\"] }}\n\
             quota = {{ by = \"tier\", FREE = \"10/min\", PRO = \"20/min\" }}\n\
             missing = {{ limit = \"first\" }}\n"
        );
    }
    let start = Instant::now();
    assert_eq!(problems(&text), [""; 0]);
    // Milliseconds where optimised; this is for what grows with the square.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// Files that aim at whatever takes time or stack.
#[test]
fn hostile_files_are_refused_in_time() {
    let n = 200_000;
    let list = |item: &dyn Fn(usize) -> String| (0..n / 10).map(item).collect::<String>();
    let files = [
        "[".repeat(n),
        format!("a = {}", "[".repeat(n)),
        format!("a = {}", "{a=".repeat(n)),
        format!("{}a = 1", "a.".repeat(n)),
        format!("[{}a]", "a.".repeat(n)),
        "\0".repeat(n),
        "\"".repeat(n),
        "=]}{\"'\n,".repeat(n / 8),
        "[[limit]]\n".repeat(n / 10),
        "a = 1\n".repeat(n / 6),
        "\n".repeat(n),
        format!("name = \"{}\"", "x".repeat(n)),
        format!("[[limit]]\nname = {}", "9".repeat(n)),
        format!("[[limit]]\nkey = [{}]", list(&|i| format!("\"path.a{i}\","))),
        format!(
            "[[limit]]\nkey = [{}]\nroutes = [{}]",
            list(&|i| format!("\"path.a{i}\",")),
            list(&|i| format!("\"/{{a{i}}}\","))
        ),
        list(&|i| format!("[[limit]]\nname=\"{i}\"\nmissing = {{ limit = \"{}\" }}\n", i + 1)),
        list(&|i| format!("[attribute.a{i}]\nvalues = [\"b\"]\n"))
            + &list(&|i| format!("[[limit]]\nname=\"{i}\"\nkey=[\"b{i}\"]\nquota = \"1/s\"\n")),
        // All bodies and groups are looked up, none is there.
        format!("[response]\nbodies = {{ {} }}", list(&|i| format!("b{i} = \"x\","))),
    ];
    for text in files {
        let start = Instant::now();
        let error = parse(&text).unwrap_err();
        let begin: String = text.chars().take(30).collect();
        assert!(error.to_string().len() < 100_000, "{begin}");
        assert!(start.elapsed() < Duration::from_secs(20), "{begin}: {:?}", start.elapsed());
    }
}

/// Every problem is at a place of the text, and prints.
fn is_sound(bytes: &[u8]) {
    let Err(error) = PolicyFile::parse("p", bytes) else { return };
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines: Vec<&str> = text.split('\n').collect();
    assert!(error.problems().len() > 0);
    let mut before = (1, 1);
    for problem in error.problems() {
        let (line, column) = (problem.line(), problem.column());
        assert!((1..=lines.len()).contains(&line), "{problem:?}");
        assert!((1..=lines[line - 1].chars().count() + 1).contains(&column), "{problem:?}");
        assert!(before <= (line, column), "in the order of the file");
        before = (line, column);
        assert!(!problem.message().is_empty());
        assert!(!problem.message().chars().any(char::is_control), "{problem:?}");
    }
    assert!(!error.to_string().is_empty());
}

/// Pieces that files are made of, to be put in anywhere.
const PIECES: [&str; 24] = [
    "[[limit]]\n",
    "[limit]\n",
    "[attribute.ip]\n",
    "name = \"x\"\n",
    "key = [",
    "]",
    "{",
    "}",
    "\"",
    "'''",
    "=",
    "\n",
    "quota = 0\n",
    "otherwise",
    "by = \"tier\"",
    "\0",
    "\u{feff}",
    "é",
    "\r",
    "missing = { limit = \"scans\" }\n",
    "99999999999999999999",
    "1979-05-27",
    "\"/{a}/{b\"",
    "until lifted",
];

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        is_sound(&bytes);
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(0..PIECES.len(), 0..40)) {
        is_sound(pieces.iter().map(|at| PIECES[*at]).collect::<String>().as_bytes());
    }

    /// The sample with some of it cut out, doubled, overwritten or exchanged.
    #[test]
    fn any_mutation(
        changes in proptest::collection::vec(
            (0..4, any::<usize>(), 1..30_usize, any::<u8>()), 1..6
        )
    ) {
        let mut bytes = sample().as_bytes().to_vec();
        for (what, at, length, byte) in changes {
            let at = at % (bytes.len() + 1);
            let end = (at + length).min(bytes.len());
            match what {
                0 => drop(bytes.drain(at..end)),
                1 => bytes.insert(at, byte),
                2 => {
                    let piece = PIECES[usize::from(byte) % PIECES.len()];
                    drop(bytes.splice(at..at, piece.bytes()));
                }
                _ => {
                    let again: Vec<u8> = bytes[at..end].to_vec();
                    let to = at / 2;
                    drop(bytes.splice(to..to, again));
                }
            }
        }
        is_sound(&bytes);
    }
}
