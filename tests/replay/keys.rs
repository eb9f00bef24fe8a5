//! Who is limited, and who is listed.

use super::*;
use serde_json::json;

/// The keys of a run that denies everything but the first request of each.
fn denied_keys(room: &Room, words: &str) -> Vec<(String, u64)> {
    let report = room.report(&format!("--quota 1/d --top 100 {words}"));
    let top = report["limits"][0]["top"].as_array().unwrap().clone();
    top.iter()
        .map(|top| (top["key"].as_str().unwrap().to_owned(), top["denied"].as_u64().unwrap()))
        .collect()
}

fn clients(room: &Room, clients: &[&str]) {
    let text: String = clients.iter().map(|client| line(client, "10:00:00") + "\n").collect();
    room.put("a.log", text);
}

fn expect(got: &[(String, u64)], wanted: &[(&str, u64)]) {
    let wanted: Vec<_> = wanted.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect();
    assert_eq!(got, wanted);
}

#[test]
fn ipv6_clients_are_their_prefix() {
    let room = Room::new();
    clients(&room, &["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:3::1"]);
    expect(&denied_keys(&room, "a.log"), &[("2001:db8:1:2::/64", 1)]);
    expect(&denied_keys(&room, "--ipv6-prefix 64 a.log"), &[("2001:db8:1:2::/64", 1)]);
    expect(&denied_keys(&room, "--ipv6-prefix 48 a.log"), &[("2001:db8:1::/48", 2)]);
    expect(&denied_keys(&room, "--ipv6-prefix 128 a.log"), &[]);
    expect(&denied_keys(&room, "--ipv6-prefix 0 a.log"), &[("::/0", 2)]);
    room.replay("--quota 1/d --ipv6-prefix 129 a.log").expect(2);
}

#[test]
fn mapped_clients_are_their_v4_address() {
    let room = Room::new();
    clients(&room, &["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:C000:201", "192.0.2.2"]);
    expect(&denied_keys(&room, "--ipv6-prefix 8 a.log"), &[("192.0.2.1", 2)]);
}

#[test]
fn host_names_are_keys_as_they_stand() {
    let room = Room::new();
    clients(&room, &["a.example", "a.example", "A.example", "2001:db8::1%1", "2001:db8::/64"]);
    expect(&denied_keys(&room, "a.log"), &[("a.example", 1)]);
    let report = room.report("--quota 1/d a.log");
    assert_eq!(report["limits"][0]["keys"], 4);
}

#[test]
fn every_part_can_be_the_key() {
    let room = Room::new();
    let text: String = [
        line_of("192.0.2.1", "mary ann", "10:00:00", "GET /a?x=1 HTTP/1.1"),
        line_of("192.0.2.1", "-", "10:00:00", "POST /a?x=2 HTTP/1.1"),
        line_of("192.0.2.2", "mary ann", "10:00:00", "GET /b HTTP/1.1"),
        line_of("192.0.2.2", "-", "10:00:00", "\\x16\\x03"),
        line_of("192.0.2.2", "-", "10:00:00", "GET /a b HTTP/1.1"),
    ]
    .map(|line| line + "\n")
    .concat();
    room.put("a.log", text);
    let by = |key: &str| denied_keys(&room, &format!("--key {key} a.log"));
    expect(&by("ip"), &[("192.0.2.2", 2), ("192.0.2.1", 1)]);
    expect(&by("user"), &[("-", 2), ("mary ann", 1)]);
    expect(&by("path"), &[("-", 1), ("/a", 1)]);
    expect(&by("method"), &[("-", 1), ("GET", 1)]);
    expect(&by("ip,user"), &[("192.0.2.2 -", 1)]);
    expect(&by("user,method"), &[("- -", 1), ("mary ann GET", 1)]);
    expect(
        &denied_keys(&room, "--key user --key method a.log"),
        &[("- -", 1), ("mary ann GET", 1)],
    );
    room.replay("--quota 1/d --key host a.log").expect(2);
}

#[test]
fn joined_parts_are_not_ambiguous() {
    let room = Room::new();
    let text = [
        line_of("192.0.2.1", "a b", "10:00:00", "GET c HTTP/1.1"),
        line_of("192.0.2.1", "a", "10:00:00", "GET bc HTTP/1.1"),
        line_of("192.0.2.1", "ab", "10:00:00", "GET c HTTP/1.1"),
        line_of("192.0.2.1", "abc", "10:00:00", "GET ? HTTP/1.1"),
    ];
    room.put("a.log", text.join("\n"));
    let report = room.report("--quota 1/d --key user,path a.log");
    assert_eq!((&report["denied"], &report["limits"][0]["keys"]), (&json!(0), &json!(4)));
}

