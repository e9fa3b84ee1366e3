//! The places of keys in a dict, found before Python looks for them.
//!
//! A dict tries one place after another until one is free; which ones, the hash of the key decides. Everybody knows the
//! hashes of numbers, and of tuples of them, so a peer can choose keys whose ways all lead over places that are taken:
//! keys of one hash, or of hashes that are all different. A look for each then takes as long as there are others. Here
//! the same ways are gone first, no further than a bound.
//!
//! Source: `CPython`, `Objects/dictobject.c`: `PERTURB_SHIFT`, `USABLE_FRACTION`, `GROWTH_RATE`.

/// Places of the smallest table.
const SMALLEST: usize = 8;

/// Bits of the hash that each step brings in.
const SHIFT: u32 = 5;

/// Bits of a hash.
const BITS: u32 = usize::BITS;

/// A place that is free: no hash in Python is this.
const FREE: isize = -1;

/// So many keys have one hash, or meet on the way of each on average: more than may.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany(pub usize);

/// A dict's table, with hashes instead of keys.
#[derive(Debug)]
pub struct Crowd {
    /// In the order in which the keys came, which a larger table takes them over in.
    hashes: Vec<isize>,
    places: Vec<isize>,
    /// Places that were found taken since the table was made.
    taken: usize,
    maximum: usize,
}

/// Where a key goes.
struct Way {
    place: usize,
    /// How many places are taken before it.
    taken: usize,
    /// How many of these have keys of the same hash.
    equal: usize,
}

impl Crowd {
    /// An empty table, in which at most `maximum` keys may have one hash, and so many may meet on average.
    pub fn new(maximum: usize) -> Self {
        Self { hashes: Vec::new(), places: vec![FREE; SMALLEST], taken: 0, maximum }
    }

    /// Add a key; how many keys of the same hash stand in its way. Each of them is compared with it.
    pub fn add(&mut self, hash: isize) -> Result<usize, TooMany> {
        if self.hashes.len() >= self.places.len() * 2 / 3 {
            self.grow()?;
        }
        self.hashes.push(hash);
        self.put(hash)
    }

    /// Take a larger table.
    fn grow(&mut self) -> Result<(), TooMany> {
        self.places = vec![FREE; (3 * self.hashes.len()).max(SMALLEST).next_power_of_two()];
        self.taken = 0;
        let hashes = std::mem::take(&mut self.hashes);
        let put = hashes.iter().try_for_each(|hash| self.put(*hash).map(drop));
        self.hashes = hashes;
        put
    }

    fn put(&mut self, hash: isize) -> Result<usize, TooMany> {
        let way = self.way(hash);
        self.taken += way.taken;
        if way.equal >= self.maximum {
            return Err(TooMany(way.equal + 1));
        }
        if self.taken > self.allowed() {
            return Err(TooMany(self.maximum + 1));
        }
        if let Some(free) = self.places.get_mut(way.place) {
            *free = hash;
        }
        Ok(way.equal)
    }

    fn allowed(&self) -> usize {
        self.maximum.saturating_mul(self.places.len() / 3)
    }

    #[allow(clippy::cast_sign_loss)] // as in C
    fn way(&self, hash: isize) -> Way {
        let mask = self.places.len() - 1;
        let mut perturb = hash as usize;
        let mut way = Way { place: perturb & mask, taken: 0, equal: 0 };
        // A way can lead to a place twice while bits of the hash come in; after that it goes to each place once.
        let mut first = [usize::MAX; BITS.div_ceil(SHIFT) as usize + 1];
        while let Some(there) = self.places.get(way.place).filter(|there| **there != FREE) {
            if *there == hash && !first.contains(&way.place) {
                way.equal += 1;
            }
            if let Some(one) = first.get_mut(way.taken) {
                *one = way.place;
            }
            way.taken += 1;
            if self.taken + way.taken > self.allowed() {
                break;
            }
            perturb >>= SHIFT;
            way.place = way.place.wrapping_mul(5).wrapping_add(perturb).wrapping_add(1) & mask;
        }
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_hash_are_counted_up_to_the_bound() {
        for hash in [0, 7, -2, isize::MAX, 0x0123_4567_89ab_cdef] {
            let mut crowd = Crowd::new(100);
            for before in 0..100 {
                assert_eq!(crowd.add(hash), Ok(before));
            }
            assert_eq!(crowd.add(hash), Err(TooMany(101)), "{hash}");
        }
    }

    #[test]
    fn common_keys_have_short_ways() {
        let kinds: [fn(isize) -> isize; 7] = [
            |number| number,
            |number| -number - 2,
            |number| number << 40,
            |number| number * 1000,
            |number| (number << 22) % ((1 << 61) - 1),
            |number| (number >> 10) | (number & 1023) << 51,
            |number| number.wrapping_mul(0x1e37_79b9_7f4a_7c15),
        ];
        for (index, kind) in kinds.iter().enumerate() {
            let mut crowd = Crowd::new(100);
            for number in 0..400_000 {
                assert!(crowd.add(kind(number)).is_ok(), "kind {index}, key {number}");
            }
        }
    }

    #[test]
    fn keys_of_different_hashes_on_one_way_are_counted_too() {
        let mut crowd = Crowd::new(100);
        let outcomes: Vec<_> = one_way(1 << 14).map(|hash| crowd.add(hash)).collect();

        assert!(outcomes.iter().take((1 << 14) / 3).all(Result::is_ok), "they have a place each");
        assert!(outcomes.contains(&Err(TooMany(101))));
    }

    /// Hashes that take places which follow one another on each way that has no bits left to bring in, and then those
    /// whose ways begin on these places and go on there.
    fn one_way(places: isize) -> impl Iterator<Item = isize> {
        let next = move |place: &isize| Some((5 * place + 1) % places);
        let first: Vec<isize> = std::iter::successors(Some(0), next).take(places.unsigned_abs() / 3 + 1).collect();
        let taken: std::collections::HashSet<isize> = first.iter().copied().collect();
        let is_on_the_way = move |hash: &isize| {
            let steps = (1..13).scan((hash % places, *hash), |(place, perturb), _| {
                *perturb >>= SHIFT;
                *place = (5 * *place + *perturb + 1) % places;
                Some(*place)
            });
            steps.into_iter().all(|place| taken.contains(&place))
        };
        let others = (1..400).flat_map({
            let first = first.clone();
            move |turn| first.clone().into_iter().map(move |place| place + turn * places)
        });
        first.into_iter().chain(others.filter(is_on_the_way).take(places.unsigned_abs() / 4))
    }
}
