/** Small text files: read whole, written all or nothing. */
import { dirname } from 'node:path'
import type { Files } from '../../base/files.ts'

/** Of a file that is read whole, in bytes. */
export const smallFileBytesMax = 64 * 1024

/** Rejects with the system's error; a longer file is cut. */
export async function readSmallFile(files: Files, path: string): Promise<string> {
  const file = await files.open(path, 'read')
  try {
    const bytes = new Uint8Array(smallFileBytesMax)
    return Buffer.from(bytes.buffer, 0, await file.read(bytes, 0, bytes.length, 0)).toString()
  } finally {
    await file.close()
  }
}

/** With mode 0600. Whoever reads it sees the old text or the new one. */
export async function writeSmallFile(files: Files, path: string, text: string): Promise<void> {
  const temporary = `${path}.new`
  await removeIfThere(files, temporary)
  const file = await files.open(temporary, 'create')
  const bytes = Buffer.from(text)
  try {
    await file.write(bytes, 0, bytes.length, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await files.rename(temporary, path)
  await files.syncDirectory(dirname(path))
}

export async function removeIfThere(files: Files, path: string): Promise<void> {
  try {
    await files.remove(path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}
