//! What a request tells: attributes, keys and costs.

use crate::policy::{client_behind, path_parameter as parameter_of};
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri, header};
use ipnet::IpNet;
use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// A request without its body.
///
/// ```
/// use tollgate::{KeyedLimiter, tower::{Head, LimitLayer, peer}};
///
/// // Uploads cost more.
/// fn units(head: &Head<'_>) -> Option<u64> {
///     Some(if head.method == http::Method::PUT { 10 } else { 1 })
/// }
/// # assert_eq!(units(&Head::of(&http::Request::put("/").body(())?)), Some(10));
/// let limiter = KeyedLimiter::gcra("60/min".parse()?).try_build()?;
/// let layer = LimitLayer::limiter(limiter, peer()).units(units);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Head<'r> {
    /// The method.
    pub method: &'r Method,
    /// What it asks for.
    pub uri: &'r Uri,
    /// The header fields.
    pub headers: &'r HeaderMap,
    /// What servers and middleware added.
    pub extensions: &'r Extensions,
}

impl<'r> Head<'r> {
    /// That of `request`.
    ///
    /// ```
    /// use tollgate::tower::Head;
    ///
    /// let request = http::Request::get("/v1/scans").body(())?;
    /// assert_eq!(Head::of(&request).uri.path(), "/v1/scans");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of<B>(request: &'r Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The host that it is for, of the URI or else of the field.
    ///
    /// ```
    /// use tollgate::tower::Head;
    ///
    /// let request = http::Request::get("/").header("host", "api.example.org").body(())?;
    /// assert_eq!(Head::of(&request).host(), Some("api.example.org"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn host(&self) -> Option<&'r str> {
        let named = self.uri.authority().map(http::uri::Authority::as_str);
        named.or_else(|| self.headers.get(header::HOST)?.to_str().ok())
    }
}

type Find = dyn for<'r> Fn(&Head<'r>) -> Option<Cow<'r, [u8]>> + Send + Sync;

/// Takes a text from a request, if it is there: what an attribute or a key is.
///
/// An empty text is as good as none.
///
/// ```
/// use tollgate::tower::{Extractor, Head, forwarded, header};
///
/// // Who has a key is counted by it, others by the network that they are in.
/// let key: Extractor = header("x-key").or(forwarded("x-forwarded-for", 1).network(24, 48));
/// let request = http::Request::get("/").header("x-forwarded-for", "203.0.113.7").body(())?;
/// let found = key.extract(&Head::of(&request));
/// assert_eq!(found.as_deref(), Some(b"203.0.113.0".as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Extractor {
    find: Arc<Find>,
    /// Why it, or a part of it, can find nothing.
    flaw: Option<Arc<str>>,
}

