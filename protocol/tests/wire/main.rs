//! The wire, held to its page, to its laws, and to what strangers may send.

mod golden;
mod hostile;
mod round_trip;
mod samples;
