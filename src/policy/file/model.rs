//! The model: every field of a policy file, with its default and what it means. The
//! comments are also what editors show.
#![allow(dead_code)] // the description of a policy is for people

use super::{
    fields::Fields,
    problem::Problems,
    read::{List, Named, Read, Tables, Value, Whole, no_table, one_of, table, words},
    response::Response,
    source::At,
    values::{
        Block, Conditions, DAY, Given, Missing, Name, Networks, Place, Quotas, Share, SpanOfTime,
        Zone,
    },
};
use crate::algorithm::MAX_UNITS;

/// A status of an HTTP error.
pub(crate) type Status = Whole<400, 599>;

/// How many keys a table has room for.
pub(crate) type Capacity = Whole<1, { u32::MAX as u64 }>;

/// The capacity of limits and penalties that say none.
const CAPACITY: u64 = 10_000;

table! {
    /// A policy: limits written as a file.
    pub(crate) struct Document {
        /// What the policy is called.
        name: String => optional,
        /// What the policy is for.
        description: String => optional,
        /// When two paths are the same.
        path: Paths => or(Paths::default()),
        /// What the host tells of a request, by name. Limits may name these, and `method`,
        /// `host`, `path`, `path.NAME` and `route`.
        attribute: Named<String, Attribute> => or(Named::default()),
        /// Limits.
        limit: Tables<Limit> => or(Tables::default()),
        /// Requests that are turned away whatever their number.
        refuse: Tables<Refuse> => or(Tables::default()),
        /// Requests that are never limited.
        exempt: Tables<Exempt> => or(Tables::default()),
        /// Blocks for who is denied too often.
        penalty: Tables<Penalty> => or(Tables::default()),
        /// What a response says.
        response: Response => or(Response::default()),
    }
}

table! {
    /// When two paths are the same.
    pub(crate) struct Paths {
        /// Whether `/A` is another path than `/a`.
        case: Case => or(Case::Sensitive),
        /// Whether `/a/` is another path than `/a`.
        trailing_slash: TrailingSlash => or(TrailingSlash::Ignore),
        /// What `%2F` is to the host's router.
        encoded_slash: EncodedSlash => or(EncodedSlash::Separator),
    }
}

words! {
    /// Upper and lower case.
    pub(crate) enum Case {
        #[default]
        Sensitive = "sensitive",
        Insensitive = "insensitive",
    }
}

words! {
    /// A slash at the end.
    pub(crate) enum TrailingSlash {
        #[default]
        Ignore = "ignore",
        Keep = "keep",
    }
}

words! {
    /// A slash in percent-encoding.
    pub(crate) enum EncodedSlash {
        #[default]
        Separator = "separator",
        Data = "data",
    }
}

table! {
    /// One thing that the host tells of a request.
    pub(crate) struct Attribute {
        /// What it is: a text, or an IP address.
        kind: Kind => or(Kind::Text),
        /// All values it has; any other is as good as none. Default: any text.
        values: List<String> => optional,
        /// So many leading bits of an IPv4 address count.
        ipv4_prefix: Whole<0, 32> => or(Whole(32)),
        /// So many leading bits of an IPv6 address count: one customer has a whole /64.
        ipv6_prefix: Whole<0, 128> => or(Whole(64)),
        /// The attribute that holds a forwarded-for list, of which this is the client's
        /// address.
        forwarded: String => optional,
        /// So many entries at the end of that list were written by proxies of our own.
        trusted_hops: Whole<1, 32> => optional,
    }
}

words! {
    /// What an attribute is.
    pub(crate) enum Kind {
        #[default]
        Text = "text",
        Ip = "ip",
    }
}

