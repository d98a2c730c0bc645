/**
 * A program: `warren serve` on a disk of which each synced write takes 50 ms, so that any publisher outruns it. Nothing
 * else is slow: files are made and read as fast as ever.
 */
import type { File, Files } from '../../src/base/files.ts'
import { serve } from './altered-serve.ts'

const writeMs = 50

await serve(({ files }) => ({ world: { files: slow(files) } }))

function slow(files: Files): Files {
  return {
    makeDirectory: (path) => files.makeDirectory(path),
    list: (path) => files.list(path),
    open: async (path, mode, options) => {
      const file = await files.open(path, mode, options)
      return options?.isSynced === true ? slowFile(file) : file
    },
    rename: (from, to) => files.rename(from, to),
    remove: (path) => files.remove(path),
    removeDirectory: (path) => files.removeDirectory(path),
    syncDirectory: (path) => files.syncDirectory(path),
    freeBytes: (path) => files.freeBytes(path),
  }
}

function slowFile(file: File): File {
  return {
    size: () => file.size(),
    read: (into, at, length, position) => file.read(into, at, length, position),
    write: async (from, at, length, position) => {
      await new Promise((resolve) => setTimeout(resolve, writeMs))
      await file.write(from, at, length, position)
    },
    sync: () => file.sync(),
    truncate: (size) => file.truncate(size),
    close: () => file.close(),
  }
}
