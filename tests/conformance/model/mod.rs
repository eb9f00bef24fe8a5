//! A policy file answered the obvious way: lists of what was admitted, scanned
//! at each question, one request at a time. It knows as much of the format as
//! the five documents use, and is what the suites were first run against.

mod file;
mod path;

pub(crate) use file::SECOND;
use file::{Algorithm, Condition, File, Limit, Missing, Quota};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet, VecDeque},
    fmt::Write as _,
    net::{IpAddr, Ipv6Addr},
};

use crate::support::{Asked, Outcome};

pub(crate) struct Question {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    /// The path, made normal: filled in by [`Model::decide`].
    pub(crate) segments: Vec<String>,
    pub(crate) attributes: HashMap<String, String>,
    pub(crate) costs: HashMap<String, u64>,
}

pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) status: u16,
    pub(crate) limits: Vec<Asked>,
    pub(crate) binding: Option<String>,
    /// Nanoseconds; `None` when waiting is no use, or not needed.
    pub(crate) retry_after: Option<u64>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) leases: Vec<u64>,
}

/// Whose state: the number of the limit or penalty, and its key.
type Whose = (usize, Vec<String>);

#[derive(Default)]
struct State {
    /// What was admitted, and when; and how much that is.
    log: VecDeque<(u64, u64)>,
    sum: u64,
    /// The end of the month, and the units in it.
    month: (u64, u64),
    /// The numbers of the leases, and when each is over.
    leases: Vec<(u64, u64)>,
}

#[derive(Default)]
struct Offender {
    denials: VecDeque<u64>,
    /// When the last block ends; `u64::MAX` is never.
    until: u64,
    step: Option<usize>,
}

/// One limit's numbers at a question.
struct Numbers {
    passes: bool,
    /// Until it passes; `None` is never.
    wait: Option<u64>,
    limit: u64,
    used: u64,
    next: u64,
    full: u64,
}

struct Chosen {
    limit: usize,
    key: Vec<String>,
    quota: Quota,
    cost: u64,
}

pub(crate) struct Model {
    file: File,
    states: HashMap<Whose, State>,
    offenders: HashMap<Whose, Offender>,
    leases: u64,
}

/// The unix nanosecond at which the month of `wall` is over, in UTC.
fn month_end(wall: u64) -> u64 {
    let (mut day, mut year) = (wall / SECOND / 86_400, 1970);
    let leap = |y: u64| y.is_multiple_of(4) && !y.is_multiple_of(100) || y.is_multiple_of(400);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut start = wall / SECOND / 86_400 - day;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        start += length;
        if day < length {
            break;
        }
        day -= length;
    }
    start * 86_400 * SECOND
}

fn address(text: &str) -> Option<String> {
    Some(match text.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).to_string(),
    })
}

fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(SECOND)
}

impl Model {
    pub(crate) fn read(text: &str) -> Self {
        Self {
            file: File::read(text),
            states: HashMap::new(),
            offenders: HashMap::new(),
            leases: 0,
        }
    }

    pub(crate) fn limit_names(&self) -> Vec<&str> {
        self.file.limits.iter().map(|limit| limit.name.as_str()).collect()
    }

    fn attribute(&self, question: &Question, name: &str) -> Option<String> {
        let value = question.attributes.get(name)?;
        let declared = self.file.attributes.get(name).unwrap_or_else(|| panic!("{name}?"));
        if declared.values.as_ref().is_some_and(|values| !values.contains(value)) {
            return None;
        }
        if declared.ip { address(value) } else { Some(value.clone()) }
    }

    fn hold(&self, question: &Question, conditions: &[Condition]) -> bool {
        conditions.iter().all(|condition| {
            let value = self.attribute(question, &condition.attribute);
            match &condition.values {
                None => value.is_some(),
                Some(values) if values.is_empty() => value.is_none(),
                Some(values) => value.is_some_and(|value| values.contains(&value)),
            }
        })
    }

    /// The key of a limit, if the request has all its parts.
    fn key(
        &self,
        question: &Question,
        parts: &[String],
        route: &str,
        named: &HashMap<String, String>,
    ) -> Option<Vec<String>> {
        parts
            .iter()
            .map(|part| match part.strip_prefix("path.") {
                Some(name) => named.get(name).cloned(),
                None if part == "route" => Some(route.to_owned()),
                None => self.attribute(question, part),
            })
            .collect()
    }

