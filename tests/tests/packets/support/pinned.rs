//! What the programs count and remember, read from the pins as anybody with the right could.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    path::{Path, PathBuf},
    ptr::NonNull,
};

use anyhow::Context as _;
use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, PerCpuArray},
};
use lb_common::{
    address::{Address, V4, V6},
    flow::{FlowRecord, ReverseRecord, Seen, Tuple},
    fragment::{self, FragmentEntry},
    fresh,
    half_open::{BUCKETS, Heads},
    layout,
    port::{Arrival, Port},
    service::Control,
    snat::{Ports, SnatAddress},
    translation::{Return, Side, Translation},
    verdict::{Event, Verdict},
};

use super::plan::Family;

/// Sums over all CPUs, by index.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub verdicts: Vec<u64>,
    pub events: Vec<u64>,
}

pub struct Counters {
    verdicts: PerCpuArray<MapData, u64>,
    events: PerCpuArray<MapData, u64>,
}

impl Counters {
    pub fn open(pins: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            verdicts: PerCpuArray::try_from(Map::PerCpuArray(open(pins, layout::VERDICTS)?))?,
            events: PerCpuArray::try_from(Map::PerCpuArray(open(pins, layout::EVENTS)?))?,
        })
    }

    pub fn read(&self) -> anyhow::Result<Counts> {
        Ok(Counts {
            verdicts: totals(&self.verdicts, Verdict::COUNT)?,
            events: totals(&self.events, Event::COUNT)?,
        })
    }
}

fn totals(map: &PerCpuArray<MapData, u64>, count: u32) -> anyhow::Result<Vec<u64>> {
    (0..count)
        .map(|index| Ok(map.get(&index, 0)?.iter().sum()))
        .collect()
}

/// Says how frames leave by an interface, as attaching to it does.
pub fn open_port(pins: &Path, index: u32, port: Port) -> anyhow::Result<()> {
    let mut ports: Array<_, Port> = Array::try_from(Map::Array(open(pins, layout::PORTS)?))?;
    Ok(ports.set(index, port, 0)?)
}

/// Says that frames that come in so are of the interface `index`.
pub fn name_device(pins: &Path, arrival: Arrival, index: u32) -> anyhow::Result<()> {
    let map = Map::HashMap(open(pins, layout::DEVICES)?);
    let mut devices: HashMap<_, Arrival, u32> = HashMap::try_from(map)?;
    Ok(devices.insert(arrival, index, 0)?)
}

/// Lets half-open flows be idle for as long as the machine runs.
pub fn never_forget(pins: &Path) -> anyhow::Result<()> {
    let mut control: Array<_, Control> = Array::try_from(Map::Array(open(pins, layout::CONTROL)?))?;
    let words = Control {
        half_open_timeout: u32::MAX,
        ..control.get(&0, 0)?
    };
    Ok(control.set(0, words, 0)?)
}

/// What is remembered of flows, in both families.
pub struct Memory {
    v4: Tables<V4>,
    v6: Tables<V6>,
    fragments: Mapped<FragmentEntry>,
    fresh: Mapped<u64>,
}

struct Tables<A>
where
    SnatAddress<A>: Pod,
{
    flows: [HashMap<MapData, Tuple<A>, FlowRecord>; 2],
    half_open: Mapped<Heads>,
    reverse: HashMap<MapData, Tuple<A>, ReverseRecord<A>>,
    translations: HashMap<MapData, Tuple<A>, Translation<A>>,
    returns: HashMap<MapData, Tuple<A>, Return<A>>,
    snat: Array<MapData, SnatAddress<A>>,
}

impl Memory {
    pub fn open(pins: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            v4: Tables {
                flows: [
                    hash(pins, layout::FLOWS_HALF_V4)?,
                    hash(pins, layout::FLOWS_V4)?,
                ],
                half_open: Mapped::open(pins, layout::REVERSE_HALF_HEADS_V4, BUCKETS)?,
                reverse: hash(pins, layout::REVERSE_V4)?,
                translations: plain_hash(pins, layout::TRANSLATIONS_V4)?,
                returns: plain_hash(pins, layout::RETURNS_V4)?,
                snat: Array::try_from(Map::Array(open(pins, layout::SNAT_V4)?))?,
            },
            v6: Tables {
                flows: [
                    hash(pins, layout::FLOWS_HALF_V6)?,
                    hash(pins, layout::FLOWS_V6)?,
                ],
                half_open: Mapped::open(pins, layout::REVERSE_HALF_HEADS_V6, BUCKETS)?,
                reverse: hash(pins, layout::REVERSE_V6)?,
                translations: plain_hash(pins, layout::TRANSLATIONS_V6)?,
                returns: plain_hash(pins, layout::RETURNS_V6)?,
                snat: Array::try_from(Map::Array(open(pins, layout::SNAT_V6)?))?,
            },
            fragments: Mapped::open(pins, layout::FRAGMENTS, fragment::PLACES)?,
            fresh: Mapped::open(pins, layout::FRESH, fresh::PLACES)?,
        })
    }

    /// Forgets every flow.
    pub fn clear(&mut self) -> anyhow::Result<()> {
        self.v4.clear()?;
        self.v6.clear()?;
        self.fragments.clear();
        self.fresh.clear();
        Ok(())
    }

    /// Makes every flow one that was last seen when the machine started.
    pub fn age(&mut self) -> anyhow::Result<()> {
        self.fresh.clear();
        self.v4.age()?;
        self.v6.age()
    }

    /// How many forward and reverse halves of translations there are.
    pub fn translations(&self) -> (usize, usize) {
        let (v4, v6) = (self.v4.translations(), self.v6.translations());
        (v4.0 + v6.0, v4.1 + v6.1)
    }

    /// Takes every place among a family's reverse halves, for flows that were last seen when the machine started.
    pub fn fill_returns(&mut self, family: Family) -> anyhow::Result<()> {
        match family {
            Family::V4 => self.v4.fill_returns(),
            Family::V6 => self.v6.fill_returns(),
        }
    }

    /// Leaves no ports to source addresses but these.
    pub fn use_ports(&mut self, ports: Ports) -> anyhow::Result<()> {
        self.v4.use_ports(ports)?;
        self.v6.use_ports(ports)
    }
}

