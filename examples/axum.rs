//! The API of examples/policies/003-url-scanning.toml, served by axum:
//!
//! ```text
//! $ cargo run --manifest-path examples/services/Cargo.toml --example axum
//! $ curl -i -X POST -H 'x-org: acme' http://127.0.0.1:3000/v1/scans
//! ```

use axum::{Router, routing::post};
use tollgate::policy::Policy;
use tollgate::tower::{LimitLayer, Mismatch, header};

pub(crate) fn app(policy: Policy) -> Result<Router, Mismatch> {
    // Who checks the caller's key says whose it is.
    let limits = LimitLayer::policy(policy).attribute("org", header("x-org")).refund_errors(true);
    // Whatever the policy reads is supplied: a misspelt name shows here, at start-up.
    Ok(Router::new().route("/v1/scans", post(async || "scanning")).layer(limits.checked()?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = Policy::from_toml(include_str!("policies/003-url-scanning.toml"))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(policy)?).await?)
}