    /// A limit as it applies to this request, by its best route.
    fn applied(&self, question: &Question, number: usize) -> Option<Result<Chosen, &Missing>> {
        let limit = &self.file.limits[number];
        let (route, (_, named)) = limit
            .routes
            .iter()
            .filter_map(|r| {
                Some((r, r.fits(&question.method, &question.host, &question.segments)?))
            })
            .min_by(|a, b| a.1.0.cmp(&b.1.0))?;
        let key = self.key(question, &limit.key, &route.text, &named);
        let cost = match &limit.cost {
            None => Some(1),
            Some(name) => question.costs.get(name).copied(),
        };
        Some(match (key, cost, self.quota(question, limit)) {
            (Some(key), Some(cost), Some(quota)) => Ok(Chosen { limit: number, key, quota, cost }),
            _ => Err(&limit.missing),
        })
    }

    fn quota(&self, question: &Question, limit: &Limit) -> Option<Quota> {
        let (by, cells) = &limit.overrides;
        if let Some(quota) = self.attribute(question, by).and_then(|value| cells.get(&value)) {
            return Some(*quota);
        }
        let (by, cells) = &limit.quota;
        if by.is_empty() {
            return cells.get("").copied();
        }
        cells.get(&self.attribute(question, by)?).copied()
    }

    /// The limits of a request, in the order of the file; `None` where one
    /// cannot be asked and therefore denies.
    fn select(&self, question: &Question) -> Option<Vec<Chosen>> {
        let mut best: HashMap<&str, (_, usize)> = HashMap::new();
        let mut numbers = Vec::new();
        for (number, limit) in self.file.limits.iter().enumerate() {
            let rank = limit
                .routes
                .iter()
                .filter_map(|r| r.fits(&question.method, &question.host, &question.segments))
                .map(|(rank, _)| rank)
                .min();
            let Some(rank) = rank.filter(|_| self.hold(question, &limit.when)) else { continue };
            let rank = (limit.fallback, rank, Reverse(limit.when.len()));
            match &limit.group {
                None => numbers.push(number),
                Some(group) => match best.get(group.as_str()) {
                    Some((other, _)) if *other <= rank => {}
                    _ => drop(best.insert(group, (rank, number))),
                },
            }
        }
        numbers.extend(best.values().map(|(_, number)| *number));
        numbers.sort_unstable();
        let (mut chosen, mut seen) = (Vec::new(), HashSet::new());
        for mut number in numbers {
            loop {
                match self.applied(question, number) {
                    None | Some(Err(Missing::Skip)) => break,
                    Some(Err(Missing::Deny)) => return None,
                    Some(Err(Missing::Limit(name))) => {
                        number = self.file.limits.iter().position(|l| l.name == *name)?;
                    }
                    Some(Ok(one)) => {
                        if seen.insert(number) {
                            chosen.push(one);
                        }
                        break;
                    }
                }
            }
        }
        Some(chosen)
    }

    fn look(&mut self, one: &Chosen, now: u64, wall: u64) -> Option<Numbers> {
        let Quota::Units(limit, period) = one.quota else { return None };
        let state = self.states.entry((one.limit, one.key.clone())).or_default();
        let cost = one.cost;
        let algorithm = self.file.limits[one.limit].algorithm;
        let (used, mut wait, next, full) = match algorithm {
            Algorithm::Size => (0, Some(0), 0, 0),
            Algorithm::Log => {
                while let Some(&(at, units)) = state.log.front().filter(|e| e.0 + period <= now) {
                    state.log.pop_front();
                    state.sum -= units;
                    debug_assert!(at < now);
                }
                let mut left = state.sum;
                let mut wait = 0;
                for (at, units) in &state.log {
                    if left + cost <= limit {
                        break;
                    }
                    left -= units;
                    wait = at + period - now;
                }
                let end = |e: Option<&(u64, u64)>| e.map_or(0, |e| e.0 + period - now);
                (state.sum, Some(wait), end(state.log.front()), end(state.log.back()))
            }
            Algorithm::Month => {
                let end = month_end(wall);
                // A clock that went back opens no month for the second time.
                if end > state.month.0 {
                    state.month = (end, 0);
                }
                let left = state.month.0 - wall;
                let over = state.month.1 + cost > limit;
                (state.month.1, Some(if over { left } else { 0 }), left, left)
            }
            Algorithm::Leases => {
                state.leases.retain(|lease| lease.1 > now);
                let live = state.leases.len() as u64;
                let first = state.leases.iter().map(|l| l.1 - now).min().unwrap_or(0);
                let last = state.leases.iter().map(|l| l.1 - now).max().unwrap_or(0);
                (live, Some(if live + cost > limit { first } else { 0 }), first, last)
            }
        };
        if cost > limit {
            wait = None;
        }
        Some(Numbers { passes: used + cost <= limit, wait, limit, used, next, full })
    }

