/**
 * Files in a row, as `tar` has them (POSIX ustar): a header of 512 bytes, the bytes, zeros up to the next 512; at the end
 * 1024 zeros. Plain files only, with short names; whatever else stands in an archive is refused.
 */

const blockBytes = 512
/** Of a name, in bytes; all ASCII. */
const nameBytesMax = 100
/** Of one file, in bytes: eleven octal digits. */
export const tarFileBytesMax = 8 ** 11 - 1

/** The bytes are no archive of ours, or not all of it. */
export class TarDamaged extends Error {
  readonly code = 'TAR_DAMAGED'
}

export interface TarEntry {
  readonly name: string
  readonly bytes: number
}

/** `modifiedAt`: wall time in milliseconds. */
export function tarHeader({ name, bytes }: TarEntry, modifiedAt: number): Uint8Array {
  if (!/^[\x21-\x7e]+$/.test(name) || name.length > nameBytesMax || bytes > tarFileBytesMax)
    throw new Error(`'${name}' of ${bytes} bytes does not fit a tar archive`)
  const header = Buffer.alloc(blockBytes)
  header.write(name, 0, 'latin1')
  header.write('0000600\0', 100, 'latin1')
  header.write('0000000\0', 108, 'latin1')
  header.write('0000000\0', 116, 'latin1')
  header.write(`${octal(bytes)}\0`, 124, 'latin1')
  header.write(`${octal(Math.floor(modifiedAt / 1_000))}\0`, 136, 'latin1')
  header.write('0', 156, 'latin1')
  header.write('ustar\x0000', 257, 'latin1')
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

function octal(number: number): string {
  return number.toString(8).padStart(11, '0')
}

/** What follows a file of so many bytes. */
export function tarPadding(bytes: number): Uint8Array {
  return new Uint8Array((blockBytes - (bytes % blockBytes)) % blockBytes)
}

export const tarEnd = new Uint8Array(2 * blockBytes)

/** Of all bytes, with spaces where it stands itself. */
function checksum(header: Uint8Array): number {
  let sum = 0
  for (const [at, byte] of header.entries()) sum += at >= 148 && at < 156 ? 0x20 : byte
  return sum
}

export interface TarVisitor {
  /** A file begins. */
  begin(entry: TarEntry): Promise<void>
  /** Its bytes, in order; valid during the call only. */
  part(bytes: Uint8Array): Promise<void>
  /** It is there as a whole. */
  end(): Promise<void>
}

/** Reads an archive to its end. Throws `TarDamaged`, and what the visitor throws. */
export async function readTar(parts: AsyncIterable<Uint8Array>, visitor: TarVisitor): Promise<void> {
  const source = new Source(parts)
  for (;;) {
    const header = await source.exactly(blockBytes)
    if (header.every((byte) => byte === 0)) break
    const entry = entryOf(header)
    await visitor.begin(entry)
    await source.pass(entry.bytes, (bytes) => visitor.part(bytes))
    await source.exactly(tarPadding(entry.bytes).length)
    await visitor.end()
  }
  const last = await source.exactly(blockBytes)
  if (last.some((byte) => byte !== 0)) throw new TarDamaged('the archive has something behind its end')
}

function entryOf(header: Buffer): TarEntry {
  const sum = Number.parseInt(header.toString('latin1', 148, 154), 8)
  if (sum !== checksum(header)) throw new TarDamaged('the header of a file in the archive does not pass its check')
  const name = header.toString('latin1', 0, nameBytesMax).replace(/\0.*$/s, '')
  const bytes = Number.parseInt(header.toString('latin1', 124, 135), 8)
  const isPlain = header[156] === 0x30 && header[345] === 0
  if (!isPlain || name === '' || !Number.isSafeInteger(bytes)) throw new TarDamaged(`'${name}' is not a plain file`)
  return { name, bytes }
}

/** Bytes as they come, cut as they are wanted. */
class Source {
  readonly #parts: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(parts: AsyncIterable<Uint8Array>) {
    this.#parts = parts[Symbol.asyncIterator]()
  }

  async exactly(bytes: number): Promise<Buffer> {
    const whole = Buffer.alloc(bytes)
    let at = 0
    await this.pass(bytes, async (part) => {
      whole.set(part, at)
      at += part.length
    })
    return whole
  }

  async pass(bytes: number, take: (part: Uint8Array) => Promise<void>): Promise<void> {
    for (let left = bytes; left > 0; ) {
      if (this.#rest.length === 0) this.#rest = await this.#next()
      const part = this.#rest.subarray(0, Math.min(left, this.#rest.length))
      this.#rest = this.#rest.subarray(part.length)
      left -= part.length
      await take(part)
    }
  }

  async #next(): Promise<Uint8Array> {
    const next = await this.#parts.next()
    if (next.done === true) throw new TarDamaged('the archive ends too early')
    return next.value
  }
}
