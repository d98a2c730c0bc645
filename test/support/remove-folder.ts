/** Removes a folder that a process which is just ending may still write to. */
import { rmSync } from 'node:fs'

const triesMax = 20

/** A file made between the listing of a folder and its removal is found by the next try, which lists anew; `rmSync`'s own retries do not. */
export function removeFolder(folder: string): void {
  for (let left = triesMax; ; left--) {
    try {
      rmSync(folder, { recursive: true, force: true })
      return
    } catch (error) {
      if (left === 0 || (error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
    }
  }
}
