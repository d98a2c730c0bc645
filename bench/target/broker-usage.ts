import { networkInterfaces } from 'node:os'
import { findListener, pageBytes, processTree, readAllStats, ticksPerSecond } from './proc.ts'

export interface UsageSample {
  readonly cpuSeconds: number
  readonly rssBytes: number
}

/**
 * CPU time and memory of a broker on this machine: of the process that listens on its port and of everything that
 * process has started. Knows nothing of brokers elsewhere, or behind a proxy.
 */
export class BrokerUsage {
  readonly pid: number

  /** Null when the broker is not local or its process cannot be seen. */
  static find(host: string, port: number): BrokerUsage | null {
    if (!isLocal(host)) return null
    const pid = findListener(port)
    return pid === null ? null : new BrokerUsage(pid)
  }

  constructor(pid: number) {
    this.pid = pid
  }

  sample(): UsageSample | null {
    const tree = processTree(readAllStats(), this.pid)
    if (tree.length === 0) return null
    let ticks = 0
    let pages = 0
    for (const stat of tree) {
      ticks += stat.cpuTicks
      pages += stat.residentPages
    }
    return { cpuSeconds: ticks / ticksPerSecond, rssBytes: pages * pageBytes }
  }
}

export function isLocal(host: string): boolean {
  if (host === 'localhost' || host === '::1' || host.startsWith('127.')) return true
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some((each) => each.address === host))
}
