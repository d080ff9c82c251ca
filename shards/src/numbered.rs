//! Things by number, where a number is never given twice.
//!
//! A number is a place and how often that place was used before, so that a late mention of something gone is recognised
//! instead of hitting a stranger who has its place now.

/// The things.
#[derive(Debug)]
pub(crate) struct Numbered<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    thing: Option<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Numbered<T> {
        Numbered { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Numbered<T> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Takes in a thing and numbers it.
    pub(crate) fn insert(&mut self, thing: T) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, thing: None });
            u32::try_from(self.places.len() - 1).expect("bounded by limits far below 2^32")
        });
        let place = &mut self.places[index as usize];
        place.thing = Some(thing);
        (u64::from(place.generation) << 32) | u64::from(index)
    }

    /// The thing of that number, if it is still there.
    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let place = self.places.get_mut(number as u32 as usize)?;
        if u64::from(place.generation) == number >> 32 { place.thing.as_mut() } else { None }
    }

    /// Gives the thing of that number away; its number names nothing any more.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        self.get_mut(number)?;
        let place = &mut self.places[number as u32 as usize];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(number as u32);
        place.thing.take()
    }

    /// All things with their numbers.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut T)> {
        self.places.iter_mut().enumerate().filter_map(|(index, place)| {
            let number = (u64::from(place.generation) << 32) | index as u64;
            Some((number, place.thing.as_mut()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_something_gone_does_not_name_its_successor() {
        let mut things = Numbered::default();
        let first = things.insert("first");
        assert_eq!(things.remove(first), Some("first"));
        let second = things.insert("second");
        assert_ne!(first, second);
        assert_eq!(things.get_mut(first), None);
        assert_eq!(things.remove(first), None);
        assert_eq!(things.get_mut(second), Some(&mut "second"));
        assert_eq!(things.len(), 1);
    }
}
