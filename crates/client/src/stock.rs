//! Large memory that is used again: fresh pages cost as much as encoding into them. A stock lives as
//! long as a pipeline that uses it, so a client without work holds none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use floe_redstuff::Encoder;

/// Smaller buffers are not kept: the allocator does as well.
const SMALLEST_BYTES: usize = 64 * 1024;

/// Buffers and encoders without use at the moment.
pub(crate) struct Stock {
    idle: Mutex<Idle>,
    most_bytes: usize,
}

#[derive(Default)]
struct Idle {
    /// The first has been here longest.
    buffers: VecDeque<Vec<u8>>,
    encoders: Vec<Encoder>,
    /// Of the buffers and the encoders.
    bytes: usize,
}

impl Stock {
    /// Keeps at most so many bytes that nobody uses.
    pub(crate) fn new(most_bytes: usize) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::default(), most_bytes })
    }

    /// An empty buffer with room for so many bytes, and for twice as many at most if it is not new.
    pub(crate) fn buffer(&self, bytes: usize) -> Vec<u8> {
        let mut idle = self.idle();
        let fits =
            |buffer: &&Vec<u8>| (bytes..=bytes.saturating_mul(2)).contains(&buffer.capacity());
        let sizes = idle.buffers.iter().filter(fits).map(Vec::capacity);
        let best = sizes.min().filter(|_| bytes >= SMALLEST_BYTES);
        let place =
            best.and_then(|best| idle.buffers.iter().position(|buffer| buffer.capacity() == best));
        let Some(mut buffer) = place.and_then(|place| idle.buffers.remove(place)) else {
            drop(idle);
            return Vec::with_capacity(bytes);
        };
        idle.bytes -= buffer.capacity();
        buffer.clear();
        buffer
    }

    /// The buffer's content; the buffer comes back when nobody holds any of it.
    pub(crate) fn lend(self: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < SMALLEST_BYTES {
            return buffer.into();
        }
        Bytes::from_owner(Lent { buffer, stock: Arc::clone(self) })
    }

    /// An encoder, with the memory of stripes before if it is not new.
    pub(crate) fn encoder(&self) -> Encoder {
        let mut idle = self.idle();
        let Some(encoder) = idle.encoders.pop() else { return Encoder::new() };
        idle.bytes -= encoder.memory_bytes();
        encoder
    }

    /// Takes an encoder back.
    pub(crate) fn keep_encoder(&self, encoder: Encoder) {
        let bytes = encoder.memory_bytes();
        let mut idle = self.idle();
        if idle.make_room(bytes, self.most_bytes) {
            idle.bytes += bytes;
            idle.encoders.push(encoder);
        }
    }

    fn keep_buffer(&self, buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        let mut idle = self.idle();
        if idle.make_room(bytes, self.most_bytes) {
            idle.bytes += bytes;
            idle.buffers.push_back(buffer);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn idle_bytes(&self) -> usize {
        self.idle().bytes
    }
}

impl Idle {
    /// Lets the oldest buffers go until `bytes` more are within `most`; whether they are.
    fn make_room(&mut self, bytes: usize, most: usize) -> bool {
        while bytes <= most && self.bytes + bytes > most {
            let Some(oldest) = self.buffers.pop_front() else { return false };
            self.bytes -= oldest.capacity();
        }
        bytes <= most
    }
}

/// A buffer that comes back.
struct Lent {
    buffer: Vec<u8>,
    stock: Arc<Stock>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.stock.keep_buffer(std::mem::take(&mut self.buffer));
    }
}

/// The stock that the pipelines under way share.
pub(crate) struct Stocks {
    current: Mutex<Weak<Stock>>,
    most_bytes: usize,
}

impl Stocks {
    pub(crate) const fn new(most_bytes: usize) -> Self {
        Self { current: Mutex::new(Weak::new()), most_bytes }
    }

    /// That of the pipelines under way, or a new one.
    pub(crate) fn current(&self) -> Arc<Stock> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.upgrade().unwrap_or_else(|| {
            let stock = Stock::new(self.most_bytes);
            *current = Arc::downgrade(&stock);
            stock
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    #[test]
    fn a_lent_buffer_comes_back_when_the_last_slice_is_dropped() {
        let stock = Stock::new(1000 * KIB);
        let mut buffer = stock.buffer(100 * KIB);
        let place = buffer.as_ptr();
        buffer.extend_from_slice(b"some bytes");
        let bytes = stock.lend(buffer);
        let slice = bytes.slice(5..);
        drop(bytes);
        assert_eq!((stock.idle_bytes(), &*slice), (0, &b"bytes"[..]));
        drop(slice);
        assert_eq!(stock.idle_bytes(), 100 * KIB);
        drop((stock.buffer(200 * KIB), stock.buffer(KIB)));
        assert_eq!(stock.idle_bytes(), 100 * KIB, "too small, and far too large");
        let again = stock.buffer(90 * KIB);
        assert_eq!((again.as_ptr(), again.len(), stock.idle_bytes()), (place, 0, 0));
    }

    #[test]
    fn idle_memory_is_bounded_and_the_oldest_goes() {
        let stock = Stock::new(500 * KIB);
        for size in [100, 200, 300] {
            drop(stock.lend(Vec::with_capacity(size * KIB)));
        }
        assert_eq!(stock.idle_bytes(), 500 * KIB);
        drop(stock.lend(Vec::with_capacity(501 * KIB)));
        drop(stock.lend(Vec::with_capacity(KIB)));
        assert_eq!(stock.idle_bytes(), 500 * KIB, "too large, and too small to be worth it");
        drop(stock.lend(Vec::with_capacity(150 * KIB)));
        assert_eq!(stock.idle_bytes(), 450 * KIB, "the 300 and the 150");
    }

    #[test]
    fn a_stock_ends_with_the_last_who_uses_it() {
        let stocks = Stocks::new(1000 * KIB);
        let stock = stocks.current();
        assert!(Arc::ptr_eq(&stock, &stocks.current()));
        let bytes = stock.lend(Vec::with_capacity(100 * KIB));
        let weak = Arc::downgrade(&stock);
        drop(stock);
        assert!(weak.upgrade().is_some(), "what is lent belongs to it");
        drop(bytes);
        assert!(weak.upgrade().is_none());
        assert_eq!(stocks.current().idle_bytes(), 0);
    }
}