    fn charge(&mut self, one: &Chosen, now: u64, leases: &mut Vec<u64>) {
        if one.quota == Quota::Unlimited {
            return;
        }
        let limit = &self.file.limits[one.limit];
        let state = self.states.entry((one.limit, one.key.clone())).or_default();
        match limit.algorithm {
            Algorithm::Size => {}
            Algorithm::Log => {
                state.log.push_back((now, one.cost));
                state.sum += one.cost;
            }
            Algorithm::Month => state.month.1 += one.cost,
            Algorithm::Leases => {
                self.leases += 1;
                state.leases.push((self.leases, now + limit.ttl));
                leases.push(self.leases);
            }
        }
    }

    pub(crate) fn release(&mut self, lease: u64) {
        for state in self.states.values_mut() {
            state.leases.retain(|other| other.0 != lease);
        }
    }

    pub(crate) fn unblock(&mut self, penalty: &str, key: &[&str]) -> bool {
        let number = self.file.penalties.iter().position(|p| p.name == penalty).unwrap();
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        self.offenders.remove(&(number, key)).is_some()
    }

    pub(crate) fn decide(&mut self, mut question: Question, now: u64, wall: u64) -> Answer {
        question.segments = self.file.paths.segments(&question.path);
        question.host = question.host.split(':').next().unwrap().to_lowercase();
        if question.method == "HEAD" {
            "GET".clone_into(&mut question.method);
        }
        let question = &question;
        if let Some(refusal) =
            self.file.refusals.iter().find(|refusal| self.hold(question, &refusal.when))
        {
            return Answer::bare(Outcome::Refused, refusal.status, &refusal.name);
        }
        for (number, penalty) in self.file.penalties.iter().enumerate() {
            let Some(key) = self.key(question, &penalty.key, "", &HashMap::new()) else { continue };
            let until = self.offenders.get(&(number, key)).map_or(0, |offender| offender.until);
            if until > now {
                let mut answer = Answer::bare(Outcome::Blocked, penalty.status, &penalty.name);
                if until < u64::MAX {
                    answer.wait(until - now);
                }
                return answer;
            }
        }
        let Some(chosen) = self.select(question) else {
            let mut answer = Answer::bare(Outcome::Never, self.status(), "");
            answer.body = self.body(&answer, None);
            return answer;
        };

        let looks: Vec<_> =
            chosen.iter().map(|one| (one, self.look(one, now, wall))).collect::<Vec<_>>();
        let enforced = |one: &Chosen, file: &File| !file.limits[one.limit].shadow;
        let denied = looks
            .iter()
            .any(|(one, n)| n.as_ref().is_some_and(|n| !n.passes && enforced(one, &self.file)));
        let mut leases = Vec::new();
        for (one, numbers) in &looks {
            let Some(numbers) = numbers else { continue };
            if !denied && numbers.passes {
                self.charge(one, now, &mut leases);
            } else if !numbers.passes
                && self.file.limits[one.limit].charge_denied
                && numbers.wait.is_some()
            {
                let state = self.states.get_mut(&(one.limit, one.key.clone())).unwrap();
                state.log = [(now, numbers.limit)].into();
                state.sum = numbers.limit;
            }
        }
        let verdicts: Vec<bool> =
            looks.iter().map(|(_, n)| n.as_ref().is_some_and(|n| !n.passes)).collect();
        drop(looks);

        let mut answer = Answer::bare(Outcome::Allowed, 200, "");
        let mut waits = Vec::new();
        let mut resets = Vec::new();
        for (one, violated) in chosen.iter().zip(verdicts) {
            let Some(numbers) = self.look(one, now, wall) else { continue };
            let limit = &self.file.limits[one.limit];
            resets.push((one.limit, numbers.next, numbers.full));
            answer.limits.push(Asked {
                name: limit.name.clone(),
                limit: numbers.limit,
                remaining: numbers.limit.saturating_sub(numbers.used),
                violated,
                shadow: limit.shadow,
            });
            if violated && !limit.shadow {
                waits.push((numbers.wait, limit.name.clone()));
            }
        }
        answer.leases = leases;
        if denied {
            answer.status = self.status();
            // Never beats later.
            let (wait, name) =
                waits.into_iter().max_by_key(|(wait, _)| wait.unwrap_or(u64::MAX)).unwrap();
            answer.binding = Some(name);
            answer.outcome = if wait.is_some() { Outcome::Later } else { Outcome::Never };
            if let Some(wait) = wait {
                answer.wait(wait);
            }
            self.strike(question, now);
        } else {
            answer.binding = answer
                .limits
                .iter()
                .filter(|asked| !asked.shadow)
                .min_by(|a, b| {
                    let cross =
                        |x: &Asked, y: &Asked| u128::from(x.remaining) * u128::from(y.limit);
                    cross(a, b).cmp(&cross(b, a))
                })
                .map(|asked| asked.name.clone());
        }
        let reported = self.reported(&answer);
        self.fields(&mut answer, reported.as_deref(), &resets, wall);
        answer
    }

