//! What a decision costs over the ABI, beside the same question in Rust.
//!
//! The shared library is loaded as a C program would have it, and both are asked in turn,
//! in one program. `cargo bench -p tollgate-ffi --bench cost` times them: nanoseconds a decision, the
//! median of the rounds, which is worth something on a machine that does nothing else.
//! `ffi/cost.sh` counts instructions instead, under callgrind, which are the same each time.

use std::{
    env,
    ffi::{CStr, CString, c_char, c_int, c_void},
    hint::black_box,
    mem::transmute_copy,
    path::Path,
    process::Command,
    ptr,
    time::{Duration, Instant},
};
use tollgate::{
    KeyedLimiter, Nanos, Quota,
    policy::{LivePolicy, Policy},
};

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

type New = unsafe extern "C" fn(*const c_char, usize, *const c_void, *mut *mut c_void) -> i32;
type CheckAt =
    unsafe extern "C" fn(*const c_void, *const c_void, usize, u64, u64, *mut Decision) -> i32;
type Check = unsafe extern "C" fn(*const c_void, *const c_void, usize, *mut Decision) -> i32;
type VerdictNew = unsafe extern "C" fn(*mut *mut c_void) -> i32;
type Attribute = unsafe extern "C" fn(*const c_void, *const c_char, usize, *mut u32) -> i32;
type PolicyCheck =
    unsafe extern "C" fn(*const c_void, *const Request, *const Moment, *mut c_void) -> i32;

/// `tollgate_decision`.
#[repr(C)]
struct Decision([u64; 12]);

/// `tollgate_moment`.
#[repr(C)]
struct Moment([u64; 2]);

/// `tollgate_attribute`.
#[repr(C)]
struct Given(u32, u32, *const c_void, usize);

/// `tollgate_request`.
#[repr(C)]
struct Request {
    size: usize,
    texts: [(*const c_void, usize); 3],
    attributes: *const Given,
    attribute_count: usize,
    costs: *const c_void,
    cost_count: usize,
}

/// The library, built as it is installed.
struct Library(*mut c_void);

impl Library {
    fn load() -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--lib", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .arg("--target-dir")
            .arg(target)
            .status()
            .unwrap();
        assert!(status.success());
        let path = target.join("release/libtollgate.so");
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a path that ends with a NUL; 2 is RTLD_NOW.
        let library = unsafe { dlopen(path.as_ptr(), 2) };
        assert!(!library.is_null());
        Self(library)
    }

    /// A function of the library, of the type that the header declares.
    fn function<F>(&self, name: &CStr) -> F {
        // SAFETY: a library that is loaded, and a name that ends with a NUL.
        let function = unsafe { dlsym(self.0, name.as_ptr()) };
        assert!(!function.is_null(), "{name:?}");
        // SAFETY: `F` is the function's type, as the header declares it.
        unsafe { transmute_copy(&function) }
    }
}

const KEYS: usize = 1_000;
const DECISIONS: u32 = 10_000;
const ROUNDS: usize = 31;

/// What is counted by callgrind, and timed.
#[inline(never)]
fn counted<T>(keys: &[[u8; 8]], mut decide: impl FnMut(&[u8; 8]) -> T) {
    for key in keys {
        black_box(decide(black_box(key)));
    }
}

/// Asks about each key.
type Side<'a> = Box<dyn FnMut(&[[u8; 8]]) + 'a>;

/// Both sides of a question.
struct Pair<'a> {
    name: &'a str,
    rust: Side<'a>,
    abi: Side<'a>,
}

