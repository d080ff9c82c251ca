//! What may be sent again, and when.
