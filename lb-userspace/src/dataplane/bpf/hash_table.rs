//! A hash map, for single entries and for all of them.

use std::{io, os::fd::AsFd as _};

use anyhow::bail;
use aya::{
    Pod,
    maps::{HashMap, Map, MapData},
};

use super::batch;

#[derive(Debug)]
pub struct HashTable<K, V> {
    single: HashMap<MapData, K, V>,
    all: MapData,
}

impl<K: Pod, V: Pod> HashTable<K, V> {
    pub fn new(map: Map) -> anyhow::Result<Self> {
        let (Map::LruHashMap(data) | Map::HashMap(data)) = &map else {
            bail!("flows are in no hash map: {map:?}");
        };
        let all = MapData::from_fd(data.fd().as_fd().try_clone_to_owned()?)?;
        let single = HashMap::try_from(map)?;
        Ok(Self { single, all })
    }

    /// Every entry that stands there throughout.
    pub fn all(&self) -> io::Result<Vec<(K, V)>> {
        batch::entries(&self.all)
    }

    pub fn get(&self, key: &K) -> Option<V> {
        self.single.get(key, 0).ok()
    }

    /// Gone already is just as well.
    pub fn remove(&mut self, key: &K) {
        let _ = self.single.remove(key);
    }

    /// `false` where there is an entry already, or no room.
    pub fn insert_new(&mut self, key: &K, value: &V) -> bool {
        const BPF_NOEXIST: u64 = 1;
        self.single.insert(key, value, BPF_NOEXIST).is_ok()
    }
}
