//! Who keeps a copy: the walk around the ring.
