//! Who owns which block of cached keys and values.
