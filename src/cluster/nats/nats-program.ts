/** The program `nats-server`: where it is, and whether it is new enough. */
import type { ChildProcesses } from '../../base/child-processes.ts'
import { errorName, StartError } from '../../start-error.ts'

/** Older ones lose or double what was confirmed, in one way or another. */
export const natsVersionMin = '2.14.4'

export interface NatsProgram {
  readonly path: string
  readonly version: string
}

/** On the PATH, then where Debian's package and administrators put it. */
const usualPlaces = ['nats-server', '/usr/local/bin/nats-server', '/usr/sbin/nats-server'] as const
const versionMsMax = 10_000
const install = `install nats-server ${natsVersionMin} or newer (scripts/install-nats.sh does on Debian), or give its path with --nats-server`

/** Throws `StartError`. */
export async function findNatsProgram(processes: ChildProcesses, given: string | null): Promise<NatsProgram> {
  const failures: unknown[] = []
  for (const path of given === null ? usualPlaces : [given]) {
    try {
      return checked(path, await processes.run(path, ['--version'], versionMsMax))
    } catch (error) {
      if (error instanceof StartError) throw error
      failures.push(error)
    }
  }
  const [first] = failures
  if (given !== null) {
    const mend = 'give --nats-server the path of a nats-server that this user may run'
    throw new StartError('cluster', `${given} cannot be run (${errorName(first)}); ${mend}`, first)
  }
  throw new StartError('cluster', `there is no nats-server on this machine; ${install}`, first)
}

function checked(path: string, { text }: { readonly text: string }): NatsProgram {
  const [, version] = /nats-server: v?(\d+\.\d+\.\d+\S*)/.exec(text) ?? []
  if (version === undefined) {
    throw new StartError('cluster', `${path} does not say that it is a nats-server; ${install}`)
  }
  if (isOlder(version, natsVersionMin)) {
    throw new StartError('cluster', `${path} has version ${version}, which is too old; ${install}`)
  }
  return { path, version }
}

/** By major, minor and patch; what follows a `-` is older than without (`2.14.4-RC.1`). */
export function isOlder(version: string, than: string): boolean {
  const [a, b] = [numbersOf(version), numbersOf(than)]
  for (const [index, number] of a.entries()) {
    const other = b[index] ?? 0
    if (number !== other) return number < other
  }
  return version.includes('-') && !than.includes('-')
}

function numbersOf(version: string): number[] {
  return (version.split('-')[0] ?? '').split('.').map(Number)
}
