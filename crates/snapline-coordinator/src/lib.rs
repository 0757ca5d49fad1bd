//! The checkpoint coordinator of Snapline: decisions without IO, storage layout, retention, restart.
