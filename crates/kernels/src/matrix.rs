//! Weights in memory: read once from a model file, packed for the kernels.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use crate::blocks::BlockType;
use crate::disjoint::Disjoint;
use crate::input::Form;
use crate::input_order::InputOrder;
use crate::lanes::LANES;
use crate::memory::{AllocError, Memory};
use crate::packing::{Layout, Panel};
use crate::pool::Pool;

/// A weight matrix of `rows` outputs and `depth` inputs, packed as `packing` describes.
pub struct Matrix {
    kind: BlockType,
    rows: usize,
    depth: usize,
    panel_bytes: usize,
    panels: Memory,
    /// Which input stands where in a row; none where they stand as they come.
    order: Option<InputOrder>,
}

/// Why weights could not be loaded; `E` is what reading them can fail with.
#[derive(Debug, Error)]
pub enum LoadError<E> {
    /// The reader failed; the first failure that happened.
    #[error(transparent)]
    Read(E),
    /// The memory for the weights is not there.
    #[error(transparent)]
    Alloc(#[from] AllocError),
    /// Rows of this depth do not exist in this format.
    #[error("{} weights: expected a multiple of {} inputs, found {depth}", kind.name(), kind.block_len())]
    Depth {
        /// The format in the file.
        kind: BlockType,
        /// The inputs of a row.
        depth: usize,
    },
}

/// What [`Matrix::load`] reads rows through: a range of rows, and the buffer for their bytes.
pub type ReadRows<'a, E> = dyn Fn(Range<usize>, &mut [u8]) -> Result<(), E> + Sync + 'a;

/// How many bytes of the file one piece of loading reads, if a panel of rows is not longer: large
/// enough for a disk, small enough to stay in the second cache until it is packed.
const READ_BYTES: usize = 1 << 18;

impl Matrix {
    /// How many bytes a matrix of this shape takes in memory.
    ///
    /// Little more than in the file: rows come in panels of 16, and 6-bit scales are held as bytes.
    /// A size that does not fit in memory is `usize::MAX`.
    pub fn packed_bytes(kind: BlockType, rows: usize, depth: usize) -> usize {
        let panel_bytes = Layout::of(kind).panel_bytes(depth);
        panel_bytes.and_then(|bytes| bytes.checked_mul(rows.div_ceil(LANES))).unwrap_or(usize::MAX)
    }

    /// Reads and packs `rows` rows of `depth` weights stored as `kind`.
    ///
    /// `read` is called on all workers at once, each time with a range of rows and a buffer that
    /// holds exactly their bytes in the file's format.
    ///
    /// Errors: the first failed read, a depth the format cannot hold, or no memory.
    pub fn load<E: Send>(
        pool: &Pool,
        kind: BlockType,
        rows: usize,
        depth: usize,
        read: &ReadRows<'_, E>,
    ) -> Result<Matrix, LoadError<E>> {
        let row_bytes = kind.row_bytes(depth).ok_or(LoadError::Depth { kind, depth })?;
        let layout = Layout::of(kind);
        let mut panels = Memory::zeroed(Matrix::packed_bytes(kind, rows, depth))?;
        let panel_bytes = layout.panel_bytes(depth).expect("a panel fits where the matrix did");

        let piece_rows = (READ_BYTES / row_bytes.max(1) / LANES).max(1) * LANES;
        let failure = Mutex::new(None);
        let spare_buffers = Mutex::new(Vec::new());
        let places = Disjoint::new(&mut panels);
        pool.run(rows.div_ceil(piece_rows), &|piece| {
            if locked(&failure).is_some() {
                return;
            }
            let range = piece * piece_rows..rows.min((piece + 1) * piece_rows);
            let mut buffer: Vec<u8> = locked(&spare_buffers).pop().unwrap_or_default();
            buffer.resize(piece_rows * row_bytes, 0);
            let file_bytes = &mut buffer[..range.len() * row_bytes];
            if let Err(error) = read(range.clone(), file_bytes) {
                locked(&failure).get_or_insert(error);
                return;
            }
            let first_panel = range.start / LANES;
            for (index, start) in range.step_by(LANES).enumerate() {
                let lanes = LANES.min(rows - start);
                let panel_start = (first_panel + index) * panel_bytes;
                // SAFETY: pieces own different panels, and a piece has one in use at a time.
                let panel = unsafe { places.part(panel_start..panel_start + panel_bytes) };
                let bytes = &file_bytes[index * LANES * row_bytes..][..lanes * row_bytes];
                layout.pack(bytes, row_bytes, panel);
            }
            locked(&spare_buffers).push(buffer);
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(LoadError::Read(error)),
            None => Ok(Matrix { kind, rows, depth, panel_bytes, panels, order: None }),
        }
    }

    /// Says that the inputs of these weights do not stand as they come, but in `order`.
    ///
    /// Panics if `order` is for another depth.
    pub fn with_order(self, order: InputOrder) -> Matrix {
        assert_eq!(order.places().len(), self.depth, "one place per input");
        Matrix { order: Some(order), ..self }
    }

    /// In which order these weights want their inputs; none if as they come.
    pub fn order(&self) -> Option<&InputOrder> {
        self.order.as_ref()
    }

    /// The number of outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of inputs.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// How many bytes the weights take in memory.
    pub fn bytes(&self) -> usize {
        self.panels.len()
    }

    /// Reads one row back as numbers: an embedding, where embeddings and head are one matrix.
    ///
    /// Panics if there is no such row or `values` is not `depth` long.
    pub fn row(&self, index: usize, values: &mut [f32]) {
        assert!(index < self.rows, "row {index} of a matrix of {} rows", self.rows);
        assert_eq!(values.len(), self.depth, "one value per input");
        let row = |values: &mut [f32]| self.panel(index / LANES).row(index % LANES, values);
        let Some(order) = &self.order else { return row(values) };
        let mut stored = vec![0.0; self.depth];
        row(&mut stored);
        for (value, &input) in stored.iter().zip(order.places()) {
            values[input as usize] = *value;
        }
    }

    /// The number of panels of 16 rows, the last one filled up with zeroes.
    pub(crate) fn panel_count(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    /// The bytes of one panel of rows.
    pub(crate) fn panel_bytes(&self) -> usize {
        self.panel_bytes
    }

    /// In which form the kernels want the activations.
    pub(crate) fn form(&self) -> Form {
        match self.kind {
            BlockType::Bf16Dot => Form::Pairs,
            kind if kind.is_quantised() => Form::Blocks,
            _ => Form::Floats,
        }
    }

    /// Whether codes and scales become bytes and floats in a few instructions.
    pub(crate) fn unpacks_quickly(&self) -> bool {
        Layout::of(self.kind).unpacks_quickly
    }

    pub(crate) fn panel(&self, index: usize) -> Panel<'_> {
        let start = index * self.panel_bytes;
        Panel::of(self.kind, &self.panels[start..start + self.panel_bytes], self.depth)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
