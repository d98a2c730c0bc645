/** Why opening a node has failed, as whoever starts it is told. */
import { DataDirectoryLocked } from './log/file/data-directory-lock.ts'
import { FormatUnknown } from './log/file/format.ts'
import { LogDamaged } from './log/log.ts'
import { StartError } from './start-error.ts'

/** What the world did to us has a sentence; our own mistakes go on as they are. */
export function asStartError(error: unknown, root: string | null): unknown {
  if (error instanceof LogDamaged) {
    const mend = `\`warren fsck ${root}\` shows the damage, and with --repair writes what is whole to a new directory`
    return new StartError('data-directory', `the data in ${root} is damaged: ${error.message}; ${mend}`, error)
  }
  if (error instanceof DataDirectoryLocked) {
    return new StartError('data-directory', error.message, error)
  }
  if (error instanceof FormatUnknown) {
    return new StartError('data-directory', `${error.message}; use the version of Warren that wrote ${root}`, error)
  }
  // Those for clients have had their sentences; the lock of the directory listens on a path.
  if (error instanceof Error && 'syscall' in error && error.syscall === 'listen' && 'port' in error) {
    const mend = 'stop what listens there, or give this node another port, in --peers of all nodes or by cluster-port'
    return new StartError('address', `cannot listen for the other nodes (${error.message}); ${mend}`, error)
  }
  if (error instanceof Error && 'syscall' in error) {
    const mend = 'see that it is a local directory which this user may read and write'
    return new StartError(
      'data-directory',
      `the data directory ${root} cannot be used (${error.message}); ${mend}`,
      error,
    )
  }
  return error
}
