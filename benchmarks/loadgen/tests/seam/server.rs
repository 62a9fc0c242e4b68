//! An HTTP/2 server that does to each call what a script says, and remembers what it saw.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// What `Act::Answer` says: field 1 is a varint of 7.
pub const RIGHT: &[u8] = &[8, 7];

/// What happens to one call.
#[derive(Clone, Copy)]
pub enum Act {
    Answer,
    AnswerAfter(Duration),
    /// Sends these bytes as the whole body, with status 0.
    Body(&'static [u8]),
    /// Sends the right answer in pieces of two bytes.
    Pieces,
    /// Sends headers only.
    Status(&'static str, &'static str),
    /// Sends the right answer, and trailers without a status.
    NoStatus,
    Http(u16),
    Reset(Reason),
    Hang,
    /// Sends GOAWAY and answers everything that is out.
    GoAway,
    /// Closes the connection at once.
    Break,
}

/// A call as the server saw it.
pub struct Seen {
    pub headers: HeaderMap,
    pub body: Bytes,
    pub received: Instant,
    pub answered: Option<Instant>,
    pub reset: Option<Reason>,
}

type Script = dyn Fn(usize) -> Act + Send + Sync;

pub struct Server {
    pub target: String,
    pub state: Arc<State>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

pub struct State {
    script: Box<Script>,
    number: AtomicUsize,
    pub seen: Mutex<Vec<Seen>>,
    pub connections: AtomicUsize,
    max_streams: u32,
}

enum Order {
    GoAway,
    Break,
}

impl Server {
    /// Call n, from 0, over all connections gets what `script(n)` says.
    pub fn start(script: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        Self::with(script, 1_000, None)
    }

    pub fn with(
        script: impl Fn(usize) -> Act + Send + Sync + 'static,
        max_streams: u32,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let target = listener.local_addr().expect("bound").to_string();
        let state = Arc::new(State {
            script: Box::new(script),
            number: AtomicUsize::new(0),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            max_streams,
        });
        let stop = Arc::new(Notify::new());
        let thread = std::thread::spawn({
            let (state, stop) = (state.clone(), stop.clone());
            move || serve(listener, &state, tls.as_ref(), &stop)
        });
        Self { target, state, stop, thread: Some(thread) }
    }

    /// Closes the port and all connections.
    pub fn kill(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server's thread");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(listener: TcpListener, state: &Arc<State>, tls: Option<&TlsAcceptor>, stop: &Notify) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    listener.set_nonblocking(true).expect("a socket");
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        let accept = async {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("a socket");
                state.connections.fetch_add(1, Ordering::Relaxed);
                let state = state.clone();
                match tls.cloned() {
                    None => spawn_local(connection(stream, state)),
                    Some(tls) => spawn_local(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            connection(stream, state).await;
                        }
                    }),
                };
            }
        };
        tokio::select! { () = accept => {}, () = stop.notified() => {} }
    });
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, state: Arc<State>) {
    let mut builder = Builder::new();
    // Answers in pieces need many frames, and what was given up is no attack here.
    builder.max_concurrent_streams(state.max_streams).max_pending_accept_reset_streams(10_000);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    let (orders, mut ordered) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                spawn_local(call(request, respond, state.clone(), orders.clone()));
            }
            Some(order) = ordered.recv() => match order {
                Order::GoAway => connection.graceful_shutdown(),
                Order::Break => return,
            },
        }
    }
}

async fn call(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    state: Arc<State>,
    orders: mpsc::UnboundedSender<Order>,
) -> Option<()> {
    let received = Instant::now();
    let number = state.number.fetch_add(1, Ordering::Relaxed);
    let (head, mut body) = request.into_parts();
    let mut whole = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        body.flow_control().release_capacity(data.len()).ok()?;
        whole.put(data);
    }
    let seen = Seen { headers: head.headers, body: whole.freeze(), received, answered: None, reset: None };
    let place = {
        let mut all = state.seen.lock().expect("no panic");
        all.push(seen);
        all.len() - 1
    };
    match (state.script)(number) {
        Act::Answer => answer(&mut respond, &framed(RIGHT), usize::MAX, Some("0"))?,
        Act::AnswerAfter(wait) => {
            sleep(wait).await;
            answer(&mut respond, &framed(RIGHT), usize::MAX, Some("0"))?;
        }
        Act::Body(body) => answer(&mut respond, body, usize::MAX, Some("0"))?,
        Act::Pieces => answer(&mut respond, &framed(RIGHT), 2, Some("0"))?,
        Act::NoStatus => answer(&mut respond, &framed(RIGHT), usize::MAX, None)?,
        Act::Status(code, message) => {
            let headers = [("content-type", "application/grpc"), ("grpc-status", code), ("grpc-message", message)];
            drop(respond.send_response(response(200, &headers), true).ok()?);
        }
        Act::Http(status) => {
            drop(respond.send_response(response(status, &[("content-type", "text/html")]), true).ok()?);
        }
        Act::Reset(reason) => respond.send_reset(reason),
        Act::Hang => {
            let reset = std::future::poll_fn(|context| respond.poll_reset(context)).await.ok();
            state.seen.lock().expect("no panic")[place].reset = reset;
        }
        Act::GoAway => {
            orders.send(Order::GoAway).ok()?;
            answer(&mut respond, &framed(RIGHT), usize::MAX, Some("0"))?;
        }
        Act::Break => {
            orders.send(Order::Break).ok()?;
            std::future::pending::<()>().await; // or this call would be reset first
        }
    }
    state.seen.lock().expect("no panic")[place].answered = Some(Instant::now());
    Some(())
}

fn answer(respond: &mut SendResponse<Bytes>, body: &[u8], piece: usize, status: Option<&'static str>) -> Option<()> {
    let headers = response(200, &[("content-type", "application/grpc")]);
    let mut stream = respond.send_response(headers, false).ok()?;
    for piece in body.chunks(piece) {
        stream.send_data(Bytes::copy_from_slice(piece), false).ok()?;
    }
    let trailers = status.map(|status| ("grpc-status".parse().expect("a name"), HeaderValue::from_static(status)));
    stream.send_trailers(trailers.into_iter().collect()).ok()
}

fn response(status: u16, headers: &[(&'static str, &'static str)]) -> Response<()> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(()).expect("a response")
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("small");
    [&[0][..], &length.to_be_bytes(), message].concat()
}
