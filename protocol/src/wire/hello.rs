//! The first words on a connection.
