//! tonic behind the layer, over HTTP/2 on loopback: a call that is denied is a status.

use bytes::{Buf, BufMut};
use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpListener, time::timeout};
use tollgate::{
    policy::Policy,
    tower::{LimitLayer, from_fn, header},
};
use tonic::{
    Code, Request, Response, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataValue,
    server::{NamedService, UnaryService},
    transport::{Channel, Server, server::TcpConnectInfo},
};
use tower_service::Service;

/// Texts as they are, for messages.
#[derive(Default)]
struct Texts;

impl Codec for Texts {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Texts {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Texts {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// The service `echo.Echo`, without a compiler of protocols.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "echo.Echo";
}

struct Say;

impl UnaryService<String> for Say {
    type Response = String;
    type Future = std::future::Ready<Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        ready(match &**request.get_ref() {
            "fail" => Err(Status::internal("as it should")),
            text => Ok(Response::new(text.to_owned())),
        })
    }
}

impl Service<http::Request<tonic::body::Body>> for Echo {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async { Ok(tonic::server::Grpc::new(Texts).unary(Say, request).await) })
    }
}

async fn say(channel: &Channel, user: Option<&str>, text: &str) -> Result<String, Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let mut request = Request::new(text.to_owned());
    if let Some(user) = user {
        request.metadata_mut().insert("x-user", MetadataValue::try_from(user).unwrap());
    }
    let path = http::uri::PathAndQuery::from_static("/echo.Echo/Say");
    client.unary(request, path, Texts).await.map(Response::into_inner)
}

#[tokio::test]
async fn a_denied_call_is_a_status() {
    let text = "
        [attribute.user]
        [[limit]]
        name = 'say'
        routes = ['POST /echo.Echo/Say']
        key = ['user']
        quota = '3/h'
        [[limit]]
        name = 'at once'
        key = ['user']
        algorithm = 'leases'
        quota = 1
        ttl = '1 h'
        [attribute.ip]
        kind = 'ip'
        [[limit]]
        name = 'address'
        key = ['ip']
        quota = '1000/h'
        [response]
        headers = 'ratelimit'
        body = 'problem'
        ";
    let peer = from_fn(|head| {
        Some(head.extensions.get::<TcpConnectInfo>()?.remote_addr()?.ip().to_string())
    });
    // What a call failed by is in the head of its answer where there is no message.
    let layer = LimitLayer::policy(Policy::from_toml(text).unwrap())
        .attribute("user", header("x-user"))
        .attribute("ip", peer)
        .refund_if(|answer| answer.headers.get("grpc-status").is_some_and(|code| code == "13"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(Echo);
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let task = tokio::spawn(server.serve_with_incoming(incoming));

    let run = async {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        let channel = channel.connect().await.unwrap();
        for text in ["a", "b"] {
            assert_eq!(say(&channel, Some("ann"), text).await.unwrap(), text);
        }
        assert_eq!(say(&channel, Some("ann"), "fail").await.unwrap_err().code(), Code::Internal);
        assert_eq!(say(&channel, Some("ann"), "c").await.unwrap(), "c");
        let denied = say(&channel, Some("ann"), "d").await.unwrap_err();
        assert_eq!(denied.code(), Code::ResourceExhausted);
        let told = |name| denied.metadata().get(name).unwrap().to_str().unwrap();
        let wait: u64 = told("grpc-retry-pushback-ms").parse().unwrap();
        assert!(wait > 3_500_000 && wait <= 3_600_000, "{wait}");
        assert!(told("ratelimit").contains("\"say\";r=0"));
        assert_eq!(say(&channel, Some("bob"), "e").await.unwrap(), "e");
        let nobody = say(&channel, None, "f").await.unwrap_err();
        assert_eq!(nobody.code(), Code::PermissionDenied);
    };
    let run = timeout(Duration::from_secs(60), run).await;
    task.abort();
    run.expect("it hangs");
}
