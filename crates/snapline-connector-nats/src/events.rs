//! The event loop of a sink or a source, started when it is needed.

use snapline_connector::EventLoop;
use snapline_core::Result;
use std::sync::OnceLock;

#[derive(Debug, Default)]
pub(crate) struct Events(OnceLock<EventLoop>);

impl Events {
    pub(crate) fn start(&self) -> Result<EventLoop> {
        if let Some(events) = self.0.get() {
            return Ok(events.clone());
        }
        let started = EventLoop::start("snapline-nats")?;
        Ok(self.0.get_or_init(|| started).clone())
    }
}
