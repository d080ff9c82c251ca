//! Requests in flight: one file for each kind.
