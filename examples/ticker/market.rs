//! A made-up market: symbols whose prices follow random walks from a seed.

use serde::Serialize;

/// The sectors of the symbols.
pub(crate) const SECTORS: [&str; 6] = ["energy", "finance", "health", "industry", "materials", "technology"];

/// The number of symbols.
const SYMBOLS: usize = 3000;

/// How many symbols move in a tick, in turn. Each moves within 40 ticks, so a new page needs no list of prices first.
const MOVES: usize = SYMBOLS / 40;

/// How many symbols move more often.
const FAVOURITES: u32 = 40;

/// How many of the favourites also move in a tick.
const FAVOURITE_MOVES: usize = 10;

/// The lowest and the highest price.
const CENTS_MIN: u32 = 100;
const CENTS_MAX: u32 = 10_000_000;

/// A symbol is a consonant, a vowel, a consonant and a vowel.
const CONSONANTS: &[u8; 14] = b"BDFGKLMNPRSTVZ";
const VOWELS: &[u8; 4] = b"AEIO";

/// A symbol and its price.
#[derive(Debug, Serialize)]
pub(crate) struct Quote {
    pub(crate) symbol: String,
    #[serde(skip)]
    pub(crate) sector: &'static str,
    cents: u32,
    open: u32,
}

/// The market: all symbols, and which one moves next.
#[derive(Debug)]
pub(crate) struct Market {
    quotes: Vec<Quote>,
    next: usize,
    random: Random,
}

/// Pseudo-random numbers: `SplitMix64`.
#[derive(Debug)]
struct Random(u64);

impl Market {
    /// Creates the market of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let quotes = (0..SYMBOLS).zip(SECTORS.into_iter().cycle());
        let quotes = quotes.map(|(number, sector)| {
            let open = 500 + random.below(45_000);
            Quote {
                symbol: symbol(number),
                sector,
                cents: open,
                open,
            }
        });
        Self {
            quotes: quotes.collect(),
            next: 0,
            random,
        }
    }

    /// Moves some symbols and returns them.
    pub(crate) fn tick(&mut self) -> impl Iterator<Item = &Quote> {
        let mut moved: Vec<usize> = (self.next..self.next + MOVES).map(|number| number % SYMBOLS).collect();
        self.next = (self.next + MOVES) % SYMBOLS;
        let favourites = (0..FAVOURITE_MOVES).map(|_| self.random.below(FAVOURITES) as usize);
        moved.extend(favourites);
        for number in &moved {
            if let Some(quote) = self.quotes.get_mut(*number) {
                quote.walk(&mut self.random);
            }
        }
        moved.into_iter().filter_map(|number| self.quotes.get(number))
    }
}

impl Quote {
    /// Moves the price by at most a third of a per cent.
    fn walk(&mut self, random: &mut Random) {
        let step = self.cents / 300 + 1;
        let moved = self.cents + random.below(2 * step + 1);
        self.cents = moved.saturating_sub(step).clamp(CENTS_MIN, CENTS_MAX);
    }
}

/// Returns the unique symbol of a number; close numbers have different symbols.
fn symbol(number: usize) -> String {
    // 1913 and the 3136 possible symbols have no common factor, so different numbers give different symbols.
    let mut rest = number * 1913;
    let mut letter = |letters: &[u8]| {
        let letter = letters.get(rest % letters.len()).copied().unwrap_or_default();
        rest /= letters.len();
        char::from(letter)
    };
    [letter(CONSONANTS), letter(VOWELS), letter(CONSONANTS), letter(VOWELS)]
        .into_iter()
        .collect()
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`, which is at least 1: the upper half of a 64-bit product.
    fn below(&mut self, bound: u32) -> u32 {
        let product = (self.next() >> 32) * u64::from(bound);
        u32::try_from(product >> 32).unwrap_or(0)
    }
}
