//! The forward pass and the runner, the seam between scheduling and computing.
