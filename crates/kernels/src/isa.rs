//! Which instruction set the kernels use: it is detected once, and a value of [`Isa`] is the proof
//! that the processor has it.
//!
//! A new instruction set: its token and its line in [`Isa::available`] here, its arm in
//! `dispatch!`, and a folder with the same file names as `scalar/`.

use thiserror::Error;

/// An instruction set this processor was found to have.
///
/// A value is the proof: there is no way to name a set that was not detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Isa(Kind);

/// What [`Isa`] holds; matched by `dispatch!` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni256(Avx512),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(AvxVnni),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16(Avx512Bf16),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

/// Proof that every feature named in `avx2/`'s `target_feature` attributes is there.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    fn detect() -> Option<Avx2> {
        let present = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        present.then_some(Avx2(()))
    }
}

/// Proof that every feature named in `avx_vnni/`'s `target_feature` attributes is there, in the
/// encoding `vex`.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AvxVnni(());

#[cfg(target_arch = "x86_64")]
impl AvxVnni {
    fn detect() -> Option<AvxVnni> {
        let present = Avx2::detect().is_some() && is_x86_feature_detected!("avxvnni");
        present.then_some(AvxVnni(()))
    }
}

/// Proof that every feature named in `avx512/`'s `target_feature` attributes is there, and in
/// `avx_vnni/`'s, in the encoding `evex`.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    fn detect() -> Option<Avx512> {
        let present = Avx2::detect().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        present.then_some(Avx512(()))
    }
}

/// Proof that every feature named in `avx512/`'s `target_feature` attributes is there, those of
/// `bf16` too.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Avx512Bf16(());

#[cfg(target_arch = "x86_64")]
impl Avx512Bf16 {
    fn detect() -> Option<Avx512Bf16> {
        let present = Avx512::detect().is_some() && is_x86_feature_detected!("avx512bf16");
        present.then_some(Avx512Bf16(()))
    }
}

/// Proof that every feature named in `neon/`'s `target_feature` attributes is there.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Neon(());

#[cfg(target_arch = "aarch64")]
impl Neon {
    fn detect() -> Option<Neon> {
        let present = std::arch::is_aarch64_feature_detected!("neon")
            && std::arch::is_aarch64_feature_detected!("dotprod");
        present.then_some(Neon(()))
    }
}

/// A name that is no instruction set, or one this processor lacks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IsaError {
    /// The name means nothing.
    #[error("instruction set {name}: expected one of {}", Isa::NAMES.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The name is known, but this processor cannot run it.
    #[error("instruction set {name}: this processor has only {}", list(available))]
    Missing {
        /// The name asked for.
        name: String,
        /// What can be asked for here.
        available: Vec<Isa>,
    },
}

fn list(sets: &[Isa]) -> String {
    sets.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
}

impl Isa {
    /// Every name there is, on whatever processor.
    pub const NAMES: [&'static str; 7] = [
        "scalar",
        "avx2",
        "avx512-vnni-256",
        "avx-vnni",
        "avx512-vnni",
        "avx512-bf16",
        "neon-dotprod",
    ];

    /// The fastest set this processor has.
    pub fn best() -> Isa {
        *Isa::available().last().expect("the scalar set is always there")
    }

    /// Every set this processor has, slowest first.
    pub fn available() -> Vec<Isa> {
        let mut sets = vec![Isa::scalar()];
        #[cfg(target_arch = "x86_64")]
        {
            sets.extend(Avx2::detect().map(|proof| Isa(Kind::Avx2(proof))));
            sets.extend(Avx512::detect().map(|proof| Isa(Kind::Avx512Vnni256(proof))));
            sets.extend(AvxVnni::detect().map(|proof| Isa(Kind::AvxVnni(proof))));
            sets.extend(Avx512::detect().map(|proof| Isa(Kind::Avx512(proof))));
            sets.extend(Avx512Bf16::detect().map(|proof| Isa(Kind::Avx512Bf16(proof))));
        }
        #[cfg(target_arch = "aarch64")]
        sets.extend(Neon::detect().map(|proof| Isa(Kind::Neon(proof))));
        sets
    }

