//! The envelope of every message, to clients and between nodes.
