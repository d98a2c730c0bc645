/**
 * The file `level` of a replica's directory: how far the directory certainly is level with the stream. It is written only
 * after everything that it speaks of has been synced; whatever else is in the directory counts for nothing after a restart.
 *
 * One line of JSON and one with its CRC-32.
 */
import { crc32 } from 'node:zlib'
import type { Files } from '../../base/files.ts'
import { writeWholeFile } from '../file/segment-files.ts'
import { removeIfThere } from '../file/segment-supply.ts'
import type { TailSegment, TailState } from './stream-tail.ts'

const version = 1
export const levelName = 'level'

interface LevelJson extends TailState {
  readonly version: number
  readonly logId: string
}

export async function writeLevel(files: Files, directory: string, logId: Uint8Array, state: TailState): Promise<void> {
  const json: LevelJson = { version, logId: Buffer.from(logId).toString('hex'), ...state }
  const line = JSON.stringify(json)
  const bytes = Buffer.from(`${line}\n${crc32(line).toString(16)}\n`)
  await writeWholeFile({ files, directory }, levelName, 0, (file) => file.write(bytes, 0, bytes.byteLength, 0))
}

/** Null when there is none, or none that can be trusted, or one of another log or version. */
export async function readLevel(files: Files, directory: string, logId: Uint8Array): Promise<TailState | null> {
  if (!(await files.list(directory)).includes(levelName)) return null
  const file = await files.open(`${directory}/${levelName}`, 'read')
  try {
    const bytes = new Uint8Array(await file.size())
    const count = await file.read(bytes, 0, bytes.byteLength, 0)
    return decode(Buffer.from(bytes.subarray(0, count)).toString(), logId)
  } finally {
    await file.close()
  }
}

export function removeLevel(files: Files, directory: string): Promise<void> {
  return removeIfThere(files, `${directory}/${levelName}`)
}

function decode(text: string, logId: Uint8Array): TailState | null {
  const [line, crc] = text.split('\n')
  if (line === undefined || crc === undefined || crc32(line).toString(16) !== crc) return null
  const json = JSON.parse(line) as LevelJson
  if (json.version !== version || json.logId !== Buffer.from(logId).toString('hex')) return null
  const { version: _version, logId: _logId, ...state } = json
  return state satisfies { segments: readonly TailSegment[] }
}