#[test]
fn the_top_is_ordered_and_cut() {
    let room = Room::new();
    clients(&room, &["d", "c", "c", "b", "b", "a", "a", "a"]);
    expect(&denied_keys(&room, "a.log"), &[("a", 2), ("b", 1), ("c", 1)]);
    for (n, length) in [(0, 0), (1, 1), (2, 2), (50, 3)] {
        let report = room.report(&format!("--quota 1/d --top {n} a.log"));
        assert_eq!(report["limits"][0]["top"].as_array().unwrap().len(), length);
    }
    // The same denials: more requests first, so that the order by key shows last.
    let times = [("x", "10:00:00"), ("x", "10:00:00"), ("y", "10:00:00"), ("y", "10:00:00")];
    let later = [("y", "10:05:00")];
    let text: String =
        times.iter().chain(&later).map(|(client, time)| line(client, time) + "\n").collect();
    room.put("a.log", text);
    let report = room.report("--quota 1/min a.log");
    assert_eq!(
        report["limits"][0]["top"],
        json!([{"key": "y", "requests": 3, "denied": 1}, {"key": "x", "requests": 2, "denied": 1}])
    );
}

#[test]
fn keys_are_exact_up_to_the_capacity_and_then_marked() {
    let room = Room::new();
    let text: String = (0..3000)
        .flat_map(|n| vec![line(&format!("client{n}"), "10:00:00") + "\n"; 2])
        .chain(vec![line("latecomer", "10:00:00") + "\n"; 50])
        .collect();
    room.put("a.log", text);
    let exact = room.report("--quota 1/d --capacity 3001 a.log");
    let limit = &exact["limits"][0];
    assert_eq!((&limit["keys"], &limit["saturated"]), (&json!(3001), &json!(0)));
    assert_eq!(limit.get("approximate"), None);
    assert_eq!(limit["top"][0], json!({"key": "latecomer", "requests": 50, "denied": 49}));

    let near = room.report("--quota 1/d --capacity 3000 a.log");
    let limit = &near["limits"][0];
    assert_eq!(limit["approximate"], true);
    // Below the size of the sketch the count is still right.
    assert_eq!(limit["keys"], 3001);
    assert_eq!(limit["top"][0]["key"], "latecomer");
    assert_eq!(limit["top"][0]["denied"], 49);

    let mark = "about 3,001 keys; counts below are approximate\n";
    let text = |capacity: u32, quota: &str| {
        room.replay(&format!("--quota {quota} --capacity {capacity} a.log")).expect(0).out
    };
    assert!(text(3000, "1/d").contains(mark));
    assert!(!text(3001, "1/d").contains("appr"));
    // Where nothing is counted below, nothing is said of it.
    let free = text(3000, "100/d");
    assert!(free.contains("about 3,001 keys\n") && !free.contains("appr"), "{free}");
}

#[test]
fn what_finds_no_room_is_let_through_and_counted() {
    let room = Room::new();
    let text: String =
        (0..3000).flat_map(|n| vec![line(&format!("client{n}"), "10:00:00") + "\n"; 2]).collect();
    room.put("a.log", text);
    let report = room.report("--quota 1/d --capacity 1000 a.log");
    let saturated = report["limits"][0]["saturated"].as_u64().unwrap();
    let denied = report["denied"].as_u64().unwrap();
    assert!(saturated > 2000, "{saturated}");
    // Two of each: either the second was denied, or both found no room.
    assert_eq!(denied + saturated / 2, 3000);
    let text = room.replay("--quota 1/d --capacity 1000 a.log").expect(0);
    assert!(text.out.contains("--capacity"), "{}", text.out);
}

#[test]
fn keys_cannot_misuse_a_terminal() {
    let room = Room::new();
    let evil = line_of("192.0.2.1", "\u{1b}]0;x\u{7}\u{202e}", "10:00:00", "GET / HTTP/1.1");
    room.put("a.log", format!("{evil}\n{evil}\n"));
    let shown = "\\x1B]0;x\\x07\\xE2\\x80\\xAE";
    expect(&denied_keys(&room, "--key user a.log"), &[(shown, 1)]);
    let text = room.replay("--quota 1/d --key user a.log").expect(0);
    assert!(text.out.contains(shown) && !text.out.contains(['\u{1b}', '\u{7}', '\u{202e}']));
}
