//! Stored block formats: how model files keep weights, and what the bytes mean.
