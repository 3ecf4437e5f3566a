//! An append-only list whose clone costs the same however long it is: full pages are shared.
//!
//! Readers hold a clone as their view while the writer goes on pushing.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Items of one page.
const PAGE: usize = 64;

/// A shared, append-only list of shared items.
#[derive(Debug, Clone, PartialEq)]
pub struct Pages<T> {
    full: Arc<Vec<Arc<[Arc<T>]>>>,
    tail: Vec<Arc<T>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { full: Arc::new(Vec::new()), tail: Vec::new() }
    }
}

impl<T> Pages<T> {
    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.full.len() * PAGE + self.tail.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends an item.
    pub fn push(&mut self, item: Arc<T>) {
        self.tail.push(item);
        if self.tail.len() == PAGE {
            Arc::make_mut(&mut self.full).push(self.tail.drain(..).collect());
        }
    }

    /// The item at a place.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&Arc<T>> {
        match self.full.get(at / PAGE) {
            Some(page) => page.get(at % PAGE),
            None => self.tail.get(at.checked_sub(self.full.len() * PAGE)?),
        }
    }

    /// The last item.
    #[must_use]
    pub fn last(&self) -> Option<&Arc<T>> {
        self.get(self.len().checked_sub(1)?)
    }

    /// All items from a place on.
    pub fn iter_from(&self, at: usize) -> impl Iterator<Item = &Arc<T>> {
        (at..self.len()).filter_map(|i| self.get(i))
    }

    /// All items.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.iter_from(0)
    }
}

impl<T> FromIterator<Arc<T>> for Pages<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(items: I) -> Self {
        let mut pages = Self::default();
        items.into_iter().for_each(|item| pages.push(item));
        pages
    }
}

impl<T: Serialize> Serialize for Pages<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pages<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Items(PhantomData))
    }
}

/// Takes items to their pages one by one, with no list of them all in between.
struct Items<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
    type Value = Pages<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Pages<T>, A::Error> {
        let mut pages = Pages::default();
        while let Some(item) = items.next_element()? {
            pages.push(Arc::new(item));
        }
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_keeps_its_place_over_page_borders() {
        let pages: Pages<usize> = (0..PAGE * 2 + 3).map(Arc::new).collect();
        assert_eq!(pages.len(), PAGE * 2 + 3);
        assert!(pages.iter().enumerate().all(|(at, item)| at == **item));
        assert_eq!(pages.last().map(|i| **i), Some(PAGE * 2 + 2));
        assert_eq!(pages.get(PAGE * 2 + 3), None);
    }

    #[test]
    fn a_list_reads_back_as_it_was_written() {
        for len in [0, 1, PAGE, PAGE * 2 + 3] {
            let pages: Pages<usize> = (0..len).map(Arc::new).collect();
            let json = serde_json::to_string(&pages).unwrap();
            assert_eq!(serde_json::from_str::<Pages<usize>>(&json).unwrap(), pages);
        }
    }

    #[test]
    fn a_clone_is_a_view_that_later_pushes_do_not_change() {
        let mut pages: Pages<usize> = (0..PAGE).map(Arc::new).collect();
        let view = pages.clone();
        pages.push(Arc::new(7));
        assert_eq!((view.len(), pages.len()), (PAGE, PAGE + 1));
    }
}