table! {
    /// One limit.
    pub(crate) struct Limit {
        /// What it is called; no two are called the same.
        name: String => required,
        /// Where it applies: `[METHOD[,METHOD]] [host]/path`. Default: everywhere.
        routes: List<Place> => optional,
        /// It applies where all of these hold.
        when: Conditions => or(Conditions::default()),
        /// It applies where none of these hold.
        unless: Conditions => or(Conditions::default()),
        /// At most one limit of a group applies: the most specific.
        group: String => optional,
        /// Of its group, this one applies where no other does.
        fallback: bool => or(false),
        /// Who is limited: each combination of these has a bucket. `[]` is one bucket for
        /// everybody. Only `size` needs none.
        key: List<Name> => or(List::default()),
        /// How it counts.
        algorithm: Algorithm => or(Algorithm::SlidingLog),
        /// How much: `10/min`, or one for each value of an attribute.
        quota: Quotas => required,
        /// Quotas of single values, which win over `quota`.
        overrides: Quotas => optional,
        /// Room for larger quotas that come at run time.
        largest: Given => optional,
        /// What a request costs: a dimension that the host counts. Default: 1 a request.
        cost: String => optional,
        /// What happens when an attribute that it needs is missing.
        missing: Missing => or(Missing::Deny),
        /// Whether it denies, or only reports that it would.
        mode: Mode => or(Mode::Enforce),
        /// So many of the keys are enforced, the others are in shadow.
        share: Share => or(Share(1_000_000)),
        /// Whether a denial empties the bucket, so that who hammers gets nothing.
        charge_denied: bool => or(false),
        /// Keys in debt at once that there is room for.
        capacity: Capacity => or(Whole(CAPACITY)),
        /// What happens to a new key when there is no room.
        when_full: WhenFull => or(WhenFull::Allow),
        /// Leases: how long one lasts at most.
        ttl: SpanOfTime => optional,
        /// Calendar: whose days and months. Default: UTC.
        zone: Zone => optional,
        /// What is counted, for people. Default: what `cost` says, else requests.
        unit: String => optional,
        /// The status of its denials. Default: that of `[response]`.
        status: Status => optional,
    }
}

words! {
    /// How a limit counts.
    pub(crate) enum Algorithm {
        #[default]
        SlidingLog = "sliding-log",
        Gcra = "gcra",
        SlidingCounter = "sliding-counter",
        Calendar = "calendar",
        Leases = "leases",
        Size = "size",
    }
}

words! {
    /// Whether a limit denies.
    pub(crate) enum Mode {
        #[default]
        Enforce = "enforce",
        Shadow = "shadow",
    }
}

words! {
    /// What happens to a new key when there is no room.
    pub(crate) enum WhenFull {
        #[default]
        Allow = "allow",
        Deny = "deny",
    }
}

table! {
    /// Requests that are turned away whatever their number.
    pub(crate) struct Refuse {
        /// What it is called; no two are called the same.
        name: String => required,
        /// Where it applies. Default: everywhere.
        routes: List<Place> => optional,
        /// It applies where all of these hold.
        when: Conditions => or(Conditions::default()),
        /// It applies where none of these hold.
        unless: Conditions => or(Conditions::default()),
        /// It applies to addresses in these networks, by attribute.
        networks: Named<String, Networks> => optional,
        /// The status of the answer.
        status: Status => or(Whole(403)),
    }
}

table! {
    /// Requests that are never limited.
    pub(crate) struct Exempt {
        /// What it is called; no two are called the same.
        name: String => required,
        /// Where it applies. Default: everywhere.
        routes: List<Place> => optional,
        /// It applies where all of these hold.
        when: Conditions => or(Conditions::default()),
        /// It applies where none of these hold.
        unless: Conditions => or(Conditions::default()),
        /// It applies to addresses in these networks, by attribute.
        networks: Named<String, Networks> => optional,
    }
}

table! {
    /// Blocks for who is denied too often.
    pub(crate) struct Penalty {
        /// What it is called; no two are called the same.
        name: String => required,
        /// Who is blocked. `[]` is everybody at once.
        key: List<Name> => required,
        /// The limits whose denials count. Default: all that are enforced.
        counts: List<String> => optional,
        /// So many denials...
        denials: Whole<1, MAX_UNITS> => required,
        /// ...within this time lead to a block.
        within: SpanOfTime => required,
        /// How long the first block lasts, the second, and so on; the last may be `until lifted`.
        blocks: List<Block> => required,
        /// So long after a block the next is the first again.
        decay: SpanOfTime => or(SpanOfTime(DAY)),
        /// The routes that are blocked. Default: all.
        covers: List<Place> => optional,
        /// The status while blocked.
        status: Status => or(Whole(403)),
        /// Keys that there is room for.
        capacity: Capacity => or(Whole(CAPACITY)),
    }
}