impl Extractor {
    fn new(
        find: impl for<'r> Fn(&Head<'r>) -> Option<Cow<'r, [u8]>> + Send + Sync + 'static,
    ) -> Self {
        Self { find: Arc::new(find), flaw: None }
    }

    fn with_flaw(self, flaw: Option<Arc<str>>) -> Self {
        Self { flaw, ..self }
    }

    pub(super) fn flaw(&self) -> Option<&str> {
        self.flaw.as_deref()
    }

    /// What it finds.
    ///
    /// ```
    /// use tollgate::tower::{Head, header};
    ///
    /// let request = http::Request::get("/").header("x-org", "acme").body(())?;
    /// let found = header("x-org").extract(&Head::of(&request));
    /// assert_eq!(found.as_deref(), Some(b"acme".as_slice()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn extract<'r>(&self, head: &Head<'r>) -> Option<Cow<'r, [u8]>> {
        (self.find)(head).filter(|found| !found.is_empty())
    }

    /// The other where this one finds nothing.
    ///
    /// ```
    /// use tollgate::tower::{Head, header, peer};
    ///
    /// let request = http::Request::get("/").header("x-org", "acme").body(())?;
    /// assert!(header("x-key").or(header("x-org")).extract(&Head::of(&request)).is_some());
    /// assert!(header("x-key").or(peer()).extract(&Head::of(&request)).is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let flaw = self.flaw.clone().or_else(|| other.flaw.clone());
        Self::new(move |head| self.extract(head).or_else(|| other.extract(head))).with_flaw(flaw)
    }

    /// The network that an address is in, by its first address: of IPv4 so many bits count, of IPv6
    /// so many. One subscriber has a whole /64 of IPv6, and would have as many keys. What is no
    /// address finds nothing; more bits than there are count as all.
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use tollgate::tower::{Head, peer};
    ///
    /// let mut request = http::Request::new(());
    /// request.extensions_mut().insert("2001:db8:1:2:3:4:5:6".parse::<IpAddr>()?);
    /// let found = peer().network(32, 64).extract(&Head::of(&request));
    /// assert_eq!(found.as_deref(), Some(b"2001:db8:1:2::".as_slice()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn network(self, v4_bits: u8, v6_bits: u8) -> Self {
        let flaw = self.flaw.clone();
        let network = Self::new(move |head| {
            let found = self.extract(head)?;
            let ip: IpAddr = std::str::from_utf8(&found).ok()?.trim().parse().ok()?;
            let ip = ip.to_canonical();
            let bits = if ip.is_ipv4() { v4_bits.min(32) } else { v6_bits.min(128) };
            let network = IpNet::new(ip, bits).ok()?.trunc().addr();
            Some(Cow::Owned(network.to_string().into_bytes()))
        });
        network.with_flaw(flaw)
    }
}

impl fmt::Debug for Extractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extractor").finish_non_exhaustive()
    }
}

/// Whatever a function makes of a request.
///
/// ```
/// use tollgate::tower::{Head, from_fn};
///
/// let query = from_fn(|head| head.uri.query().map(str::to_owned));
/// let request = http::Request::get("/?a").body(())?;
/// assert_eq!(query.extract(&Head::of(&request)).as_deref(), Some(b"a".as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn from_fn<T: Into<Vec<u8>>>(
    find: impl for<'r> Fn(&Head<'r>) -> Option<T> + Send + Sync + 'static,
) -> Extractor {
    Extractor::new(move |head| find(head).map(|found| Cow::Owned(found.into())))
}

/// A header field; one that is there more than once is one list, as HTTP has it.
///
/// Who the client says it is, anybody may say: use it where something before checked it.
/// A name that none can be finds nothing.
///
/// ```
/// use tollgate::tower::{Head, header};
///
/// let request = http::Request::get("/").header("via", "a").header("via", "b").body(())?;
/// let found = header("Via").extract(&Head::of(&request));
/// assert_eq!(found.as_deref(), Some(b"a, b".as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn header(name: &str) -> Extractor {
    let (name, flaw) = field_name(name);
    Extractor::new(move |head| list(head, name.as_ref()?)).with_flaw(flaw)
}

/// The name, or why it is none.
fn field_name(name: &str) -> (Option<HeaderName>, Option<Arc<str>>) {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => (Some(name), None),
        Err(_) => (None, Some(format!("{name:?} is no name of a header field").into())),
    }
}

fn list<'r>(head: &Head<'r>, name: &HeaderName) -> Option<Cow<'r, [u8]>> {
    let mut lines = head.headers.get_all(name).iter();
    let first = lines.next()?.as_bytes();
    let mut all = Cow::Borrowed(first);
    for line in lines {
        let all = all.to_mut();
        all.extend_from_slice(b", ");
        all.extend_from_slice(line.as_bytes());
    }
    Some(all)
}

