//! What streams over a simulated connection: each frame is on its way for a while, or the connection breaks.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::Link;

/// A frame and when it was sent.
pub(super) type Sent = (Result<Frame<Bytes>, Status>, Instant);
type Arriving = Pin<Box<dyn Future<Output = Result<Frame<Bytes>, Status>> + Send>>;

/// Frames that come over a connection.
pub(super) struct Frames {
    link: Link,
    /// Of a thousand of them so many break the stream.
    breaking: u64,
    from: From,
    /// What was sent until then came with the head.
    with_head: Instant,
    arriving: Option<Arriving>,
    is_over: bool,
}

enum From {
    Request(Body),
    Answer(mpsc::UnboundedReceiver<Sent>),
}

impl Frames {
    pub(super) fn request((link, breaking): (Link, u64), body: Body) -> Self {
        let (from, with_head) = (From::Request(body), Instant::now());
        Self { link, breaking, from, with_head, arriving: None, is_over: false }
    }

    pub(super) fn answer(
        (link, breaking): (Link, u64),
        frames: mpsc::UnboundedReceiver<Sent>,
        with_head: Instant,
    ) -> Self {
        let from = From::Answer(frames);
        Self { link, breaking, from, with_head, arriving: None, is_over: false }
    }

    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Option<Sent>> {
        match &mut self.from {
            From::Answer(frames) => frames.poll_recv(context),
            From::Request(body) => {
                let frame = http_body::Body::poll_frame(Pin::new(body), context);
                frame.map(|frame| frame.map(|frame| (frame, Instant::now())))
            }
        }
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if self.is_over {
                return Poll::Ready(None);
            }
            if let Some(arriving) = &mut self.arriving {
                let Poll::Ready(frame) = arriving.as_mut().poll(context) else { return Poll::Pending };
                self.arriving = None;
                self.is_over = frame.is_err();
                return Poll::Ready(Some(frame));
            }
            match self.poll_sent(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some((frame, sent))) if sent <= self.with_head => {
                    return Poll::Ready(Some(frame));
                }
                Poll::Ready(Some((frame, _))) => {
                    let (link, breaking) = (self.link.clone(), self.breaking);
                    let arriving = async move {
                        link.network.pass(link.from, link.to).await?;
                        if breaking > 0 && link.network.random.permille(breaking) {
                            return Err(Status::unknown("the stream is broken"));
                        }
                        frame
                    };
                    self.arriving = Some(Box::pin(arriving));
                }
            }
        }
    }
}

/// Sends what a service answers, as long as somebody wants it.
pub(super) async fn pump(mut body: Body, frames: &mpsc::UnboundedSender<Sent>) {
    loop {
        let next = std::future::poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut body), context));
        let next = tokio::select! {
            biased;
            () = frames.closed() => return,
            next = next => next,
        };
        let Some(frame) = next else { return };
        if frames.send((frame, Instant::now())).is_err() {
            return;
        }
    }
}
