//! Numbers of tensor types in GGUF files.

use banter_kernels::blocks::BlockType;

/// The block type for the GGUF tensor type `id`, or the name of the type if it is not read here.
pub(super) fn block_type(id: u32) -> Result<BlockType, String> {
    match known_types().find(|&kind| type_id(kind) == Some(id)) {
        Some(kind) => Ok(kind),
        None => Err(unsupported_name(id)),
    }
}

/// The number of a type in GGUF files, if it occurs in them.
pub(crate) fn type_id(kind: BlockType) -> Option<u32> {
    let id = match kind {
        BlockType::F32 => 0,
        BlockType::F16 => 1,
        BlockType::Q4_0 => 2,
        BlockType::Q4_1 => 3,
        BlockType::Q5_0 => 6,
        BlockType::Q5_1 => 7,
        BlockType::Q8_0 => 8,
        BlockType::Q2K => 10,
        BlockType::Q3K => 11,
        BlockType::Q4K => 12,
        BlockType::Q5K => 13,
        BlockType::Q6K => 14,
        BlockType::Bf16 => 30,
        BlockType::Int4By32
        | BlockType::Int4By64
        | BlockType::Int4By128
        | BlockType::Int8By32
        | BlockType::Int8By64
        | BlockType::Int8By128
        | BlockType::Bf16Dot => return None,
    };
    Some(id)
}

/// The types a GGUF file can have and this engine reads.
pub(crate) fn known_types() -> impl Iterator<Item = BlockType> {
    BlockType::ALL.into_iter().filter(|&kind| type_id(kind).is_some())
}

/// Names of the types that are not read here, including those that were removed from the format.
const OTHERS: [(u32, &str); 30] = [
    (4, "Q4_2 (removed from the format)"),
    (5, "Q4_3 (removed from the format)"),
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4 (removed from the format)"),
    (32, "Q4_0_4_8 (removed from the format)"),
    (33, "Q4_0_8_8 (removed from the format)"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (36, "IQ4_NL_4_4 (removed from the format)"),
    (37, "IQ4_NL_4_8 (removed from the format)"),
    (38, "IQ4_NL_8_8 (removed from the format)"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
    (42, "Q2_0"),
];

fn unsupported_name(id: u32) -> String {
    match OTHERS.iter().find(|(other, _)| *other == id) {
        Some((_, name)) => (*name).to_string(),
        None => format!("number {id}, which has no name"),
    }
}