    fn status(&self) -> u16 {
        self.file
            .response
            .get("status")
            .map_or(429, |v| v.as_integer().unwrap().try_into().unwrap())
    }

    fn strike(&mut self, question: &Question, now: u64) {
        for number in 0..self.file.penalties.len() {
            let penalty = &self.file.penalties[number];
            let Some(key) = self.key(question, &penalty.key, "", &HashMap::new()) else { continue };
            let offender = self.offenders.entry((number, key)).or_default();
            offender.denials.retain(|at| at + penalty.within > now);
            offender.denials.push_back(now);
            if offender.denials.len() < penalty.denials {
                continue;
            }
            offender.denials.clear();
            let step = match offender.step {
                Some(step) if offender.until + penalty.decay > now => {
                    (step + 1).min(penalty.blocks.len() - 1)
                }
                _ => 0,
            };
            offender.step = Some(step);
            offender.until = penalty.blocks[step].map_or(u64::MAX, |block| now + block);
        }
    }

    /// The limit that the fields speak of.
    fn reported(&self, answer: &Answer) -> Option<String> {
        let Some(report) = self.file.response.get("report") else { return answer.binding.clone() };
        let group = report["group"].as_str();
        answer
            .limits
            .iter()
            .find(|asked| {
                let limit = self.file.limits.iter().find(|l| l.name == asked.name).unwrap();
                limit.group.as_deref() == group
            })
            .map(|asked| asked.name.clone())
    }

    fn fields(
        &self,
        answer: &mut Answer,
        reported: Option<&str>,
        resets: &[(usize, u64, u64)],
        wall: u64,
    ) {
        let word = |name: &str| self.file.response.get(name).and_then(|v| v.as_str());
        let reset = |name: &str| {
            resets
                .iter()
                .find(|r| self.file.limits[r.0].name == name)
                .map_or((0, 0), |r| (r.1, r.2))
        };
        let at = answer.limits.iter().find(|asked| Some(asked.name.as_str()) == reported);
        let mut fields = Vec::new();
        match (word("headers").or(Some("x-ratelimit")), at) {
            (Some("x-ratelimit"), Some(asked)) => {
                let (next, full) = reset(&asked.name);
                let reset = if word("reset_of") == Some("full") { full } else { next };
                fields.push(("x-ratelimit-limit", asked.limit.to_string()));
                fields.push(("x-ratelimit-remaining", asked.remaining.to_string()));
                fields.push(("x-ratelimit-reset", seconds(wall + reset).to_string()));
            }
            (Some("ratelimit"), Some(asked)) => {
                let (mut policies, next) = (String::new(), seconds(reset(&asked.name).0));
                for one in &answer.limits {
                    let comma = if policies.is_empty() { "" } else { ", " };
                    let _ = write!(policies, "{comma}\"{}\";q={}", one.name, one.limit);
                }
                fields.push(("ratelimit-policy", policies));
                fields.push((
                    "ratelimit",
                    format!("\"{}\";r={};t={next}", asked.name, asked.remaining),
                ));
            }
            _ => {}
        }
        answer.headers.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        if answer.outcome != Outcome::Allowed {
            answer.headers.push(("cache-control".to_owned(), "no-store".to_owned()));
            if let Some(kind) = word("content_type") {
                answer.headers.push(("content-type".to_owned(), kind.to_owned()));
            }
            answer.body = self.body(answer, answer.binding.as_deref());
        }
    }

    fn body(&self, answer: &Answer, binding: Option<&str>) -> String {
        let template = self.file.response.get("body").map_or("", |v| v.as_str().unwrap());
        let asked = answer.limits.iter().find(|asked| Some(asked.name.as_str()) == binding);
        let number = |n: Option<u64>| n.map_or_else(|| "null".to_owned(), |n| n.to_string());
        template
            .replace("{limit}", &number(asked.map(|a| a.limit)))
            .replace("{name}", binding.unwrap_or(""))
            .replace("{retry_after}", &number(answer.retry_after.map(seconds)))
    }
}

impl Answer {
    fn bare(outcome: Outcome, status: u16, binding: &str) -> Self {
        Self {
            outcome,
            status,
            limits: Vec::new(),
            binding: (!binding.is_empty()).then(|| binding.to_owned()),
            retry_after: None,
            headers: Vec::new(),
            body: String::new(),
            leases: Vec::new(),
        }
    }

    fn wait(&mut self, nanoseconds: u64) {
        self.retry_after = Some(nanoseconds);
        self.headers.push(("retry-after".to_owned(), seconds(nanoseconds).to_string()));
    }
}