/// Something that a server or a middleware added to the request.
///
/// ```
/// use tollgate::tower::{Head, extension};
///
/// #[derive(Clone)]
/// struct User(u32);
///
/// let user = extension(|user: &User| user.0.to_string());
/// let mut request = http::Request::new(());
/// assert!(user.extract(&Head::of(&request)).is_none());
/// request.extensions_mut().insert(User(7));
/// assert_eq!(user.extract(&Head::of(&request)).as_deref(), Some(b"7".as_slice()));
/// ```
pub fn extension<T, V>(tell: impl Fn(&T) -> V + Send + Sync + 'static) -> Extractor
where
    T: Send + Sync + 'static,
    V: Into<Vec<u8>>,
{
    Extractor::new(move |head| Some(Cow::Owned(tell(head.extensions.get::<T>()?).into())))
}

/// The address of who is connected, where the server put a `SocketAddr` or an `IpAddr`
/// among the extensions. axum puts a type of its own there: take it by
/// [`extension`], as `extension(|c: &ConnectInfo<SocketAddr>| c.0.ip().to_string())`. So does tonic,
/// whose connections need not have an address:
/// `from_fn(|head| Some(head.extensions.get::<TcpConnectInfo>()?.remote_addr()?.ip().to_string()))`.
///
/// ```
/// use std::net::SocketAddr;
/// use tollgate::tower::{Head, peer};
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert("203.0.113.7:4711".parse::<SocketAddr>()?);
/// let found = peer().extract(&Head::of(&request));
/// assert_eq!(found.as_deref(), Some(b"203.0.113.7".as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn peer() -> Extractor {
    Extractor::new(|head| {
        let ip = head.extensions.get::<SocketAddr>().map(SocketAddr::ip);
        let ip = ip.or_else(|| head.extensions.get::<IpAddr>().copied())?;
        Some(Cow::Owned(ip.to_canonical().to_string().into_bytes()))
    })
}

/// The client behind proxies of ours, which wrote the last so many entries of that field
/// (`X-Forwarded-For` or `Forwarded`). What anybody put in front is not looked at, and a
/// list that is garbled there finds nothing. For the keys of limiters: a policy reads the
/// [list](header()) by itself (`forwarded` and `trusted_hops` of its file).
///
/// ```
/// use tollgate::tower::{Head, forwarded};
///
/// let list = "192.0.2.66, 203.0.113.7, 198.51.100.1";
/// let request = http::Request::get("/").header("x-forwarded-for", list).body(())?;
/// let found = forwarded("x-forwarded-for", 2).extract(&Head::of(&request));
/// assert_eq!(found.as_deref(), Some(b"203.0.113.7".as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn forwarded(name: &str, trusted_hops: usize) -> Extractor {
    let (name, flaw) = field_name(name);
    let client = Extractor::new(move |head| {
        let list = list(head, name.as_ref()?)?;
        Some(Cow::Owned(client_behind(&list, trusted_hops)?.to_string().into_bytes()))
    });
    client.with_flaw(flaw)
}

/// A segment of the path, by a route as [policies](crate::policy) write them. For the keys of limiters: a
/// policy has `path.NAME`. A route that is none finds nothing.
///
/// ```
/// use tollgate::tower::{Head, path_parameter};
///
/// let id = path_parameter("/v1/scans/{id}", "id");
/// let request = http::Request::get("/v1//scans/%61?page=2").body(())?;
/// assert_eq!(id.extract(&Head::of(&request)).as_deref(), Some(b"a".as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn path_parameter(route: &str, name: &str) -> Extractor {
    let find = parameter_of(route, name);
    let flaw = find.is_none().then(|| format!("{route:?} is no route with a segment {{{name}}}"));
    let segment = move |head: &Head<'_>| find.as_ref()?(head.uri.path());
    Extractor::new(move |head| segment(head).map(|found| Cow::Owned(found.into_bytes())))
        .with_flaw(flaw.map(Arc::from))
}

/// How long the request's body says it is: a cost. Where it does not say, a limit that
/// counts it finds it missing.
///
/// ```
/// use tollgate::tower::{Head, content_length};
///
/// let request = http::Request::post("/").header("content-length", "70").body(())?;
/// assert_eq!(content_length(&Head::of(&request)), Some(70));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn content_length(head: &Head<'_>) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
