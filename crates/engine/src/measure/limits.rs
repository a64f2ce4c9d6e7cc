//! What the machine can do at most: medians of many runs, like the figures they are compared with,
//! and measured in the same minute.

use std::num::NonZeroUsize;

use banter_kernels::ceilings::{
    PageSize, float_products_per_second, int8_products_per_second, pair_products_per_second,
    read_bytes_per_second,
};
use banter_kernels::{AllocError, Isa, Pool};

/// What the machine can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Multiply-adds of 8-bit integers a second.
    pub int8_products: f64,
    /// Multiply-adds of floats a second.
    pub float_products: f64,
    /// Multiply-adds of BF16 in pairs a second.
    pub pair_products: f64,
    /// Bytes read a second from small pages.
    pub read_bytes: f64,
    /// Bytes read a second from huge pages.
    pub read_bytes_huge: f64,
}

/// No memory to measure reading on.
#[derive(Debug, thiserror::Error)]
#[error("measure reading: {0}")]
pub struct LimitError(#[from] AllocError);

/// Bytes of weights that can be read a second with some threads. Takes about half a second.
///
/// Errors: half a gigabyte of memory cannot be had.
pub fn weight_bytes_per_second(isa: Isa, threads: NonZeroUsize) -> Result<f64, LimitError> {
    // Weights lie in huge pages where the system grants them.
    Ok(read_bytes_per_second(&Pool::new(isa, threads), PageSize::Huge)?.median)
}

/// Measures the limits of an instruction set with some threads. Takes about three seconds.
///
/// Errors: half a gigabyte of memory cannot be had.
pub fn limits(isa: Isa, threads: NonZeroUsize) -> Result<Limits, LimitError> {
    let pool = Pool::new(isa, threads);
    Ok(Limits {
        int8_products: int8_products_per_second(&pool).median,
        float_products: float_products_per_second(&pool).median,
        pair_products: pair_products_per_second(&pool).median,
        read_bytes: read_bytes_per_second(&pool, PageSize::Small)?.median,
        read_bytes_huge: read_bytes_per_second(&pool, PageSize::Huge)?.median,
    })
}
