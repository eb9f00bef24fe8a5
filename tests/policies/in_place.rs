//! A decision in the place of another is the decision that a new place gets.

use super::{after, policy};
use proptest::prelude::*;
use std::fmt::Write as _;
use tollgate::policy::Policy;

/// A policy with every cause, and more limits than a decision has room for by itself.
fn every_cause() -> Policy {
    let mut text = String::from(
        "[attribute.user]\n[attribute.org]\n\
         [[limit]]\nname = 'each'\nkey = ['user']\nquota = '3/min'\nstatus = 503\nmissing = 'deny'\n\
         [[limit]]\nname = 'jobs'\nroutes = ['POST /jobs']\nkey = ['user']\nalgorithm = 'leases'\n\
         quota = 2\nttl = '20 s'\nmissing = 'skip'\n\
         [[refuse]]\nname = 'closed'\nroutes = ['/admin/**']\nstatus = 404\n\
         [[exempt]]\nname = 'health'\nroutes = ['/health']\n\
         [[penalty]]\nname = 'ladder'\nkey = ['user']\ndenials = 4\nwithin = '1 min'\nblocks = ['30 s']\n",
    );
    for nth in 0..10 {
        writeln!(
            text,
            "[[limit]]\nname = 'many{nth}'\nroutes = ['/many']\nkey = ['org']\nquota = '{}/min'\n\
             missing = 'skip'",
            20 + nth
        )
        .unwrap();
    }
    policy(&text)
}

proptest! {
    #[test]
    fn is_what_a_new_place_gets(
        asked in prop::collection::vec(
            (0_usize..5, 0_usize..3, any::<bool>(), any::<bool>(), 0_u64..3),
            1..80,
        ),
    ) {
        let [one, other] = [every_cause(), every_cause()];
        let mut place = other.undecided();
        let mut now = 0;
        for (path, user, has_org, release, later) in asked {
            let (method, path) = [
                ("GET", "/"), ("POST", "/jobs"), ("GET", "/admin/x"), ("GET", "/health"),
                ("GET", "/many"),
            ][path];
            now += later;
            let user = ["", "ada", "bob"][user];
            let mut fresh = {
                let mut request = one.request(method, path).attribute("user", user);
                if has_org {
                    request = request.attribute("org", "acme");
                }
                one.check_at(&request, after(now))
            };
            let mut request = other.request(method, path);
            request.set_attribute(other.attribute_id("user").unwrap(), user);
            if has_org {
                request.set_attribute(other.attribute_id("org").unwrap(), "acme");
            }
            other.check_into_at(&request, after(now), &mut place);
            prop_assert_eq!(format!("{fresh:?}"), format!("{place:?}"));
            prop_assert_eq!(fresh.status(), place.status());
            prop_assert_eq!(fresh.response(), place.response());
            if release {
                fresh.release_at(after(now));
                place.release_at(after(now));
            }
        }
    }
}
