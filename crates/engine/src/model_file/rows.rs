//! Reading weights, row by row, from any number of threads.

use std::ops::Range;

use banter_kernels::blocks::quantise;
use banter_kernels::{InputOrder, Pool, dequantise};

use super::packed::Unpacker;
use super::tensors::{Place, TensorInfo};
use super::{ModelFile, ModelFileError};

/// Reads the rows of one tensor. A packed tensor is held in memory for as long as this lives.
pub struct TensorRows<'a> {
    file: &'a ModelFile,
    tensor: &'a TensorInfo,
    /// `None` if rows are read from the file.
    unpacker: Option<Unpacker>,
}

impl ModelFile {
    /// Prepares a tensor for reading. A packed tensor is read as a whole, on all threads of `pool`.
    ///
    /// Errors: the file became unreadable or shorter since it was opened, or the groups or scales
    /// of a packed tensor are wrong.
    pub fn rows<'a>(
        &'a self,
        tensor: &'a TensorInfo,
        pool: &Pool,
    ) -> Result<TensorRows<'a>, ModelFileError> {
        let unpacker = match &tensor.place {
            Place::Rows(_) => None,
            Place::Packed(packed) => Some(Unpacker::read(tensor, packed, &self.parts, pool)?),
        };
        Ok(TensorRows { file: self, tensor, unpacker })
    }

    /// Reads whole rows of a tensor that is not packed, as stored.
    ///
    /// Any number of threads may read at once.
    /// Errors: the file became unreadable or shorter since it was opened.
    /// Panics if `rows` reaches past the tensor, `bytes` is not the size of those rows, or the
    /// tensor is packed: [`ModelFile::rows`] reads any.
    pub fn read_rows(
        &self,
        tensor: &TensorInfo,
        rows: Range<usize>,
        bytes: &mut [u8],
    ) -> Result<(), ModelFileError> {
        let row_bytes = tensor.stored_row_bytes();
        assert_within(tensor, &rows, row_bytes, bytes);
        let Place::Rows(region) = &tensor.place else { panic!("{tensor:?} is packed") };
        let offset = region.offset + (rows.start * row_bytes) as u64;
        let part = &self.parts[region.part];
        part.read_exact_at(offset, bytes).map_err(|fault| fault.in_file(part.name()))
    }
}

impl TensorRows<'_> {
    /// Reads whole rows as blocks of the tensor's kind. [`TensorRows::order`] is the order of the
    /// values in a row.
    ///
    /// Any number of threads may read at once.
    /// Errors: the file became unreadable or shorter since it was opened.
    /// Panics if `rows` reaches past the tensor or `bytes` is not the size of those rows.
    pub fn read(&self, rows: Range<usize>, bytes: &mut [u8]) -> Result<(), ModelFileError> {
        let TensorInfo { kind, stored, depth, .. } = *self.tensor;
        if kind == stored {
            return self.read_stored(rows, bytes);
        }
        assert_within(self.tensor, &rows, self.tensor.row_bytes(), bytes);
        let stored_bytes = self.tensor.stored_row_bytes();
        let mut stored_rows = vec![0; rows.len() * stored_bytes];
        self.read_stored(rows, &mut stored_rows)?;
        let mut values = vec![0.0; depth];
        let places = bytes.chunks_exact_mut(self.tensor.row_bytes());
        for (row, place) in stored_rows.chunks_exact(stored_bytes).zip(places) {
            dequantise(stored, row, &mut values);
            quantise(kind, &values, place);
        }
        Ok(())
    }

    fn read_stored(&self, rows: Range<usize>, bytes: &mut [u8]) -> Result<(), ModelFileError> {
        let Some(unpacker) = &self.unpacker else {
            return self.file.read_rows(self.tensor, rows, bytes);
        };
        assert_within(self.tensor, &rows, self.tensor.stored_row_bytes(), bytes);
        unpacker.write_rows(rows, bytes);
        Ok(())
    }

    /// Which input each value of a row belongs to. `None` if the values are in the inputs' order.
    pub fn order(&self) -> Option<&InputOrder> {
        self.unpacker.as_ref().and_then(Unpacker::order)
    }
}

fn assert_within(tensor: &TensorInfo, rows: &Range<usize>, row_bytes: usize, bytes: &[u8]) {
    assert!(rows.start <= rows.end && rows.end <= tensor.rows, "{rows:?} of {tensor:?}");
    assert_eq!(bytes.len(), rows.len() * row_bytes, "{rows:?} of {tensor:?}");
}
