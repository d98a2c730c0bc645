/** What the process says to scripts and supervisors when it ends; documented in docs/errors.md. */
export const ExitCode = {
  /** Stopped as asked, everything stored; for `fsck`: no damage. */
  done: 0,
  /** Ended by a failure while running; for `fsck`: damage was found. */
  failed: 1,
  /** The command line or the configuration is wrong, or what `fsck` was given cannot be read. */
  usage: 2,
  /** The data directory cannot be used: locked, no permission, other format, damaged. */
  dataDirectory: 3,
  /** The address cannot be listened on. */
  address: 4,
  /** Stopped before every client had left: the time limit or a second signal. What was confirmed is stored. */
  cutShort: 5,
} as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]