impl<A: Address> Tables<A>
where
    Tuple<A>: Pod,
    ReverseRecord<A>: Pod,
    Translation<A>: Pod,
    Return<A>: Pod,
    SnatAddress<A>: Pod,
{
    fn translations(&self) -> (usize, usize) {
        (
            self.translations.keys().count(),
            self.returns.keys().count(),
        )
    }

    fn fill_returns(&mut self) -> anyhow::Result<()> {
        for n in 0..layout::TRANSLATIONS_CAPACITY {
            let reply = Tuple {
                source_port: n as u16,
                destination_port: (n >> 16) as u16,
                protocol: 1,
                ..Tuple::default()
            };
            self.returns.insert(reply, Return::default(), 0)?;
        }
        Ok(())
    }

    fn use_ports(&mut self, ports: Ports) -> anyhow::Result<()> {
        let address = self.snat.get(&0, 0)?.address;
        Ok(self.snat.set(0, SnatAddress { address, ports }, 0)?)
    }

    fn clear(&mut self) -> anyhow::Result<()> {
        self.flows.iter_mut().try_for_each(clear)?;
        self.half_open.clear();
        clear(&mut self.reverse)?;
        clear(&mut self.translations)?;
        clear(&mut self.returns)
    }

    fn age(&mut self) -> anyhow::Result<()> {
        let seen = Seen::at(0);
        for map in &mut self.flows {
            update(map, |record| FlowRecord { seen, ..record })?;
        }
        self.half_open.update(|heads| Heads {
            words: heads.words.map(|head| head & !u64::from(u32::MAX)),
        });
        update(&mut self.reverse, |record| ReverseRecord { seen, ..record })?;
        update(&mut self.translations, |record| Translation {
            client: Side {
                seen,
                ..record.client
            },
            ..record
        })?;
        update(&mut self.returns, |record| Return {
            backend: Side {
                seen,
                ..record.backend
            },
            ..record
        })
    }
}

/// An array, in memory: as many entries as these are forgotten between rows.
struct Mapped<T> {
    entries: NonNull<T>,
    count: usize,
}

// SAFETY: a mapping of integers that this value alone refers to.
unsafe impl<T: Pod> Send for Mapped<T> {}

impl<T: Pod> Mapped<T> {
    fn open(pins: &Path, name: &str, count: u32) -> anyhow::Result<Self> {
        let map = open(pins, name)?;
        let count = count as usize;
        // SAFETY: a fresh mapping of all of an array's entries, which lasts until the process ends.
        let place = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                count * size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        anyhow::ensure!(place != libc::MAP_FAILED, io::Error::last_os_error());
        let entries = NonNull::new(place.cast()).context("mapped at null")?;
        Ok(Self { entries, count })
    }

    fn update(&mut self, change: impl Fn(T) -> T) {
        for i in 0..self.count {
            // SAFETY: an entry of the mapping, of integers; no program runs meanwhile.
            unsafe {
                let entry = self.entries.add(i);
                entry.write(change(entry.read()));
            }
        }
    }

    fn clear(&mut self) {
        // SAFETY: all of the mapping; zeros are entries that are none.
        unsafe { self.entries.write_bytes(0, self.count) };
    }
}

fn clear<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>) -> anyhow::Result<()> {
    let keys: Vec<K> = map.keys().collect::<Result<_, _>>()?;
    for key in keys {
        map.remove(&key)?;
    }
    Ok(())
}

fn update<K: Pod, V: Pod>(
    map: &mut HashMap<MapData, K, V>,
    change: impl Fn(V) -> V,
) -> anyhow::Result<()> {
    let entries: Vec<(K, V)> = map.iter().collect::<Result<_, _>>()?;
    for (key, value) in entries {
        map.insert(key, change(value), 0)?;
    }
    Ok(())
}

fn hash<K: Pod, V: Pod>(pins: &Path, name: &str) -> anyhow::Result<HashMap<MapData, K, V>> {
    Ok(HashMap::try_from(Map::LruHashMap(open(pins, name)?))?)
}

fn plain_hash<K: Pod, V: Pod>(pins: &Path, name: &str) -> anyhow::Result<HashMap<MapData, K, V>> {
    Ok(HashMap::try_from(Map::HashMap(open(pins, name)?))?)
}

fn open(pins: &Path, name: &str) -> anyhow::Result<MapData> {
    let path: PathBuf = pins.join(format!("maps-v{}", layout::VERSION)).join(name);
    MapData::from_pin(&path).with_context(|| format!("opening the pinned map {name}"))
}