    /// The set with this name.
    ///
    /// Errors: a name not in [`Isa::NAMES`], or a set this processor lacks.
    pub fn named(name: &str) -> Result<Isa, IsaError> {
        if !Isa::NAMES.contains(&name) {
            return Err(IsaError::Unknown { name: name.to_owned() });
        }
        let available = Isa::available();
        match available.iter().find(|isa| isa.name() == name) {
            Some(isa) => Ok(*isa),
            None => Err(IsaError::Missing { name: name.to_owned(), available }),
        }
    }

    /// The name of this set, as [`Isa::named`] takes it.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => Isa::NAMES[0],
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => Isa::NAMES[1],
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni256(_) => Isa::NAMES[2],
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni(_) => Isa::NAMES[3],
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => Isa::NAMES[4],
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16(_) => Isa::NAMES[5],
            #[cfg(target_arch = "aarch64")]
            Kind::Neon(_) => Isa::NAMES[6],
        }
    }

    /// Whether its kernels multiply a tile in strips of [`strips::MOST`] tokens, and unpack weights
    /// for each of them.
    ///
    /// [`strips::MOST`]: crate::strips::MOST
    pub(crate) fn goes_in_strips(self) -> bool {
        match self.0 {
            Kind::Scalar => false,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) | Kind::Avx512Bf16(_) => false,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) | Kind::Avx512Vnni256(_) | Kind::AvxVnni(_) => true,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon(_) => true,
        }
    }

    /// Whether multiplying bytes takes it several instructions, beside which unpacking them is
    /// little.
    pub(crate) fn multiplies_in_pairs(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => true,
            _ => false,
        }
    }

    /// Whether it has an instruction for pairs of BF16 numbers. Without one, weights in
    /// [`BlockType::Bf16Dot`](crate::BlockType::Bf16Dot) are slower than in BF16.
    pub fn multiplies_bf16(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16(_) => true,
            _ => false,
        }
    }

    /// Plain Rust: there on every processor, slow, and the definition of correct.
    pub fn scalar() -> Isa {
        Isa(Kind::Scalar)
    }

    pub(crate) fn kind(self) -> Kind {
        self.0
    }
}

/// Calls the function of this name in the folder of the pool's instruction set.
///
/// The unit of dispatch is a row or a tile. This is the only place that turns a proof into a call.
macro_rules! dispatch {
    ($isa:expr, $module:ident :: $function:ident ( $($argument:expr),* $(,)? )) => {
        match $isa.kind() {
            $crate::isa::Kind::Scalar => $crate::scalar::$module::$function($($argument),*),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the proof says that the processor has the features the function needs.
            $crate::isa::Kind::Avx2(_) => unsafe {
                $crate::avx2::$module::$function($($argument),*)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            $crate::isa::Kind::Avx512Vnni256(_) => unsafe {
                $crate::avx_vnni::evex::$module::$function($($argument),*)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            $crate::isa::Kind::AvxVnni(_) => unsafe {
                $crate::avx_vnni::vex::$module::$function($($argument),*)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            $crate::isa::Kind::Avx512(_) => unsafe {
                $crate::avx512::$module::$function($($argument),*)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            $crate::isa::Kind::Avx512Bf16(_) => unsafe {
                $crate::avx512::bf16::$module::$function($($argument),*)
            },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            $crate::isa::Kind::Neon(_) => unsafe {
                $crate::neon::$module::$function($($argument),*)
            },
        }
    };
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_available_set_is_found_by_its_name() {
        for isa in Isa::available() {
            assert_eq!(Isa::named(isa.name()), Ok(isa));
        }
    }

    #[test]
    fn scalar_comes_first_and_best_comes_last() {
        let available = Isa::available();
        assert_eq!(available.first(), Some(&Isa::scalar()));
        assert_eq!(available.last(), Some(&Isa::best()));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = Isa::named("sse9").expect_err("there is no such set");
        assert_eq!(
            error.to_string(),
            "instruction set sse9: expected one of scalar, avx2, avx512-vnni-256, avx-vnni, \
             avx512-vnni, avx512-bf16, neon-dotprod"
        );
    }

    #[test]
    fn a_missing_set_is_refused_with_the_available_ones() {
        let error = IsaError::Missing { name: "avx2".to_owned(), available: vec![Isa::scalar()] };
        assert_eq!(error.to_string(), "instruction set avx2: this processor has only scalar");
    }
}
