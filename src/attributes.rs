//! Values that the application attaches to something, one per type.

use std::{
    any::{Any, TypeId},
    mem,
    sync::{Arc, PoisonError},
};

use crate::{
    panics::contain,
    sync::{Mutex, lock},
};

/// A value of any type.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

/// One value per type; they are few, so a list will do. Values are shared, so that no `Clone` or `Drop` of
/// the user's runs under the lock.
#[derive(Debug, Default)]
pub(crate) struct Attributes(Mutex<Vec<Value>>);

impl Attributes {
    pub(crate) fn insert<T: Any + Send + Sync>(&self, value: T) -> Option<Arc<T>> {
        typed(self.put(Arc::new(value)))
    }

    /// As [`insert`](Self::insert), whatever its type.
    pub(crate) fn put(&self, value: Value) -> Option<Value> {
        let id = (*value).type_id();
        let mut values = lock(&self.0);
        match values.iter_mut().find(|other| (***other).type_id() == id) {
            Some(slot) => Some(mem::replace(slot, value)),
            None => {
                values.push(value);
                None
            }
        }
    }

    pub(crate) fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let found = lock(&self.0).iter().find(|value| is::<T>(value)).cloned();
        typed(found)
    }

    pub(crate) fn get_or_default<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let default: Value = Arc::new(T::default());
        let mut values = lock(&self.0);
        let found = values.iter().find(|value| is::<T>(value)).cloned();
        let value = found.unwrap_or_else(|| {
            values.push(Arc::clone(&default));
            default
        });
        drop(values);
        // It is a `T`, for it was found or made as one.
        typed(Some(value)).unwrap_or_default()
    }

    pub(crate) fn remove<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let mut values = lock(&self.0);
        let index = values.iter().position(is::<T>);
        let removed = index.map(|index| values.swap_remove(index));
        drop(values);
        typed(removed)
    }
}

/// Whoever lets go last, the sweeper for one, has others to see to: a value whose `Drop` panics does so for itself.
impl Drop for Attributes {
    fn drop(&mut self) {
        for value in mem::take(self.0.get_mut().unwrap_or_else(PoisonError::into_inner)) {
            contain(|| drop(value));
        }
    }
}

fn is<T: Any>(value: &Value) -> bool {
    (**value).type_id() == TypeId::of::<T>()
}

fn typed<T: Any + Send + Sync>(value: Option<Value>) -> Option<Arc<T>> {
    value.and_then(|value| value.downcast().ok())
}
