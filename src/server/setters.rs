//! The setters of a server: every setting has one of its name, which is also that of its flag.

use std::path::PathBuf;
use std::time::Duration;

use squall_shards::Driver;

use super::Server;
use super::access_log::{AccessLogFormat, AccessLogSettings, access_log_setters};
use super::config::{OwnSettings, own_setters};
use super::memory::watermarks::MemoryWatermarks;
use crate::app::TrustedProxies;
use crate::http1::http1_setters;
use crate::http2::http2_setters;
use crate::pubsub::{self, LogLimits, history_setters, pubsub_setters};
use crate::transport::progress::{WriteLimits, write_setters};
use crate::websocket::websocket_setters;

/// One setter for each setting.
impl Server {
    own_setters!();
    http1_setters!();
    http2_setters!();
    write_setters!();
    websocket_setters!();
    pubsub_setters!();
    history_setters!();
    access_log_setters!();

    fn own(&mut self) -> &mut OwnSettings {
        &mut self.config.own
    }

    fn http1(&mut self) -> &mut crate::http1::Limits {
        &mut self.config.http1
    }

    fn http2(&mut self) -> &mut crate::http2::Settings {
        &mut self.config.http2
    }

    fn write(&mut self) -> &mut WriteLimits {
        &mut self.config.write
    }

    fn websocket(&mut self) -> &mut crate::websocket::Limits {
        &mut self.config.websocket
    }

    fn pubsub(&mut self) -> &mut pubsub::Limits {
        &mut self.config.pubsub
    }

    fn histories(&mut self) -> &mut LogLimits {
        &mut self.config.histories
    }

    fn access_log_settings(&mut self) -> &mut AccessLogSettings {
        &mut self.config.access_log
    }
}
