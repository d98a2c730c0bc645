/** Digests of sealed segments on their way to other nodes: cut into parts, put together again. */
import type { Random } from '../../base/random.ts'
import type { DigestPart, DigestStream } from './frame-stream.ts'

/** Parts of one digest; a larger one is not sent, and other nodes read the segment instead. */
const partsMax = 4096

/** Sends a digest in parts. Rejects when one of them is not known to be stored. */
export async function putDigest(
  stream: DigestStream,
  segmentId: number,
  digest: Uint8Array,
  random: Random,
): Promise<void> {
  const version = Buffer.from(random.bytes(8)).toString('hex')
  const parts = Math.max(1, Math.ceil(digest.byteLength / stream.partBytesMax))
  if (parts > partsMax) return
  for (let part = 0; part < parts; part++) {
    const bytes = digest.subarray(part * stream.partBytesMax, (part + 1) * stream.partBytesMax)
    await stream.put({ segmentId, part, parts, version, bytes })
  }
}

/** Null when there is none, or none that is whole: it may be just being replaced. */
export async function getDigest(stream: DigestStream, segmentId: number): Promise<Uint8Array | null> {
  const first = await stream.get(segmentId, 0)
  if (first === null || first.parts > partsMax) return null
  const parts: DigestPart[] = [first]
  while (parts.length < first.parts) {
    const part = await stream.get(segmentId, parts.length)
    if (part === null || part.version !== first.version) return null
    parts.push(part)
  }
  return Buffer.concat(parts.map(({ bytes }) => bytes))
}
