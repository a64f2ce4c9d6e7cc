//! How many numbers lie side by side.

/// How many rows, positions or values lie side by side: the 32-bit lanes of 512 bits. The layouts
/// keep this number on narrower processors too, so that sums have one order everywhere.
pub(crate) const LANES: usize = 16;

/// Sixteen numbers side by side.
pub(crate) type Lanes = [f32; LANES];