#[allow(clippy::too_many_lines)] // one pair after the other
fn main() {
    let counting = env::args().any(|argument| argument == "count");
    let library = Library::load();
    let keys: Vec<[u8; 8]> =
        (0..DECISIONS as usize).map(|nth| (nth % KEYS).to_le_bytes()).collect();

    let quota = Quota::n_per_second(1_000_000_000).unwrap();
    let limiter = KeyedLimiter::gcra(quota).try_build().unwrap();
    let mut handle = ptr::null_mut();
    let new: New = library.function(c"tollgate_limiter_new");
    let text = "1000000000/s";
    // SAFETY: as the header has it, and no options.
    let made = unsafe { new(text.as_ptr().cast(), text.len(), ptr::null(), &raw mut handle) };
    assert_eq!(made, 0);
    let check: Check = library.function(c"tollgate_limiter_check");
    let check_at: CheckAt = library.function(c"tollgate_limiter_check_at");
    let now = 1_000_000_000;
    let at = Nanos::new(now);

    let policy = "[attribute.user]\n[[limit]]\nname = 'one'\nkey = ['user']\n\
                  algorithm = 'gcra'\nquota = '1000000000/s'\n";
    let live = LivePolicy::new(Policy::from_toml(policy).unwrap());
    let user = live.load().attribute_id("user").unwrap();
    let moment = tollgate::policy::Moment::new(at, Duration::from_secs(1_700_000_000));
    let (mut policy_handle, mut verdict, mut id) = (ptr::null_mut(), ptr::null_mut(), 0);
    let new: New = library.function(c"tollgate_policy_from_text");
    let pointer = &raw mut policy_handle;
    // SAFETY: as the header has it, and no options.
    let made = unsafe { new(policy.as_ptr().cast(), policy.len(), ptr::null(), pointer) };
    assert_eq!(made, 0);
    let new: VerdictNew = library.function(c"tollgate_verdict_new");
    // SAFETY: as the header has it.
    assert_eq!(unsafe { new(&raw mut verdict) }, 0);
    let attribute: Attribute = library.function(c"tollgate_policy_attribute");
    // SAFETY: as the header has it.
    let named = unsafe { attribute(policy_handle, c"user".as_ptr(), 4, &raw mut id) };
    assert_eq!(named, 0);
    let policy_check: PolicyCheck = library.function(c"tollgate_policy_check");
    let c_moment = Moment([now, 1_700_000_000_000_000_000]);

    let ask = |key: &[u8; 8]| {
        let given = Given(id, 0, key.as_ptr().cast(), 8);
        let request = Request {
            size: size_of::<Request>(),
            texts: [(c"GET".as_ptr().cast(), 3), (ptr::null(), 0), (c"/".as_ptr().cast(), 1)],
            attributes: &raw const given,
            attribute_count: 1,
            costs: ptr::null(),
            cost_count: 0,
        };
        let (request, moment) = (&raw const request, &raw const c_moment);
        // SAFETY: as the header has it.
        unsafe { policy_check(policy_handle, request, moment, verdict) }
    };

    let mut pairs = [
        Pair {
            name: "check-at",
            rust: Box::new(|keys| counted(keys, |key| limiter.check_at(key, at).is_allowed())),
            abi: Box::new(|keys| {
                counted(keys, |key| {
                    let key = key.as_ptr().cast();
                    // SAFETY: as the header has it, with eight bytes and no decision.
                    unsafe { check_at(handle, key, 8, 1, now, ptr::null_mut()) }
                });
            }),
        },
        Pair {
            // In Rust, the length of a key is most often known where the check is compiled, and
            // hashing begins from that; over the ABI, never.
            name: "check-at-any-length",
            rust: Box::new(|keys| {
                counted(keys, |key| limiter.check_at(black_box(&key[..]), at).is_allowed());
            }),
            abi: Box::new(|keys| {
                counted(keys, |key| {
                    let key = black_box(&key[..]);
                    let (start, length) = (key.as_ptr().cast(), key.len());
                    // SAFETY: as the header has it, with so many bytes and no decision.
                    unsafe { check_at(handle, start, length, 1, now, ptr::null_mut()) }
                });
            }),
        },
        Pair {
            name: "check-at-all-numbers",
            rust: Box::new(|keys| {
                counted(keys, |key| {
                    let d = limiter.check_at(key, at);
                    black_box((d.limit(), d.remaining(), d.retry_after(), d.charge()));
                    black_box((d.reset_after(), d.next_after(), d.full_after(), d.wait()));
                });
            }),
            abi: Box::new(|keys| {
                let mut decision = Decision([0; 12]);
                decision.0[0] = 96;
                counted(keys, |key| {
                    let key = key.as_ptr().cast();
                    // SAFETY: as the header has it, with eight bytes.
                    unsafe { check_at(handle, key, 8, 1, now, &raw mut decision) }
                });
            }),
        },
        Pair {
            name: "check",
            rust: Box::new(|keys| counted(keys, |key| limiter.check(key).is_allowed())),
            abi: Box::new(|keys| {
                counted(keys, |key| {
                    let key = key.as_ptr().cast();
                    // SAFETY: as the header has it, with eight bytes and no decision.
                    unsafe { check(handle, key, 8, ptr::null_mut()) }
                });
            }),
        },
        Pair {
            // As the ABI does it: the decision is filled where it is.
            name: "policy-in-place",
            rust: Box::new(|keys| {
                let policy = live.load();
                let mut decision = policy.undecided();
                counted(keys, |key| {
                    let mut request = policy.request("GET", "/");
                    request.set_attribute(user, key);
                    policy.check_into_at(&request, moment, &mut decision);
                    decision.is_allowed()
                });
            }),
            abi: Box::new(|keys| counted(keys, ask)),
        },
        Pair {
            name: "policy",
            rust: Box::new(|keys| {
                counted(keys, |key| {
                    let policy = live.load();
                    let request = policy.request("GET", "/").attribute_by_id(user, key);
                    policy.check_at(&request, moment).is_allowed()
                });
            }),
            abi: Box::new(|keys| counted(keys, ask)),
        },
    ];

    if counting {
        for pair in &mut pairs {
            // Known keys, before the next `counted` is: callgrind counts that, too, and
            // cost.sh passes it over.
            for (side, run) in [("rust", &mut pair.rust), ("abi", &mut pair.abi)] {
                println!("{}-{side}-first {DECISIONS}", pair.name);
                run(&keys);
                println!("{}-{side} {DECISIONS}", pair.name);
                run(&keys);
            }
        }
        return;
    }
    println!(
        "{:24}{:>10}{:>10}{:>10}   ns a decision, medians of {ROUNDS} rounds",
        "", "rust", "abi", "more"
    );
    for pair in &mut pairs {
        let mut times: [Vec<f64>; 3] = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            let [rust, abi] = [&mut pair.rust, &mut pair.abi].map(|run| {
                let begun = Instant::now();
                for _ in 0..20 {
                    run(&keys);
                }
                begun.elapsed().as_secs_f64() * 1e9 / (20.0 * f64::from(DECISIONS))
            });
            for (times, time) in times.iter_mut().zip([rust, abi, abi - rust]) {
                times.push(time);
            }
        }
        let [rust, abi, more] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        println!("{:24}{rust:>10.1}{abi:>10.1}{more:>10.1}", pair.name);
    }
}
