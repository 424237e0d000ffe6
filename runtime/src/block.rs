//! Rows on their way to ClickHouse: compressed while they come in, so that a batch is held small and only once.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use cityhash_rs::cityhash_102_128;

use crate::sink::Block;

/// Rows that will be one insert. Holds what is compressed, and less than [`FRAME_BYTES`] that is not.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    raw: Vec<u8>,
    body: Vec<u8>,
    rows: u64,
    raw_bytes: u64,
}

/// Input of one compressed frame.
const FRAME_BYTES: usize = 1 << 20;
/// Checksum, method, compressed size, uncompressed size.
const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
const METHOD_LZ4: u8 = 0x82;

impl BlockBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds whole rows.
    pub fn append(&mut self, mut data: &[u8], rows: u64) {
        self.rows += rows;
        self.raw_bytes += data.len() as u64;
        while self.raw.len() + data.len() >= FRAME_BYTES {
            let (now, later) = data.split_at(FRAME_BYTES - self.raw.len());
            self.raw.extend_from_slice(now);
            self.compress();
            data = later;
        }
        self.raw.extend_from_slice(data);
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// RowBinary bytes before compression.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// `columns` are those of the rows, in their order.
    pub fn finish(mut self, token: String, columns: Arc<[String]>) -> Block {
        if !self.raw.is_empty() {
            self.compress();
        }
        Block { body: Bytes::from(self.body), rows: self.rows, raw_bytes: self.raw_bytes, token, columns }
    }

    fn compress(&mut self) {
        let start = self.body.len();
        self.body.resize(start + CHECKSUM_BYTES + HEADER_BYTES, 0);
        let written = ROOM.with_borrow_mut(|room| {
            room.resize(lz4_flex::block::get_maximum_output_size(FRAME_BYTES), 0);
            let written = lz4_flex::block::compress_into(&self.raw, room)
                .expect("the output has the maximum size that LZ4 asks for");
            self.body.extend_from_slice(&room[..written]);
            written
        });
        let frame = &mut self.body[start..];
        frame[CHECKSUM_BYTES] = METHOD_LZ4;
        let sizes = [(HEADER_BYTES + written) as u32, self.raw.len() as u32];
        for (size, at) in sizes.iter().zip([CHECKSUM_BYTES + 1, CHECKSUM_BYTES + 5]) {
            frame[at..at + 4].copy_from_slice(&size.to_le_bytes());
        }
        let checksum = cityhash_102_128(&frame[CHECKSUM_BYTES..]);
        // ClickHouse stores the low half first; the library returns it as the high half.
        frame[..8].copy_from_slice(&((checksum >> 64) as u64).to_le_bytes());
        frame[8..16].copy_from_slice(&(checksum as u64).to_le_bytes());
        self.raw.clear();
    }
}

thread_local! {
    /// Where a frame is compressed to. The library wants initialised bytes, and to fill them for each frame would cost half
    /// as much as to compress it.
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_hold_a_mebibyte_each_and_count_everything() {
        let mut builder = BlockBuilder::new();
        let row = [7u8; 1000];
        for _ in 0..3000 {
            builder.append(&row, 1);
        }
        assert_eq!((builder.rows(), builder.raw_bytes()), (3000, 3_000_000));
        let body = builder.finish("t".into(), ["n".to_owned()].into()).body;
        let (mut at, mut raw) = (0, Vec::new());
        while at < body.len() {
            let size = |from: usize| u32::from_le_bytes(body[from..from + 4].try_into().unwrap()) as usize;
            let (compressed, plain) = (size(at + 17), size(at + 21));
            assert!(plain <= FRAME_BYTES);
            raw.extend(lz4_flex::block::decompress(&body[at + 25..at + 16 + compressed], plain).unwrap());
            at += 16 + compressed;
        }
        assert_eq!(raw, row.repeat(3000));
    }
}
