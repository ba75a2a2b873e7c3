//! A WebSocket that carries binary messages of bounded length, whichever side opened it.

use std::pin::Pin;

use axum::{
    body::Bytes,
    extract::ws::{self, WebSocketUpgrade},
};
use futures::{Sink, SinkExt, Stream, StreamExt, future::ready};
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};

use super::wire::MAX_MESSAGE_BYTES;

/// Read at once; most messages are shorter.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// Why a socket gives nothing more.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// The other side closed it.
    #[error("the other side closed the connection")]
    Closed,
    /// A text message came.
    #[error("a text message came where only binary ones are expected")]
    NotBinary,
    /// The network failed, a message was too long, or what came is no WebSocket.
    #[error("the connection failed: {0}")]
    Failed(String),
}

/// Where messages go.
pub(super) type Sender = Pin<Box<dyn Sink<Bytes, Error = SocketError> + Send>>;
/// Where they come from.
pub(super) type Receiver = Pin<Box<dyn Stream<Item = Result<Bytes, SocketError>> + Send>>;

/// Both directions of a WebSocket.
pub(super) struct Socket {
    /// To the other side.
    pub(super) sender: Sender,
    /// From the other side.
    pub(super) receiver: Receiver,
}

/// An upgrade whose messages are at most one Noise message long.
pub(super) fn limited(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .max_write_buffer_size(4 * MAX_MESSAGE_BYTES)
}

impl Socket {
    /// One that a peer opened.
    pub(super) fn accepted(socket: ws::WebSocket) -> Self {
        let failed = |error: axum::Error| SocketError::Failed(error.to_string());
        let (sender, receiver) = socket.split();
        let sender = sender
            .sink_map_err(failed)
            .with(|bytes| ready(Ok(ws::Message::Binary(bytes))));
        let receiver = receiver.filter_map(move |message| {
            ready(match message {
                Ok(ws::Message::Binary(bytes)) => Some(Ok(bytes)),
                Ok(ws::Message::Ping(_) | ws::Message::Pong(_)) => None,
                Ok(ws::Message::Close(_)) => Some(Err(SocketError::Closed)),
                Ok(ws::Message::Text(_)) => Some(Err(SocketError::NotBinary)),
                Err(error) => Some(Err(failed(error))),
            })
        });
        Self {
            sender: Box::pin(sender),
            receiver: Box::pin(receiver),
        }
    }

    /// Opens one to a `ws://` URL.
    pub(super) async fn dial(url: &str) -> Result<Self, SocketError> {
        use tungstenite::Message;
        let failed = |error: tungstenite::Error| SocketError::Failed(error.to_string());
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES))
            .max_write_buffer_size(4 * MAX_MESSAGE_BYTES);
        let (socket, _) = tokio_tungstenite::connect_async_with_config(url, Some(config), true)
            .await
            .map_err(failed)?;
        let (sender, receiver) = socket.split();
        let sender = sender
            .sink_map_err(failed)
            .with(|bytes| ready(Ok(Message::Binary(bytes))));
        let receiver = receiver.filter_map(move |message| {
            ready(match message {
                Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => None,
                Ok(Message::Close(_)) => Some(Err(SocketError::Closed)),
                Ok(Message::Text(_)) => Some(Err(SocketError::NotBinary)),
                Err(error) => Some(Err(failed(error))),
            })
        });
        Ok(Self {
            sender: Box::pin(sender),
            receiver: Box::pin(receiver),
        })
    }

    /// Sends a message and flushes it.
    pub(super) async fn send(&mut self, message: Vec<u8>) -> Result<(), SocketError> {
        self.sender.send(message.into()).await
    }

    /// Waits for the next message.
    pub(super) async fn receive(&mut self) -> Result<Bytes, SocketError> {
        self.receiver
            .next()
            .await
            .unwrap_or(Err(SocketError::Closed))
    }
}
