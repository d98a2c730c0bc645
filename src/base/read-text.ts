import type { Files } from './files.ts'

/** A whole file as UTF-8 text. Rejects with the system's error, and with `FileTooLong` above `bytesMax`. */
export async function readText(files: Pick<Files, 'open'>, path: string, bytesMax: number): Promise<string> {
  const file = await files.open(path, 'read')
  try {
    const size = await file.size()
    if (size > bytesMax) throw new FileTooLong(path, bytesMax)
    const bytes = new Uint8Array(size)
    return Buffer.from(bytes.buffer, 0, await file.read(bytes, 0, size, 0)).toString()
  } finally {
    await file.close()
  }
}

export class FileTooLong extends Error {
  readonly code = 'FILE_TOO_LONG'

  constructor(path: string, bytesMax: number) {
    super(`${path} is longer than ${bytesMax} bytes`)
  }
}
