/** What the process says to scripts and supervisors when it ends; documented in docs/command-line.md. */
export const ExitCode = {
  /** Done as asked; of `serve`: stopped as asked, everything stored; of `fsck`: no damage. */
  done: 0,
  /** A failure while running; of `fsck`: damage was found; of `consume --exec`: the command has failed for a message. */
  failed: 1,
  /** The command line, the configuration or an input is wrong, or what `fsck` was given cannot be read. */
  usage: 2,
  /** The data directory cannot be used: locked, no permission, other format, damaged. */
  dataDirectory: 3,
  /** The address cannot be listened on. */
  address: 4,
  /** Stopped before every client had left: the time limit or a second signal. What was confirmed is stored. */
  cutShort: 5,
  /** No broker could be talked to: no such host, refused, TLS, no answer in time, or the connection was lost. */
  unreachable: 6,
  /** The broker refused user, password or vhost. */
  login: 7,
  /** There is no such queue, exchange or vhost. */
  notFound: 8,
  /** The broker refused for another reason: no right, other properties, in use, too large. */
  refused: 9,
  /** At least one published message reached no queue, or the broker said that it did not take it. */
  undelivered: 10,
  /** `get` found no message. */
  empty: 11,
  /** The cluster's NATS is missing, or does not give what is needed. */
  cluster: 12,
  /** Ended by Ctrl-C (SIGINT), in order. */
  interrupted: 130,
  /** Ended by SIGTERM, in order. */
  terminated: 143,
} as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]
