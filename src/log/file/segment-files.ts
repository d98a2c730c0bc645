/** Whole-file operations in a log's directory: each leaves the old state or the new one, never something between. */
import type { File, Files } from '../../base/files.ts'
import { segmentHeaderBytes } from './format.ts'
import { identityName, segmentName, temporaryEnding } from './segment.ts'
import {
  decodeIdentity,
  decodeSegmentHeader,
  encodeIdentity,
  type Identity,
  type SegmentHeader,
} from './segment-header.ts'
import { removeIfThere } from './segment-supply.ts'

const sliceBytes = 1024 * 1024

/** Makes `name` a file of `span` bytes: zeros, then what `fill` writes, synced before it takes the name. */
export async function writeWholeFile(
  options: { readonly files: Files; readonly directory: string },
  name: string,
  span: number,
  fill: (file: File) => Promise<void>,
): Promise<void> {
  const { files, directory } = options
  const path = `${directory}/${name}`
  await removeIfThere(files, path + temporaryEnding)
  const file = await files.open(path + temporaryEnding, 'create')
  try {
    const zeros = new Uint8Array(Math.min(span, sliceBytes))
    for (let at = 0; at < span; at += sliceBytes) await file.write(zeros, 0, Math.min(sliceBytes, span - at), at)
    await fill(file)
    await file.sync()
  } finally {
    await file.close()
  }
  await files.rename(path + temporaryEnding, path)
  await files.syncDirectory(directory)
}

/** A segment file as its header and the file system describe it. */
export interface SegmentFile {
  readonly header: SegmentHeader
  readonly fileBytes: number
}

/** Null when the header does not pass its check. */
export async function readSegmentFile(files: Files, directory: string, id: number): Promise<SegmentFile | null> {
  const path = `${directory}/${segmentName(id)}`
  const { bytes, fileBytes } = await readFirstSector(files, path)
  const header = decodeSegmentHeader(bytes, path)
  return header && { header, fileBytes }
}

/** Null when it does not pass its check. */
export async function readIdentity(files: Files, directory: string): Promise<Identity | null> {
  const path = `${directory}/${identityName}`
  return decodeIdentity((await readFirstSector(files, path)).bytes, path)
}

export async function writeIdentity(files: Files, directory: string, identity: Identity): Promise<void> {
  await writeWholeFile({ files, directory }, identityName, segmentHeaderBytes, async (file) => {
    await file.write(encodeIdentity(identity), 0, segmentHeaderBytes, 0)
  })
}

/** Copies a small file as a whole. */
export async function copyFile(
  files: Files,
  from: string,
  to: { readonly directory: string; readonly name: string },
): Promise<void> {
  const source = await files.open(from, 'read')
  try {
    const bytes = new Uint8Array(await source.size())
    const count = await source.read(bytes, 0, bytes.byteLength, 0)
    await writeWholeFile({ files, directory: to.directory }, to.name, 0, (file) => file.write(bytes, 0, count, 0))
  } finally {
    await source.close()
  }
}

async function readFirstSector(files: Files, path: string): Promise<{ bytes: Uint8Array; fileBytes: number }> {
  const file = await files.open(path, 'read')
  try {
    const bytes = new Uint8Array(segmentHeaderBytes)
    const count = await file.read(bytes, 0, segmentHeaderBytes, 0)
    return { bytes: bytes.subarray(0, count), fileBytes: await file.size() }
  } finally {
    await file.close()
  }
}
