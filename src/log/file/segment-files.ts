/** Whole-file operations in a log's directory: each leaves the old state or the new one, never something between. */
import type { File, Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import { segmentHeaderBytes } from './format.ts'
import { identityName, segmentName, temporaryEnding } from './segment.ts'
import { decodeSegmentHeader, encodeSegmentHeader, type SegmentHeader } from './segment-header.ts'
import { removeIfThere } from './segment-supply.ts'

export interface DirectoryOptions {
  readonly files: Files
  readonly directory: string
  readonly logger: Logger
}

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

/** Null when it does not pass its check. */
export async function readHeader(options: DirectoryOptions, id: number): Promise<SegmentHeader | null> {
  return readFirstSector(options, 'segment', segmentName(id))
}

/** The identity says that a log is here and which: without it, a directory whose segments are gone would look new. */
export async function readIdentity(options: DirectoryOptions): Promise<SegmentHeader | null> {
  const identity = await readFirstSector(options, 'identity', identityName)
  if (identity === null)
    options.logger.warn(
      { directory: options.directory },
      'the identity file is damaged; it is made again from the segments',
    )
  return identity
}

export async function writeIdentity(
  options: { readonly files: Files; readonly directory: string },
  like: SegmentHeader,
): Promise<void> {
  await writeWholeFile(options, identityName, segmentHeaderBytes, async (file) => {
    await file.write(encodeSegmentHeader('identity', { ...like, id: 0, base: 0, span: 0 }), 0, segmentHeaderBytes, 0)
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

async function readFirstSector(
  options: DirectoryOptions,
  kind: 'segment' | 'identity',
  name: string,
): Promise<SegmentHeader | null> {
  const path = `${options.directory}/${name}`
  const file = await options.files.open(path, 'read')
  try {
    const bytes = new Uint8Array(segmentHeaderBytes)
    const count = await file.read(bytes, 0, segmentHeaderBytes, 0)
    return decodeSegmentHeader(kind, bytes.subarray(0, count), path)
  } finally {
    await file.close()
  }
}
