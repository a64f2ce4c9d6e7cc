//! Weights that quantisers packed into 32-bit words: GPTQ and AWQ.
//!
//! A matrix X of `depth` inputs and `rows` outputs is stored as three or four tensors:
//!
//! | tensor | GPTQ | AWQ |
//! | --- | --- | --- |
//! | X.qweight | [depth / n, rows], a word holds the codes of n inputs | [depth, rows / 8], of 8 outputs |
//! | X.qzeros | [groups, rows / n] | [groups, rows / 8] |
//! | X.scales | [groups, rows] | [groups, rows] |
//! | X.g_idx | [depth], the group of each input | none |
//!
//! n is 8 with 4 bits and 4 with 8 bits. A weight is scale × (code − zero). Tensors are read one at
//! a time and unpacked to rows of blocks that the kernels know; these take as many bits as the
//! words do. If groups are not runs of inputs, the columns are sorted by group.
//!
//! Reading order:
//! - [`PackedTensor`] below: where those tensors are, and how they are packed.
//! - `words`: which bits of which word are the code of a weight.
//! - `order`: columns sorted by group.
//! - `unpacker`: one tensor in memory, and its rows as blocks.
//!
//! Another packing: its variant and words in `words`, its keys in `hugging_face/quantisation`, its
//! tensors in `hugging_face/packed_tensors`.
//!
//! Source: AutoGPTQ, GPTQModel and AutoAWQ; their own code made the values that tests compare with.

mod order;
mod unpacker;
mod words;

use banter_kernels::blocks::BlockType;

use super::stored::IntegerType;
use super::tensors::Region;

pub(super) use unpacker::Unpacker;
pub(super) use words::{CodeBits, Packing, StoredZeros};

/// A matrix in packed form. The shapes of its tensors have been checked.
#[derive(Clone, Debug)]
pub(super) struct PackedTensor {
    /// What errors call the matrix: the names of its tensors without their endings.
    pub name: String,
    /// How words are filled.
    pub packing: Packing,
    /// How many inputs share a scale: a multiple of 32 that divides the depth.
    pub group_len: usize,
    /// Words of codes.
    pub qweight: Region,
    /// Words of zeros.
    pub qzeros: Region,
    /// 16-bit floats.
    pub scales: Region,
    /// F16 or BF16.
    pub scale_type: BlockType,
    /// The group of each input; none where groups are runs.
    pub g_idx: Option<GroupIndex>,
    /// The size of these tensors in the file.
    pub bytes: u64,
}

/// Where a file says which input is in which group.
#[derive(Clone, Debug)]
pub(super) struct GroupIndex {
    pub region: Region,
    pub kind: IntegerType,
    /// Whether the configuration says that groups are runs of inputs. Then a wrong index, such as
    /// one of zeros, is ignored.
    pub is_spare: bool,
}

/// The least number of inputs that may share a scale. Kernels multiply that many at once.
pub(super) const MIN_GROUP_LEN: usize = 32;

/// The block type that rows are unpacked to: the longest one whose values share a scale.
pub(super) fn block_type(bits: CodeBits, group_len: usize) -> BlockType {
    let lengths = match bits {
        CodeBits::Four => [BlockType::Int4By128, BlockType::Int4By64, BlockType::Int4By32],
        CodeBits::Eight => [BlockType::Int8By128, BlockType::Int8By64, BlockType::Int8By32],
    };
    let fits = |kind: &BlockType| group_len.is_multiple_of(kind.block_len());
    lengths.into_iter().find(fits).expect("groups are multiples of 32")
}
