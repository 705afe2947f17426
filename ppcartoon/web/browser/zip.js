// Writes zip files without compression: images are compressed already.

const LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50; // signatures
const VERSION = 20, UTF8 = 0x800;
const CRC = Uint32Array.from({length: 256}, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? byte >>> 1 ^ 0xedb88320 : byte >>> 1;
  return byte;
});

/**
 * @param {{blob: Blob, name: string}[]} files of less than 4 GB together; equal names get numbers.
 * @returns {Promise<Blob>}
 */
export async function zip(files) {
  const parts = [], directory = [], used = new Set();
  let offset = 0;
  for (const {blob, name} of files) {
    const path = new TextEncoder().encode(unused(name, used));
    const crc = checksum(new Uint8Array(await blob.arrayBuffer()));
    // version, flags, method (stored), time, date (1980-01-01), CRC, sizes, length of the name, of an extra field
    const shared = [[2, VERSION], [2, UTF8], [2, 0], [2, 0], [2, 33], [4, crc], [4, blob.size], [4, blob.size], [2, path.length], [2, 0]];
    const local = record([4, LOCAL], ...shared);
    parts.push(local, path, blob);
    // then: length of a comment, disk, attributes of two kinds, place of the file
    directory.push(record([4, CENTRAL], [2, VERSION], ...shared, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), path);
    offset += local.length + path.length + blob.size;
  }
  const size = directory.reduce((sum, {length}) => sum + length, 0), count = files.length;
  const end = record([4, END], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]);
  return new Blob([...parts, ...directory, end], {type: "application/zip"});
}

function unused(name, used) {
  const [, stem, ending] = /^(.*?)(\.[^.]*)?$/.exec(name);
  let unique = name;
  for (let i = 2; used.has(unique); i++) unique = `${stem}_${i}${ending ?? ""}`;
  used.add(unique);
  return unique;
}

/** Little-endian numbers, each given as [bytes, value]. */
function record(...fields) {
  return Uint8Array.from(fields.flatMap(([bytes, value]) => Array.from({length: bytes}, (_, i) => value >>> 8 * i)));
}

function checksum(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ crc >>> 8;
  return ~crc >>> 0;
}
