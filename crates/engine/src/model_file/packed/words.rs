//! Finds the code of a weight or the zero of a group in packed words.

/// How codes and zeros are packed into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Packing {
    /// A word holds codes of neighbouring inputs, or zeros of neighbouring outputs.
    Gptq {
        /// Bits of a code and of a zero.
        bits: CodeBits,
        /// How zeros are stored.
        zeros: StoredZeros,
    },
    /// A word holds four bits of each of eight neighbouring outputs.
    Awq,
}

/// How many bits a code has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum CodeBits {
    Four,
    Eight,
}

/// How zeros are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum StoredZeros {
    /// Minus one: format `gptq`.
    LessOne,
    /// Unchanged: format `gptq_v2`.
    AsIs,
}

/// The nibble of each output in an AWQ word. Its lowest nibble is output 0, the next one output 2.
const AWQ_PLACES: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

impl CodeBits {
    pub fn bits(self) -> usize {
        match self {
            CodeBits::Four => 4,
            CodeBits::Eight => 8,
        }
    }

    /// How many codes a word holds.
    pub fn per_word(self) -> usize {
        32 / self.bits()
    }

    fn mask(self) -> u32 {
        (1 << self.bits()) - 1
    }

    /// A word whose fields are all one.
    fn ones(self) -> u32 {
        u32::MAX / self.mask()
    }

    /// The code in the middle. Zeros of blocks are relative to it.
    pub fn middle(self) -> u8 {
        1 << (self.bits() - 1)
    }
}

impl Packing {
    pub fn bits(self) -> CodeBits {
        match self {
            Packing::Gptq { bits, .. } => bits,
            Packing::Awq => CodeBits::Four,
        }
    }

    /// Rows and columns of `qweight`. `depth` and `rows` are multiples of the codes in a word.
    pub fn code_shape(self, depth: usize, rows: usize) -> [usize; 2] {
        match self {
            Packing::Gptq { bits, .. } => [depth / bits.per_word(), rows],
            Packing::Awq => [depth, rows / CodeBits::Four.per_word()],
        }
    }

    /// Rows and columns of `qzeros`.
    pub fn zero_shape(self, groups: usize, rows: usize) -> [usize; 2] {
        [groups, rows / self.bits().per_word()]
    }

    /// Reads the codes of one input for neighbouring outputs from `first_row` on.
    pub fn read_codes(self, qweight: &Words, input: usize, first_row: usize, codes: &mut [u8]) {
        match self {
            Packing::Gptq { bits, .. } => {
                let (line, shift) =
                    (input / bits.per_word(), input % bits.per_word() * bits.bits());
                let words = &qweight.line(line)[first_row..][..codes.len()];
                for (code, word) in codes.iter_mut().zip(words) {
                    *code = (u32::from_le_bytes(*word) >> shift & bits.mask()) as u8;
                }
            }
            Packing::Awq => {
                let line = qweight.line(input);
                for (code, row) in codes.iter_mut().zip(first_row..) {
                    *code = awq_nibble(line, row);
                }
            }
        }
    }

    /// The zero of one group and output.
    pub fn zero(self, qzeros: &Words, group: usize, row: usize) -> u8 {
        let line = qzeros.line(group);
        match self {
            Packing::Gptq { bits, zeros } => {
                let word = u32::from_le_bytes(line[row / bits.per_word()]);
                let word = match zeros {
                    // Packers subtract one from every field of the word at once, so a zero of 0
                    // borrows from the next field. Adding to the whole word undoes that.
                    StoredZeros::LessOne => word.wrapping_add(bits.ones()),
                    StoredZeros::AsIs => word,
                };
                (word >> (row % bits.per_word() * bits.bits()) & bits.mask()) as u8
            }
            Packing::Awq => awq_nibble(line, row),
        }
    }
}

fn awq_nibble(line: &[[u8; 4]], row: usize) -> u8 {
    let word = u32::from_le_bytes(line[row / AWQ_PLACES.len()]);
    (word >> (AWQ_PLACES[row % AWQ_PLACES.len()] * 4) & CodeBits::Four.mask()) as u8
}

/// A table of little-endian 32-bit words.
pub(in super::super) struct Words {
    bytes: Vec<u8>,
    columns: usize,
}

impl Words {
    /// Panics if the bytes are not whole lines.
    pub fn new(bytes: Vec<u8>, columns: usize) -> Words {
        assert!(bytes.len().is_multiple_of(columns * 4), "whole lines of {columns} words");
        Words { bytes, columns }
    }

    fn line(&self, index: usize) -> &[[u8; 4]] {
        &self.bytes.as_chunks().0[index * self.columns..][..self.columns]
    }
}
